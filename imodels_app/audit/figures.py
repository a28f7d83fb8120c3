"""Numbers of the past. A sweep sums them up once a day is over, and today's each minute; pages read the sums alone.

How long things took is kept as a histogram: times that differ by less than 5 % are one step of it. So days can be put
together, which medians cannot.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from itertools import accumulate
from typing import NamedTuple

from django.db import transaction
from django.db.models import Count, F, Max, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, TruncMinute
from django.utils import timezone

from imodels_app.models import Attempt, DailyFigure, Decision, Event, Figure, Operation, SummedDay
from imodels_app.runtime import clock
from imodels_app.states import State, Verb

# What ended before midnight may be committed after it.
LATE = timedelta(hours=1)
# How many days one sweep sums up: after an upgrade the past is summed bit by bit.
MOST_DAYS = 30
STEP = 1.05
# What puts a request before people: how long they take to decide is counted from the last of these.
ASKED = [Verb.REQUESTED, Verb.EDITED, Verb.REASSIGNED, Verb.APPROVAL_LAPSED]

Key = tuple[str, str, str]


class Range(NamedTuple):
    """Half took up to the median, 95 % up to p95."""

    number: int
    median: timedelta
    p95: timedelta


def sum_up() -> None:
    """Sum up today, and the days before it that are not summed up for good."""
    now = clock.now()
    today = timezone.localtime(now).date()
    since = _first_open_day() or today
    for number in range(min((today - since).days + 1, MOST_DAYS)):
        _sum_day(since + timedelta(days=number), now)


def summed_at() -> datetime | None:
    """When the newest figures were made."""
    newest = SummedDay.objects.order_by("at").last()
    return newest.at if newest else None


def _first_open_day() -> date | None:
    """The first day that may still change; None when nothing has happened yet."""
    done = SummedDay.objects.filter(is_over=True).order_by("day").last()
    if done:
        return done.day + timedelta(days=1)
    first = Operation.objects.order_by("created_at").first()
    return timezone.localtime(first.created_at).date() if first else None


@transaction.atomic
def _sum_day(day: date, now: datetime) -> None:
    start, end = (timezone.make_aware(datetime.combine(on, time.min)) for on in (day, day + timedelta(days=1)))
    row, _ = SummedDay.objects.get_or_create(day=day, defaults={"at": now})
    SummedDay.objects.select_for_update().get(pk=row.pk)  # of two workers one waits, and then does it anew
    numbers: Counter[Key] = Counter()
    for counted in (_ended(start, end), _decided(start, end), _sent(start, end)):
        numbers.update(counted)
    DailyFigure.objects.filter(day=day).delete()
    DailyFigure.objects.bulk_create(
        DailyFigure(day=day, what=what, key=key, part=part, number=number)
        for (what, key, part), number in numbers.items()
    )
    SummedDay.objects.filter(pk=day).update(at=now, is_over=now >= end + LATE)


def _ended(start: datetime, end: datetime) -> Counter[Key]:
    found: Counter[Key] = Counter()
    rows = Operation.objects.filter(finished_at__gte=start, finished_at__lt=end)
    columns = ("kind", "state", "failure_code", "requested_by", "itwin_id", "created_at", "finished_at")
    for kind, state, code, person, itwin_id, created_at, finished_at in rows.values_list(*columns).iterator():
        found[Figure.ENDED, kind, state] += 1
        found[Figure.PERSON, str(person), state] += 1
        found[Figure.ITWIN, itwin_id, state] += 1
        if state == State.FAILED:
            found[Figure.CODE, code, ""] += 1
        if state == State.SUCCEEDED:
            found[Figure.TOOK, kind, _step(finished_at - created_at)] += 1
    return found


def _decided(start: datetime, end: datetime) -> Counter[Key]:
    found: Counter[Key] = Counter()
    asked = Event.objects.filter(operation=OuterRef("operation"), verb__in=ASKED, at__lte=OuterRef("decided_at"))
    since = Coalesce(Subquery(asked.order_by("-at").values("at")[:1]), F("operation__created_at"))
    rows = Decision.objects.filter(decided_at__gte=start, decided_at__lt=end).annotate(since=since)
    columns = ("operation__kind", "by", "verdict", "since", "decided_at")
    for kind, lead, verdict, asked_at, decided_at in rows.values_list(*columns).iterator():
        step = _step(decided_at - asked_at)
        found[Figure.DECIDED, kind, step] += 1
        found[Figure.LEAD, str(lead), verdict] += 1
        found[Figure.LEAD_TOOK, str(lead), step] += 1
    return found


def _sent(start: datetime, end: datetime) -> dict[Key, int]:
    rows = Attempt.objects.filter(sent_at__gte=start, sent_at__lt=end)
    minutes = rows.annotate(minute=TruncMinute("sent_at")).values_list("bucket", "minute").annotate(number=Count("pk"))
    found: dict[Key, int] = {}
    for bucket, _, number in minutes.order_by():
        total, busiest = (Figure.SENT, bucket, "all"), (Figure.SENT, bucket, "busiest")
        found[total] = found.get(total, 0) + number
        found[busiest] = max(found.get(busiest, 0), number)
    return found


# Reading


def ended_by_day(since: date, until: date) -> Iterable[tuple[date, str, int]]:
    """Day, state, and how many operations ended so."""
    rows = _of(Figure.ENDED, since, until).values_list("day", "part")
    return rows.annotate(number=Sum("number")).order_by()


def by_key(what: Figure, since: date, until: date, *, most: int) -> list[tuple[str, dict[str, int]]]:
    """The keys with most of it, the most first: how many in `all`, and of each part."""
    rows = _of(what, since, until)
    totals = rows.values_list("key").annotate(total=Sum("number")).order_by("-total", "key")
    found = {key: {"all": total} for key, total in totals[:most]}
    parts = rows.filter(key__in=list(found)).values_list("key", "part").annotate(total=Sum("number")).order_by()
    for key, part, total in parts:
        found[key] |= {part: total} if part else {}
    return list(found.items())


def busiest(since: date, until: date) -> dict[str, tuple[int, int]]:
    """Of each bucket how many requests were sent, and how many in the busiest minute."""
    rows = _of(Figure.SENT, since, until)
    all_of = dict(rows.filter(part="all").values_list("key").annotate(total=Sum("number")).order_by())
    most = dict(rows.filter(part="busiest").values_list("key").annotate(most=Max("number")).order_by())
    return {bucket: (total, most.get(bucket, 0)) for bucket, total in all_of.items()}


def ranges(what: Figure, since: date, until: date) -> dict[str, Range]:
    """How long it took, for each key; all together under ""."""
    steps: dict[str, Counter[int]] = {}
    rows = _of(what, since, until).values_list("key", "part").annotate(total=Sum("number")).order_by()
    for key, step, total in rows:
        for name in (key, ""):
            steps.setdefault(name, Counter())[int(step)] += total
    return {key: _range(counted) for key, counted in steps.items()}


def _of(what: Figure, since: date, until: date) -> QuerySet[DailyFigure]:
    return DailyFigure.objects.filter(what=what, day__range=(since, until))


def _step(took: timedelta) -> str:
    return str(math.ceil(math.log(max(took.total_seconds(), 1), STEP)))


def _range(steps: Counter[int]) -> Range:
    number = steps.total()
    return Range(number, _percentile(steps, number * 50 // 100), _percentile(steps, number * 95 // 100))


def _percentile(steps: Counter[int], place: int) -> timedelta:
    """The middle of the step in which this one of them is."""
    ordered = sorted(steps)
    step = ordered[bisect_right(list(accumulate(steps[step] for step in ordered)), place)]
    return timedelta(seconds=round(STEP ** (step - 0.5)) if step else 1)
