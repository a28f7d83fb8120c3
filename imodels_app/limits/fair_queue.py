"""Whose turn it is. People are served one after another, however many requests one of them has queued."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Max, Min

from imodels_app.limits import rate_limits
from imodels_app.limits.pacing import Turn
from imodels_app.models import Attempt, Operation
from imodels_app.states import Kind, State, WaitReason

# Whoever was last served longer ago than this counts as not served.
MEMORY = timedelta(hours=1)

KINDS = {"clone": [Kind.CLONE], "fork": [Kind.FORK], "create": [Kind.EMPTY, Kind.TEMPLATE, Kind.BASELINE]}


# What waits for a person or another operation is in no queue, for nobody can say when it goes on.
IN_QUEUE = [WaitReason.NONE, WaitReason.SPACED, WaitReason.OWN_LIMIT, WaitReason.RATE_LIMIT]
# Times that people read come in steps, so that a page stays as it is while little changes.
STEP_S = 5


class NotNext(Exception):
    """Somebody else is served before."""


@dataclass(frozen=True)
class QueuePosition:
    """Where a queued operation stands among those of its bucket, and when its turn is expected.

    turn  when the first of them may leave, and what all of them wait for until then
    """

    number: int
    start: datetime
    turn: Turn


def next_operation(bucket: str, now: datetime) -> Operation | None:
    """The operation of this bucket that goes next: the oldest of whoever was served least recently."""
    ready = Operation.objects.ready(now).filter(kind__in=KINDS[bucket]).order_by()
    oldest = dict(ready.values_list("requested_by").annotate(Min("created_at")))
    if not oldest:
        return None
    never = now - MEMORY
    served = _served(bucket, never)
    person = min(oldest, key=lambda who: (served.get(who, never), oldest[who]))
    return ready.filter(requested_by=person).order_by("created_at", "pk").first()


def positions(operations: Iterable[Operation], now: datetime) -> dict[UUID, QueuePosition]:
    """Where those of these operations stand that only wait for their turn."""
    asked: dict[str, list[Operation]] = {}
    for operation in operations:
        if operation.state == State.QUEUED and operation.wait_reason in IN_QUEUE:
            asked.setdefault(rate_limits.bucket_of(operation.kind), []).append(operation)
    return {pk: position for bucket, some in asked.items() for pk, position in _positions(bucket, some, now).items()}


def _positions(bucket: str, operations: list[Operation], now: datetime) -> dict[UUID, QueuePosition]:
    """Each round serves everybody once who has something left, in the order in which they were last served."""
    line = Operation.objects.filter(state=State.QUEUED, wait_reason__in=IN_QUEUE, kind__in=KINDS[bucket]).order_by()
    people = {
        who: (count, oldest)
        for who, count, oldest in line.values_list("requested_by").annotate(Count("pk"), Min("created_at"))
    }
    never = now - MEMORY
    served = _served(bucket, never)
    order = {who: (served.get(who, never), oldest, who) for who, (_, oldest) in people.items()}
    first, apart = rate_limits.turn(bucket, now), rate_limits.spacing(bucket)
    own: dict[int, dict[UUID, int]] = {}
    found = {}
    for operation in operations:
        who = operation.requested_by_id
        if who not in own:
            theirs = line.filter(requested_by=who).order_by("created_at", "pk").values_list("pk", flat=True)
            own[who] = {pk: number for number, pk in enumerate(theirs, start=1)}
        turn = own[who].get(operation.pk)
        if turn is None:
            continue  # it was sent in this very moment
        number = sum(
            min(count, turn - 1) + (count >= turn and order[other] <= order[who])
            for other, (count, _) in people.items()
        )
        found[operation.pk] = QueuePosition(number, _rounded(first.at + (number - 1) * apart), first)
    return found


def _served(bucket: str, since: datetime) -> dict[int, datetime]:
    """When each person was last served."""
    sent = Attempt.objects.filter(bucket=bucket, sent_at__gt=since)
    return dict(sent.values_list("operation__requested_by").annotate(Max("sent_at")))


def _rounded(at: datetime) -> datetime:
    return at + timedelta(seconds=-at.timestamp() % STEP_S)
