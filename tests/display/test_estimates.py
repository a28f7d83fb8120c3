"""Estimates rest on enough earlier ones, and cost one query a kind."""

import random
from bisect import bisect
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from statistics import median

import pytest
from django.utils import timezone

from imodels_app.display.estimates import Estimates
from imodels_app.limits.durations import Seen, learned, log_normal, of_now
from imodels_app.limits.past_durations import LATEST as PAST
from imodels_app.models import Operation
from imodels_app.states import Kind, State


@pytest.fixture
def earlier(queued_clone):
    """earlier(minutes=..., source=...) is a clone that succeeded after that time."""

    def make(minutes: float, source: str = "", kind: Kind = Kind.CLONE) -> None:
        now = timezone.now()
        values = dict(Operation.objects.filter(pk=queued_clone.pk).values().get())
        values |= {"state": State.SUCCEEDED, "kind": kind, "source_id": source, "name": f"{minutes} {source}"}
        values |= {"imodel_id": "", "accepted_at": now - timedelta(minutes=minutes), "finished_at": now}
        values |= {"polled_at": now - timedelta(seconds=1)}
        values.pop("id")
        Operation.objects.create(**values)

    return make


def test_fewer_than_five_earlier_ones_tell_nothing(running_clone, earlier):
    for minutes in range(1, 5):
        earlier(minutes, running_clone.source_id)

    assert Estimates().of(running_clone) is None


def test_half_and_nine_in_ten_of_the_same_source(running_clone, earlier):
    for minutes in range(1, 11):
        earlier(minutes, running_clone.source_id)
        earlier(60, "another")

    usual = Estimates().of(running_clone)

    assert (round(usual.median.total_seconds() / 60), round(usual.p90.total_seconds() / 60)) == (6, 10)
    assert (usual.count, usual.source) == (10, running_clone.source_name)


def test_other_sources_help_when_the_same_one_has_too_few(running_clone, earlier):
    for _ in range(5):
        earlier(7, "another")

    usual = Estimates().of(running_clone)

    assert (usual.count, usual.source) == (5, "")


def test_of_fifty_what_remains_follows_from_the_age(running_clone, earlier):
    """Thirty that took about two minutes, and thirty that took about twenty."""
    for number in range(30):
        earlier(2 + number / 60, "another")
        earlier(20 + number / 6, "another")

    usual = Estimates().of(running_clone)

    young, old = (usual.remaining(timedelta(minutes=minutes)) for minutes in (0.2, 6))
    assert timedelta(minutes=1) < young[0] < timedelta(minutes=2.5)
    assert timedelta(minutes=19) < young[1] < timedelta(minutes=26)
    assert timedelta(minutes=11) < old[0] < old[1] < timedelta(minutes=22)
    assert usual.most[0] == "19 of 20"
    assert timedelta(minutes=23) < usual.most[1] < timedelta(minutes=30)


SHAPES: dict[str, Callable[[random.Random], float]] = {
    "log-normal": lambda chance: chance.lognormvariate(4.5, 0.9),
    "two humps": lambda chance: chance.lognormvariate(chance.choice([3.2, 5.8]), 0.25),
    "gamma": lambda chance: chance.gammavariate(3, 60),
    "Weibull": lambda chance: chance.weibullvariate(200, 0.8),
}


@pytest.mark.measure
@pytest.mark.parametrize("shape", SHAPES)
def test_the_band_and_the_median_hold_for_shapes_that_they_were_not_given(shape, record_property):
    """2,000 operations; each is judged at an age that it has come to, by those that ended before it and what runs."""
    chance, draw = random.Random(11), SHAPES[shape]
    true = sorted(draw(chance) for _ in range(100_000))
    ended, held, known = deque((draw(chance) for _ in range(PAST)), PAST), 0, log_normal()
    ours, truth, average = [], [], []
    for number in range(2000):
        if number % 10 == 0:
            running = [draw(chance) * chance.random() for _ in range(20)]
            known = learned(of_now([Seen(one, one) for one in reversed(ended)]), running)
        age_s = draw(chance) * chance.random()
        lasts_s = next(one for one in iter(partial(draw, chance), None) if one > age_s)
        low_s, median_s, high_s = (known.remaining(age_s, share) for share in (0.1, 0.5, 0.9))
        held += low_s <= lasts_s - age_s <= high_s
        ours.append(median_s)
        truth.append(true[(bisect(true, age_s) + len(true)) // 2] - age_s)
        average.append(sum(ended) / len(ended) - age_s)
        ended.append(draw(chance))

    bias, of_average = (sum(one) / sum(truth) - 1 for one in (ours, average))
    typical = median(abs(one / other - 1) for one, other in zip(ours, truth, strict=True))
    said = f"the 80 % band held for {held / 2000:.0%}; the median is {bias:+.0%} from the true one of that age"
    record_property(
        "figure",
        f"remaining time, {shape}: {said}, half of all within {typical:.0%}; the average only {of_average:+.0%}",
    )
    assert 0.75 <= held / 2000 <= 0.85
    assert abs(bias) <= 0.1


def test_a_page_asks_once_for_each_kind(running_clone, earlier, django_assert_num_queries):
    estimates = Estimates()

    # What has ended and what runs, of its size and then of its kind; and as that is too little, the few.
    with django_assert_num_queries(5):
        for _ in range(25):
            estimates.of(running_clone)
