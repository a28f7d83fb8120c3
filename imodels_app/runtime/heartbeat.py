"""Signs of life: when a worker last really ran a task that beat sent. In the cache, because losing it harms nothing."""

from django.core.cache import cache

from imodels_app.runtime import clock

KEY = "heartbeat"
# The timetable sends a sweep every second, so silence this long means that no worker consumes or no beat ticks.
SILENT_AFTER_S = 30.0


def record() -> None:
    """A worker runs one of beat's tasks right now."""
    cache.set(KEY, clock.now().timestamp(), timeout=3600)


def age_s() -> float | None:
    """Seconds since the last sign of life; None when there was none."""
    seen = cache.get(KEY)
    return max(0.0, clock.now().timestamp() - seen) if isinstance(seen, float) else None
