"""What became of a request whose answer was lost: adopt what it made, send it again, or give up its name.

The name is ours and unique within the iTwin, so looking it up tells. Nobody else's iModel is ever adopted:
creator, time and origin have to fit.
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
    PLATFORM_CLOCK_DIFFERENCE,
    RECONCILE_EVERY,
    RECONCILE_SELDOM,
    WHILE_NOT_PERMITTED,
)
from imodels_app.states import ANSWERED, Kind, Outcome, State, WaitReason

MOST_FOUND = 1000


class Undecided(Exception):
    """What was found can neither be adopted nor ruled out yet."""


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
    platform = gateway.for_person(operation.requested_by)
    try:
        found = _by_name(platform, operation, last)
        ours = next((one for one in found if _is_ours(platform, operation, one)), None)
    except (errors.Forbidden, errors.NotFound) as no:
        # The requester may not look there any more. Rights may come back, and nothing else can tell.
        lifecycle.wait(operation, WaitReason.NOT_PERMITTED, clock.now() + WHILE_NOT_PERMITTED, str(no))
        return
    except (errors.Refused, Undecided) as unclear:
        lifecycle.wait(operation, WaitReason.LOST_ANSWER, _next_try(last), str(unclear))
        return
    failpoints.reach("reconcile.polled")
    if not found and now < last.sent_at + (NAME_TAKEN_FOR if last.outcome == Outcome.REJECTED else NEVER_ARRIVED_AFTER):
        lifecycle.wait(operation, WaitReason.LOST_ANSWER, _next_try(last), "not found yet")
        return
    if not found and last.outcome == Outcome.REJECTED:
        note = "The name is taken by an iModel that the requester cannot see."
        lifecycle.failed(operation, code="409" if operation.source_id else "iModelExists", note=note)
        return
    if not found and last.outcome in ANSWERED:
        lifecycle.failed(operation, code="answerUnrecorded", note=last.answer)
        return
    # From here on a 409 on this name may be our own doing: submit.py reads that from UNKNOWN.
    lifecycle.answered(last, Outcome.UNKNOWN, answer="The worker died, or its answer was lost.")
    if ours:
        lifecycle.accepted(operation, imodel_id=ours.id, note="found by its name after the answer was lost")
    elif found:
        note = f"“{operation.name}” was meanwhile made by somebody else."
        lifecycle.failed(operation, code="iModelExists", note=note)
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


def _is_ours(platform: Platform, operation: Operation, found: IModel) -> bool:
    """Whether this iModel was made by this operation's request: by whom, when, and from what."""
    first = operation.attempts.first()
    if first is None or found.created_at is None or not found.creator_id:
        return False
    if found.creator_id.casefold() != operation.requested_by.subject.casefold():
        return False
    if found.created_at < first.sent_at - PLATFORM_CLOCK_DIFFERENCE:
        return False
    if Operation.objects.filter(imodel_id=found.id).exclude(pk=operation.pk).exists():
        return False
    return _origin_fits(platform, operation, found)


def _origin_fits(platform: Platform, operation: Operation, found: IModel) -> bool:
    try:
        creation = platform.create_operation(found.id)
    except errors.NotFound as early:
        raise Undecided("its create operation is not there yet") from early
    if operation.kind == Kind.CLONE:
        return creation.is_clone and creation.made_from == operation.source_id
    if operation.kind == Kind.FORK:
        return creation.is_fork and creation.made_from == operation.source_id
    if creation.is_clone or creation.is_fork:
        return False
    return operation.kind != Kind.BASELINE or _waits_for_file(platform, operation, found)


def _waits_for_file(platform: Platform, operation: Operation, found: IModel) -> bool:
    """Whether it is the orphaned iModel of a baseline file of this very size, and none has come yet."""
    try:
        baseline = platform.baseline_file(found.id)
    except errors.NotFound:
        return False
    return baseline.state == "waitingForFile" and baseline.size == operation.file_size


def _next_try(last: Attempt) -> datetime:
    """Soon at first, and ever more seldom."""
    now = clock.now()
    return now + min(max((now - last.sent_at) / 20, RECONCILE_EVERY), RECONCILE_SELDOM)
