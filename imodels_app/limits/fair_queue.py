"""Whose turn it is. People are served one after another, however many requests one of them has queued.

And a burst by one of them leaves places to whoever else is about: who has sent something within the hour, has asked
for something, or has a form open.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Max, Min

from imodels_app.limits import rate_limits
from imodels_app.limits.pacing import MINUTE, Others, Turn
from imodels_app.models import Attempt, LookupShare, Operation, User
from imodels_app.states import Kind, State, WaitReason

# Whoever was last served longer ago than this counts as not served.
MEMORY = timedelta(hours=1)
# A form that was last heard of longer ago than this counts as closed. It is written down this often.
FORM_OPEN_FOR, FORM_SEEN_EVERY = timedelta(minutes=15), timedelta(minutes=1)

KINDS = {"clone": [Kind.CLONE], "fork": [Kind.FORK], "create": [Kind.EMPTY, Kind.TEMPLATE, Kind.BASELINE]}


# What waits for a person or another operation is in no queue, for nobody can say when it goes on.
IN_QUEUE = [WaitReason.NONE, WaitReason.SPACED, WaitReason.OWN_LIMIT, WaitReason.RATE_LIMIT]
# Times that people read come in steps, so that a page stays as it is while little changes.
STEP_S = 5


class NotNext(Exception):
    """Somebody else is served before."""


@dataclass(frozen=True)
class Next:
    """The operation that goes next, and when it may."""

    operation: Operation
    turn: Turn


@dataclass(frozen=True)
class QueuePosition:
    """Where a queued operation stands among those of its bucket, and when its turn is expected.

    turn  when the first of them may leave, and what all of them wait for until then
    """

    number: int
    start: datetime
    turn: Turn


def next_in_line(bucket: str, now: datetime, *, ahead: timedelta = timedelta(0)) -> Next | None:
    """Of all that are ready by then, the oldest of whoever has the earliest turn; of those served least recently.

    ahead  with what becomes ready meanwhile
    """
    ready = Operation.objects.ready(now + ahead).filter(kind__in=KINDS[bucket]).order_by()
    waiting = ready.values_list("requested_by").annotate(Min("due_at"), Min("created_at"))
    asked = {who: (due_at, oldest) for who, due_at, oldest in waiting}
    if not asked:
        return None
    never = now - MEMORY
    served = _served(bucket, never)
    about = _about(now).union(served, asked)
    pace = rate_limits.pace(bucket, now)
    turns = {who: pace.turn(who, _others(who, about, served, now)) for who in asked}
    starts = {who: max(turns[who].at, due_at) for who, (due_at, _) in asked.items()}
    person = min(asked, key=lambda who: (starts[who], served.get(who, never), asked[who][1]))
    theirs = ready.filter(requested_by=person, due_at__lte=starts[person])
    operation = theirs.order_by("created_at", "pk").first()
    return Next(operation, Turn(starts[person], turns[person].reason)) if operation else None


def has_form_open(person: User, now: datetime) -> None:
    """Keep a place for somebody who is about to ask for something."""
    row, is_new = LookupShare.objects.get_or_create(person=person, defaults={"at_form_at": now})
    if not is_new and (row.at_form_at is None or row.at_form_at < now - FORM_SEEN_EVERY):
        LookupShare.objects.filter(pk=row.pk).update(at_form_at=now)


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
    pace = rate_limits.pace(bucket, now)
    first = pace.turn()
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
        found[operation.pk] = QueuePosition(number, _rounded(pace.start_of(number)), first)
    return found


def _served(bucket: str, since: datetime) -> dict[int, datetime]:
    """When each person was last served."""
    sent = Attempt.objects.filter(bucket=bucket, sent_at__gt=since)
    return dict(sent.values_list("operation__requested_by").annotate(Max("sent_at")))


def _about(now: datetime) -> set[int]:
    """Who has a form open."""
    return set(LookupShare.objects.filter(at_form_at__gt=now - FORM_OPEN_FOR).values_list("person", flat=True))


def _others(who: int, about: set[int], served: dict[int, datetime], now: datetime) -> Others:
    have_place = {one for one in about if one not in served or served[one] < now - MINUTE}
    others = about - {who}
    # Whoever has a place takes it, and leaves none to others who have one: else all would wait for each other.
    return Others(bool(others), 0 if who in have_place else len(have_place & others))


def _rounded(at: datetime) -> datetime:
    return at + timedelta(seconds=-at.timestamp() % STEP_S)
