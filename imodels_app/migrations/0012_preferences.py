"""What people choose for themselves: their time zone, and which e-mails they do without."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("imodels_app", "0011_pace")]

    operations = [
        migrations.AddField(
            "user",
            "time_zone",
            models.CharField(
                blank=True,
                help_text="Of their times, like Europe/Berlin. Empty: not known yet.",
                max_length=64,
                null=True,
            ),
        ),
        migrations.AddField(
            "user",
            "muted_mail",
            models.CharField(
                blank=True, help_text="Kinds of e-mail they do without, with spaces.", max_length=255, null=True
            ),
        ),
    ]
