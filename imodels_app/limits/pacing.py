"""How soon the next request of a rate-limited kind may leave. Arithmetic only: no clock, no queries.

The platform documents how many a minute, not how it counts: a fixed window, a sliding log, a sliding counter
or a token bucket. Request i leaves at max(sent[i-1] + 60/L, answered[i-L] + 60). The platform counted a request no
later than it answered it, so no 60 s at its end can hold more than L, whatever the requests' delays; and the even
spacing is what a counter that interpolates, or a bucket that drips, expects. tests/limits/test_pacing.py plays it
against all four.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from imodels_app.runtime.timing import LONGEST_CALL
from imodels_app.states import WaitReason

# A minute, and a little for clocks that do not tick alike: half a per cent of the allowed rate.
MINUTE = timedelta(seconds=60.3)


@dataclass(frozen=True)
class Turn:
    """When a request may leave, and what it waits for until then.

    reason  SPACED, OWN_LIMIT, or RATE_LIMIT for the platform's own 429; NONE: nothing
    """

    at: datetime
    reason: WaitReason


@dataclass(frozen=True)
class Sent:
    """One request. answered_at: None while there is no answer, or when it was lost."""

    at: datetime
    answered_at: datetime | None = None

    @property
    def counted_by(self) -> datetime:
        """The latest instant at which the platform can have counted it."""
        return self.answered_at or self.at + LONGEST_CALL  # its caller has given up by then


def next_turn(latest: Sequence[Sent], limit: int, *, one_at_a_time: bool = False) -> Turn | None:
    """When the next request may leave, and why not before; None: at once.

    latest         the last `limit` requests (or all there were), newest first
    limit          requests a minute
    one_at_a_time  after a 429: wait for each answer, and count the spacing from it
    """
    if not latest:
        return None
    newest = latest[0]
    spaced = Turn((newest.counted_by if one_at_a_time else newest.at) + MINUTE / limit, WaitReason.SPACED)
    if len(latest) < limit:
        return spaced
    return later(spaced, Turn(latest[limit - 1].counted_by + MINUTE, WaitReason.OWN_LIMIT))


def later(*turns: Turn) -> Turn:
    """What really has to be waited for, of several."""
    return max(turns, key=lambda turn: turn.at)
