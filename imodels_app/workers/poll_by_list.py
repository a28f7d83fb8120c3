"""One look at the list of what is being made in an iTwin, instead of one at each operation.

It is only a hint. It is asked for with the token of a requester who has an operation there; each operation that has
left it is then polled with its own requester's.
"""

import logging
from datetime import datetime, timedelta

from django.db.models import Count

from imodels_app import gateway, lifecycle
from imodels_app.itwin import errors
from imodels_app.limits.poll_schedule import SHORTEST_PAUSE_S, pause_after_bad_s
from imodels_app.models import ITwinList, Operation, OperationQuerySet, User
from imodels_app.runtime import clock
from imodels_app.runtime.timing import STEP_LEASE
from imodels_app.states import State, WaitReason
from imodels_app.workers import following

log = logging.getLogger(__name__)


def look(itwin_id: str) -> None:
    """Ask which of an iTwin's iModels are still being made. Any number of callers may ask."""
    row = ITwinList.objects.filter(pk=itwin_id, due_at__lte=clock.now()).first()
    if row is None or not _lease(row):
        return
    began_at = clock.now()
    try:
        found = gateway.for_person(_asker(row)).being_made(itwin_id)
    except (gateway.MustWait, errors.Refused, User.DoesNotExist) as no:
        log.info("No list of iTwin %s: %s", itwin_id, no)
        _refused(row, began_at)
        return
    # One that was cut shows some, and says nothing about the others.
    listed = {one.id for one in found}
    everything = set(_running(itwin_id).values_list("imodel_id", flat=True))
    shown = listed if found.is_all else listed | everything
    lifecycle.listed(itwin_id, shown, began_at=began_at, guard_at=following.next_guard(began_at))
    due_at = began_at + timedelta(seconds=SHORTEST_PAUSE_S)  # following.py says when it is worth a call
    ITwinList.objects.filter(pk=itwin_id).update(due_at=due_at, listed_at=began_at, refused=0)


def _lease(row: ITwinList) -> bool:
    return bool(ITwinList.objects.filter(pk=row.pk, due_at=row.due_at).update(due_at=clock.now() + STEP_LEASE))


def _asker(row: ITwinList) -> User:
    """Whoever has most operations there; after a refusal the next of them."""
    theirs = _running(row.pk).filter(requested_by__is_active=True).values_list("requested_by")
    people = [who for who, _ in theirs.annotate(many=Count("pk")).order_by("-many", "requested_by")]
    if not people:
        raise User.DoesNotExist("Nobody has an operation there.")
    return User.objects.get(pk=people[row.refused % len(people)])


def _refused(row: ITwinList, now: datetime) -> None:
    """Everything there is polled by itself until a list comes again."""
    pause = timedelta(seconds=pause_after_bad_s(row.refused + 1))
    ITwinList.objects.filter(pk=row.pk).update(due_at=now + pause, refused=row.refused + 1)
    lifecycle.unlist(_running(row.pk))


def _running(itwin_id: str) -> OperationQuerySet:
    return Operation.objects.filter(itwin_id=itwin_id, state=State.RUNNING, wait_reason=WaitReason.NONE)
