"""One bucket for each of the platform's rate limits, shared by all people and workers of this dashboard.

Creations, clones and forks have a bucket each: their requests are rows (Attempt), so a claim reads the last ones
and pacing.py says when the next may leave. Everything together has the bucket `calls`, whose tokens drip. All of
it is in the database: no flushed Redis can cause a burst, and a restarted worker forgets nothing.

Nobody can use up what is everybody's. What people look up (pickers, forms, checks) has a bucket of its own, LOOKUPS,
that drips slower than `calls` and holds less: whatever all of them look up, the steps of operations find something
left. And a person may look up no more than they leave to the others: what they have asked lately is at most what is
still in the bucket. So one takes half of it at once, the next a quarter, and whoever comes last finds something.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from imodels_app.limits import allowance
from imodels_app.limits.allowance import Allowance
from imodels_app.limits.pacing import MATTERS_FOR, MINUTE, Pace, Sent, Turn
from imodels_app.models import Attempt, Bucket, LookupShare
from imodels_app.runtime.timing import CLOCK_DIFFERENCE
from imodels_app.states import Kind, WaitReason

CALLS = "calls"
LOOKUPS = "lookups"
# Creations, clones and forks a minute; all calls a minute, and an hour where the tier has such a limit.
# Source: the rate limits of the create, clone and fork pages, and of the platform's overview.
LIMITS = {
    "trial": {"create": 5, "clone": 5, "fork": 5, CALLS: 500},
    "paid": {"create": 50, "clone": 20, "fork": 20, CALLS: 5000},
}
# The free tier, by its older name and its newer one.
FREE = {"trial", "community"}
TRIAL_CALLS_AN_HOUR = 5000
NAMES = {"create": "creations", "clone": "clones", "fork": "forks"}
# After a 429 a bucket waits for each answer for a while, and does without bursts for longer: our count and the
# platform's differ somehow.
ONE_AT_A_TIME_FOR = timedelta(minutes=5)
NO_BURSTS_FOR = timedelta(days=1)
# What all look-ups together may hold of the calls, less than that reserve; and how much of what drips is theirs.
LOOKUPS_HOLD, LOOKUPS_DRIP = 0.4, 0.5
# A page or a picker asks about so many questions. Whoever has used up their share waits until that many are back.
CALLS_A_LOOK = 10


class RateLimited(Exception):
    """The rate limit allows the next request at `until`; reason says which part of it."""

    def __init__(self, turn: Turn) -> None:
        super().__init__(turn)
        self.until, self.reason = turn.at, turn.reason


@dataclass(frozen=True)
class Remaining:
    """What is left of a rate limit this minute.

    until    when there is more, if nothing is left
    more_at  when the next of those that were used is free again
    """

    name: str
    remaining: int
    limit: int
    until: datetime | None
    more_at: datetime | None


def bucket_of(kind: str) -> str:
    """The bucket that a kind of operation counts in."""
    return kind if kind in (Kind.CLONE, Kind.FORK) else "create"


def limit(bucket: str) -> int:
    """Requests a minute."""
    return LIMITS["trial" if settings.ITWIN_TIER in FREE else "paid"][bucket]


def lock(bucket: str) -> None:
    """Wait until nobody else claims of this bucket, to the end of the transaction, and only then ask the clock.

    So the claims of all workers are counted one after another: each sees the attempts of those before it.
    """
    _locked(bucket)


def pace(bucket: str, now: datetime) -> Pace:
    """What was sent of a bucket, and when the next may leave. It holds for a claim while the bucket is locked."""
    rows = {row.name: row for row in Bucket.objects.filter(name__in=[bucket, CALLS])}
    row = rows.get(bucket) or Bucket(name=bucket)
    frozen = [one.frozen_until for one in rows.values() if one.frozen_until and one.frozen_until > now]
    sent = Attempt.objects.filter(bucket=bucket, sent_at__gt=now - MATTERS_FOR, sent_at__lte=now + CLOCK_DIFFERENCE)
    times = sent.order_by("-sent_at", "-pk").values_list("sent_at", "answered_at", "operation__requested_by")
    return Pace(
        [Sent(*one) for one in times],
        limit(bucket),
        now,
        is_even=bool(row.no_bursts_until and row.no_bursts_until > now),
        after_answer=bool(row.one_at_a_time_until and row.one_at_a_time_until > now),
        frozen_until=max(frozen, default=None),
    )


def turn(bucket: str, now: datetime) -> Turn:
    """The next request's turn; now, for no reason, when it may leave at once."""
    return pace(bucket, now).turn()


def freeze(bucket: str, until: datetime, now: datetime, *, is_our_limit: bool = True) -> None:
    """The platform answered 429: send nothing of this bucket before `until`.

    is_our_limit  it is this bucket that is full, by the platform's own word: one at a time then for a while, and no
                  bursts for a day. A service behind the platform says nothing about our count.
    """
    Bucket.objects.get_or_create(name=bucket)
    Bucket.objects.filter(Q(frozen_until=None) | Q(frozen_until__lt=until), name=bucket).update(frozen_until=until)
    if is_our_limit:
        after = max(until, now)
        careful = {"one_at_a_time_until": after + ONE_AT_A_TIME_FOR, "no_bursts_until": after + NO_BURSTS_FOR}
        Bucket.objects.filter(name=bucket).update(**careful)


