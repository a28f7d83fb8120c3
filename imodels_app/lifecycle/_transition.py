"""How a row moves: one conditional UPDATE, its event and its message in one transaction.

For the modules of the lifecycle only; a contract in pyproject.toml keeps everybody else out.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F

from imodels_app.accounts import deciders
from imodels_app.approvals.plan import INSTEAD
from imodels_app.audit import events
from imodels_app.models import Operation, Orphan, Upload, User
from imodels_app.notifications import chats, outbox, recipients
from imodels_app.runtime import clock, dispatch, failpoints
from imodels_app.states import FINISHED, MOVES, OWN_PACE, State, Verb, WaitReason


class Conflict(Exception):
    """The operation is not (or no longer) in a state that allows this. Its text can be shown."""


class NameInFlight(Conflict):
    """Another operation of ours with this name in this iTwin is on its way to the platform."""


class FileTaken(Conflict):
    """The baseline file belongs to another operation that is not over, or is not here any more."""


class ApprovalVoid(Conflict):
    """The request differs from what was approved."""


class ApprovalLapsed(Conflict):
    """The approval was not used in time."""


class NotAllowed(Exception):
    """The rules refuse this request, or nobody could decide about it. Its text can be shown, and says whom to ask."""


TOO_FEW = "Too few people are left who may decide."
NO_WAIT: dict[str, Any] = {"wait_reason": WaitReason.NONE, "wait_until": None}


def move(
    operation: Operation,
    to: State,
    *,
    verb: str,
    by: User | None = None,
    note: str = "",
    code: str = "",
    wait: WaitReason = WaitReason.NONE,
    data: dict[str, Any] | None = None,
    **fields: Any,
) -> None:
    """Take one edge and write its event, or raise Conflict: see change(). data: what the event tells besides."""
    came_from = State(operation.state)
    if to not in MOVES.get(came_from, ()):
        raise Conflict(f"{came_from.label} cannot become {to.label.lower()}.")
    now = clock.now()
    if to in FINISHED:
        fields |= {"finished_at": now, "due_at": None}
    event = event_fields(verb, by, note, came_from, to, code, wait, fields.get("wait_until"))
    change(operation, now, state=to, **fields, event=event | (data or {}))


def note(
    operation: Operation,
    verb: str,
    *,
    by: User | None = None,
    note: str = "",
    wait: WaitReason = WaitReason.NONE,
    data: dict[str, Any] | None = None,
    **fields: Any,
) -> None:
    """Change columns that people see, without a move. An unchanged reason to wait makes no second event."""
    same_wait = wait and (operation.wait_reason == wait or {operation.wait_reason, wait} <= OWN_PACE)
    until = fields.get("wait_until")
    state = operation.state
    event = None if same_wait else event_fields(verb, by, note, state, state, "", wait, until) | (data or {})
    change(operation, clock.now(), event=event, **fields)


def change(
    operation: Operation,
    now: datetime,
    *,
    event: dict[str, Any] | None,
    upload: Mapping[str, Any] | None = None,
    **fields: Any,
) -> None:
    """Change columns of an operation and write the event, or raise Conflict and do nothing.

    upload: columns of its Upload that change with it, or not at all
    """
    with transaction.atomic():
        if upload:
            # Always first: two who lock the rows in different orders could wait for each other.
            write(operation.upload, **upload)
        asked_before = operation.asked
        write(operation, changed_at=now, **fields)
        if event:
            _record(operation, now, event, asked_before)
        if _are_newly_instead(operation, asked_before) and not (event and event["verb"] == Verb.ADMINS_ASKED):
            _say_admins_asked(operation, now)


def _are_newly_instead(operation: Operation, asked_before: str) -> bool:
    return operation.is_asked_of_admins_instead and INSTEAD not in asked_before.split()


def _say_admins_asked(operation: Operation, now: datetime) -> None:
    """Mark in history that administrators may decide in the place of others, whatever change brought it about.

    They have been told of that one, as all that it asks.
    """
    state = operation.state
    _record(operation, now, event_fields(Verb.ADMINS_ASKED, None, TOO_FEW, state, state, "", ""), operation.asked)


def write(row: Operation | Upload | Orphan, **fields: Any) -> None:
    """Change the named columns of a row that is still as we read it, or raise Conflict.

    The UPDATE repeats in its WHERE the version that we read, and the state of what has one. So of two processes that
    want the same edge exactly one changes a row, and a process that slept through the other's work changes none.
    """
    as_read = {name: getattr(row, name) for name in ("state", "version") if hasattr(row, name)}
    with transaction.atomic():
        changed = type(row).objects.filter(pk=row.pk, **as_read).update(version=F("version") + 1, **fields)
        if not changed:
            raise Conflict(f"{row} has changed meanwhile.")
        # Within: after the commit it could be somebody else's later version, and no longer fence us off. No more than
        # what was written: a row that hangs on this one stays as it was read, for it is fenced by its own version.
        row.refresh_from_db(fields=["version", *fields])


def event_fields(
    verb: str, by: User | None, note: str, came_from: str, to: str, code: str, wait: str, until: datetime | None = None
) -> dict[str, Any]:
    """What audit.events.record() takes of a change, but for the row and the time."""
    told = (("code", code), ("wait", str(wait)), ("until", until.isoformat() if until else ""))
    extra = {key: value for key, value in told if value}
    return {"verb": verb, "by": by, "note": note, "came_from": came_from, "to": to, **extra}


def begin(operation: Operation, *, by: User) -> None:
    """Write the first event of a new row: what was asked for, the rules that hold for it, and who could decide."""
    rules = [
        {"id": one.rule.id, "version": one.rule.version, "name": one.rule.name, "why": one.why}
        for one in operation.plan.matches
    ]
    event = event_fields("requested", by, operation.reason, "", operation.state, "", "")
    _record(operation, operation.created_at, event | {"rules": rules, "could_decide": deciders.in_full(operation)}, "")


def _record(operation: Operation, now: datetime, event: dict[str, Any], asked_before: str) -> None:
    """Write the event with who is told of it, and the e-mails."""
    told = recipients.of(
        operation,
        event["verb"],
        by=event["by"],
        came_from=event["came_from"],
        asked_before=asked_before,
        wait=event.get("wait", ""),
    )
    tell(operation, now, event, told)


def tell(operation: Operation, now: datetime, event: dict[str, Any], told: recipients.Recipients) -> None:
    """Write an event with who is told of it and in which chats, and the messages. Call inside a transaction."""
    if told:
        event |= {"told": [{"person": person.pk, "name": person.name, "of": kind} for person, kind in told.items()]}
    if in_chats := chats.of(operation, event["verb"], event.get("came_from", "")):
        event |= {"chats": [str(webhook) for webhook in in_chats]}
    row = events.record(at=now, operation=operation, **event)
    outbox.enqueue(told, operation=operation, event=row)


def wake_submitter(operation: Operation) -> None:
    """Have a queued operation submitted once this transaction is committed."""
    transaction.on_commit(partial(failpoints.reach, "wake.committed"))
    dispatch.wake_submitter(operation.pk)
