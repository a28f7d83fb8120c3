"""What one person may still look up on the platform."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("imodels_app", "0006_tokens_refused")]

    operations = [
        migrations.CreateModel(
            name="LookupShare",
            fields=[
                (
                    "person",
                    models.OneToOneField(
                        on_delete=models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("tokens", models.FloatField(default=0)),
                ("dripped_at", models.DateTimeField(null=True)),
            ],
        ),
    ]
