"""What a sign-in is good for, so that its person can be told what it lacks."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("imodels_app", "0012_preferences")]

    operations = [
        migrations.AddField(
            "tokenset",
            "scope",
            models.TextField(blank=True, null=True, help_text="What it is good for, where the provider says so."),
        )
    ]
