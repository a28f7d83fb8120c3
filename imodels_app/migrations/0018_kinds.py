"""The table by kind within a team or a state: its count, too, is read from the index alone."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("imodels_app", "0017_decided_at_source")]

    operations = [
        migrations.AddIndex(
            "operation", models.Index(name="operation_kind_state", fields=["kind", "state", "-created_at"])
        ),
        migrations.AddIndex(
            "operation", models.Index(name="operation_team_kind", fields=["team", "kind", "-created_at"])
        ),
    ]
