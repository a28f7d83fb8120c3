"""One budget for each of the platform's rate limits, shared by all people and workers of this dashboard.

The platform's window kind is not documented. Sending request i of a bucket no sooner than
max(sent[i-1] + 60/L, answered[i-L] + 60) fits all of them: the platform counted a request no later than it
answered it, so no 60 s at its end can hold more than L. State is in the database, so that no flushed Redis
can cause a burst.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from imodels_app.models import Attempt, Bucket
from imodels_app.states import Kind

MINUTE = timedelta(seconds=60)
# A request without an answer counts as answered when its caller has given up (connect 5 s + read 30 s).
LONGEST_CALL = timedelta(seconds=35)
# The shares of the minute that the sweep may spend on following; people's own calls need the rest.
SHARE_FOR_FOLLOWING = 0.8

# Creations, clones and forks a minute; and all calls, where Trial's hour (5000) is what binds.
# Source: the rate limits of the create, clone and fork pages, and of the platform's overview.
LIMITS = {
    "trial": {"create": 5, "clone": 5, "fork": 5, "calls": 5000 // 60},
    "paid": {"create": 50, "clone": 20, "fork": 20, "calls": 5000},
}
NAMES = {"create": "creations", "clone": "clones", "fork": "forks"}


class Spent(Exception):
    """The budget allows the next request at `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__(until)
        self.until = until


@dataclass(frozen=True)
class Left:
    """What is left of a budget this minute. until: when there is more, if nothing is left."""

    name: str
    left: int
    limit: int
    until: datetime | None


def bucket_of(kind: str) -> str:
    """The budget a kind of operation is charged to."""
    return kind if kind in (Kind.CLONE, Kind.FORK) else "create"


def limit(bucket: str) -> int:
    """Requests a minute."""
    return LIMITS["trial" if settings.ITWIN_TIER == "trial" else "paid"][bucket]


def take(bucket: str, now: datetime) -> None:
    """Claim the next request of a bucket, or raise Spent. Call in the transaction that writes the Attempt.

    The bucket's row is locked until that transaction ends, so claims of all workers are counted one after another.
    """
    Bucket.objects.get_or_create(name=bucket)
    row = Bucket.objects.select_for_update().get(name=bucket)
    at = _next_at(row, now)
    if at > now:
        raise Spent(at)


def freeze(bucket: str, until: datetime) -> None:
    """The platform answered 429: send nothing of this bucket before `until`."""
    Bucket.objects.get_or_create(name=bucket)
    Bucket.objects.filter(Q(frozen_until=None) | Q(frozen_until__lt=until), name=bucket).update(frozen_until=until)


def looks_now(now: datetime, period_s: float) -> int:
    """How many running operations may be looked at in the next `period_s` seconds."""
    if Bucket.objects.filter(name="calls", frozen_until__gt=now).exists():
        return 0
    return max(1, int(limit("calls") / 60 * period_s * SHARE_FOR_FOLLOWING))


def left(now: datetime) -> list[Left]:
    """The three budgets as people see them."""
    return list(_left(now))


def _left(now: datetime) -> Iterator[Left]:
    frozen = dict(Bucket.objects.values_list("name", "frozen_until"))
    for bucket, name in NAMES.items():
        used = Attempt.objects.filter(bucket=bucket, sent_at__gt=now - MINUTE).count()
        rest = max(limit(bucket) - used, 0)
        until = frozen.get(bucket)
        if until and until > now:
            rest = 0
        elif not rest:
            until = _next_at(Bucket(name=bucket), now)
        yield Left(name=name, left=rest, limit=limit(bucket), until=until if not rest else None)


def _next_at(row: Bucket, now: datetime) -> datetime:
    """When the next request of this bucket may leave; now or earlier if at once."""
    most = limit(row.name)
    sent = list(Attempt.objects.filter(bucket=row.name).order_by("-sent_at", "-pk")[:most])
    earliest = [row.frozen_until] if row.frozen_until else []
    if sent:
        earliest.append(sent[0].sent_at + MINUTE / most)
    if len(sent) == most:
        earliest.append((sent[-1].answered_at or sent[-1].sent_at + LONGEST_CALL) + MINUTE)
    return max(earliest, default=now)
