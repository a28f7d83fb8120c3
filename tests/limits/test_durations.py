"""What is learned from durations, and how near polling by it comes to the least there is."""

import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pytest

from imodels_app.limits.durations import ENOUGH, Seen, learned, log_normal, of_now
from imodels_app.limits.past_durations import KEPT_FOR_S, LATEST
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
SEEDS, HALF_WAY_SEEDS = (1, 2, 3), (5, 6, 7)
SUBMITS_A_MINUTE = 10
# Calls a minute for all of them, of which 12 to 48 are for each.
BUDGETS = (120, 240, 480)


def bound(density: Callable[[float], float]) -> float:
    """The least calls · mean lag there is, by numerical integration: ½ (∫ √(f S) dt)²."""
    survives, total, at_s = 1.0, 0.0, 0.01
    while survives > 1e-9 and at_s < 1e7:
        step_s = at_s * 0.003
        f = density(at_s + step_s / 2)
        total += math.sqrt(max(f * (survives - f * step_s / 2), 0.0)) * step_s
        survives, at_s = survives - f * step_s, at_s + step_s
    return total * total / 2


class Came(NamedTuple):
    calls: int
    lag_s: float


def followed(draws: list[float], a_minute: float, *, knows: Sequence[float] = (), seed: int = 1) -> list[Came]:
    """What each cost. They come by chance, and all looks together have so many calls a minute, as in following.py.

    knows  how long those took that had ended before
    """
    chance, at_s, known, worth = random.Random(seed), 0.0, log_normal(), 0.0
    ended = deque([Seen(one, one) for one in knows], maxlen=LATEST)
    to_come, running, came = deque(enumerate(draws)), list[_Running](), dict[int, Came]()
    comes_s = 0.0
    while to_come or running:
        if at_s % KEPT_FOR_S == 0:
            known = learned(of_now(list(reversed(ended))), [at_s - one.began_s for one in running])
        while to_come and comes_s <= at_s:
            number, lasts_s = to_come.popleft()
            due_s = comes_s + pause_s(known, 0, worth)
            running.append(_Running(number, comes_s, comes_s + lasts_s, comes_s, due_s))
            comes_s += chance.expovariate(SUBMITS_A_MINUTE / 60)
        worth = worth_s([known.hazard(at_s - one.began_s) for one in running], a_minute / 60)
        for one in list(running):
            while one.due_s <= at_s + 1:
                one.calls += 1
                if one.due_s >= one.ends_s:
                    came[one.number] = Came(one.calls, one.due_s - one.ends_s)
                    ended.append(Seen(one.looked_s - one.began_s, one.due_s - one.began_s))
                    running.remove(one)
                    break
                one.looked_s = one.due_s
                one.due_s += pause_s(known, one.looked_s - one.began_s, worth)
        at_s += 1
    return [came[number] for number in range(len(draws))]


@dataclass
class _Running:
    number: int
    began_s: float
    ends_s: float
    looked_s: float
    due_s: float
    calls: int = 0


def product(some: Sequence[Came]) -> float:
    """Calls · mean lag of one."""
    return sum(one.calls for one in some) / len(some) * sum(one.lag_s for one in some) / len(some)


def efficiency(shape, a_minute: float, *, knows: int, seeds: Sequence[int] = SEEDS, count: int = 1000) -> float:
    products = []
    for seed in seeds:
        chance = random.Random(seed)
        before = [shape.draw(chance) for _ in range(knows)]
        products.append(product(followed([shape.draw(chance) for _ in range(count)], a_minute, knows=before)))
    return bound(shape.density) / (sum(products) / len(products))


@pytest.mark.parametrize(("knows", "at_least"), [(LATEST, 0.9), (0, 0.85)])
@pytest.mark.parametrize("name", ["60/600", "20/120"])
def test_polling_by_what_is_learned_is_near_the_least_there_is(name, knows, at_least):
    assert efficiency(SHAPES[name], BUDGETS[-1], knows=knows, seeds=SEEDS[:1], count=600) >= at_least


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
@pytest.mark.parametrize("a_minute", BUDGETS)
@pytest.mark.parametrize("name", SHAPES)
def test_efficiency_under_a_budget_beside_the_peers(name, a_minute, record_property):
    """What is held is that of the greatest: with few calls for each no schedule comes near a bound of many."""
    shape = SHAPES[name]
    ours = {knows: efficiency(shape, a_minute, knows=knows) for knows in (LATEST, 0)}
    peers = {peer: peer_efficiency(shape, pause) for peer, pause in schedules()}

    said = "; ".join(f"{peer} {share:.0%}" for peer, share in peers.items())
    budget = f"{a_minute} calls a minute for {SUBMITS_A_MINUTE} operations"
    record_property(
        "figure", f"{name}, {budget}: learned {ours[LATEST]:.0%}, cold {ours[0]:.0%} of the bound; at any: {said}"
    )
    if a_minute == BUDGETS[-1]:
        # By the true hazards of two humps it is 0.91.
        assert ours[LATEST] >= (0.86 if name == "two humps" else 0.9)
        assert ours[0] >= (0.84 if name == "two humps" else 0.85)


@pytest.mark.measure
def test_efficiency_when_durations_change_half_way(record_property):
    shapes = SHAPES["20/120"], SHAPES["300/1200"]
    products = [0.0, 0.0]
    for seed in HALF_WAY_SEEDS:
        chance = random.Random(seed)
        before = [shapes[0].draw(chance) for _ in range(LATEST)]
        draws = [shape.draw(chance) for shape in shapes for _ in range(1000)]
        came = followed(draws, BUDGETS[-1], knows=before, seed=seed)
        for half in (0, 1):
            products[half] += product(came[1000 * half : 1000 * (half + 1)]) / len(HALF_WAY_SEEDS)
    was, became = (bound(shape.density) / one for shape, one in zip(shapes, products, strict=True))

    record_property("figure", f"polls of durations that change half-way: {was:.0%} before, {became:.0%} after")
    # Aimed at is 0.9, which takes knowing at once that they have changed.
    assert min(was, became) >= 0.86


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


def test_what_ran_before_the_first_of_those_counted_ended_does_not_make_the_others_slower():
    """Ninety a minute: of four hundred that ended last none is older than five minutes, of what runs many are."""
    chance, now_s = random.Random(4), 7200.0
    began_s = [at_s / 1.5 for at_s in range(int(1.5 * now_s))]
    came = [(at_s, at_s + chance.lognormvariate(math.log(60), 1.4)) for at_s in began_s]
    ended = sorted((one for one in came if one[1] <= now_s), key=lambda one: -one[1])[:LATEST]
    running = [at_s for at_s, ends_s in came if ends_s > now_s]
    before = [max(0.0, ended[-1][1] - at_s) for at_s in (*(at_s for at_s, _ in ended), *running)]

    known = learned([Seen(end - at, end - at) for at, end in ended], [now_s - at_s for at_s in running], before)

    assert known.remaining(0, 0.5) == pytest.approx(60, rel=0.15)
    assert known.remaining(0, 0.9) == pytest.approx(361, rel=0.25)


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
