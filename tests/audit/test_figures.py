"""Daily figures: the same as what a count of all rows says, for good once a day is over."""

from collections import Counter
from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.audit import figures
from imodels_app.models import Attempt, DailyFigure, Decision, Event, Figure, Operation, SummedDay
from imodels_app.states import Kind, State
from tests.people import fail
from tests.triggers import triggers_off

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def three_days(bridge_team, mara, tomas, otto, spec_for):
    """One failed fork and one cancelled clone of today, two each of the day before, three each before that; today."""
    for ago in (2, 1, 0):
        for number in range(ago + 1):
            fail(lifecycle.request(spec_for(Kind.FORK), by=mara), approved_by=tomas)
            person = (mara, otto)[number % 2]
            lifecycle.cancel(lifecycle.request(spec_for(Kind.CLONE), by=person), by=person)
        if ago:
            a_day_earlier()
    return timezone.localdate()


def a_day_earlier() -> None:
    with triggers_off():
        Operation.objects.update(created_at=F("created_at") - DAY, finished_at=F("finished_at") - DAY)
        Attempt.objects.update(sent_at=F("sent_at") - DAY)
        Decision.objects.update(decided_at=F("decided_at") - DAY)


def counted(since, until) -> Counter:
    return Counter(
        (timezone.localtime(at).date(), state)
        for at, state in Operation.objects.values_list("finished_at", "state")
        if since <= timezone.localtime(at).date() <= until
    )


def test_sums_say_what_a_count_of_all_rows_says(three_days, mara, otto, tomas):
    today = three_days

    figures.sum_up()

    for since, until in ((today - 2 * DAY, today), (today - DAY, today - DAY), (today - 9 * DAY, today - 5 * DAY)):
        summed = {(day, state): number for day, state, number in figures.ended_by_day(since, until)}
        assert summed == counted(since, until)
    people = dict(figures.by_key(Figure.PERSON, today - 2 * DAY, today, most=5))
    own = Counter(Operation.objects.values_list("requested_by", flat=True))
    assert {int(pk): parts["all"] for pk, parts in people.items()} == own
    assert figures.by_key(Figure.LEAD, today - 2 * DAY, today, most=5) == [(str(tomas.pk), {"all": 6, "approved": 6})]
    assert figures.by_key(Figure.CODE, today, today, most=5)[0][0] == "mainIModelIsMissingFederationGuids"


def test_the_time_to_decide_is_counted_from_when_the_round_began(mara, tomas, bridge_team, spec_for):
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    with triggers_off():
        Operation.objects.update(created_at=F("created_at") - 10 * DAY)
        Event.objects.update(at=F("at") - 10 * DAY)
    fork.refresh_from_db()
    lifecycle.edit(fork, spec_for(Kind.FORK, name="Another name"), by=mara, seen=fork.plan.number)
    lifecycle.approve(fork, by=tomas)
    figures.sum_up()

    took = figures.ranges(Figure.DECIDED, timezone.localdate(), timezone.localdate())[Kind.FORK]

    assert took.median < timedelta(minutes=5)


def test_a_day_that_is_over_is_summed_up_once(three_days):
    figures.sum_up()
    before = set(DailyFigure.objects.values_list("pk", "day"))
    figures.sum_up()

    over = set(SummedDay.objects.filter(is_over=True).values_list("day", flat=True))
    kept = before & set(DailyFigure.objects.values_list("pk", "day"))
    assert {day for _, day in kept} == over != set()


@pytest.mark.parametrize("seconds", [1, 59, 61, 3_600, 90_000, 2_500_000])
def test_how_long_it_took_is_true_to_five_percent(queued_clone, seconds):
    now = timezone.now()
    for number in range(100):
        took = timedelta(seconds=seconds * (1 if number < 60 else 3))
        values = Operation.objects.filter(pk=queued_clone.pk).values().get()
        ended = {"state": State.SUCCEEDED, "created_at": now - took, "finished_at": now, "id": f"{number:032x}"}
        Operation.objects.bulk_create([Operation(**values | ended)])
    SummedDay.objects.create(day=timezone.localdate() - DAY, at=now, is_over=True)

    figures.sum_up()

    found = figures.ranges(Figure.TOOK, timezone.localdate(), timezone.localdate())[Kind.CLONE]
    assert found.number == 100
    assert found.median.total_seconds() == pytest.approx(seconds, rel=0.05, abs=1)
    assert found.p95.total_seconds() == pytest.approx(3 * seconds, rel=0.05, abs=1)


def test_the_busiest_minute_is_not_a_sum(three_days):
    figures.sum_up()

    total, busiest = figures.busiest(three_days - 2 * DAY, three_days)["fork"]

    assert (total, busiest) == (6, max(Counter(at.replace(second=0, microsecond=0) for at in sent()).values()))


def sent():
    return Attempt.objects.values_list("sent_at", flat=True)
