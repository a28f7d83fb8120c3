"""When a request is sent at the earliest."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from imodels_app import eligibility
from imodels_app.accounts import permissions
from imodels_app.lifecycle import _transition, asking
from imodels_app.lifecycle._transition import NO_WAIT, Conflict
from imodels_app.models import Operation, User
from imodels_app.requesting import drafts
from imodels_app.runtime import clock
from imodels_app.states import MAYBE_THERE, State, WaitReason


def times(operation: Operation, now: datetime) -> dict[str, Any]:
    """Columns of what may be sent from now on: its turn, and until when its approval holds, counted from the start."""
    starts_at = max(now, operation.not_before or now)
    use_by = starts_at + timedelta(days=operation.plan.use_days) if operation.plan.asks_people else None
    waits = {"wait_reason": WaitReason.NOT_BEFORE, "wait_until": starts_at} if starts_at > now else NO_WAIT
    return waits | {"due_at": starts_at, "use_by": use_by}


def start_at(operation: Operation, at: datetime | None, *, by: User) -> None:
    """Send it no earlier than then; None: as soon as it may be.

    Set by who may decide it needs no new approval. By the requester it is an edit while it waits for one: nobody has
    agreed to a request that may be sent that late.

    Raises permissions.Denied and Conflict: it has been sent, or ended.
    """
    with transaction.atomic():
        eligibility.lock_rights(by)
        Operation.objects.select_for_update(of=("self",)).get(pk=operation.pk)
        operation.refresh_from_db()
        permissions.require(permissions.why_not_start(by, operation))
        if operation.attempts.filter(outcome__in=MAYBE_THERE).exists():
            raise Conflict("It may have been sent already.")
        if operation.state == State.QUEUED and at:
            raise Conflict("It is decided: it can be sent at once, but not be put off.")
        if operation.state == State.AWAITING_APPROVAL and by.pk == operation.requested_by_id:
            _edit(operation, at, by=by)
        else:
            put_off(operation, at, by=by)
        if operation.state == State.QUEUED:
            _transition.wake_submitter(operation)


def _edit(operation: Operation, at: datetime | None, *, by: User) -> None:
    if at == operation.not_before:
        return
    change = {"what": "Not before", "before": _in_words(operation.not_before), "after": _in_words(at)}
    columns = asking.new_round(operation, operation.plan.again())
    if why := drafts.why_not_again(operation):
        raise Conflict(why)
    note = f"Not before: {change['before'] or 'none'} → {change['after'] or 'none'}"
    told = {"changes": [change], "request_hash": operation.request_hash}
    _transition.note(operation, "edited", by=by, note=note, data=told, not_before=at, **columns)


def _in_words(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at else ""


def put_off(operation: Operation, at: datetime | None, *, by: User) -> None:
    """Write down when it is sent at the earliest, of a row that nobody has begun to send."""
    operation.not_before = at
    columns: dict[str, Any] = {"not_before": at}
    if operation.state == State.QUEUED and (at or operation.wait_reason == WaitReason.NOT_BEFORE):
        columns |= times(operation, clock.now())
    until = at.isoformat() if at else ""
    _transition.note(operation, "start_set", by=by, data={"not_before": until}, **columns)
