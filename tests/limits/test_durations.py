"""What is learned from durations, and how near polling by it comes to the least there is."""

import math
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from imodels_app.limits.durations import ENOUGH, Durations, Seen, learned, log_normal, of_now
from imodels_app.limits.past_durations import LATEST
from imodels_app.limits.poll_schedule import LEAST_WORTH_S, PAUSES_AFTER_BAD_S, pause_after_bad_s, pause_s, worth_s

P95 = 1.6448536269514722


@dataclass(frozen=True)
class LogNormal:
    """median and 95th percentile in seconds"""

    median_s: float
    p95_s: float

    @property
    def sigma(self) -> float:
        return math.log(self.p95_s / self.median_s) / P95

    def draw(self, chance: random.Random) -> float:
        return chance.lognormvariate(math.log(self.median_s), self.sigma)

    def density(self, at_s: float) -> float:
        z = math.log(at_s / self.median_s) / self.sigma
        return math.exp(-z * z / 2) / (at_s * self.sigma * math.sqrt(2 * math.pi))


@dataclass(frozen=True)
class TwoHumps:
    """Half of them like the one, half like the other."""

    one: LogNormal
    other: LogNormal

    def draw(self, chance: random.Random) -> float:
        return chance.choice([self.one, self.other]).draw(chance)

    def density(self, at_s: float) -> float:
        return (self.one.density(at_s) + self.other.density(at_s)) / 2


SHAPES: dict[str, LogNormal | TwoHumps] = {
    "60/600": LogNormal(60, 600),
    "20/120": LogNormal(20, 120),
    "300/1200": LogNormal(300, 1200),
    "two humps": TwoHumps(LogNormal(30, 50), LogNormal(300, 500)),
}
HALF_WAY_SEEDS = (5, 6, 7)


def bound(density: Callable[[float], float]) -> float:
    """The least calls · mean lag there is, by numerical integration: ½ (∫ √(f S) dt)²."""
    survives, total, at_s = 1.0, 0.0, 0.01
    while survives > 1e-9 and at_s < 1e7:
        step_s = at_s * 0.003
        f = density(at_s + step_s / 2)
        total += math.sqrt(max(f * (survives - f * step_s / 2), 0.0)) * step_s
        survives, at_s = survives - f * step_s, at_s + step_s
    return total * total / 2


class Learner:
    """Learns from what has ended, as past_durations.py does."""

    def __init__(self, knows: list[float]) -> None:
        self._ended = deque([(one, one) for one in knows], maxlen=LATEST)
        self._known, self._age = self._learn(), 0

    def ended(self, ran_s: float, ended_s: float) -> None:
        self._ended.append((ran_s, ended_s))
        self._age += 1
        if self._age % 10 == 0:
            self._known = self._learn()

    def _learn(self) -> Durations:
        return learned(of_now([Seen(*one) for one in reversed(self._ended)]))

    @property
    def known(self) -> Durations:
        return self._known


def polled(draws: list[float], learner: Learner, worth: float) -> tuple[float, float]:
    """Calls and mean lag of one operation, each learned from once it has ended."""
    calls, lag_s = 0, 0.0
    for lasts_s in draws:
        looked_s, age_s = 0.0, 0.0
        while age_s < lasts_s:
            looked_s, age_s = age_s, age_s + pause_s(learner.known, age_s, worth)
            calls += 1
        lag_s += age_s - lasts_s
        learner.ended(looked_s, age_s)
    return calls / len(draws), lag_s / len(draws)


def efficiency(shape, *, knows: int, worth: float, seed: int = 1, count: int = 2000) -> float:
    chance = random.Random(seed)
    learner = Learner([shape.draw(chance) for _ in range(knows)])
    calls, lag_s = polled([shape.draw(chance) for _ in range(count)], learner, worth)
    return bound(shape.density) / (calls * lag_s)


@pytest.mark.parametrize(("knows", "at_least"), [(200, 0.9), (0, 0.85)])
@pytest.mark.parametrize("name", SHAPES)
def test_polling_by_what_is_learned_is_near_the_least_there_is(name, knows, at_least):
    assert efficiency(SHAPES[name], knows=knows, worth=0.25, count=800) >= at_least


def schedules() -> Iterator[tuple[str, Callable[[float, int], float]]]:
    """Seconds until the next poll, by age and how many there were."""
    yield "fixed 1 s", lambda age_s, polls: 1.0
    yield "google-api-core (1 s · 1.5, up to 20 s)", lambda age_s, polls: min(1.5**polls, 20.0)
    yield "exponential (1 s · 2, up to 60 s)", lambda age_s, polls: min(2.0**polls, 60.0)


def peer_efficiency(shape, pause: Callable[[float, int], float], *, seed: int = 1, count: int = 2000) -> float:
    chance, calls, lag_s = random.Random(seed), 0, 0.0
    for lasts_s in (shape.draw(chance) for _ in range(count)):
        age_s, polls = 0.0, 0
        while age_s < lasts_s:
            age_s, polls = age_s + pause(age_s, polls), polls + 1
        calls, lag_s = calls + polls, lag_s + age_s - lasts_s
    return bound(shape.density) / (calls / count * lag_s / count)


