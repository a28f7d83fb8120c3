"""What became of a request whose answer was lost: adopt what it made, send it again, or give up its name.

The name is ours and unique within the iTwin, so looking it up tells. Nobody else's iModel is ever adopted:
creator, time and origin have to fit.
"""

from datetime import datetime, timedelta
from uuid import UUID

from imodels_app import budget, circuit, clock, failpoints, lifecycle, tokens
from imodels_app.itwin import Platform, errors
from imodels_app.itwin.types import IModel
from imodels_app.models import Attempt, Operation
from imodels_app.states import Kind, Outcome, State, Wait

# After the send: the longest call (35 s), and as long as the platform may take to list a new iModel.
# Only then does "not found" mean "never arrived".
SETTLED_AFTER = timedelta(seconds=95)
LOOK_EVERY = timedelta(seconds=5)
WHILE_SIGNED_OUT = timedelta(hours=1)
# The platform's clock and ours may differ by this much.
CLOCK_SKEW = timedelta(minutes=5)


class Undecided(Exception):
    """What was found can neither be adopted nor ruled out yet."""


def settle(operation_id: UUID) -> None:
    """Look once for what a lost request made. Any number of callers may try."""
    operation = lifecycle.operation_for(operation_id)
    now = clock.now()
    if operation.state != State.SUBMITTING or (operation.settle_after and operation.settle_after > now):
        return
    last = operation.attempts.last()
    if last is None:
        return
    try:
        _look(operation, last, now)
    except lifecycle.Conflict:
        return  # somebody else settled it


def _look(operation: Operation, last: Attempt, now: datetime) -> None:
    frozen = budget.frozen_until(now)
    if frozen:
        lifecycle.answer_lost(operation, look_after=frozen, note="The platform takes no calls for a while.")
        return
    try:
        platform = tokens.platform_for(operation.requested_by)
    except tokens.SignInNeeded:
        # Signing in wakes it at once; asking sooner would tell nothing.
        until, note = now + WHILE_SIGNED_OUT, "The requester must sign in again."
        lifecycle.answer_lost(operation, look_after=until, note=note, reason=Wait.SIGN_IN)
        return
    except tokens.NotNow as later:
        lifecycle.answer_lost(operation, look_after=now + _pause(later), note=str(later))
        return
    try:
        found = _by_name(platform, operation)
        ours = next((one for one in found if _is_ours(platform, operation, one)), None)
    except (errors.ITwinError, Undecided) as unclear:
        _take_note(operation, platform, unclear, now)
        lifecycle.answer_lost(operation, look_after=now + _pause(unclear), note=str(unclear))
        return
    circuit.worked()
    failpoints.reach("settle.looked")
    if not ours and not found and now < last.sent_at + SETTLED_AFTER:
        lifecycle.answer_lost(operation, look_after=now + LOOK_EVERY, note="not found yet")
        return
    # From here on a 409 on this name may be our own doing: submit.py reads that from UNKNOWN.
    lifecycle.answered(last, Outcome.UNKNOWN, answer="The worker died, or its answer was lost.")
    if ours:
        lifecycle.accepted(operation, imodel_id=ours.id, note="found by its name after the answer was lost")
    elif found:
        note = f"“{operation.name}” was made by somebody else meanwhile."
        lifecycle.failed(operation, code="iModelExists", note=note)
    else:
        lifecycle.send_again(operation, note="The request never arrived. The same one is sent again.")


def _by_name(platform: Platform, operation: Operation) -> list[IModel]:
    """The platform's names differ by more than case, so ask for the exact one and compare without case."""
    wanted = operation.name.casefold()
    return [one for one in platform.imodels(operation.itwin_id, name=operation.name) if one.name.casefold() == wanted]


def _is_ours(platform: Platform, operation: Operation, found: IModel) -> bool:
    """Whether this iModel was made by this operation's request: by whom, when, and from what."""
    first = operation.attempts.first()
    if first is None or found.created_at is None or not found.creator_id:
        return False
    if found.creator_id.casefold() != operation.requested_by.subject.casefold():
        return False
    if found.created_at < first.sent_at - CLOCK_SKEW:
        return False
    if Operation.objects.filter(imodel_id=found.id).exclude(pk=operation.pk).exists():
        return False
    return _origin_fits(platform, operation, found)


def _origin_fits(platform: Platform, operation: Operation, found: IModel) -> bool:
    try:
        creation = platform.creation(found.id)
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
    """Whether it is the shell of a baseline file of this very size, and none has come yet."""
    try:
        baseline = platform.baseline_file(found.id)
    except errors.NotFound:
        return False
    return baseline.state == "waitingForFile" and baseline.size == operation.file_size


def _take_note(operation: Operation, platform: Platform, unclear: Exception, now: datetime) -> None:
    """What a look that told nothing tells about the platform, its limits and the token."""
    if isinstance(unclear, errors.TooMany):
        circuit.worked()
        budget.freeze(budget.CALLS, now + _pause(unclear), now)
    elif isinstance(unclear, errors.Unavailable):
        circuit.failed(now)
    elif isinstance(unclear, errors.SignedOut):
        tokens.refused(operation.requested_by, platform)


def _pause(unclear: Exception) -> timedelta:
    return timedelta(seconds=unclear.retry_after_s) if isinstance(unclear, errors.Unavailable) else LOOK_EVERY
