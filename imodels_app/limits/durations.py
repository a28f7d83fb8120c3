"""How long operations take, as a hazard: of those that have come to this age, which share ends in the next second.

Arithmetic only. The hazard is constant within steps of age that grow by a tenth. In each it is what ended there by the
seconds spent there, so what still runs counts too, as far as it has come (D. R. Cox, D. Oakes, *Analysis of Survival
Data*, 1984, 3: the estimate of a piecewise exponential distribution under right censoring). Neighbouring steps are
averaged, and where little was seen a log-normal speaks.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise

# Ages in seconds: a quarter of a second to three days.
_GROWS = 1.1
EDGES: Sequence[float] = [0.0, *(0.25 * _GROWS**step for step in range(145))]
_MIDDLES = [(start + end) / 2 for start, end in pairwise(EDGES)]
_WIDTHS = [end - start for start, end in pairwise(EDGES)]
_KERNEL = (1, 2, 3, 2, 1)
# What is believed before anything was seen, from half an event a step on: half of them end within a minute, 19 in 20
# within ten. Sizes of real iModels differ that much, and a median that is three times too low or too high costs a
# twentieth of what polling could save.
USUAL_MEDIAN_S, USUAL_P95_S = 60.0, 600.0
_BELIEF = 0.5
_PARTS = 4
ENOUGH = 50
_P95 = 1.6448536269514722
# Durations have changed when so many new ones differ from those before by what chance does once in a hundred thousand.
_FEWEST_NEW, _NO_CHANCE = 10, math.sqrt(math.log(2 / 1e-5) / 2)


class Durations:
    """What is known of how long some kind of operation takes. seen: how many that have ended it was learned from."""

    def __init__(self, hazards: Sequence[float], seen: int = 0) -> None:
        self.hazards, self.seen = hazards, seen
        self._logs_of_survival = [0.0]
        for hazard, width in zip(hazards, _WIDTHS, strict=True):
            self._logs_of_survival.append(self._logs_of_survival[-1] - hazard * width)

    def hazard(self, age_s: float) -> float:
        """The chance a second that one of this age ends."""
        return self.hazards[_step(age_s)]

    def remaining(self, age_s: float, share: float) -> float:
        """The seconds within which this share of those that have come to this age end. share: between 0 and 1."""
        wanted = self._log_of_survival(age_s) + math.log(1 - share)
        steps = self._logs_of_survival
        step = min(bisect_right(steps, -wanted, key=lambda log: -log) - 1, len(self.hazards) - 1)
        return EDGES[step] + (steps[step] - wanted) / self.hazards[step] - age_s

    def least_lag_s(self, calls: float) -> float:
        """The least mean lag that so many calls each allow: (∫ √(f S) dt)² / 2 calls (poll_schedule.py)."""
        logs = self._logs_of_survival
        parts = (
            (math.exp(logs[step]) - math.exp(logs[step + 1])) / math.sqrt(hazard)
            for step, hazard in enumerate(self.hazards)
        )
        return sum(parts) ** 2 / 2 / calls

    def lag(self, age_s: float, since_s: float) -> float:
        """The seconds by which the end is expected to have been missed, when the last look was so long ago.

        While the hazard stays the same that is hazard · since² / 2. age_s: at the last look
        """
        lag_s, running, at, until = 0.0, 1.0, age_s, age_s + since_s
        for step in range(_step(age_s), len(self.hazards)):
            width, hazard = min(_end(step), until) - at, self.hazards[step]
            lag_s += _missed(running, hazard, width)
            running, at = running * math.exp(-hazard * width), at + width
            if at >= until:
                break
        return lag_s

    def pause(self, age_s: float, worth_s: float) -> float:
        """How long after this age lag() comes to what a poll is worth."""
        running, at, left_s = 1.0, age_s, worth_s
        for step in range(_step(age_s), len(self.hazards)):
            width, hazard = _end(step) - at, self.hazards[step]
            missed_s = _missed(running, hazard, width)
            if missed_s >= left_s:
                return at - age_s + _when(running, hazard, left_s, width)
            left_s, running, at = left_s - missed_s, running * math.exp(-hazard * width), at + width
        return math.inf

    def _log_of_survival(self, age_s: float) -> float:
        step = _step(age_s)
        return self._logs_of_survival[step] - self.hazards[step] * (age_s - EDGES[step])


@lru_cache
def log_normal(median_s: float = USUAL_MEDIAN_S, p95_s: float = USUAL_P95_S) -> Durations:
    """Durations whose logarithms are normal. Beyond its far end the hazard stays what it is there."""
    sigma = math.log(p95_s / median_s) / _P95

    def survival(age_s: float) -> float:
        return 0.5 * math.erfc(math.log(max(age_s, 1e-9) / median_s) / sigma / math.sqrt(2))

    hazards: list[float] = []
    for start, end in pairwise(EDGES):
        before, after = survival(start), survival(end)
        hazards.append(max(math.log(before / after) / (end - start), 1e-9) if after > 1e-12 else hazards[-1])
    return Durations(hazards)


@dataclass(frozen=True)
class Seen:
    """One that has ended: it still ran at this age, and had ended at that."""

    ran_s: float
    ended_s: float

    def ends(self) -> Iterator[tuple[float, float]]:
        """When it can have ended, with weights: to take it for the age at which that was noticed would add its lag."""
        for part in range(_PARTS):
            yield self.ran_s + (self.ended_s - self.ran_s) * (part + 0.5) / _PARTS, 1 / _PARTS


def of_now(newest_first: Sequence[Seen]) -> Sequence[Seen]:
    """The newest of these, as far back as durations have been what they are now: the platform changes, too.

    It is the longest window without two parts that differ (A. Bifet, R. Gavaldà, "Learning from time-changing data with
    adaptive windowing", SDM 2007), by the two-sample test of Kolmogorov and Smirnov, which asks for no shape.
    """
    by_age = sorted((one.ended_s, place) for place, one in enumerate(newest_first))
    places = range(_FEWEST_NEW, len(by_age) - _FEWEST_NEW + 1, _FEWEST_NEW)
    difference, change = max(((_difference(by_age, place), place) for place in places), default=(0.0, 0))
    return of_now(newest_first[:change]) if difference > _NO_CHANCE else newest_first


def _difference(by_age: Sequence[tuple[float, int]], change: int) -> float:
    """How far the shares that had ended by some age are apart, before this place and after it, at most.

    In units of what chance makes of it.
    """
    older, gap, most = len(by_age) - change, 0.0, 0.0
    for _, same_age in groupby(by_age, key=lambda one: one[0]):
        gap += sum(1 / change if place < change else -1 / older for _, place in same_age)
        most = max(most, abs(gap))
    return most * math.sqrt(change * older / len(by_age))


def learned(
    ended: Sequence[Seen],
    running: Iterable[float] = (),
    before: Iterable[float] = (),
    *,
    usual: Durations | None = None,
) -> Durations:
    """What these tell, of which some still run and have come to some age.

    before  how far those of both had come that already ran when the first of these ended. Who ended earlier is not
            among them, so what the others ran until then would only tell of those that take long (left truncation)
    usual   what is believed where little was seen; a log-normal by default, and alone until ENOUGH have ended
    """
    usual = usual or log_normal()
    if len(ended) < ENOUGH:
        return usual
    ends, spent = [0.0] * len(_WIDTHS), [0.0] * len(_WIDTHS)
    all_ends = [end for one in ended for end in one.ends()]
    for lasted_s, weight in all_ends:
        ends[_step(lasted_s)] += weight
    came_to = [*all_ends, *((age_s, 1.0) for age_s in running), *((age_s, -1.0) for age_s in before)]
    for came_to_s, weight in came_to:
        last = _step(came_to_s)
        for step in range(last):
            spent[step] += weight * _WIDTHS[step]
        spent[last] += weight * (came_to_s - EDGES[last])
    # Averaged by the logarithm of age, of which a hazard is steadier.
    ends, spent = _averaged(ends), _averaged([one / middle for one, middle in zip(spent, _MIDDLES, strict=True)])
    return Durations(
        [
            (ends[step] + _BELIEF) / (spent[step] * middle + _BELIEF / usual.hazard(middle))
            for step, middle in enumerate(_MIDDLES)
        ],
        len(ended),
    )


def _end(step: int) -> float:
    return EDGES[step + 1] if step < len(EDGES) - 2 else math.inf


def _missed(running: float, hazard: float, for_s: float) -> float:
    """What lag grows by in a time of one hazard. running: the chance that it still ran when that began."""
    return for_s - running * -math.expm1(-hazard * for_s) / hazard if for_s < math.inf else math.inf


def _when(running: float, hazard: float, lag_s: float, within_s: float) -> float:
    """How long it takes until _missed() comes to this lag, by halving."""
    low, high = 0.0, min(within_s, lag_s + 1 / hazard)
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if _missed(running, hazard, middle) < lag_s else (low, middle)
    return high


def _step(age_s: float) -> int:
    return max(0, min(bisect_right(EDGES, age_s) - 1, len(EDGES) - 2))


def _averaged(values: Sequence[float]) -> list[float]:
    reach = len(_KERNEL) // 2
    padded = [0.0] * reach + list(values) + [0.0] * reach
    return [
        sum(weight * padded[at + offset] for offset, weight in enumerate(_KERNEL)) / max(_KERNEL)
        for at in range(len(values))
    ]