@pytest.mark.measure
@pytest.mark.parametrize("name", SHAPES)
def test_efficiency_beside_the_peers(name, record_property):
    shape = SHAPES[name]
    ours = {knows: efficiency(shape, knows=knows, worth=0.25) for knows in (LATEST, 0)}
    peers = {peer: peer_efficiency(shape, pause) for peer, pause in schedules()}

    said = "; ".join(f"{peer} {share:.0%}" for peer, share in peers.items())
    record_property("figure", f"polls of {name}: learned {ours[LATEST]:.0%}, cold {ours[0]:.0%} of the bound; {said}")
    assert ours[LATEST] >= 0.9
    assert ours[0] >= 0.85


@pytest.mark.measure
def test_efficiency_when_durations_change_half_way(record_property):
    before, after = SHAPES["20/120"], SHAPES["300/1200"]
    products = {before: 0.0, after: 0.0}
    for seed in HALF_WAY_SEEDS:
        chance = random.Random(seed)
        learner = Learner([before.draw(chance) for _ in range(LATEST)])
        for shape in products:
            calls, lag_s = polled([shape.draw(chance) for _ in range(1000)], learner, 0.1)
            products[shape] += calls * lag_s / len(HALF_WAY_SEEDS)
    was, became = (bound(shape.density) / product for shape, product in products.items())

    record_property("figure", f"polls of durations that change half-way: {was:.0%} before, {became:.0%} after")
    assert min(was, became) >= 0.9


# ---------- what is known ----------


def test_until_fifty_have_ended_a_log_normal_speaks():
    few = learned([Seen(5.0, 5.0)] * (ENOUGH - 1))

    assert few.seen == 0
    assert few.remaining(0, 0.5) == pytest.approx(60, rel=0.05)
    assert few.remaining(0, 0.95) == pytest.approx(600, rel=0.05)


@pytest.mark.parametrize("change_after", [20, 70, 200])
def test_what_ended_before_durations_changed_is_forgotten(change_after):
    chance = random.Random(3)
    older = [SHAPES["20/120"].draw(chance) for _ in range(LATEST - change_after)]
    newest = [SHAPES["300/1200"].draw(chance) for _ in range(change_after)]
    seen = [Seen(one, one) for one in newest + older]

    assert of_now(seen) == seen[:change_after]


def test_while_nothing_changes_nothing_is_forgotten():
    for seed in range(20):
        chance = random.Random(seed)
        ended = [Seen(0.0, math.ceil(SHAPES["two humps"].draw(chance) / 60) * 60) for _ in range(LATEST)]
        assert of_now(ended) == ended


def test_what_still_runs_counts_as_far_as_it_has_come():
    """Half of them ended within ten seconds, and half run since an hour: what comes to ten seconds goes on."""
    ended = [Seen(tenth / 20, tenth / 20) for tenth in range(1, 201)]
    censored = learned(ended, [3600.0] * 200)

    assert learned(ended).remaining(0, 0.9) < 20
    assert censored.remaining(0, 0.45) < 20
    assert censored.remaining(0, 0.9) > 3600


def test_quantiles_of_what_remains_follow_from_the_age():
    chance = random.Random(2)
    draws = [chance.lognormvariate(math.log(60), 0.8) for _ in range(20_000)]
    known = learned([Seen(one, one) for one in draws])

    for age_s in (0.0, 30.0, 120.0):
        left = sorted(one - age_s for one in draws if one > age_s)
        for share in (0.1, 0.5, 0.9):
            assert known.remaining(age_s, share) == pytest.approx(left[int(share * len(left))], rel=0.08, abs=1)


def test_a_look_is_due_when_the_lag_expected_since_the_last_is_worth_it():
    known = log_normal()
    for age_s in (0.0, 20.0, 500.0):
        assert known.lag(age_s, known.pause(age_s, 2.0)) == pytest.approx(2.0, rel=1e-3)


def test_a_look_that_is_worth_as_much_everywhere_uses_up_the_budget():
    hazards = [1 / 60] * 90 + [1 / 600] * 150
    worth = worth_s(hazards, 5.0)

    assert sum(math.sqrt(hazard / (2 * worth)) for hazard in hazards) == pytest.approx(5.0)


def test_where_there_is_budget_to_spare_what_is_young_is_looked_at_each_second():
    assert pause_s(log_normal(3600, 7200), 5.0, LEAST_WORTH_S) == 1.0
    assert pause_s(log_normal(3600, 7200), 61.0, LEAST_WORTH_S) > 1.0


def test_the_pause_after_polls_that_told_nothing_grows_to_fifteen_seconds():
    assert [pause_after_bad_s(bad) for bad in range(1, 6)] == [*PAUSES_AFTER_BAD_S, PAUSES_AFTER_BAD_S[-1]]
