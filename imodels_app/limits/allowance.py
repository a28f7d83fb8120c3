"""How many calls of any kind may leave now, and how many of them are for following. Arithmetic only.

They come out of a bucket that drips a little less than the platform allows. What left is counted besides, in short
slots of the minute that is over, or of the hour where the tier has a limit for it: following never goes beyond what
that really leaves. So the bucket need not be small for the limit's sake. It evens out what others use by chance: what
they leave in one moment is there in the next, and following slows down and speeds up little by little. A look that
comes as much earlier as another comes later saves less than that one costs.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from imodels_app.limits.pacing import MINUTE

# What drips of a limit; the rest is for what leaves by chance at the same time.
DRIPS = 0.96
# Of a limit a minute, a bucket holds what drips in this time. Of one an hour, all that the minute has beside it.
HOLDS_S = 6.0
# What look-ups count on there, which are few where following takes all.
HOLDS_FOR_LOOKUPS = 0.1
# Sweeps are a second apart.
SWEEP_S = 1.0
# Following takes what drips, but for a reserve: submitting, reconciling and look-ups come first.
RESERVE = 0.5
# However little has gathered, following is planned with this part of what drips.
LEAST_FOLLOWING = 0.2
# What the bucket holds is brought to where it should be within some sweeps, not at once.
SETTLES_S = 9.0
# What following leaves of what is counted, and what look-ups do, for each root of the limit. Sends, and looks at what
# has left a list, do not wait: by chance they are sometimes so many more, and the limit is not passed for all that.
FOLLOWING_LEAVES, LOOKUPS_LEAVE = 0.3, 0.1
# Slots of the minute or the hour, and one that is partly over.
SLOTS = 120
# Whoever waits for the row to count a call may come so many slots late.
LATE = 10
# After a 429 for all calls somebody else counts more than we do: then this part of the limits is used.
CAREFUL = 0.9

# Calls by the number of their slot, oldest first.
Slots = list[list[int]]


@dataclass(frozen=True)
class Limit:
    """What may be used of what the platform allows a minute, and an hour where it says so."""

    a_minute: float
    an_hour: float | None = None

    @property
    def counted(self) -> float:
        """Calls in `window`."""
        return self.an_hour or self.a_minute

    @property
    def window(self) -> timedelta:
        return timedelta(hours=1) if self.an_hour else MINUTE

    @property
    def drip_a_second(self) -> float:
        return DRIPS * self.counted / self.window.total_seconds()

    @property
    def holds(self) -> float:
        """Where an hour lets little drip, it is all that the minute has beside that."""
        if self.an_hour:
            return self.a_minute - MINUTE.total_seconds() * self.drip_a_second
        return HOLDS_S * self.drip_a_second

    @property
    def for_lookups(self) -> float:
        return max(self.holds, HOLDS_FOR_LOOKUPS * self.a_minute)

    def with_one_more(self, slots: Iterable[list[int]], at: datetime) -> Slots:
        """What has left, without what does not count any more."""
        kept = self._counted(slots, at)
        number = max([self._slot(at), *(one[0] for one in kept[-1:])])
        if kept and kept[-1][0] == number:
            return [*kept[:-1], [number, kept[-1][1] + 1]]
        return [*kept, [number, 1]]

    def used(self, slots: Iterable[list[int]], now: datetime) -> int:
        """What still counts; a slot does until all of it is over."""
        return sum(calls for _, calls in self._counted(slots, now))

    def _counted(self, slots: Iterable[list[int]], now: datetime) -> Slots:
        """Not what a clock that was put back since has written; but what others wrote while one waited for the row."""
        first, last = self._slot(now - self.window), self._slot(now) + LATE
        return [one for one in slots if first <= one[0] <= last]

    def _slot(self, at: datetime) -> int:
        return int(at.timestamp() * SLOTS / self.window.total_seconds())


@dataclass(frozen=True)
class Allowance:
    """What is left now.

    tokens  what the bucket holds
    slots   what has left
    """

    limit: Limit
    tokens: float
    now: datetime
    slots: Slots

    def polls(self) -> int:
        """How many calls following may make until the next sweep without the reserve."""
        gathered = self.tokens - RESERVE * self.limit.holds + SWEEP_S * self.limit.drip_a_second
        return max(0, int(min(gathered, self._calls_left(FOLLOWING_LEAVES))))

    def polls_a_second(self, expected: float = 0.0) -> float:
        """How many calls a second following may make from now on: what drips beside what others are expected to use.

        And so much more or less that what the bucket holds tends to the middle of what is above the reserve: so what
        others use is left to them, and what nobody uses is used.
        """
        above = self.tokens - (1 + RESERVE) / 2 * self.limit.holds
        settles_s = max((1 - RESERVE) / 2 * self.limit.holds / self.limit.drip_a_second, SETTLES_S)
        planned = self.limit.drip_a_second + above / settles_s
        return max(LEAST_FOLLOWING * self.limit.drip_a_second, planned - expected)

    def may_look_up(self) -> bool:
        """Whether one is left for people."""
        return self._calls_left(LOOKUPS_LEAVE) >= 1

    def _calls_left(self, leaves: float) -> float:
        """Calls that are left beside this for each root of the limit."""
        return self.limit.counted - leaves * math.sqrt(self.limit.counted) - self.limit.used(self.slots, self.now)
