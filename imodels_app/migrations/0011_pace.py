"""When a bucket does without bursts, and who has a form open."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("imodels_app", "0008_audit_log")]

    operations = [
        migrations.AddField(
            "bucket",
            "no_bursts_until",
            models.DateTimeField(help_text="After a 429, calls are spaced evenly until then.", null=True),
        ),
        migrations.AddField("lookupshare", "at_form_at", models.DateTimeField(null=True)),
    ]
