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
# The longer nothing can be told, the rarer the look.
SELDOM = timedelta(minutes=1)
# How long to look for what has the name after the platform said that it is taken: to send again would tell no more.
TAKEN_FOR = timedelta(minutes=15)
WHILE_SIGNED_OUT = timedelta(hours=1)
WHILE_NOT_PERMITTED = timedelta(minutes=2)
# The platform's clock and ours may differ by this much.
CLOCK_SKEW = timedelta(minutes=5)
MOST_FOUND = 1000


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
        lifecycle.answer_lost(operation, look_after=_after(later), note=str(later))
        return
    try:
        found = _by_name(platform, operation, last)
        ours = next((one for one in found if _is_ours(platform, operation, one)), None)
    except (errors.Forbidden, errors.NotFound) as no:
        # The requester may not look there any more. Rights may come back, and nothing else can tell.
        circuit.worked()
        until = clock.now() + WHILE_NOT_PERMITTED
        lifecycle.answer_lost(operation, look_after=until, note=str(no), reason=Wait.NOT_PERMITTED)
        return
    except (errors.ITwinError, Undecided) as unclear:
        _take_note(operation, platform, unclear)
        lifecycle.answer_lost(operation, look_after=_look_again(last, unclear), note=str(unclear))
        return
    circuit.worked()
    failpoints.reach("settle.looked")
    if not found and now < last.sent_at + (TAKEN_FOR if last.outcome == Outcome.REJECTED else SETTLED_AFTER):
        lifecycle.answer_lost(operation, look_after=_look_again(last), note="not found yet")
        return
    if not found and last.outcome == Outcome.REJECTED:
        note = "The name is taken by what the requester cannot see."
        lifecycle.failed(operation, code="409" if operation.source_id else "iModelExists", note=note)
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


def _by_name(platform: Platform, operation: Operation, last: Attempt) -> list[IModel]:
    """What has the name. The platform's names differ by more than case, and only its search looks past that.

    The search need not find at once what is new, so our own is asked for by its exact name.
    """
    wanted = operation.name.casefold()
    found = platform.imodels(operation.itwin_id, name=operation.name)
    if not found and last.outcome == Outcome.REJECTED:
        found = platform.imodels(operation.itwin_id, search=operation.name, top=MOST_FOUND)
    return [one for one in found if one.name.casefold() == wanted]


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


def _take_note(operation: Operation, platform: Platform, unclear: Exception) -> None:
    """What a look that told nothing tells about the platform, its limits and the token."""
    if isinstance(unclear, errors.TooMany):
        circuit.worked()
        budget.freeze(budget.CALLS, _after(unclear), clock.now())
    elif isinstance(unclear, errors.Unavailable):
        circuit.failed(clock.now())
    elif isinstance(unclear, errors.SignedOut):
        tokens.refused(operation.requested_by, platform)


def _look_again(last: Attempt, unclear: Exception | None = None) -> datetime:
    """When the platform says so; else soon at first, and ever more seldom."""
    if isinstance(unclear, errors.Unavailable):
        return _after(unclear)
    now = clock.now()
    return now + min(max((now - last.sent_at) / 20, LOOK_EVERY), SELDOM)


def _after(later: errors.Unavailable) -> datetime:
    return clock.now() + timedelta(seconds=later.retry_after_s)
