"""Celery as it runs on a machine that is a little odd; otherwise `python -m celery`.

CLOCK_AHEAD_S      the machine's clock is so much ahead (negative: behind), for all Python code in the process
SILENT_FOR_S       the watchdog loses its patience after so long
"""

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any


def turn_the_clock(ahead: timedelta) -> None:
    """What the process takes for the time: Django's, Celery's and time.time()."""
    from celery.worker import request
    from django.utils import timezone

    real, ahead_s = time.time, ahead.total_seconds()
    timezone.now = lambda: datetime.now(UTC) + ahead
    request.datetime = _Turned  # what expiries are compared with
    time.time = lambda: real() + ahead_s


class _Turned(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.fromtimestamp(time.time(), tz)


if __name__ == "__main__":
    if ahead_s := float(os.environ.get("CLOCK_AHEAD_S") or 0):
        turn_the_clock(timedelta(seconds=ahead_s))
    if silent_for_s := os.environ.get("SILENT_FOR_S"):
        from dashboard import watchdog

        watchdog.SILENT_FOR_S, watchdog.CHECK_EVERY_S = float(silent_for_s), 0.5
    from celery.__main__ import main

    main()
