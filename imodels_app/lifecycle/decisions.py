"""What people decide about an operation that has not been sent."""

from typing import Any

from django.db import transaction

from imodels_app.accounts import permissions
from imodels_app.lifecycle import _transition
from imodels_app.lifecycle._transition import Conflict
from imodels_app.models import Decision, Operation, User
from imodels_app.runtime import clock, failpoints
from imodels_app.states import MAYBE_THERE, State, Verdict


def approve(operation: Operation, *, by: User, comment: str = "") -> None:
    """Let a fork proceed (one lead is enough here). Raises permissions.Denied (not a lead, or one's own) and
    Conflict.
    """
    to_be_sent = {"due_at": clock.now(), "expires_at": None}
    _decide(operation, Verdict.APPROVED, State.QUEUED, by=by, comment=comment, **to_be_sent)
    _transition.wake_submitter(operation)


def reject(operation: Operation, *, by: User, comment: str = "") -> None:
    """Refuse a fork. Raises permissions.Denied (not a lead, or one's own) and Conflict."""
    _decide(operation, Verdict.REJECTED, State.REJECTED, by=by, comment=comment)


def cancel(operation: Operation, *, by: User) -> None:
    """Call off what has not been sent yet. Raises permissions.Denied and Conflict.

    Not what was sent once without an answer, though nothing was found of it: a list that lags long would make
    "cancelled before it was sent" a lie.
    """
    permissions.require(permissions.why_not_cancel(by, operation))
    if operation.attempts.filter(outcome__in=MAYBE_THERE).exists():
        raise Conflict(f"{operation.name} was sent once, and its answer was lost. It can no longer be cancelled.")
    _transition.move(operation, State.CANCELLED, verb="cancelled", by=by, note="before it was sent")


def _decide(operation: Operation, verdict: Verdict, to: State, *, by: User, comment: str, **fields: Any) -> None:
    """Take the edge, and write down whose answer it was. Whoever loses the right meanwhile does not decide."""
    with transaction.atomic():
        permissions.require(permissions.why_not_decide(by, operation, lock=True))
        if operation.expires_at and operation.expires_at <= clock.now():
            raise Conflict("The time to decide has passed.")
        failpoints.reach("approve.allowed")
        # The move first: of two people who answer at once, the second meets a Conflict.
        _transition.move(operation, to, verb=verdict, by=by, note=comment, **fields)
        Decision.objects.create(
            operation=operation,
            verdict=verdict,
            by=by,
            by_name=by.name,
            by_key=by.lasting_key,
            by_email=by.email,
            requested_by_id=operation.requested_by_id,
            requester_key=operation.requester_key,
            request_hash=operation.request_hash,
            comment=comment,
            decided_at=clock.now(),
        )
