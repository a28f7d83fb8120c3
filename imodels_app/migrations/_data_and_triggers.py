"""What the first migration does beyond the schema: the default team, and what the database refuses by trigger.

makemigrations writes none of it. Whoever generates 0001_initial.py anew ends its list of operations with

    *_data_and_triggers.OPERATIONS,

On SQLite a later migration that alters one of these tables copies it, and its triggers are gone: end that one with
RunPython(drop_triggers), RunPython(create_triggers). The tests of tests/test_triggers.py miss a trigger that is not
there.
"""

from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

KEEPS_EVENTS = "Events are never changed or deleted."
KEEPS_DEFAULT_TEAM = "There is always a default team. It can be renamed, but not deleted or replaced."

# Name, what is refused, and the sentence that says so.
_REFUSED = [
    ("event_update", "UPDATE ON imodels_app_event FOR EACH ROW", KEEPS_EVENTS),
    ("event_delete", "DELETE ON imodels_app_event FOR EACH ROW", KEEPS_EVENTS),
    ("default_team_delete", "DELETE ON imodels_app_team FOR EACH ROW WHEN (OLD.is_default)", KEEPS_DEFAULT_TEAM),
    (
        "default_team_update",
        "UPDATE ON imodels_app_team FOR EACH ROW WHEN (OLD.is_default AND NOT NEW.is_default)",
        KEEPS_DEFAULT_TEAM,
    ),
]
_ALSO_REFUSED = {
    "postgresql": [("event_truncate", "TRUNCATE ON imodels_app_event FOR EACH STATEMENT", KEEPS_EVENTS)],
    # INSERT OR REPLACE deletes a row without firing a trigger for that.
    "sqlite": [
        (
            "event_replace",
            "INSERT ON imodels_app_event FOR EACH ROW WHEN (NEW.id IN (SELECT id FROM imodels_app_event))",
            KEEPS_EVENTS,
        )
    ],
}
_ACTION = {"postgresql": "EXECUTE FUNCTION refuse('{why}')", "sqlite": "BEGIN SELECT RAISE(ABORT, '{why}'); END"}
# With this code, Django raises IntegrityError, as it does on SQLite.
_FUNCTION = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation'; END $$
"""


def triggers(vendor: str) -> dict[str, str]:
    """Name and CREATE TRIGGER of each trigger of a database's vendor."""
    return {
        name: f"CREATE TRIGGER {name} BEFORE {when} {_ACTION[vendor].format(why=why)}"
        for name, when, why in _REFUSED + _ALSO_REFUSED[vendor]
    }


def create_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    vendor = schema_editor.connection.vendor
    function = [_FUNCTION] if vendor == "postgresql" else []
    for statement in [*function, *triggers(vendor).values()]:
        schema_editor.execute(statement, params=None)


def drop_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION refuse CASCADE")
        return
    for name in triggers("sqlite"):
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {name}")


def create_default_team(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("imodels_app", "Team").objects.create(name="Default team", is_default=True)


OPERATIONS = [
    migrations.RunPython(create_default_team, migrations.RunPython.noop),
    migrations.RunPython(create_triggers, drop_triggers),
]
