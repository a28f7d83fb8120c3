"""Many operations in few iTwins, followed by lists: how near their lag comes to the least that the calls allow.

A simulation by the product's arithmetic, on a clock of its own.
"""

import math
import random
from dataclasses import dataclass, field

import pytest

from imodels_app.limits.durations import log_normal
from imodels_app.limits.poll_schedule import LONGEST_PAUSE_S, calls_a_second, guard_s, is_list_cheaper, worth_s

KNOWN = log_normal()
ITWINS = 10
ZIPF, EVEN = [1 / rank**1.5 for rank in range(1, ITWINS + 1)], [1.0] * ITWINS


@dataclass
class Running:
    began_s: float
    ends_s: float
    due_s: float
    is_listed: bool = False


@dataclass
class Followed:
    """Operations that come by chance and end by chance; each second what is due and most worth it is asked about."""

    submits_a_minute: float
    calls_a_minute: float
    shares: list[float]
    chance: random.Random
    hours: float
    calls: int = 0
    lags_s: list[float] = field(default_factory=list)
    roots: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.running: list[list[Running]] = [[] for _ in range(ITWINS)]
        self.list_due_s, self.tokens, self.worth = [0.0] * ITWINS, 0.0, 0.01
        # Each is sent and confirmed.
        self.budget = (self.calls_a_minute - 2 * self.submits_a_minute) / 60
        for tick in range(int(self.hours * 3600 * 4)):
            self._tick(tick / 4, is_warm=tick / 4 > 1800)

    def _tick(self, now_s: float, *, is_warm: bool) -> None:
        self._submit(now_s)
        hazards = [[KNOWN.hazard(now_s - one.began_s) for one in own] for own in self.running]
        guard = guard_s(sum(map(len, self.running)), self.budget)
        by_list = [is_list_cheaper(own, self.worth, guard) for own in hazards]
        alone = [hazard for own, listed in zip(hazards, by_list, strict=True) if not listed for hazard in own]
        lists = [sum(own) for own, listed in zip(hazards, by_list, strict=True) if listed]
        self.tokens = min(self.tokens + self.budget / 4, 5 * self.budget)
        self.worth = worth_s([*alone, *lists], self.budget * max(0.05, 0.5 + self.tokens / (5 * self.budget)))
        for itwin, own in enumerate(self.running):
            if by_list[itwin] and self.list_due_s[itwin] <= now_s and self._may():
                pause_s = 1 / calls_a_second(sum(hazards[itwin]), self.worth)
                self.list_due_s[itwin] = now_s + min(max(pause_s, 1.0), LONGEST_PAUSE_S)
                self._end([one for one in own if one.ends_s <= now_s], itwin, now_s, is_warm)
                for one in own:
                    one.due_s = one.due_s if one.is_listed else now_s + guard
                    one.is_listed = True
            for one in list(own):
                if one.is_listed and not by_list[itwin]:
                    one.is_listed, one.due_s = False, now_s
                if one.due_s <= now_s and self._may():
                    pause_s = KNOWN.pause(now_s - one.began_s, self.worth)
                    one.due_s = now_s + (guard if by_list[itwin] else min(max(pause_s, 1.0), LONGEST_PAUSE_S))
                    self._end([one] if one.ends_s <= now_s else [], itwin, now_s, is_warm)
        if is_warm:
            self.roots.append(sum(math.sqrt(sum(own)) for own in hazards))

    def _submit(self, now_s: float) -> None:
        if self.chance.random() < self.submits_a_minute / 240:
            itwin = self.chance.choices(range(ITWINS), self.shares)[0]
            lasts_s = KNOWN.remaining(0, self.chance.random())
            self.running[itwin].append(Running(now_s, now_s + lasts_s, now_s + 5))

    def _may(self) -> bool:
        if self.tokens < 1:
            return False
        self.tokens, self.calls = self.tokens - 1, self.calls + 1
        return True

    def _end(self, ended: list[Running], itwin: int, now_s: float, is_warm: bool) -> None:
        for one in ended:
            self.running[itwin].remove(one)
            if is_warm:
                self.lags_s.append(now_s - one.ends_s)

    @property
    def lag_s(self) -> float:
        return sum(self.lags_s) / len(self.lags_s)

    @property
    def bound_s(self) -> float:
        """(E Σ √H)² / (2 · B · E Σ H): B calls a second for lists alone, and as many end as are submitted."""
        root = sum(self.roots) / len(self.roots)
        for_lists = (self.calls_a_minute - 2 * self.submits_a_minute) / 60
        return root**2 / (2 * for_lists * self.submits_a_minute / 60)


# Submits and calls a minute, how uneven the iTwins are, hours, and the mean lag in seconds that is allowed.
LOADS: dict[str, tuple[float, float, list[float], float, float]] = {
    "90 a minute, 400 calls, uneven": (90, 400, ZIPF, 2.0, 0.94 / 0.9),
    "90 a minute, 400 calls, even": (90, 400, EVEN, 2.0, 1.34 / 0.9),
    "5 a minute, 83 calls, uneven": (5, 83, ZIPF, 6.0, 1.9),
}


@pytest.mark.measure
@pytest.mark.parametrize("load", LOADS)
def test_lag_of_many_by_list_beside_the_least(load, record_property):
    submits, calls, shares, hours, at_most_s = LOADS[load]
    followed = Followed(submits, calls, shares, random.Random(3), hours)

    used = followed.calls / (followed.hours * 60) + 2 * followed.submits_a_minute
    record_property(
        "figure",
        f"by list, {load}: mean lag {followed.lag_s:.2f} s, bound {followed.bound_s:.2f} s "
        f"({followed.bound_s / followed.lag_s:.0%}), {used:.0f} calls a minute in all",
    )
    assert used <= followed.calls_a_minute
    assert followed.lag_s <= at_most_s
