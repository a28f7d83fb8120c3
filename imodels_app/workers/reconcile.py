"""What became of a request whose answer was lost: adopt what it made, send it again, or give up its name.

The name is ours and unique within the iTwin, so looking it up tells; unless somebody has renamed what was made. Nobody
else's iModel is ever adopted: adoption.py.
"""

from datetime import datetime
from uuid import UUID

from imodels_app import gateway, lifecycle
from imodels_app.itwin import Platform, errors
from imodels_app.itwin.types import IModel
from imodels_app.models import Attempt, Operation
from imodels_app.runtime import clock, failpoints
from imodels_app.runtime.foreign_text import folded
from imodels_app.runtime.timing import (
    NAME_TAKEN_FOR,
    NEVER_ARRIVED_AFTER,
    RECONCILE_EVERY,
    RECONCILE_SELDOM,
    WHILE_NOT_PERMITTED,
)
from imodels_app.states import ANSWERED, Outcome, State, WaitReason
from imodels_app.workers import adoption

MOST_FOUND = 1000


def reconcile(operation_id: UUID) -> None:
    """Look once for what a lost request made. Any number of callers may try; one looks."""
    operation = lifecycle.lease(operation_id, State.SUBMITTING)
    last = operation.attempts.last() if operation else None
    if operation is None or last is None:
        return
    try:
        _reconcile(operation, last, clock.now())
    except gateway.MustWait as later:
        lifecycle.wait(operation, later.reason, later.until, later.note)
    except lifecycle.Conflict:
        return  # somebody else settled it


def _reconcile(operation: Operation, last: Attempt, now: datetime) -> None:
    platform = gateway.for_operation(operation)
    # Who has answered has made it, or knows what has the name: a list that lags may take long to show it.
    lasts = NAME_TAKEN_FOR if last.outcome in {Outcome.REJECTED, *ANSWERED} else NEVER_ARRIVED_AFTER
    try:
        found = _by_name(platform, operation, last)
        if not found and now < last.sent_at + lasts:
            lifecycle.wait(operation, WaitReason.LOST_ANSWER, _next_try(last), "not found yet")
            return
        why_not = {one: adoption.why_not_ours(platform, operation, one) for one in found}
        ours = next((one for one in found if not why_not[one]), None)
        # What has the name may be somebody else's, who took it when ours was renamed.
        ours = ours or adoption.renamed(platform, operation)
    except (errors.Forbidden, errors.NotFound) as no:
        # The requester may not look there any more. Rights may come back, and nothing else can tell.
        lifecycle.wait(operation, WaitReason.NOT_PERMITTED, clock.now() + WHILE_NOT_PERMITTED, str(no))
        return
    except (errors.Refused, adoption.Undecided) as unclear:
        lifecycle.wait(operation, WaitReason.LOST_ANSWER, _next_try(last), str(unclear))
        return
    failpoints.reach("reconcile.polled")
    _settle(operation, last, ours, why_not=next(iter(why_not.values()), ""))


def _settle(operation: Operation, last: Attempt, ours: IModel | None, *, why_not: str) -> None:
    """Adopt what was found to be ours; or, the reason why not being told, give the name up; or send again."""
    if not ours and not why_not and last.outcome == Outcome.REJECTED:
        note = "The name is taken by an iModel that the requester cannot see."
        lifecycle.failed(operation, code="409" if operation.source_id else "iModelExists", note=note)
        return
    if not ours and not why_not and last.outcome in ANSWERED:
        lifecycle.failed(operation, code="answerUnrecorded", note=last.answer)
        return
    # From here on a 409 on this name may be our own doing: submit.py reads that from UNKNOWN.
    lifecycle.answered(last, Outcome.UNKNOWN, answer="The worker died, or its answer was lost.")
    if ours:
        now_called = "" if ours.name.casefold() == operation.name.casefold() else f"; it is called “{ours.name}” now"
        lifecycle.accepted(operation, imodel_id=ours.id, note=f"found after the answer was lost{now_called}")
    elif why_not:
        lifecycle.failed(operation, code="iModelExists", note=why_not)
    else:
        lifecycle.send_again(operation, note="The request never arrived. It is sent again.")


def _by_name(platform: Platform, operation: Operation, last: Attempt) -> list[IModel]:
    """What has the name. The platform's names differ by more than case, and only its search looks past that.

    The search need not find at once what is new, so our own is asked for by its exact name.
    """
    wanted = folded(operation.name)
    found = platform.imodels(operation.itwin_id, name=operation.name)
    if not found and last.outcome == Outcome.REJECTED:
        found = platform.imodels(operation.itwin_id, search=operation.name, top=MOST_FOUND)
    return [one for one in found if folded(one.name) == wanted]


def _next_try(last: Attempt) -> datetime:
    """Soon at first, and ever more seldom."""
    now = clock.now()
    return now + min(max((now - last.sent_at) / 20, RECONCILE_EVERY), RECONCILE_SELDOM)
