"""Forks that have not ended and forks that have: of one iModel, or in one iTwin, as a person may see them."""

from dataclasses import dataclass

from django.db.models import Q

from imodels_app.display import formats
from imodels_app.models import Operation, OperationQuerySet
from imodels_app.states import FINISHED, Kind
from imodels_app.tables import filters, keyset

MOST_FORKS = 5
IS_OPEN = ~Q(state__in=sorted(FINISHED))


@dataclass(frozen=True)
class Forks:
    """Newest first. count: how many this person may see; hidden: and may not; both counted as keyset.count does."""

    shown: list[Operation]
    count: int
    hidden: int = 0

    @property
    def more(self) -> str:
        """How many more this person may see than are shown, as it is read."""
        return _beyond(len(self.shown), self.count)

    @property
    def unseen(self) -> str:
        """How many they may not see, as it is read."""
        return _beyond(self.count, self.count + self.hidden)


def around(rows: OperationQuerySet, seen: list[OperationQuerySet]) -> dict[str, Forks]:
    """The open and the done forks among these rows. seen: those that this person sees, in parts (keyset.page)."""
    found = {"forks_open": IS_OPEN, "forks_done": ~IS_OPEN}
    return {name: _forks(rows, seen, Q(condition, kind=Kind.FORK)) for name, condition in found.items()}


def _beyond(some: int, counted: int) -> str:
    return formats.at_most(counted - some, max(keyset.MOST_COUNTED - some, 0)) if counted > some else ""


def _forks(rows: OperationQuerySet, seen: list[OperationQuerySet], condition: Q) -> Forks:
    parts = [part.filter(condition) for part in seen]
    shown = [row for part in parts for row in filters.NEWEST.of(part.to_show())[:MOST_FORKS]]
    count = keyset.count(parts)
    hidden = keyset.count([rows.filter(condition)]) - count
    return Forks(sorted(shown, key=filters.NEWEST.place_of, reverse=True)[:MOST_FORKS], count, hidden)
