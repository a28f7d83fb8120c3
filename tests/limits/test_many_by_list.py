"""Many operations in few iTwins, followed by lists: how near their lag comes to the least that the calls allow.

A simulation by the product's arithmetic, on a clock of its own: what may be spent (limits.allowance), what is learned
from those that have ended (limits.durations), when to look (limits.poll_schedule), and each call that a worker makes.
"""

import math
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from statistics import mean
from typing import NamedTuple

import pytest

from imodels_app.limits.allowance import Allowance, Limit, Slots
from imodels_app.limits.durations import Durations, Seen, learned, log_normal, of_now
from imodels_app.limits.past_durations import KEPT_FOR_S, LATEST
from imodels_app.limits.poll_schedule import (
    LEAST_WORTH_S,
    SHORTEST_PAUSE_S,
    guard_s,
    is_list_cheaper,
    list_pause_s,
    looks_per_imodel,
    pause_s,
    worth_s,
)
from imodels_app.workers import following
from imodels_app.workers.following import AHEAD

START = datetime(2026, 11, 30, tzinfo=UTC)
ITWINS = 10
ZIPF, EVEN = [1 / rank**1.5 for rank in range(1, ITWINS + 1)], [1.0] * ITWINS
HOUR_S = 3600


@dataclass(order=True)
class Running:
    began_s: float
    ends_s: float
    due_s: float
    itwin: int
    polls: int = 0
    looked_s: float = 0.0
    is_listed: bool = False


# The lag that is expected, when it is due, and at what: an operation or an iTwin's list.
Look = tuple[float, float, Running | int]


class Come(NamedTuple):
    """An operation: when it is sent, in which iTwin, and how long it takes."""

    at_s: float
    itwin: int
    lasts_s: float


def by_chance(submits_a_minute: float, shares: list[float], truth: Durations, hours: float, seed: int) -> list[Come]:
    chance, at_s, come = random.Random(seed), 0.0, []
    while (at_s := at_s + chance.expovariate(submits_a_minute / 60)) < hours * HOUR_S:
        come.append(Come(at_s, chance.choices(range(ITWINS), shares)[0], truth.remaining(0, chance.random())))
    return come


