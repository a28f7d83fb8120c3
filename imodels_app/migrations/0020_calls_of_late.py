"""How many calls left of late, in slots of the minute or the hour that has a limit."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("imodels_app", "0019_asked_again"),
        ("imodels_app", "0019_audit_mends"),
        ("imodels_app", "0019_made_of"),
    ]

    operations = [migrations.AddField("bucket", "of_late", models.JSONField(null=True))]