def bucket_named(operation: str, otherwise: str) -> str:
    """The bucket that a 429 means by its ITwinPlatform-RateLimited-Operation; without a word we know, `otherwise`.

    "all" is the application's own minute (and Trial's hour), to which every call counts.
    """
    return CALLS if operation.strip().lower() in ("all", "*") else otherwise


def frozen_until(now: datetime) -> datetime | None:
    """Until when the platform wants no call of any kind; None when it takes them."""
    row = Bucket.objects.filter(name=CALLS, frozen_until__gt=now).first()
    return row.frozen_until if row else None


def count_call(now: datetime) -> None:
    """Count one request of any kind, as it leaves.

    It may dip into the reserve and below nothing; following then waits until that has dripped in again.
    """
    with transaction.atomic():
        row = _locked(CALLS)
        remaining = max(_allowance(row, now).tokens - 1, -float(limit(CALLS)))
        last_hour = _of_all(row, now).with_one_more(row.last_hour or [], now)
        values = {"tokens": remaining, "dripped_at": now, "counted": F("counted") + 1, "last_hour": last_hour}
        Bucket.objects.filter(name=CALLS).update(**values)


def count_lookup(person_id: int, now: datetime) -> None:
    """Count one request that a person waits for, or raise RateLimited: they have had as much as they leave."""
    with transaction.atomic():
        bucket = _locked(LOOKUPS)
        share, _ = LookupShare.objects.get_or_create(person_id=person_id)
        calls = _calls()
        of_all = _of_all(calls, now)
        holds, drip_per_s = LOOKUPS_HOLD * of_all.for_lookups, LOOKUPS_DRIP * of_all.drip_a_second
        left, taken = _dripped(bucket, now, holds, drip_per_s), _remembered(share, now, holds / drip_per_s)
        if left < taken + 1 or not _allowance(calls, now).may_look_up():
            raise RateLimited(Turn(now + _until_a_look(left, taken, holds, drip_per_s), WaitReason.OWN_LIMIT))
        for row, tokens in ((bucket, left - 1), (share, taken + 1)):
            row.tokens, row.dripped_at = tokens, now
            row.save(update_fields=["tokens", "dripped_at"])
        count_call(now)


def polls_left(now: datetime) -> int:
    """How many calls following may make until the next sweep; 0 while frozen. They are counted as they leave."""
    row = _calls()
    if row.frozen_until and row.frozen_until > now:
        return 0
    return _allowance(row, now).polls()


def polls_a_second(now: datetime, expected: float = 0.0) -> float:
    """How many calls a second following may make from now on. expected: those of others"""
    return _allowance(_calls(), now).polls_a_second(expected)


def poll_worth_s() -> float:
    """How many seconds of lag a poll has to save now (poll_schedule.py)."""
    return Bucket.objects.filter(name=CALLS).values_list("poll_worth_s", flat=True).first() or 0.0


def set_poll_worth(seconds: float) -> None:
    Bucket.objects.get_or_create(name=CALLS)
    Bucket.objects.filter(name=CALLS).update(poll_worth_s=seconds)


def remaining(now: datetime) -> list[Remaining]:
    """The three rate limits as people see them."""
    return list(_remaining(now))


def _remaining(now: datetime) -> Iterator[Remaining]:
    for bucket, name in NAMES.items():
        current = pace(bucket, now)
        used = [one.at for one in current.sent if one.at > now - MINUTE]
        rest = 0 if current.frozen_until else max(limit(bucket) - len(used), 0)
        times = [at + MINUTE for at in used] + ([current.frozen_until] if current.frozen_until else [])
        yield Remaining(name, rest, limit(bucket), None if rest else current.turn().at, min(times, default=None))


def _locked(bucket: str) -> Bucket:
    Bucket.objects.get_or_create(name=bucket)
    return Bucket.objects.select_for_update().get(name=bucket)


def _calls() -> Bucket:
    return Bucket.objects.filter(name=CALLS).first() or Bucket(name=CALLS)


def _of_all(calls: Bucket, now: datetime) -> allowance.Limit:
    """The limit of all calls."""
    part = allowance.CAREFUL if calls.no_bursts_until and calls.no_bursts_until > now else 1.0
    an_hour = part * TRIAL_CALLS_AN_HOUR if settings.ITWIN_TIER in FREE else None
    return allowance.Limit(part * limit(CALLS), an_hour)


def _allowance(calls: Bucket, now: datetime) -> Allowance:
    of_all = _of_all(calls, now)
    tokens = _dripped(calls, now, of_all.holds, of_all.drip_a_second)
    return Allowance(of_all, tokens, now, calls.last_hour or [])


def _remembered(share: LookupShare, now: datetime, fades_in_s: float) -> float:
    """What a person has asked lately: it fades as fast as an empty bucket fills."""
    if share.dripped_at is None:
        return 0.0
    return share.tokens * math.exp(-max(0.0, (now - share.dripped_at).total_seconds()) / fades_in_s)


def _until_a_look(left: float, taken: float, holds: float, drip_per_s: float) -> timedelta:
    """How long until a page's questions can be asked: each takes one away, and adds one to what was asked."""
    missing = max(2 * CALLS_A_LOOK - (left - taken), 1)
    return timedelta(seconds=missing / (drip_per_s * (1 + taken / holds)))


def _dripped(row: Bucket, now: datetime, holds: float, drip_per_s: float) -> float:
    """What a bucket holds with what has dripped in since it was last touched."""
    if row.dripped_at is None:
        return holds
    return min(holds, row.tokens + max(0.0, (now - row.dripped_at).total_seconds()) * drip_per_s)
