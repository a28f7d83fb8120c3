"""How often one person may do what costs everybody something; a stranger is known by their address.

The counts are in Django's cache: a stranger's request writes no row, and a flush of Redis forgets no more than a
minute. While Redis is down nothing is throttled, for pages work without it. What has to hold whatever happens is
counted in rows: the platform's rate limits with each person's share (rate_limits), files (staging), e-mails (outbox).
"""

import time
from dataclasses import dataclass

from django.core.cache import cache
from redis import RedisError

WINDOW_S = 60


@dataclass(frozen=True)
class Throttle:
    """So many of something a minute, from one person or address. what: as people read it."""

    what: str
    a_minute: int


class Throttled(Exception):
    """Not now. Its text can be shown."""

    def __init__(self, throttle: Throttle, retry_after_s: int) -> None:
        super().__init__(
            f"iModel Desk takes at most {throttle.a_minute} {throttle.what} a minute. Try again in {retry_after_s} s."
        )
        self.retry_after_s = retry_after_s


# Each start and each return asks the sign-in service, and nobody is known yet: a whole office behind one address may
# come at nine o'clock.
SIGN_INS = Throttle("sign-ins from one address", 120)
# Reads the whole history, and holds a thread for as long as the other end reads.
EXPORTS = Throttle("exports from one person", 5)
# Each asks the platform several questions, writes rows, and tells leads.
REQUESTS = Throttle("requests from one person", 60)
# A page of the table is cancelled at once; nobody reads sixty requests a minute.
DECISIONS = Throttle("decisions and cancellations from one person", 60)
# Every preset is in a list that a whole team reads.
PRESETS = Throttle("changes to presets from one person", 30)
# Each asks who could meet the rule, and tells leads.
RULES = Throttle("changes to rules from one person", 30)
# Each is an event, and tells leads; a new team has many people.
RIGHTS = Throttle("changes to teams and people from one person", 120)
# Each is a file on the disk for a day. Its pieces are not counted.
UPLOADS = Throttle("new uploads from one person", 30)


def count(throttle: Throttle, who: str) -> None:
    """Count one, or raise Throttled. What is refused does not lengthen the wait."""
    # Of this machine's clock: hosts that differ begin a minute apart, no more.
    window, elapsed_s = divmod(int(time.time()), WINDOW_S)
    key = f"throttle:{throttle.what}:{who}:{window}".replace(" ", "-")
    try:
        cache.add(key, 0, 2 * WINDOW_S)
        taken = cache.incr(key)
    except (RedisError, OSError, ValueError):  # away, or emptied in between
        return
    if taken > throttle.a_minute:
        raise Throttled(throttle, WINDOW_S - elapsed_s)
