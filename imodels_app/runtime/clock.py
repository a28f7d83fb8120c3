"""The one clock that all processes share: the database's.

Hosts disagree about the time, and their clocks jump. Leases, rate limits and whatever is due are compared between
processes, so they are measured by one clock. A process asks the database now and then and counts on from there
with its monotonic clock, which no jump moves.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError, connection

ASK_EVERY_S = 10.0


@dataclass(frozen=True)
class _Reading:
    at: datetime
    monotonic_s: float


_last: _Reading | None = None


def now() -> datetime:
    """The time at the database, as an aware UTC datetime."""
    global _last  # noqa: PLW0603 - one reading for the whole process
    reading = _last
    if reading is None or time.monotonic() - reading.monotonic_s > ASK_EVERY_S:
        try:
            # Counted on from when the answer is here: never ahead of the database, so no reading steps back.
            reading = _last = _Reading(_ask(), time.monotonic())
        except DatabaseError:  # down, or the transaction is broken: the next query says so
            if reading is None:
                raise
    return reading.at + timedelta(seconds=time.monotonic() - reading.monotonic_s)


def _ask() -> datetime:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")
            # It cuts off below a millisecond: rather a little late than before what was written just now.
            return datetime.fromisoformat(cursor.fetchone()[0]).replace(tzinfo=UTC) + timedelta(milliseconds=1)
        cursor.execute("SELECT clock_timestamp()")
        at: datetime = cursor.fetchone()[0]
        return at.astimezone(UTC)
