"""Signs of life: when a worker last really ran a task that beat sent. In the cache, because losing it harms nothing."""

from django.core.cache import cache

from imodels_app.runtime import clock

# By who does the work: those that send, and those that poll.
KEY, POLLER = "heartbeat", "heartbeat:poller"
# The timetable sends each a sweep every second or two: silence this long means that none consumes, or no beat ticks.
SILENT_AFTER_S = 30.0


def record(whose: str = KEY) -> None:
    """A worker runs one of beat's tasks right now."""
    cache.set(whose, clock.now().timestamp(), timeout=3600)


def age_s(whose: str = KEY) -> float | None:
    """Seconds since the last sign of life; None when there was none."""
    seen = cache.get(whose)
    return max(0.0, clock.now().timestamp() - seen) if isinstance(seen, float) else None
