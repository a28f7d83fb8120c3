"""How long to leave alone what has failed: twice as long after each failure, up to a limit."""

from datetime import timedelta


def backoff(failures: int, *, first: timedelta, longest: timedelta) -> timedelta:
    """The pause after one more failure. failures: how many there were before it."""
    # More doublings than any limit has, and no number that a timedelta cannot hold.
    pause: timedelta = first * 2 ** min(failures, 12)
    return min(pause, longest)