@dataclass
class Followed:
    """Each second a sweep sees what is due and most worth it.

    slots  what was used of the hour before
    """

    come: list[Come]
    limit: Limit
    hours: float
    by_list: bool = True
    warm_after_s: float = 0
    tokens: float = 0
    slots: Slots = field(default_factory=Slots)
    calls_at_s: list[float] = field(default_factory=list)
    lags_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.running: list[list[Running]] = [[] for _ in range(ITWINS)]
        self.list_due_s, self.listed_s = [0.0] * ITWINS, [0.0] * ITWINS
        self.tokens, self.dripped_s = self.tokens or self.limit.holds, 0.0
        self.worth, self.known, self.ended = 0.0, log_normal(), deque[tuple[Seen, float]](maxlen=LATEST)
        to_come = deque(self.come)
        for second in range(int(self.hours * HOUR_S)):
            while to_come and to_come[0].at_s < second:
                self._submit(to_come.popleft())
            self._sweep(float(second))

    def _submit(self, come: Come) -> None:
        self._call(come.at_s)
        waits_s = pause_s(self.known, 0, self.worth) if self.worth > LEAST_WORTH_S else 0.0
        due_s, ends_s = come.at_s + waits_s, come.at_s + come.lasts_s
        self.running[come.itwin].append(Running(come.at_s, ends_s, due_s, come.itwin, looked_s=come.at_s))

    def _sweep(self, now_s: float) -> None:
        """As workers.following.announce_polls."""
        if now_s % KEPT_FOR_S == 0:
            self.known = self._learned(now_s)
        allowance = self._allowance(now_s)
        hazards = [[self.known.hazard(now_s - one.began_s) for one in own] for own in self.running]
        guard = self._guard_s(now_s)
        listed = [self.by_list and is_list_cheaper(own, self.worth, guard) for own in hazards]
        singly = [hazard for own, is_listed in zip(hazards, listed, strict=True) if not is_listed for hazard in own]
        lists = [sum(own) for own, is_listed in zip(hazards, listed, strict=True) if is_listed]
        self.worth = worth_s([*singly, *lists], allowance.polls_a_second(following.expected(sum(singly), sum(lists))))
        for one in [one for own, is_listed in zip(self.running, listed, strict=True) for one in own if not is_listed]:
            if one.is_listed:
                one.is_listed = False
                one.due_s = now_s + pause_s(self.known, now_s - one.began_s, self.worth)
        by_list = {itwin: sum(own) for itwin, own in enumerate(hazards) if listed[itwin]}
        looks = [*self._polls(now_s), *self._lists(now_s, by_list)]
        looks.sort(key=lambda look: -look[0])
        for _, at_s, what in sorted(looks[: self._allowance(now_s).polls()], key=lambda look: look[1]):
            self._list(what, at_s) if isinstance(what, int) else self._poll(what, at_s)

    def _learned(self, now_s: float) -> Durations:
        """As limits.past_durations."""
        seen = of_now([one for one, _ in reversed(self.ended)])
        counted = list(self.ended)[len(self.ended) - len(seen) :]
        began = [*(began_s for _, began_s in counted), *(one.began_s for own in self.running for one in own)]
        running = [now_s - began_s for began_s in began[len(seen) :]]
        if len(counted) < LATEST and len(seen) == len(self.ended):
            return learned(seen, running)
        first_s = counted[0][1] + counted[0][0].ended_s
        return learned(seen, running, [max(0.0, first_s - began_s) for began_s in began])

    def _polls(self, now_s: float) -> Iterator[Look]:
        for one in [one for own in self.running for one in own if one.due_s <= now_s + AHEAD.total_seconds()]:
            lag_s = self.known.lag(one.looked_s - one.began_s, max(now_s - one.looked_s, 0))
            yield lag_s, max(one.due_s, now_s), one

    def _lists(self, now_s: float, by_list: dict[int, float]) -> Iterator[Look]:
        for itwin, hazard in by_list.items():
            listed_s = self.listed_s[itwin]
            due_s = max(self.list_due_s[itwin], listed_s + list_pause_s(hazard, self.worth))
            if due_s <= now_s + AHEAD.total_seconds():
                yield hazard * (now_s - listed_s) ** 2 / 2, max(due_s, now_s), itwin

    def _list(self, itwin: int, at_s: float) -> None:
        self._call(at_s)
        guard = self._guard_s(at_s)
        for one in list(self.running[itwin]):
            if one.ends_s > at_s:
                one.due_s = one.due_s if one.is_listed else at_s + guard
                one.is_listed, one.looked_s = True, at_s
            elif one.is_listed or (not one.polls and one.began_s < at_s):
                self._poll(one, at_s)
        self.list_due_s[itwin], self.listed_s[itwin] = at_s + SHORTEST_PAUSE_S, at_s

    def _poll(self, one: Running, at_s: float) -> None:
        if one not in self.running[one.itwin]:
            return  # a list has told in between
        self._call(at_s)
        if one.ends_s <= at_s:
            self.running[one.itwin].remove(one)
            self.ended.append((Seen(one.looked_s - one.began_s, at_s - one.began_s), one.began_s))
            if at_s >= self.warm_after_s:
                self.lags_s.append(at_s - one.ends_s)
            return
        one.polls, one.looked_s = one.polls + 1, at_s
        if not one.is_listed and (one.polls - 1) % looks_per_imodel(self.worth) == 0:
            self._call(at_s)  # the iModel itself: is it usable?
        pause = self._guard_s(at_s) if one.is_listed else pause_s(self.known, at_s - one.began_s, self.worth)
        one.due_s = at_s + pause

    def _guard_s(self, at_s: float) -> float:
        listed = sum(one.is_listed for own in self.running for one in own)
        return guard_s(listed, self._allowance(at_s).polls_a_second())

    def _allowance(self, at_s: float) -> Allowance:
        gathered = self.tokens + max(at_s - self.dripped_s, 0) * self.limit.drip_a_second
        return Allowance(self.limit, min(self.limit.holds, gathered), START + timedelta(seconds=at_s), self.slots)

    def _call(self, at_s: float) -> None:
        self.tokens, self.dripped_s = self._allowance(at_s).tokens - 1, max(at_s, self.dripped_s)
        self.slots = self.limit.with_one_more(self.slots, START + timedelta(seconds=at_s))
        self.calls_at_s.append(at_s)

    @property
    def lag_s(self) -> float:
        return sum(self.lags_s) / len(self.lags_s)

    def most_within(self, seconds: float) -> int:
        """Calls of the fullest stretch of so many seconds."""
        times, first, most = sorted(self.calls_at_s), 0, 0
        for last, at_s in zip(count(1), times):
            while times[first] <= at_s - seconds:
                first += 1
            most = max(most, last - first)
        return most


