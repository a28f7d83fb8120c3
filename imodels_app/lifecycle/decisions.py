"""What people decide about an operation that has not been sent."""

from collections.abc import Callable
from typing import Any

from django.db import transaction

from imodels_app import eligibility
from imodels_app.accounts import deciders, permissions
from imodels_app.approvals.plan import INSTEAD
from imodels_app.lifecycle import _transition, asking, starting, talking
from imodels_app.lifecycle._transition import Conflict
from imodels_app.models import Decision, Operation, User
from imodels_app.runtime import clock, failpoints
from imodels_app.states import MAYBE_THERE, State, Verdict, Who


def approve(
    operation: Operation, *, by: User, comment: str = "", seen: str | None = None, is_fresh: bool = True
) -> None:
    """Agree to a request. It is queued once all levels of its plan are met, and else waits for more people.

    seen      the stage (Operation.stage) that this person decides about; None: as `operation` was loaded
    is_fresh  whether they have signed in a moment ago, where a rule asks for it

    Raises permissions.Denied (not asked, one's own, decided already) and Conflict (late, or changed meanwhile).
    """
    with transaction.atomic():
        number = _begin(operation, eligibility.why_not_decide, by=by, seen=seen, is_fresh=is_fresh)
        _require_comment(operation, by, comment)
        permissions.require(deciders.why_needed_later(by, operation))
        made = _record(operation, Verdict.APPROVED, by=by, comment=comment, level=number)
        if operation.open_level:
            asked = deciders.asked_now(operation)
            _transition.note(operation, "agreed", by=by, note=comment, data=_in_full(operation, made), asked=asked)
            asking.ask_again(operation)
        else:
            _let_proceed(operation, "approved", made, by=by, note=comment)


def reject(operation: Operation, *, by: User, comment: str = "", **how: Any) -> None:
    """Refuse a request. how: seen, is_fresh. Raises as approve() does."""
    _turn(operation, Verdict.REJECTED, State.REJECTED, by=by, comment=comment, **how)


def request_changes(operation: Operation, *, by: User, comment: str, **how: Any) -> None:
    """Give a request back, for its requester to change it and send it again. Raises as approve() does."""
    _turn(operation, Verdict.CHANGES_REQUESTED, State.CHANGES_REQUESTED, by=by, comment=comment, **how)


def bypass(operation: Operation, *, by: User, reason: str, **how: Any) -> None:
    """Let a request proceed without the approvals that it lacks: an administrator, with a reason that all leads read.

    Raises as approve() does.
    """
    with transaction.atomic():
        level = _begin(operation, eligibility.why_not_bypass, by=by, **how)
        made = _record(operation, Verdict.BYPASSED, by=by, comment=reason, level=level)
        _let_proceed(operation, "bypassed", made, by=by, note=reason)


def cancel(operation: Operation, *, by: User) -> None:
    """Call off what has not been sent yet. Raises permissions.Denied and Conflict.

    Not what was sent once without an answer, though nothing was found of it: a list that lags long would make
    "cancelled before it was sent" a lie.
    """
    permissions.require(permissions.why_not_cancel(by, operation))
    if operation.attempts.filter(outcome__in=MAYBE_THERE).exists():
        raise Conflict(f"{operation.name} was sent once, and its answer was lost. It can no longer be cancelled.")
    _transition.move(operation, State.CANCELLED, verb="cancelled", by=by, note="before it was sent")


def require_waiting(operation: Operation, seen: str) -> None:
    """Raise Conflict unless it waits for a decision, and for the very one that somebody saw: this round, this level."""
    if operation.state != State.AWAITING_APPROVAL:
        raise Conflict(f"{State(operation.state).label} cannot be decided.")
    if operation.stage != seen:
        is_moved = seen.partition(".")[0] == str(operation.plan.number)
        raise Conflict("Another level is decided now." if is_moved else "It has changed since you opened it.")
    if operation.expires_at and operation.expires_at <= clock.now():
        raise Conflict("The time to decide has passed.")


def _turn(operation: Operation, verdict: Verdict, to: State, *, by: User, comment: str, **how: Any) -> None:
    with transaction.atomic():
        level = _begin(operation, eligibility.why_not_decide, by=by, **how)
        made = _record(operation, verdict, by=by, comment=comment, level=level)
        _transition.move(operation, to, verb=verdict, by=by, note=comment, data=_in_full(operation, made))


def _let_proceed(operation: Operation, verb: str, made: Decision, *, by: User, note: str) -> None:
    times: dict[str, Any] = {"expires_at": None, "remind_at": None} | starting.times(operation, clock.now())
    _transition.move(operation, State.QUEUED, verb=verb, by=by, note=note, data=_in_full(operation, made), **times)
    _transition.wake_submitter(operation)


def _begin(
    operation: Operation,
    why_not: Callable[..., str],
    *,
    by: User,
    seen: str | None = None,
    is_fresh: bool = True,
) -> int:
    """Lock what a decision rests on, read the row anew, and return the level that is decided.

    1. The right first, as those do who change rights: until the end, nobody takes it away.
    2. Then the row: of people who decide at once, each sees what those before have done.
    """
    seen = operation.stage if seen is None else seen
    eligibility.lock_rights(by)
    Operation.objects.select_for_update(of=("self",)).get(pk=operation.pk)
    operation.refresh_from_db()
    require_waiting(operation, seen)
    permissions.require(why_not(by, operation))
    if not is_fresh and eligibility.has_to_sign_in(by, operation, bypasses=why_not is eligibility.why_not_bypass):
        raise Conflict("Its rules ask you to sign in again first.")
    failpoints.reach("approve.allowed")
    return operation.open_level


def _require_comment(operation: Operation, by: User, comment: str) -> None:
    if not comment and eligibility.has_to_comment(by, operation):
        raise Conflict("Its rules ask you for a comment.")


def _record(operation: Operation, verdict: Verdict, *, by: User, comment: str, level: int) -> Decision:
    """Write down whose answer it was, as what, in whose place, and about which request. They have looked, then."""
    talking.look_away(operation, by=by)
    rights = [] if verdict == Verdict.BYPASSED else eligibility.usable_rights(by, operation)
    return Decision.objects.create(
        operation=operation,
        verdict=verdict,
        by=by,
        by_name=by.name,
        by_key=by.lasting_key,
        by_email=by.email,
        requested_by_id=operation.requested_by_id,
        requester_key=operation.requester_key,
        request_hash=operation.request_hash,
        level=level,
        capacity=_capacity(operation, rights) if rights else Who.ADMINS,
        stands_for=next((right.stands_for for right in rights if right.stands_for), None),
        comment=comment,
        decided_at=clock.now(),
    )


def _capacity(operation: Operation, rights: list[eligibility.Right]) -> str:
    """As what somebody decides; an administrator also for each requirement for which too few people are left."""
    words = list(dict.fromkeys(str(right.capacity) for right in rights))
    if any(right.is_instead for right in rights):
        words += [f"{INSTEAD}:{at}" for at in deciders.stuck(operation)]
    return " ".join(words)


def _in_full(operation: Operation, made: Decision) -> dict[str, Any]:
    """What an event tells of a decision, for whoever reads it alone."""
    facts = {"level": made.level, "as": made.capacity, "request_hash": made.request_hash}
    facts |= {"stands_for": made.stands_for_id, "absent": made.stands_for.name} if made.stands_for else {}
    return facts | ({"could_decide": deciders.in_full(operation)} if operation.open_level else {})
