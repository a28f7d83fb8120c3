"""Whether the platform answers at all. After several failures in a row everybody slows down, and one at a time tries.

The storage that baseline files go to is not the platform: it has a circuit of its own.

One row each in the database, so that all workers and pages see the same. It opens after FAILURES_TO_OPEN failures
without a success between them; each failed try keeps it open twice as long, up to LONGEST; a success closes it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F

from imodels_app.models import CircuitBreaker
from imodels_app.runtime.backoff import backoff

PLATFORM, STORAGE = "platform", "storage"
FAILURES_TO_OPEN = 5
SHORTEST = timedelta(seconds=5)
# An hour of 5xx must not mean that the recovery is noticed long after it: 30 s is the promise.
LONGEST = timedelta(seconds=20)


@dataclass(frozen=True)
class Outage:
    """The platform has not answered since `since`; the next try is at `until`."""

    since: datetime
    until: datetime


def outage(now: datetime, of: str = PLATFORM) -> Outage | None:
    """What to tell people; None while the platform answers."""
    row = CircuitBreaker.objects.filter(name=of, failures__gte=FAILURES_TO_OPEN).first()
    if row is None or row.failing_since is None or row.open_until is None:
        return None
    return Outage(since=row.failing_since, until=max(row.open_until, now))


def open_until(now: datetime, of: str = PLATFORM) -> datetime | None:
    """None: go ahead. Otherwise when to ask again.

    While it is open exactly one caller gets through each time it is due: whoever moves open_until on.
    """
    row = CircuitBreaker.objects.filter(name=of, failures__gte=FAILURES_TO_OPEN).first()
    if row is None or row.open_until is None:
        return None
    # Never open for so long: what lies beyond was written before the database's clock was put back.
    if now < row.open_until <= now + 2 * LONGEST:
        return row.open_until
    mine = CircuitBreaker.objects.filter(name=of, open_until=row.open_until, failures=row.failures)
    return None if mine.update(open_until=now + LONGEST) else now + SHORTEST


def record_failure(now: datetime, of: str = PLATFORM, *, began_at: datetime | None = None) -> None:
    """A call found nobody, or a platform in trouble.

    began_at  when it left: one that was under way when the circuit opened says nothing new, however many there were
    """
    CircuitBreaker.objects.get_or_create(name=of)
    row = CircuitBreaker.objects.filter(name=of).exclude(opened_at__gte=began_at or now)
    row.filter(failures=0).update(failing_since=now)
    if not row.update(failures=F("failures") + 1):
        return
    failures = CircuitBreaker.objects.values_list("failures", flat=True).get(name=of)
    if failures >= FAILURES_TO_OPEN:
        pause = backoff(failures - FAILURES_TO_OPEN, first=SHORTEST, longest=LONGEST)
        CircuitBreaker.objects.filter(name=of).update(opened_at=now, open_until=now + pause)


def record_success(of: str = PLATFORM) -> None:
    """A call was answered, be it with a refusal. Writes only when there is something to forget."""
    troubled = CircuitBreaker.objects.filter(name=of, failures__gt=0)
    troubled.update(failures=0, failing_since=None, opened_at=None, open_until=None)
