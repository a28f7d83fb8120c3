"""Pictures drawn on the server: plain numbers in, places of bars out. Colours and words are the templates'."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil

from imodels_app.states import State

# The picture's own units.
TOP, BOTTOM, LEFT, RIGHT = 12, 150, 28, 514
TONES = ("good", "calm", "bad")


@dataclass(frozen=True)
class Bar:
    """One piece of a day's bar."""

    tone: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Tick:
    label: str
    at: float


@dataclass(frozen=True)
class Days:
    """Operations a day by how they ended, stacked: succeeded, ended otherwise, failed."""

    bars: list[Bar]
    scale: list[Tick]
    labels: list[Tick]
    total: int
    failed: int
    since: date
    until: date


def days(since: date, until: date, rows: Iterable[tuple[date, str, int]]) -> Days:
    """rows: day, state and how many ended so."""
    counted = _counted(rows)
    dates = [since + timedelta(days=number) for number in range((until - since).days + 1)]
    highest = _round_up(max((sum(counted.get((day, tone), 0) for tone in TONES) for day in dates), default=0))
    step = (RIGHT - LEFT) / max(len(dates), 1)
    bars: list[Bar] = []
    for number, day in enumerate(dates):
        bars += _stack(
            LEFT + number * step + step * 0.18, step * 0.64, [counted.get((day, t), 0) for t in TONES], highest
        )
    labels = [Tick(str(day.day), LEFT + number * step + step / 2) for number, day in enumerate(dates)]
    scale = [Tick(str(value), _height(value, highest)) for value in (0, highest // 2, highest)]
    total, failed = sum(counted.values()), sum(n for (_, tone), n in counted.items() if tone == "bad")
    return Days(bars, scale, labels, total, failed, since, until)


@dataclass(frozen=True)
class Range:
    """One kind: half took up to the median, 95 % up to p95."""

    label: str
    y: int
    median: float
    p95: float
    words: str


@dataclass(frozen=True)
class Durations:
    ranges: list[Range]
    scale: list[Tick]
    title: str


def durations(found: list[tuple[str, timedelta, timedelta]], words: Callable[[timedelta], str]) -> Durations:
    """found: label, median and p95 of each kind. words: how a duration reads."""
    longest = max((p95 for _, _, p95 in found), default=timedelta(minutes=1))
    whole, unit, size = _axis(longest)
    ranges = [
        Range(
            label,
            20 + number * 29,
            _along(median, whole * size),
            _along(p95, whole * size),
            f"{words(median)}, {words(p95)}",
        )
        for number, (label, median, p95) in enumerate(found)
    ]
    text = "; ".join(f"{one.label.lower()} {one.words}" for one in ranges) or "none have ended yet"
    steps = [whole * part / 4 for part in range(5)]
    scale = [
        Tick(f"{step:g}" + (f" {unit}" if step == whole else ""), _along_s(step * size, whole * size)) for step in steps
    ]
    return Durations(ranges, scale, f"How long operations take, half and 95 %: {text}")


# Where the names of the kinds end, and where the longest bar ends: the words stand behind it.
_FROM, _TO = 92, 396


def _axis(longest: timedelta) -> tuple[int, str, int]:
    """The end of the axis, its unit, and the unit's seconds."""
    seconds = max(longest.total_seconds(), 1)
    unit, size = ("s", 1) if seconds < 120 else ("min", 60) if seconds < 7200 else ("h", 3600)
    return max(_round_up(ceil(seconds / size)), 4), unit, size


def _along(time: timedelta, whole_s: float) -> float:
    return _along_s(time.total_seconds(), whole_s)


def _along_s(seconds: float, whole_s: float) -> float:
    return round(_FROM + (_TO - _FROM) * seconds / whole_s, 1)


def _counted(rows: Iterable[tuple[date, str, int]]) -> dict[tuple[date, str], int]:
    found: dict[tuple[date, str], int] = {}
    for day, state, number in rows:
        tone = {State.SUCCEEDED: "good", State.FAILED: "bad"}.get(State(state), "calm")
        found[day, tone] = found.get((day, tone), 0) + number
    return found


def _stack(x: float, width: float, numbers: list[int], highest: int) -> list[Bar]:
    bars, below = [], 0
    for tone, number in zip(TONES, numbers, strict=True):
        if number:
            top = _height(below + number, highest)
            bars.append(Bar(tone, round(x, 1), top, round(width, 1), round(_height(below, highest) - top, 1)))
        below += number
    return bars


def _height(value: int, highest: int) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * value / highest, 1)


def _round_up(value: int) -> int:
    """The next even number that reads well: 2, 4, 10, 20, 40, 100."""
    unit = 1
    while unit * 10 < value:
        unit *= 10
    return next(unit * factor for factor in (2, 4, 10) if unit * factor >= value)
