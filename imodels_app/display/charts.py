"""Pictures drawn on the server: plain numbers in, places of bars out. Colours and words are the templates'."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil

from imodels_app.states import State

# The picture's own units.
TOP, BOTTOM, LEFT, RIGHT = 12, 150, 28, 514
TONES = ("good", "calm", "bad")
# More bars would be too narrow to be clicked.
MOST_DAYS, MOST_DAYS_BY_WEEK = 31, 190


@dataclass(frozen=True)
class Bar:
    """One piece of a bar: so many operations that ended so from since to until."""

    tone: str
    x: float
    y: float
    width: float
    height: float
    number: int
    since: date
    until: date

    @property
    def state(self) -> tuple[str, str]:
        """As a filter names it, and as people do."""
        return {"good": ("succeeded", "succeeded"), "bad": ("failed", "failed")}.get(
            self.tone, ("ended", "ended otherwise")
        )


@dataclass(frozen=True)
class Tick:
    label: str
    at: float


@dataclass(frozen=True)
class Period:
    """A day, a week or a month of a picture, and how many operations ended in it by tone."""

    label: str
    since: date
    until: date
    numbers: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.numbers.values())


@dataclass(frozen=True)
class Days:
    """Operations by how they ended, stacked: succeeded, ended otherwise, failed. unit: what one bar is."""

    unit: str
    periods: list[Period]
    bars: list[Bar]
    scale: list[Tick]
    labels: list[Tick]
    total: int
    failed: int
    since: date
    until: date


def days(since: date, until: date, rows: Iterable[tuple[date, str, int]]) -> Days:
    """rows: day, state and how many ended so. A bar is a day; of more than 31 days a week, of more than 190 a month."""
    unit, starts = _starts(since, until)
    periods = _periods(unit, starts, until, rows)
    highest = _round_up(max((period.total for period in periods), default=0))
    step = (RIGHT - LEFT) / len(periods)
    bars = [
        bar
        for number, period in enumerate(periods)
        for bar in _stack(LEFT + number * step + step * 0.18, step * 0.64, period, highest)
    ]
    labels = [Tick(period.label, LEFT + number * step + step / 2) for number, period in enumerate(periods)]
    scale = [Tick(str(value), _height(value, highest)) for value in (0, highest // 2, highest)]
    total, failed = (sum(numbers) for numbers in ([p.total for p in periods], [p.numbers["bad"] for p in periods]))
    return Days(unit, periods, bars, scale, labels, total, failed, since, until)


def _starts(since: date, until: date) -> tuple[str, list[date]]:
    """What one bar is, and the first day of each."""
    dates = [since + timedelta(days=number) for number in range((until - since).days + 1)]
    if len(dates) <= MOST_DAYS:
        return "day", dates
    if len(dates) <= MOST_DAYS_BY_WEEK:
        return "week", dates[::7]
    return "month", [day for day in dates if day.day == 1 or day == since]


def _periods(unit: str, starts: list[date], until: date, rows: Iterable[tuple[date, str, int]]) -> list[Period]:
    ends = [*(start - timedelta(days=1) for start in starts[1:]), until]
    found = [
        Period(_label(unit, start), start, end, dict.fromkeys(TONES, 0))
        for start, end in zip(starts, ends, strict=True)
    ]
    for day, state, number in rows:
        tone = {State.SUCCEEDED: "good", State.FAILED: "bad"}.get(State(state), "calm")
        found[bisect_right(starts, day) - 1].numbers[tone] += number
    return found


def _label(unit: str, start: date) -> str:
    return str(start.day) if unit == "day" else f"{start:%-d %b}" if unit == "week" else f"{start:%b %y}"


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
            f"{words(median)}, {words(p95)}" if words(median) != words(p95) else words(median),
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


def _stack(x: float, width: float, period: Period, highest: int) -> Iterator[Bar]:
    below = 0
    for tone, number in period.numbers.items():
        if number:
            top, bottom = _height(below + number, highest), _height(below, highest)
            place = (round(x, 1), top, round(width, 1), round(bottom - top, 1))
            yield Bar(tone, *place, number, period.since, period.until)
        below += number


def _height(value: int, highest: int) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * value / highest, 1)


def _round_up(value: int) -> int:
    """The next even number that reads well: 2, 4, 10, 20, 40, 100."""
    unit = 1
    while unit * 10 < value:
        unit *= 10
    return next(unit * factor for factor in (2, 4, 10) if unit * factor >= value)
