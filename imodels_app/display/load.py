"""What operators look at: how much waits, what the rate limits leave, and how soon ends are noticed.

All of it is read from the database (and signs of life from the cache), so any process tells the same.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db.models import Count, F, Min, Sum
from redis.exceptions import RedisError

from imodels_app.limits import past_durations, rate_limits
from imodels_app.models import Attempt, Bucket, Notification, Operation, Upload
from imodels_app.runtime import heartbeat
from imodels_app.states import Kind, State

HOUR = timedelta(hours=1)
# Of the picture of an hour: bars, and the height of the tallest.
BARS, TALLEST = 12, 24
STEPS = {State.QUEUED: "To be sent", State.SUBMITTING: "To be looked up", State.RUNNING: "To be polled"}
WORKERS = {heartbeat.KEY: "worker", heartbeat.POLLER: "poller"}


@dataclass(frozen=True)
class Step:
    """Rows in one state. late_s: how long the oldest of them has been due; 0 while none is."""

    name: str
    label: str
    rows: int
    late_s: float


@dataclass(frozen=True)
class LimitUse:
    """One rate limit. bars: the last hour, five minutes each, as heights; refused: answers of 429 in it."""

    bucket: str
    name: str
    limit: int
    minute: int
    hour: int
    refused: int
    bars: list[tuple[int, int]]
    frozen_until: datetime | None
    no_bursts_until: datetime | None


@dataclass(frozen=True)
class Followed:
    """How what ended within the hour was followed. lag_s, least_s: None when nothing did.

    lag_s    between an end and its notice: half of the time since it was last known to run
    least_s  what so many polls of each can come to at least, by what is known of their durations
    """

    ended: int
    polls: int
    lag_s: float | None
    least_s: float | None

    @property
    def polls_a_minute(self) -> float:
        return self.polls / 60


@dataclass(frozen=True)
class Load:
    steps: list[Step]
    limits: list[LimitUse]
    followed: Followed
    running: int
    by_list: int
    calls: int
    calls_left: int
    uploads: int
    upload_bytes_left: int
    mails: int
    mail_late_s: float
    workers: dict[str, float | None]


def load(now: datetime) -> Load:
    """How it is now."""
    running = Operation.objects.filter(state=State.RUNNING)
    uploads = Upload.objects.filter(operation__state=State.UPLOADING)
    bytes_left = uploads.aggregate(left=Sum(F("operation__file_size") - F("sent_bytes")))["left"]
    mails = Notification.objects.filter(sent_at=None, due_at__isnull=False)
    calls = Bucket.objects.filter(name=rate_limits.CALLS).values_list("counted", flat=True).first() or 0
    return Load(
        steps=[_step(state, label, now) for state, label in STEPS.items()],
        limits=[_limit(bucket, name, now) for bucket, name in rate_limits.NAMES.items()],
        followed=_followed(now),
        running=running.count(),
        by_list=running.exclude(listed_at=None).count(),
        calls=calls,
        calls_left=rate_limits.polls_left(now),
        uploads=uploads.count(),
        upload_bytes_left=bytes_left or 0,
        mails=mails.count(),
        mail_late_s=_late_s(mails.aggregate(at=Min("due_at"))["at"], now),
        workers={name: _silent_s(key) for key, name in WORKERS.items()},
    )


def bands() -> dict[str, int]:
    """By kind, for how many of a hundred what remains was in its range; without those of which too few have ended."""
    held = {kind.label: past_durations.band_held(kind) for kind in Kind}
    return {kind: round(100 * share) for kind, share in held.items() if share is not None}


def _step(state: State, label: str, now: datetime) -> Step:
    rows = Operation.objects.filter(state=state).aggregate(count=Count("pk"), at=Min("due_at"))
    return Step(str(state), label, rows["count"], _late_s(rows["at"], now))


def _late_s(due_at: datetime | None, now: datetime) -> float:
    return max(0.0, (now - due_at).total_seconds()) if due_at else 0.0


def _limit(bucket: str, name: str, now: datetime) -> LimitUse:
    sent = Attempt.objects.filter(bucket=bucket, sent_at__gt=now - HOUR)
    ages = [(now - at) / (HOUR / BARS) for at in sent.values_list("sent_at", flat=True)]
    counts = [sum(int(age) == BARS - 1 - bar for age in ages) for bar in range(BARS)]
    row = Bucket.objects.filter(name=bucket).first() or Bucket(name=bucket)
    return LimitUse(
        bucket,
        name,
        limit=rate_limits.limit(bucket),
        minute=sum(one.at > now - timedelta(minutes=1) for one in rate_limits.pace(bucket, now).sent),
        hour=len(ages),
        refused=sent.filter(status=429).count(),
        bars=[(9 * bar, round(TALLEST * count / max(*counts, 1))) for bar, count in enumerate(counts)],
        frozen_until=_still(row.frozen_until, now),
        no_bursts_until=_still(row.no_bursts_until, now),
    )


def _still(until: datetime | None, now: datetime) -> datetime | None:
    return until if until and until > now else None


def _followed(now: datetime) -> Followed:
    ended = Operation.objects.filter(finished_at__gt=now - HOUR, accepted_at__isnull=False, polled_at__isnull=False)
    rows = list(ended.only("kind", "polled_at", "finished_at", "polls", "changeset_index", "file_size"))
    if not rows:
        return Followed(0, 0, None, None)
    known = past_durations.History()
    lags_s = [
        (one.finished_at - one.polled_at).total_seconds() / 2 for one in rows if one.finished_at and one.polled_at
    ]
    least_s = [known.of(one).least_lag_s(one.polls + 1) for one in rows]
    return Followed(len(rows), sum(one.polls for one in rows), sum(lags_s) / len(rows), sum(least_s) / len(rows))


def _silent_s(key: str) -> float | None:
    """Seconds since the last sign of life; None when there was none."""
    try:
        cache.get(key)
        return heartbeat.age_s(key)
    except (RedisError, OSError):
        return None
