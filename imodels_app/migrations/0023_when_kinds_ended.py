"""The latest of a kind that have ended, of which it is learned how long the next one takes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("imodels_app", "0022_hours_calls")]

    operations = [
        migrations.AddIndex("operation", models.Index(fields=["kind", "-finished_at"], name="operation_kind_ended"))
    ]
