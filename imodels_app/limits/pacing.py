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

# A minute, and a little for clocks that do not tick alike: half a per cent of the allowed rate.
MINUTE = timedelta(seconds=60.3)


@dataclass(frozen=True)
class Sent:
    """One request. answered_at: None while there is no answer, or when it was lost."""

    at: datetime
    answered_at: datetime | None = None

    @property
    def counted_by(self) -> datetime:
        """The latest instant at which the platform can have counted it."""
        return self.answered_at or self.at + LONGEST_CALL  # its caller has given up by then


def next_at(latest: Sequence[Sent], limit: int, *, one_at_a_time: bool = False) -> datetime | None:
    """When the next request may leave; None: at once.

    latest         the last `limit` requests (or all there were), newest first
    limit          requests a minute
    one_at_a_time  after a 429: wait for each answer, and count the spacing from it
    """
    if not latest:
        return None
    newest = latest[0]
    spacing = MINUTE / limit
    at = (newest.counted_by if one_at_a_time else newest.at) + spacing
    if len(latest) >= limit:
        at = max(at, latest[limit - 1].counted_by + MINUTE)
    return at
