"""What the database refuses of an event since addresses can be dropped: any change but exactly that one.

An event's e-mail address goes, and its address and browser in `data`, after the salt of its line in the audit log is
gone, without which the line's hash tells nothing of them. A later migration that alters a table of events, operations,
decisions, places, absences or people begins with RunPython(drop_triggers, create_triggers) and ends with
RunPython(create_triggers, drop_triggers) of this module.
"""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from imodels_app.migrations import _deputy_triggers
from imodels_app.migrations._data_and_triggers import EVENT, KEEPS_EVENTS, Trigger

REPLACED, LEAF = "event_update", "imodels_app_logleaf"
_KEPT = (
    *("id", "at", "verb", "actor_id", "actor_name", "operation_id", "operation_name", "team_name"),
    *("came_from", '"to"', "note"),
)


def _refused_if(same: str, dropped: str) -> str:
    """same: how this database compares what may be NULL; dropped: its words for the data without addresses."""
    kept = " AND ".join(f"NEW.{column} {same} OLD.{column}" for column in _KEPT)
    salt_is_gone = f"EXISTS (SELECT 1 FROM {LEAF} WHERE event_id = OLD.id AND salt IS NULL)"
    return f"NOT ({kept} AND NEW.actor_email = '' AND {salt_is_gone} AND NEW.data {same} {dropped})"


_WORDS = {
    "sqlite": _refused_if("IS", "json_remove(OLD.data, '$.address', '$.client')"),
    "postgresql": _refused_if("IS NOT DISTINCT FROM", "OLD.data - 'address' - 'client'"),
}


def _trigger(vendor: str) -> Trigger:
    return Trigger("event_only_drops_addresses", f"UPDATE ON {EVENT}", KEEPS_EVENTS, _WORDS[vendor])


def triggers(vendor: str) -> list[Trigger]:
    """All that hold."""
    return [one for one in _deputy_triggers.triggers(vendor) if one.name != REPLACED] + [_trigger(vendor)]


def replace(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    vendor = schema_editor.connection.vendor
    _swap(schema_editor, _replaced(vendor), _trigger(vendor))


def restore(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    vendor = schema_editor.connection.vendor
    _swap(schema_editor, _trigger(vendor), _replaced(vendor))


def create_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    vendor = schema_editor.connection.vendor
    for trigger in triggers(vendor):
        for statement in trigger.created(vendor):
            schema_editor.execute(statement, params=None)


def drop_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    vendor = schema_editor.connection.vendor
    for trigger in triggers(vendor):
        schema_editor.execute(trigger.dropped(vendor), params=None)


def _replaced(vendor: str) -> Trigger:
    return next(one for one in _deputy_triggers.triggers(vendor) if one.name == REPLACED)


def _swap(schema_editor: BaseDatabaseSchemaEditor, old: Trigger, new: Trigger) -> None:
    vendor = schema_editor.connection.vendor
    for statement in [old.dropped(vendor), *new.created(vendor)]:
        schema_editor.execute(statement, params=None)
