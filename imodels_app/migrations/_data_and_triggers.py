"""What the first migration does beyond the schema: the default team, and what the database refuses by trigger.

makemigrations writes none of it. Whoever generates 0001_initial.py anew ends its list of operations with

    *_data_and_triggers.OPERATIONS,

A trigger, because a CHECK sees one row, and neither what it was nor what it belongs to. One mechanism for PostgreSQL
and SQLite: a composite foreign key (operation, hash) would do for the hash, but SQLite cannot add one to a table,
Django does not know of it when it rebuilds that table, and it refuses no edit.

On SQLite Django alters most things by rebuilding their table, which loses the table's triggers and fails while a
trigger of another table names it. A later migration of these tables begins with RunPython(drop_triggers,
create_triggers) and ends with RunPython(create_triggers, drop_triggers). What is written here is applied: a trigger
that changes gets a new module. tests/test_triggers.py misses a trigger that is not there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


@dataclass(frozen=True)
class Trigger:
    """One change that the database refuses with a sentence, and IntegrityError.

    before      the change, and of which table
    refused_if  a condition on OLD and NEW
    each        ROW or STATEMENT
    only        the vendor that knows such a change; "" both
    """

    name: str
    before: str
    why: str
    refused_if: str = "true"
    each: str = "ROW"
    only: str = ""

    def created(self, vendor: str) -> Iterator[str]:
        if vendor == "sqlite":
            refuse = f"SELECT RAISE(ABORT, '{self.why}')"
            yield f"CREATE TRIGGER {self.name} BEFORE {self.before} WHEN {self.refused_if} BEGIN {refuse}; END"
            return
        refuse = f"RAISE EXCEPTION '{self.why}' USING ERRCODE = 'integrity_constraint_violation'"
        otherwise = "IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW;"
        body = f"BEGIN IF {self.refused_if} THEN {refuse}; END IF; {otherwise} END"
        yield f"CREATE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"
        yield f"CREATE TRIGGER {self.name} BEFORE {self.before} FOR EACH {self.each} EXECUTE FUNCTION {self.name}()"

    def dropped(self, vendor: str) -> str:
        return f"DROP TRIGGER {self.name}" if vendor == "sqlite" else f"DROP FUNCTION {self.name}() CASCADE"


EVENT, TEAM = "imodels_app_event", "imodels_app_team"
OPERATION, DECISION = "imodels_app_operation", "imodels_app_decision"
REQUEST = ("kind", "requested_by_id", "requester_key", "request_path", "request_body", "request_hash")
KEEPS_EVENTS = "Events are never changed or deleted."
KEEPS_DEFAULT_TEAM = "There is always a default team. It can be renamed, but not deleted or replaced."
KEEPS_DECISIONS = "A decision is never changed or deleted."

_TRIGGERS = [
    Trigger("event_update", f"UPDATE ON {EVENT}", KEEPS_EVENTS),
    Trigger("event_delete", f"DELETE ON {EVENT}", KEEPS_EVENTS),
    Trigger("event_truncate", f"TRUNCATE ON {EVENT}", KEEPS_EVENTS, each="STATEMENT", only="postgresql"),
    # INSERT OR REPLACE deletes a row without firing a trigger for that.
    Trigger("event_replace", f"INSERT ON {EVENT}", KEEPS_EVENTS, f"NEW.id IN (SELECT id FROM {EVENT})", only="sqlite"),
    Trigger("default_team_delete", f"DELETE ON {TEAM}", KEEPS_DEFAULT_TEAM, "OLD.is_default"),
    Trigger("default_team_update", f"UPDATE ON {TEAM}", KEEPS_DEFAULT_TEAM, "OLD.is_default AND NOT NEW.is_default"),
    Trigger(
        "operation_keeps_its_request",
        f"UPDATE OF {', '.join(REQUEST)} ON {OPERATION}",
        "A request is never edited.",
        " OR ".join(f"OLD.{column} <> NEW.{column}" for column in REQUEST),
    ),
    Trigger(
        "decision_fits_its_request",
        f"INSERT ON {DECISION}",
        "A decision is about its own request.",
        f"NOT EXISTS (SELECT 1 FROM {OPERATION} WHERE id = NEW.operation_id"
        " AND requested_by_id = NEW.requested_by_id"
        " AND requester_key = NEW.requester_key"
        " AND request_hash = NEW.request_hash)",
    ),
    Trigger("decision_update", f"UPDATE ON {DECISION}", KEEPS_DECISIONS),
    Trigger("decision_delete", f"DELETE ON {DECISION}", KEEPS_DECISIONS),
]


def triggers(vendor: str) -> list[Trigger]:
    return [trigger for trigger in _TRIGGERS if trigger.only in ("", vendor)]


def create_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    vendor = schema_editor.connection.vendor
    for trigger in triggers(vendor):
        for statement in trigger.created(vendor):
            schema_editor.execute(statement, params=None)


def drop_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    vendor = schema_editor.connection.vendor
    for trigger in triggers(vendor):
        schema_editor.execute(trigger.dropped(vendor), params=None)


def create_default_team(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("imodels_app", "Team").objects.create(name="Default team", is_default=True)


OPERATIONS = [
    migrations.RunPython(create_default_team, migrations.RunPython.noop),
    migrations.RunPython(create_triggers, drop_triggers),
]
