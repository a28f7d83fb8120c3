"""What changed lately, for live pages; and the orders and menus of one team's and one person's operations."""

from typing import Any

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from imodels_app.migrations import _change_triggers, _search
from imodels_app.migrations._data_and_triggers import OPERATION

INDEXES = {
    "operation_team_name": ["team", "name", "id"],
    "operation_my_name": ["requested_by", "name", "id"],
    "operation_team_state": ["team", "state", "created_at", "id"],
    "operation_my_state": ["requested_by", "state", "created_at", "id"],
    "operation_team_person": ["team", "requested_by", "-created_at"],
    "operation_team_itwin": ["team", "itwin_id", "-created_at"],
    "operation_my_itwin": ["requested_by", "itwin_id", "-created_at"],
}
# By how long they took, on PostgreSQL as the one of all (_search.INDEXES).
LASTED = {"operation_team_lasted": "team_id", "operation_my_lasted": "requested_by_id"}


def create_lasted(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        lasted = _search.INDEXES["operation_lasted"].partition("(")[2]
        for name, of in LASTED.items():
            schema_editor.execute(f"CREATE INDEX {name} ON {OPERATION} ({of}, {lasted}", params=None)


def drop_lasted(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for name in LASTED:
            schema_editor.execute(f"DROP INDEX {name}", params=None)


class Migration(migrations.Migration):
    dependencies = [("imodels_app", "0015_audit_outside")]

    operations = [
        migrations.CreateModel(
            name="Change",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.BigIntegerField()),
                ("at", models.DateTimeField()),
                (
                    "about",
                    models.CharField(
                        choices=[
                            ("operation", "Operation"),
                            ("rights", "Rights"),
                            ("limits", "Limits"),
                            ("outage", "Outage"),
                        ],
                        max_length=10,
                    ),
                ),
                ("operation_id", models.UUIDField(null=True)),
                ("person_id", models.BigIntegerField(null=True)),
                ("team_id", models.BigIntegerField(null=True)),
                ("is_asking", models.BooleanField(default=False)),
                ("is_queued", models.BooleanField(default=False)),
            ],
            options={"indexes": [models.Index(fields=["number"], name="change_number")]},
        ),
        migrations.RunPython(_change_triggers.create_triggers, _change_triggers.drop_triggers),
        *(migrations.AddIndex("operation", models.Index(name=name, fields=of)) for name, of in INDEXES.items()),
        migrations.RunPython(create_lasted, drop_lasted),
    ]
