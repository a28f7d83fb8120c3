"""What this dashboard's own operations tell of how long the next one takes: by kind and size, and what still runs."""

import math
from collections.abc import Sequence
from datetime import datetime

from django.core.cache import cache
from django.db.models import QuerySet
from redis.exceptions import RedisError

from imodels_app.limits.durations import ENOUGH, Durations, Seen, learned, of_now
from imodels_app.models import Operation
from imodels_app.runtime import clock
from imodels_app.states import Kind, State

# The latest ones that are learned from.
LATEST = 400
KEPT_FOR_S = 60
# Kinds that are known by what they copy have changesets, and a baseline its bytes.
_MIB = 2**20


class History:
    """Answers for one page, or one look at many operations: each kind and size is asked for once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], Durations] = {}

    def of(self, operation: Operation) -> Durations:
        """Learned from those of its kind and size that ended here; of its kind alone while they are fewer than ENOUGH.

        Its `seen` is 0 when those are too few, too.
        """
        like = (operation.kind, size_class(operation))
        if like not in self._known:
            known = _remembered(*like)
            self._known[like] = known if known.seen >= ENOUGH else _remembered(operation.kind, None)
        return self._known[like]


def size_class(operation: Operation) -> int:
    """Sizes within a factor of four of each other count as one."""
    size = (operation.file_size or 0) / _MIB if operation.kind == Kind.BASELINE else operation.changeset_index or 0
    return int(math.log(size, 4)) + 1 if size >= 1 else 0


def band_held(kind: str, share: float = 0.8) -> float | None:
    """For which part of the newest third the band held that the others would have given; None of too few.

    share  what it is meant to hold for
    """
    seen = _seen_of(kind, None)
    newest, earlier = seen[: len(seen) // 3], seen[len(seen) // 3 :]
    if len(earlier) < ENOUGH or not newest:
        return None
    known = learned(earlier)
    low_s, high_s = known.remaining(0, (1 - share) / 2), known.remaining(0, (1 + share) / 2)
    return sum(low_s <= one.ended_s <= high_s for one in newest) / len(newest)


def _remembered(kind: str, size: int | None) -> Durations:
    """Kept a minute: a second's polls all ask."""
    key = f"durations:{kind}:{size}"
    try:
        if kept := cache.get(key):
            return Durations(kept["hazards"], kept["seen"])
        known = _learned(kind, size, clock.now())
        cache.set(key, {"hazards": list(known.hazards), "seen": known.seen}, KEPT_FOR_S)
    except (RedisError, OSError):
        return _learned(kind, size, clock.now())
    return known


def _learned(kind: str, size: int | None, now: datetime) -> Durations:
    latest = _latest_ended(kind)
    ended = _ended(latest, size)
    seen = of_now([_seen(one) for one in ended])
    running = _of_size(_latest(Operation.objects.filter(kind=kind, state=State.RUNNING).order_by("-created_at")), size)
    before: list[float] = []
    if len(latest) == LATEST or len(seen) < len(ended):  # others ended before these
        counted = ended[: len(seen)]
        first_at = min((one.finished_at for one in counted if one.finished_at), default=now)
        before = [_age_s(one, first_at) for one in (*counted, *running)]
    return learned(seen, [_age_s(one, now) for one in running], before)


def _seen_of(kind: str, size: int | None) -> Sequence[Seen]:
    """Newest first."""
    return of_now([_seen(one) for one in _ended(_latest_ended(kind), size)])


def _latest_ended(kind: str) -> list[Operation]:
    return _latest(Operation.objects.filter(kind=kind, finished_at__isnull=False).order_by("-finished_at"))


def _latest(rows: QuerySet[Operation]) -> list[Operation]:
    fields = ("kind", "state", "accepted_at", "polled_at", "finished_at", "changeset_index", "file_size")
    return list(rows.filter(accepted_at__isnull=False).only("pk", *fields)[:LATEST])


def _ended(latest: Sequence[Operation], size: int | None) -> list[Operation]:
    return [one for one in _of_size(latest, size) if one.state in (State.SUCCEEDED, State.FAILED)]


def _of_size(latest: Sequence[Operation], size: int | None) -> list[Operation]:
    return [one for one in latest if size is None or size_class(one) == size]


def _seen(operation: Operation) -> Seen:
    ended_s = _age_s(operation, operation.finished_at)
    return Seen(min(_age_s(operation, operation.polled_at), ended_s), ended_s)


def _age_s(operation: Operation, at: datetime | None) -> float:
    return max(0.0, (at - operation.accepted_at).total_seconds()) if at and operation.accepted_at else 0.0
