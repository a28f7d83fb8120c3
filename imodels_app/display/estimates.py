"""How long an operation usually takes: by what polling has learned of its kind and size (limits.past_durations).

While that is too little, by the few of its source, or of its kind.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from imodels_app.display.percentiles import percentile
from imodels_app.limits.durations import Durations
from imodels_app.limits.past_durations import History
from imodels_app.models import Operation
from imodels_app.states import Kind, State

# Fewer earlier ones tell nothing.
ENOUGH = 5
# The latest ones of a kind that are looked at, while they are few: one bounded query.
LATEST = 200


@dataclass(frozen=True)
class UsualDuration:
    """Half of `count` earlier ones took up to `median`, nine in ten up to `p90`.

    source: the name of the iModel they were all copies of; empty when they are all of the kind.
    known: what was learned; None while too few have ended
    """

    median: timedelta
    p90: timedelta
    count: int
    source: str = ""
    known: Durations | None = None

    def remaining(self, elapsed: timedelta) -> tuple[timedelta, timedelta]:
        """Eight in ten that came to this age need something between these two; or, of few, half and nine in ten."""
        if self.known is None:
            return self.median - elapsed, self.p90 - elapsed
        low_s, high_s = (self.known.remaining(elapsed.total_seconds(), share) for share in (0.1, 0.9))
        return timedelta(seconds=low_s), timedelta(seconds=high_s)

    @property
    def most(self) -> tuple[str, timedelta]:
        """How many of them ended within what time. What takes longer takes longer than usual."""
        if self.known is None:
            return "9 of 10", self.p90
        return "19 of 20", timedelta(seconds=self.known.remaining(0, 0.95))

    def share(self, elapsed: timedelta) -> int:
        """Percent of the usual time that has passed; never full while it runs."""
        return max(1, min(95, round(100 * elapsed / self.p90)))


class Estimates:
    """Answers for one page: each kind is read once."""

    def __init__(self) -> None:
        self._history = History()
        self._few: dict[str, list[tuple[str, timedelta]]] = {}

    def of(self, operation: Operation) -> UsualDuration | None:
        """The usual time of such an operation, or None when too few are known."""
        known = self._history.of(operation)
        if known.seen:
            median, p90 = (timedelta(seconds=known.remaining(0, share)) for share in (0.5, 0.9))
            return UsualDuration(median, p90, known.seen, known=known)
        few = self._of_kind(operation.kind)
        same = [lasted for source, lasted in few if operation.source_id and source == operation.source_id]
        if len(same) >= ENOUGH:
            return _usual(same, operation.source_name)
        return _usual([lasted for _, lasted in few]) if len(few) >= ENOUGH else None

    def _of_kind(self, kind: str) -> list[tuple[str, timedelta]]:
        if kind not in self._few:
            self._few[kind] = _durations(kind)
        return self._few[kind]


def _durations(kind: str) -> list[tuple[str, timedelta]]:
    rows = (
        Operation.objects.filter(kind=Kind(kind), state=State.SUCCEEDED, accepted_at__isnull=False)
        .order_by("-created_at")
        .values_list("source_id", "accepted_at", "finished_at")[:LATEST]
    )
    return [(source, _between(accepted, finished)) for source, accepted, finished in rows if accepted and finished]


def _between(start: datetime, end: datetime) -> timedelta:
    return max(end - start, timedelta(0))


def _usual(durations: list[timedelta], source: str = "") -> UsualDuration:
    return UsualDuration(percentile(durations, 50), percentile(durations, 90), len(durations), source)
