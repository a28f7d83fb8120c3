"""What the database refuses of a decision since a deputy may decide in the place of an absent lead.

A later migration brings back what holds today by _address_triggers.
"""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from imodels_app.migrations import _approval_triggers
from imodels_app.migrations._approval_triggers import in_time
from imodels_app.migrations._data_and_triggers import DECISION, OPERATION, Trigger
from imodels_app.migrations._decision_triggers import DECIDER, ITS_OPERATION, MEMBERSHIP, USER

REPLACED = "decision_by_whom_it_is_asked_of"
ABSENCE = "imodels_app_absence"


def _place(whose: str) -> str:
    """A lead's, by a right that neither whoever decides nor the requester gave after the request."""
    return (
        f"EXISTS (SELECT 1 FROM {MEMBERSHIP} WHERE {MEMBERSHIP}.user_id = {whose} AND {MEMBERSHIP}.role = 'lead'"
        f" AND {MEMBERSHIP}.team_id = {OPERATION}.team_id"
        f" AND {in_time(f'{MEMBERSHIP}.given_at', f'{MEMBERSHIP}.given_by_id')})"
    )


_LEAD = f"{OPERATION}.asked LIKE '% leads %' AND NEW.stands_for_id IS NULL AND {_place('NEW.by_id')}"
# Never what the absent lead asked for.
_DEPUTY = (
    f"{OPERATION}.asked LIKE '% leads %' AND NEW.stands_for_id <> NEW.requested_by_id AND {_place('NEW.stands_for_id')}"
    f" AND EXISTS (SELECT 1 FROM {ABSENCE} WHERE {ABSENCE}.team_id = {OPERATION}.team_id"
    f" AND {ABSENCE}.lead_id = NEW.stands_for_id AND {ABSENCE}.deputy_id = NEW.by_id"
    f" AND {in_time(f'{ABSENCE}.given_at', f'{ABSENCE}.given_by_id')}"
    f" AND {ABSENCE}.starts_at <= NEW.decided_at AND {ABSENCE}.ends_at > NEW.decided_at)"
)
_NAMED = f"{OPERATION}.asked LIKE '% ' || NEW.by_id || ' %'"
_ADMIN = (
    f"{USER}.is_staff AND ({OPERATION}.asked LIKE '% admins %' OR NEW.verdict = 'bypassed')"
    f" AND {in_time(f'{USER}.admin_given_at', f'{USER}.admin_given_by_id')}"
)
TRIGGER = Trigger(
    "decision_by_whom_it_is_asked_of_now",
    f"INSERT ON {DECISION}",
    "Only who is asked decides, and by no right that they or the requester gave after the request.",
    f"NOT EXISTS (SELECT 1 FROM {OPERATION}, {USER} WHERE {ITS_OPERATION} AND {DECIDER} AND {USER}.is_active"
    f" AND (({_LEAD}) OR ({_DEPUTY}) OR ({_NAMED}) OR ({_ADMIN})))",
)


def triggers(vendor: str) -> list[Trigger]:
    """All that hold."""
    return [one for one in _approval_triggers.triggers(vendor) if one.name != REPLACED] + [TRIGGER]


def _replaced() -> Trigger:
    return next(one for one in _approval_triggers.TRIGGERS if one.name == REPLACED)


def replace(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    _swap(schema_editor, _replaced(), TRIGGER)


def restore(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    _swap(schema_editor, TRIGGER, _replaced())


def create_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    vendor = schema_editor.connection.vendor
    for trigger in triggers(vendor):
        for statement in trigger.created(vendor):
            schema_editor.execute(statement, params=None)


def drop_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    vendor = schema_editor.connection.vendor
    for trigger in triggers(vendor):
        schema_editor.execute(trigger.dropped(vendor), params=None)


def _swap(schema_editor: BaseDatabaseSchemaEditor, old: Trigger, new: Trigger) -> None:
    vendor = schema_editor.connection.vendor
    for statement in [old.dropped(vendor), *new.created(vendor)]:
        schema_editor.execute(statement, params=None)
