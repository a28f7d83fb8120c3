"""Waits for a limit, a person or a clock, and how they end."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Q

from imodels_app.lifecycle import _transition, asking, progress
from imodels_app.lifecycle._transition import NO_WAIT, Conflict
from imodels_app.models import Attempt, Operation, User
from imodels_app.notifications import recipients
from imodels_app.requesting import drafts
from imodels_app.runtime import clock, dispatch
from imodels_app.runtime.loops import for_each
from imodels_app.runtime.timing import (
    CLOCK_DIFFERENCE,
    LAST_REMINDER_BEFORE,
    LONGEST_GUARD_POLL,
    LONGEST_PAUSE,
    SET_ASIDE_FOR,
    SIGN_IN_PATIENCE,
    UPLOAD_LEASE,
)
from imodels_app.states import NotificationKind, Outcome, State, Verb, WaitReason

# Which column makes an operation due at once.
_DUE: dict[State, Callable[[datetime], dict[str, Any]]] = {
    State.QUEUED: lambda now: {"due_at": now, "expires_at": None},
    State.SUBMITTING: lambda now: {"due_at": now},
    State.UPLOADING: lambda now: {"upload": {"due_at": now}},
    State.RUNNING: lambda now: {"due_at": now},
}
_MISSED = {State.AWAITING_APPROVAL: "nobody decided", State.CHANGES_REQUESTED: "the requester changed nothing"}


def wait(operation: Operation, reason: WaitReason, until: datetime, note: str = "", **fields: Any) -> None:
    """Nothing can be done before `until`. The operation stays what it is, and says why. fields: what else is true."""
    fields |= _waiting(operation, State(operation.state), reason, until)
    _transition.note(operation, "postponed", note=note, wait=reason, **fields)


def requeue(operation: Operation, attempt: Attempt, *, reason: WaitReason, until: datetime, note: str = "") -> None:
    """Queue again what provably was not sent. Raises Conflict unless its attempt says so."""
    if not Attempt.objects.filter(pk=attempt.pk, operation=operation, outcome=Outcome.NOT_SENT).exists():
        raise Conflict(f"{operation.name} may have been sent.")
    fields = _waiting(operation, State.QUEUED, reason, until)
    _transition.move(operation, State.QUEUED, verb="postponed", note=note, wait=reason, **fields)


def _waiting(operation: Operation, state: State, reason: WaitReason, until: datetime) -> dict[str, Any]:
    """The columns of an operation that waits in this state."""
    fields: dict[str, Any] = {"wait_reason": reason, "wait_until": until, "due_at": until}
    if state == State.UPLOADING:
        fields |= {"due_at": None, "upload": {"due_at": until}}
    if reason == WaitReason.SIGN_IN and state in (State.QUEUED, State.UPLOADING):
        ends_at = operation.expires_at if operation.wait_reason == reason else clock.now() + SIGN_IN_PATIENCE
        fields |= {"expires_at": ends_at, "wait_until": ends_at}
    return fields


def expire(operation: Operation) -> None:
    """End a wait for a person who did not come in time. An upload fails instead: it leaves an orphaned iModel."""
    who = _MISSED.get(State(operation.state), "the requester did not sign in again")
    if operation.state == State.UPLOADING:
        progress.failed(operation, code="uploadAbandoned", note=who)
        return
    _transition.move(operation, State.EXPIRED, verb="expired", note=who)


def lapse(operation: Operation) -> None:
    """An approval that was not used in time is void: the request waits for people again. Raises Conflict.

    Never once the request may have been sent: its answer may be lost.
    """
    with transaction.atomic():
        Operation.objects.select_for_update(of=("self",)).get(pk=operation.pk)
        operation.refresh_from_db()
        if not Operation.objects.lapsed(clock.now()).filter(pk=operation.pk).exists():
            raise Conflict(f"The approval of {operation.name} still holds.")
        plan = operation.plan.again()
        columns = asking.new_round(operation, plan) | drafts.time_to_decide(plan, operation.team, clock.now()) | NO_WAIT
        columns |= {"use_by": None, "due_at": None}
        if not columns["asked"]:
            asking.end(operation)
            return
        _transition.move(operation, State.AWAITING_APPROVAL, verb="approval_lapsed", note="not sent in time", **columns)


def remind(operation: Operation) -> None:
    """Remind whoever has to act, half-way and shortly before the end, once each."""
    now, ends_at = clock.now(), operation.expires_at
    if ends_at is None:
        return
    is_last = ends_at - now <= LAST_REMINDER_BEFORE
    kind = NotificationKind.LAST_DAY if is_last else NotificationKind.HALF_WAY
    upcoming = None if is_last else ends_at - LAST_REMINDER_BEFORE
    with transaction.atomic():
        as_read = {"state": operation.state, "remind_at": operation.remind_at}
        # Not a new version: nothing that a page shows has changed.
        if Operation.objects.filter(pk=operation.pk, **as_read).update(remind_at=upcoming):
            event = _transition.event_fields("reminded", None, kind.label, operation.state, operation.state, "", "")
            _transition.tell(operation, now, event, recipients.reminded(operation, kind))
            _escalate(operation, now)


def _escalate(operation: Operation, now: datetime) -> None:
    """Tell the administrators, once, that nothing is decided. Who may decide stays as the rules have it."""
    told = recipients.admins(operation) if operation.state == State.AWAITING_APPROVAL else {}
    if told and not operation.events.filter(verb=Verb.ESCALATED).exists():
        note = "Nothing is decided by half of the time."
        event = _transition.event_fields(Verb.ESCALATED, None, note, operation.state, operation.state, "", "")
        _transition.tell(operation, now, event, told)


def wake_after_sign_in(user: User) -> None:
    """Go on with whatever waited for this person to sign in."""
    waiting = Operation.objects.filter(requested_by=user, wait_reason=WaitReason.SIGN_IN, state__in=_DUE)
    for_each(waiting, partial(_wake, by=user))


def _wake(operation: Operation, *, by: User) -> None:
    due = _DUE[State(operation.state)](clock.now())
    try:
        _transition.note(operation, "resumed", by=by, note="signed in again", **NO_WAIT, **due)
    except Conflict:
        return  # it moved on by itself
    if operation.state == State.QUEUED:
        _transition.wake_submitter(operation)
    elif operation.state == State.UPLOADING:
        dispatch.wake_uploader(operation.pk)


def wake_all_signed_in() -> None:
    """Go on for people whose sign-in is good, though what waits for it was not woken.

    The process that they did it with died before it could, or the wait was written down a moment later than the
    sign-in; or the platform takes the token again by itself. None goes round in circles: before anybody waits for a
    sign-in, tokens.py has marked the old one.
    """
    waits = Q(operations__wait_reason=WaitReason.SIGN_IN, operations__state__in=_DUE)
    signed_in = User.objects.filter(waits, tokens__sign_in_needed=False, tokens__refused_since=None)
    for_each(signed_in.distinct(), wake_after_sign_in)


def reschedule_after_clock_jump(now: datetime) -> None:
    """Go on with what was written down later than now: the database's clock was put back.

    It would wait until the clock has caught up. Whether it still has to wait is found out by trying.
    """
    for state, due in _DUE.items():
        later = Q(changed_at__gt=now + CLOCK_DIFFERENCE)
        if state == State.RUNNING:  # a poll that tells nothing new does not count as a change
            later |= Q(wait_reason=WaitReason.NONE, listed_at=None, due_at__gt=now + LONGEST_PAUSE)
            later |= Q(wait_reason=WaitReason.NONE, due_at__gt=now + LONGEST_GUARD_POLL + CLOCK_DIFFERENCE)
        if state == State.UPLOADING:  # nor does a lease
            later |= Q(wait_reason=WaitReason.NONE, upload__due_at__gt=now + UPLOAD_LEASE + CLOCK_DIFFERENCE)
        early = Operation.objects.filter(later, state=state).exclude(wait_reason=WaitReason.SIGN_IN)
        for_each(early, partial(_resume, due=due(now)))


def _resume(operation: Operation, *, due: dict[str, Any]) -> None:
    with suppress(Conflict):
        _transition.note(operation, "resumed", note="the clock was set back", **NO_WAIT, **due)


def set_aside(operation: Operation) -> None:
    """Let others pass for a while: what is wrong with this queued operation is nothing that anybody foresaw."""
    now = clock.now()
    # Not by its version: what we read may have been undone.
    Operation.objects.filter(pk=operation.pk, state=State.QUEUED, due_at__lte=now).update(due_at=now + SET_ASIDE_FOR)
