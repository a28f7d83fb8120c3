"""How many calls left in the last hour, for tiers that limit it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("imodels_app", "0021_made_of")]

    operations = [migrations.AddField("bucket", "last_hour", models.JSONField(null=True))]
