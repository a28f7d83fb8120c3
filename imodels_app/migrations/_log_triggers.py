"""Each event waits for the audit log from the moment it is written, whoever writes it: by trigger.

By the program it would miss what the release before it writes while `migrate` runs. A migration that alters the table of
events drops this trigger first and creates it at its end, as those of _data_and_triggers.
"""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from imodels_app.migrations._data_and_triggers import EVENT

NAME, UNLOGGED = "event_waits_for_log", "imodels_app_unloggedevent"
_INSERT = f"INSERT INTO {UNLOGGED} (event_id) VALUES (NEW.id)"


def created(vendor: str) -> list[str]:
    if vendor == "sqlite":
        return [f"CREATE TRIGGER {NAME} AFTER INSERT ON {EVENT} BEGIN {_INSERT}; END"]
    return [
        f"CREATE FUNCTION {NAME}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_INSERT}; RETURN NULL; END $$",
        f"CREATE TRIGGER {NAME} AFTER INSERT ON {EVENT} FOR EACH ROW EXECUTE FUNCTION {NAME}()",
    ]


def dropped(vendor: str) -> str:
    return f"DROP TRIGGER {NAME}" if vendor == "sqlite" else f"DROP FUNCTION {NAME}() CASCADE"


def create_trigger(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """The trigger, and what is written already. On PostgreSQL the first locks out whoever writes meanwhile."""
    for statement in created(schema_editor.connection.vendor):
        schema_editor.execute(statement, params=None)
    schema_editor.execute(f"INSERT INTO {UNLOGGED} (event_id) SELECT id FROM {EVENT}", params=None)


def drop_trigger(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    schema_editor.execute(dropped(schema_editor.connection.vendor), params=None)
