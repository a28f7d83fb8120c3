"""What the database refuses of a decision beyond the first migration: whoever may not decide as it is written."""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from imodels_app.migrations._data_and_triggers import DECISION, OPERATION, Trigger

MEMBERSHIP, USER = "imodels_app_membership", "imodels_app_user"
ITS_OPERATION = f"{OPERATION}.id = NEW.operation_id"
DECIDER = f"{USER}.id = NEW.by_id"

TRIGGERS = [
    # A right counts from when it was given; but not against a request by whoever gave it, or to oneself after it.
    Trigger(
        "decision_by_a_lead",
        f"INSERT ON {DECISION}",
        "Only a lead of the team decides, and by no right that they or the requester gave after the request.",
        f"NOT EXISTS (SELECT 1 FROM {MEMBERSHIP}, {OPERATION}, {USER} WHERE {ITS_OPERATION} AND {DECIDER}"
        f" AND {USER}.is_active AND {MEMBERSHIP}.user_id = {USER}.id AND {MEMBERSHIP}.role = 'lead'"
        f" AND {MEMBERSHIP}.team_id = {OPERATION}.team_id"
        f" AND ({MEMBERSHIP}.given_at IS NULL OR {MEMBERSHIP}.given_at <= {OPERATION}.created_at"
        f" OR {MEMBERSHIP}.given_by_id IS NULL"
        f" OR {MEMBERSHIP}.given_by_id NOT IN (NEW.by_id, NEW.requested_by_id)))",
    ),
    Trigger(
        "decision_by_another_address",
        f"INSERT ON {DECISION}",
        "Two accounts with one address are one person, and nobody decides about their own request.",
        f"EXISTS (SELECT 1 FROM {OPERATION}, {USER} WHERE {ITS_OPERATION} AND {DECIDER}"
        f" AND {USER}.email <> '' AND lower({USER}.email) = lower({OPERATION}.requester_email))",
    ),
]


def create_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    vendor = schema_editor.connection.vendor
    for trigger in TRIGGERS:
        for statement in trigger.created(vendor):
            schema_editor.execute(statement, params=None)


def drop_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for trigger in TRIGGERS:
        schema_editor.execute(trigger.dropped(schema_editor.connection.vendor), params=None)
