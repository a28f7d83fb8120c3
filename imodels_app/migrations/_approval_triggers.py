"""What the database refuses of requests and decisions since rules say who decides, in the place of two older triggers.

A later migration brings back what holds today by _address_triggers.
"""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from imodels_app.migrations import _data_and_triggers, _decision_triggers
from imodels_app.migrations._data_and_triggers import DECISION, OPERATION, REQUEST, Trigger
from imodels_app.migrations._decision_triggers import DECIDER, ITS_OPERATION, MEMBERSHIP, USER

REPLACED = {"operation_keeps_its_request", "decision_by_a_lead"}
# What makes it another request; and what may change while it waits for a decision, or when its approval lapses.
WHOSE = ("kind", "requested_by_id", "requester_key")
EDITED = (*(column for column in REQUEST if column not in WHOSE), "approval_plan")


def _differs(columns: tuple[str, ...]) -> str:
    return " OR ".join(f"OLD.{column} <> NEW.{column}" for column in columns)


def in_time(given_at: str, given_by: str) -> str:
    """A right counts from when it was given; but not against a request by whoever gave it, or to oneself after it."""
    return (
        f"({given_at} IS NULL OR {given_at} <= {OPERATION}.created_at OR {given_by} IS NULL"
        f" OR {given_by} NOT IN (NEW.by_id, NEW.requested_by_id))"
    )


_PLACE = (
    f"EXISTS (SELECT 1 FROM {MEMBERSHIP} WHERE {MEMBERSHIP}.user_id = NEW.by_id AND {MEMBERSHIP}.role = 'lead'"
    f" AND {MEMBERSHIP}.team_id = {OPERATION}.team_id"
    f" AND {in_time(f'{MEMBERSHIP}.given_at', f'{MEMBERSHIP}.given_by_id')})"
)
_LEAD = f"{OPERATION}.asked LIKE '% leads %' AND {_PLACE}"
_NAMED = f"{OPERATION}.asked LIKE '% ' || NEW.by_id || ' %'"
_ADMIN = (
    f"{USER}.is_staff AND ({OPERATION}.asked LIKE '% admins %' OR NEW.verdict = 'bypassed')"
    f" AND {in_time(f'{USER}.admin_given_at', f'{USER}.admin_given_by_id')}"
)

TRIGGERS = [
    Trigger(
        "operation_keeps_what_is_decided",
        f"UPDATE OF {', '.join((*WHOSE, *EDITED))} ON {OPERATION}",
        "A request that is decided is never edited.",
        f"{_differs(WHOSE)} OR (({_differs(EDITED)})"
        " AND OLD.state NOT IN ('awaiting_approval', 'changes_requested')"
        " AND NOT (OLD.state = 'queued' AND NEW.state = 'awaiting_approval'))",
    ),
    Trigger(
        "decision_by_whom_it_is_asked_of",
        f"INSERT ON {DECISION}",
        "Only who is asked decides, and by no right that they or the requester gave after the request.",
        f"NOT EXISTS (SELECT 1 FROM {OPERATION}, {USER} WHERE {ITS_OPERATION} AND {DECIDER} AND {USER}.is_active"
        f" AND (({_LEAD}) OR ({_NAMED}) OR ({_ADMIN})))",
    ),
]


def make_default_rule(apps: Any, schema_editor: Any) -> None:
    """What held before there were rules. Whatever no rule matches is let through."""
    levels = [{"who": "leads", "count": 1, "people": [], "comment": False, "sign_in": False}]
    apps.get_model("imodels_app", "ApprovalRule").objects.create(
        name="Forks need a lead", kinds=["fork"], levels=levels
    )


def triggers(vendor: str) -> list[Trigger]:
    """All that hold."""
    older = [*_data_and_triggers.triggers(vendor), *_decision_triggers.TRIGGERS]
    return [one for one in older if one.name not in REPLACED] + TRIGGERS


def drop_older(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    _decision_triggers.drop_triggers(apps, schema_editor)
    _data_and_triggers.drop_triggers(apps, schema_editor)


def create_older(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    _data_and_triggers.create_triggers(apps, schema_editor)
    _decision_triggers.create_triggers(apps, schema_editor)


def create_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    vendor = schema_editor.connection.vendor
    for trigger in triggers(vendor):
        for statement in trigger.created(vendor):
            schema_editor.execute(statement, params=None)


def drop_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    vendor = schema_editor.connection.vendor
    for trigger in triggers(vendor):
        schema_editor.execute(trigger.dropped(vendor), params=None)
