"""Whether an iModel was made by an operation's own request: creator, time and origin have to fit.

When it was made is told by the platform's clock. That may be hours away from ours: the Date of its answers tells how
far.
"""

from datetime import datetime, timedelta

from django.db.models import Q

from imodels_app.itwin import Platform, errors
from imodels_app.itwin.types import BASELINE_STATES, IModel
from imodels_app.models import Attempt, Operation
from imodels_app.runtime import clock
from imodels_app.runtime.timing import (
    LONGEST_CALL,
    NAME_TAKEN_FOR,
    PLATFORM_CLOCK_DIFFERENCE,
    PLATFORM_DATE_PRECISION,
)
from imodels_app.states import MAYBE_THERE, Kind, Outcome

NEWEST = 100


class Undecided(Exception):
    """What was found can neither be adopted nor ruled out yet."""


def why_not_ours(platform: Platform, operation: Operation, found: IModel) -> str:
    """Why this iModel of the operation's name was not made by its request, in words fit to be shown; "" if it was.

    Raises Undecided.
    """
    if not found.creator_id or not found.created_at:
        silent = f"“{operation.name}” is there, and the platform does not say who made it and when."
        return _once_it_lasts(operation, silent)
    if not _is_requester(operation, found.creator_id):
        return f"“{operation.name}” was made by somebody else."
    if _is_adopted(operation, found):
        return f"“{operation.name}” was made by another operation."
    if not _origin_fits(platform, operation, found):
        return f"“{operation.name}” was made by {operation.requested_by_name} in another way."
    first = operation.attempts.first()
    if first is None or _made_at(platform, found.created_at) < first.sent_at - _precision(platform):
        return f"{operation.requested_by_name} had made “{operation.name}” before this request was sent."
    return ""


def _once_it_lasts(operation: Operation, silent: str) -> str:
    """What the platform leaves out in one answer it may tell in the next. Raises Undecided for a while."""
    last = operation.attempts.last()
    if last and clock.now() < last.sent_at + NAME_TAKEN_FOR:
        raise Undecided(silent)
    return silent


def renamed(platform: Platform, operation: Operation) -> IModel | None:
    """What the operation's lost request made, if somebody has given it another name meanwhile; else None.

    Without the name more has to fit: made while the request was on its way, and no other lost request of this person
    left between the two. What names no origin has to have the description, too.
    """
    newest = platform.imodels(operation.itwin_id, top=NEWEST, newest=True)
    return next((one for one in newest if _is_renamed(platform, operation, one)), None)


def _is_renamed(platform: Platform, operation: Operation, found: IModel) -> bool:
    if found.created_at is None or not _is_requester(operation, found.creator_id) or _is_adopted(operation, found):
        return False
    if not _left_last(operation, _made_at(platform, found.created_at), found.name):
        return False
    if operation.kind not in (Kind.CLONE, Kind.FORK) and found.description != operation.description:
        return False
    try:
        return _origin_fits(platform, operation, found)
    except Undecided:
        return False  # by now it would be there


def _left_last(operation: Operation, made_at: datetime, name: str) -> bool:
    """Whether this operation's was the last request left, of those alike, before an iModel was made.

    And no other that knows of no iModel, of whatever kind, goes by its name: then it is theirs, also when they have
    ended without it, or were never sent and it was made by hand.
    """
    unaware = Operation.objects.filter(
        requested_by=operation.requested_by_id, itwin_id=operation.itwin_id, imodel_id=""
    )
    if unaware.exclude(pk=operation.pk).filter(name__iexact=name).exists():
        return False
    alike = unaware.filter(kind=operation.kind, source_id=operation.source_id)
    # What is read off a Date is late rather than early, so only the platform's own rounding counts.
    on_the_way = Q(sent_at__lte=made_at + timedelta(seconds=1), sent_at__gt=made_at - LONGEST_CALL)
    lost = Attempt.objects.filter(on_the_way, operation__in=alike, outcome__in={Outcome.PENDING, *MAYBE_THERE})
    return lost.order_by("-sent_at").values_list("operation", flat=True).first() == operation.pk


def _is_requester(operation: Operation, creator_id: str) -> bool:
    return creator_id.casefold() == operation.requested_by.subject.casefold()


def _is_adopted(operation: Operation, found: IModel) -> bool:
    """Whether another operation of ours made it."""
    return Operation.objects.filter(imodel_id=found.id).exclude(pk=operation.pk).exists()


def _made_at(platform: Platform, created_at: datetime) -> datetime:
    """When the platform made it, by our clock."""
    return created_at - (platform.now - clock.now()) if platform.now else created_at


def _precision(platform: Platform) -> timedelta:
    """How far that may be off."""
    return PLATFORM_DATE_PRECISION if platform.now else PLATFORM_CLOCK_DIFFERENCE


def _origin_fits(platform: Platform, operation: Operation, found: IModel) -> bool:
    try:
        creation = platform.create_operation(found.id)
    except errors.NotFound as early:
        raise Undecided("its create operation is not there yet") from early
    if (creation.is_clone or creation.is_fork) and not creation.made_from:
        raise Undecided("its create operation does not say what it was made from")
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
        _once_it_lasts(operation, "its baseline file is not there")
        return False
    if baseline.size is None or baseline.state not in BASELINE_STATES:
        raise Undecided("what is known of its baseline file makes no sense")
    return baseline.state == "waitingForFile" and baseline.size == operation.file_size
