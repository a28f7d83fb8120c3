"""How many calls of any kind may leave now, and how many of them are for following. Arithmetic only.

They come out of a bucket that drips, so that no minute of the platform's passes its limit: what the bucket holds and
what drips in a minute are together just that. It holds little, so that nearly all of the limit drips.

A tier with a limit an hour is counted besides, in short slots of the hour that is over. Dripping alone would have to
leave what a full bucket holds unused; by the count, following takes what the hour really has left. It goes slower the
less that is, so that it neither stands still before the hour's end nor passes it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from imodels_app.limits.pacing import MINUTE

# What a bucket holds beside what a minute drips: as much as drips in this time. Sweeps are a second apart.
HOLDS_S = 1.5
SWEEP_S = 1.0
# Following takes what drips, but for a reserve: submitting, reconciling and look-ups come first.
RESERVE = 0.5
# However little has gathered, following is planned with this part of what drips.
LEAST_FOLLOWING = 0.2
# What the bucket holds is brought to where it should be within some sweeps, not at once.
SETTLES_S = 3.0
# Of a limit an hour: what following leaves to others, and what look-ups leave to submitting and reconciling.
HOUR_RESERVE, HOUR_RESERVE_OF_LOOKUPS = 0.015, 0.005
# What drips of a limit an hour; the rest is for what had gathered before.
HOUR_DRIPS = 0.98
# Following is planned so that what is left of the hour, with what becomes free again meanwhile, lasts each of these.
LASTS = [timedelta(minutes=minutes) for minutes in (1, 5, 10, 20)]
HOUR, SLOT = timedelta(hours=1), timedelta(seconds=20)
# After a 429 for all calls somebody else counts more than we do: then this part of both limits is used.
CAREFUL = 0.9

# Calls by the number of their slot, oldest first.
Slots = list[list[int]]


def counted(slots: Iterable[list[int]], at: datetime) -> Slots:
    """With one more call, and without what no hour from now on can contain."""
    number, *rest = _slot(at), *[one for one in slots if _slot(at - HOUR) <= one[0]]
    if rest and rest[-1][0] >= number:  # the clock may have been put back
        return [*rest[:-1], [rest[-1][0], rest[-1][1] + 1]]
    return [*rest, [number, 1]]


def since(slots: Iterable[list[int]], at: datetime) -> int:
    """How many calls there can have been since: a slot counts until all of it is over."""
    return sum(calls for number, calls in slots if number >= _slot(at))


def _slot(at: datetime) -> int:
    return int(at.timestamp() // SLOT.total_seconds())


@dataclass(frozen=True)
class Limit:
    """What may be used of what the platform allows a minute, and an hour where it says so."""

    a_minute: float
    an_hour: float | None = None

    @property
    def drip_a_second(self) -> float:
        drip = self.a_minute / (MINUTE.total_seconds() + HOLDS_S)
        return min(drip, HOUR_DRIPS * self.an_hour / HOUR.total_seconds()) if self.an_hour else drip

    @property
    def holds(self) -> float:
        """With a limit an hour, of which little drips, that is much."""
        return self.a_minute - MINUTE.total_seconds() * self.drip_a_second


@dataclass(frozen=True)
class Allowance:
    """What is left now.

    tokens  what the bucket holds
    slots   of the last hour, where it has a limit
    """

    limit: Limit
    tokens: float
    now: datetime
    slots: Slots

    def polls(self) -> int:
        """How many calls following may make until the next sweep without the reserve."""
        left = self.tokens - RESERVE * self.limit.holds + SWEEP_S * self.limit.drip_a_second
        return max(0, int(min(left, self._hour_left(HOUR_RESERVE))))

    def polls_a_second(self, expected: float = 0.0) -> float:
        """How many calls a second following may make from now on: what drips beside what others are expected to use.

        And so much more or less that what the bucket holds tends to the middle of what is above the reserve: so what
        others use is left to them, and what nobody uses is used.
        """
        above = self.tokens - (1 + RESERVE) / 2 * self.limit.holds
        settles_s = max((1 - RESERVE) / 2 * self.limit.holds / self.limit.drip_a_second, SETTLES_S)
        of_bucket = self.limit.drip_a_second + above / settles_s
        of_hour = min(self._hour_left(HOUR_RESERVE, within=time) / time.total_seconds() for time in LASTS)
        return max(LEAST_FOLLOWING * self.limit.drip_a_second, min(of_bucket, of_hour) - expected)

    def may_look_up(self) -> bool:
        """Whether the hour has one left for people."""
        return self._hour_left(HOUR_RESERVE_OF_LOOKUPS) >= 1

    def _hour_left(self, reserve: float, within: timedelta = timedelta(0)) -> float:
        """Calls that the hour has beside a reserve, with what becomes free within a time; endless without a limit."""
        if self.limit.an_hour is None:
            return math.inf
        return (1 - reserve) * self.limit.an_hour - since(self.slots, self.now + within - HOUR)