def bound_s(come: list[Come], truth: Durations, calls_a_minute: float, hours: float) -> float:
    """(E Σ √H)² / (2 · B · E Σ H), of what really runs: B calls a second for lists alone, beside sent and confirmed.

    Over the time in which lag is measured.
    """
    roots, hazards, running, to_come = 0.0, 0.0, list[Come](), deque(come)
    seconds = hours * HOUR_S - WARM_AFTER_S
    for second in range(int(hours * HOUR_S)):
        while to_come and to_come[0].at_s < second:
            running.append(to_come.popleft())
        running = [one for one in running if one.at_s + one.lasts_s > second]
        if second < WARM_AFTER_S:
            continue
        own = [0.0] * ITWINS
        for one in running:
            own[one.itwin] += truth.hazard(second - one.at_s)
        roots, hazards = roots + sum(map(math.sqrt, own)), hazards + sum(own)
    for_lists = calls_a_minute / 60 - 2 * len(come) / hours / HOUR_S
    return (roots / seconds) ** 2 / (2 * for_lists * hazards / seconds)


# Submits a minute, the limit, how uneven the iTwins are, hours; and what is held: the part of the least, and seconds.
LOADS: dict[str, tuple[float, Limit, list[float], float, float, float]] = {
    "90 a minute, 400 calls, uneven": (90, Limit(400), ZIPF, 1.0, 0.86, 1.09),
    "90 a minute, 400 calls, even": (90, Limit(400), EVEN, 1.0, 0.86, 1.55),
    "5 a minute, 5,000 calls an hour, uneven": (5, Limit(500, 5000), ZIPF, 6.0, 0.8, 2.0),
}
WARM_AFTER_S = 1800
SEEDS = range(1, 9)


@pytest.mark.measure
@pytest.mark.parametrize("load", LOADS)
def test_lag_of_many_by_list_beside_the_least_and_beside_looks_at_each(load, record_property):
    submits, limit, shares, hours, part, at_most_s = LOADS[load]
    truth, a_minute, played, least_s = log_normal(), (limit.an_hour or 60 * limit.a_minute) / 60, [], []
    for seed in SEEDS:
        come = by_chance(submits, shares, truth, hours, seed)
        played.append(Followed(come, limit, hours, warm_after_s=WARM_AFTER_S))
        least_s.append(bound_s(come, truth, a_minute, hours))
    singly = Followed(come, limit, hours, by_list=False, warm_after_s=WARM_AFTER_S)

    lag_s, bound = mean(one.lag_s for one in played), mean(least_s)
    fullest = [one.most_within(HOUR_S if limit.an_hour else 60) for one in played]
    record_property(
        "figure",
        f"by list, {load}: mean lag {lag_s:.2f} s, bound {bound:.2f} s ({bound / lag_s:.0%}), each by itself "
        f"{singly.lag_s:.1f} s; {mean(len(one.calls_at_s) for one in played) / hours / 60:.0f} calls a minute in all, "
        f"{max(fullest)} in the fullest {'hour' if limit.an_hour else 'minute'}",
    )
    # Of eight hours, what comes by chance makes some minute one call fuller.
    assert max(fullest) <= (limit.an_hour or 1.005 * limit.a_minute)
    assert lag_s <= min(bound / part, at_most_s)
