"""An attempt whose answer could not be stored."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("imodels_app", "0001_initial")]
    operations = [
        migrations.AlterField(
            "attempt",
            "outcome",
            models.CharField(
                choices=[
                    ("pending", "No answer yet"),
                    ("not_sent", "Not sent"),
                    ("rejected", "Rejected"),
                    ("accepted", "Accepted"),
                    ("unknown", "The answer was lost"),
                    ("unrecorded", "The answer could not be stored"),
                ],
                default="pending",
                max_length=10,
            ),
        )
    ]
