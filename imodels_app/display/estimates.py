"""How long an operation usually takes, judged by earlier ones of its kind, and of its source when there are enough."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from imodels_app.display.percentiles import percentile
from imodels_app.models import Operation
from imodels_app.states import Kind, State

# Fewer earlier ones tell nothing.
ENOUGH = 5
# The latest ones of a kind that are looked at: one bounded query.
LATEST = 200


@dataclass(frozen=True)
class UsualDuration:
    """Half of `count` earlier ones took up to `median`, nine in ten up to `p90`.

    source: the name of the iModel they were all copies of; empty when they are all of the kind.
    """

    median: timedelta
    p90: timedelta
    count: int
    source: str = ""

    def share(self, elapsed: timedelta) -> int:
        """Percent of the usual time that has passed; never full while it runs."""
        return max(1, min(95, round(100 * elapsed / self.p90)))


class Estimates:
    """Answers for one page: each kind is read once."""

    def __init__(self) -> None:
        self._durations: dict[str, list[tuple[str, timedelta]]] = {}

    def of(self, operation: Operation) -> UsualDuration | None:
        """The usual time of such an operation, or None when too few are known."""
        known = self._of_kind(operation.kind)
        if operation.source_id:
            same = [lasted for source, lasted in known if source == operation.source_id]
            if len(same) >= ENOUGH:
                return _usual(same, source=operation.source_name)
        return _usual([lasted for _, lasted in known]) if len(known) >= ENOUGH else None

    def _of_kind(self, kind: str) -> list[tuple[str, timedelta]]:
        if kind not in self._durations:
            self._durations[kind] = _durations(kind)
        return self._durations[kind]


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
