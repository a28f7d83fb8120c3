"""Searching lists that the platform may cut: what is asked, and what comes first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from imodels_app.itwin.types import Found, IModel
from imodels_app.requesting.ranking import Rank, excerpt, fold, longest_word, rank

# A search that takes several calls stops asking after this long and shows what it has.
SEARCH_FOR_S = 3.0
SHOWN = 25
# Lists come in pages. A search reads so many of them before it shows what it has, and asks for what is named exactly.
A_PAGE, PAGES = 1000, 2
# Of an iTwin, an iModel and a named version. The platform refuses to search for more.
LONGEST_NAME = 255
T = TypeVar("T")


@dataclass(frozen=True)
class Hit:
    """An iModel, and the text by which a search found it."""

    imodel: IModel
    text: str

    @property
    def id(self) -> str:
        return self.imodel.id

    @property
    def rank(self) -> Rank:
        return rank(self.text, self.imodel.name, description=self.imodel.description)

    @property
    def why(self) -> tuple[tuple[str, bool], ...]:
        """The part of the description that fits, where the name does not."""
        return excerpt(self.text, self.imodel.description) if self.rank == Rank.DESCRIPTION else ()


def best_of(
    text: str, search: Callable[[str], Found[T]], exactly: Callable[[str], list[T]], *, by: Callable[[T], Rank]
) -> Found[T]:
    """What a list has that fits a text, best first; by says how well. search, exactly: as in having()."""
    found = having(text, search, exactly)
    if longest_word(text) and not any(by(item) < Rank.DESCRIPTION for item in found):
        more = with_words(text, search, by=by)
        found = Found(once([*found, *more]), is_all=found.is_all and more.is_all)
    found.sort(key=by)
    return found


def having(text: str, search: Callable[[str], Found[T]], exactly: Callable[[str], list[T]]) -> Found[T]:
    """What has the text.

    search   the list of what has a text, perhaps cut
    exactly  what bears it as its name: asked only where that list was cut, so that a cut never hides it
    """
    found = search(text)
    return found if found.is_all else Found(once([*exactly(text), *found]))


def with_words(text: str, search: Callable[[str], Found[T]], *, by: Callable[[T], Rank]) -> Found[T]:
    """What has all its words, in whichever order: of what has the longest one."""
    found = having(longest_word(text), search, lambda _: [])
    return Found([item for item in found if by(item) < Rank.ELSEWHERE], is_all=found.is_all)


def once(items: list[T]) -> list[T]:
    """Each id once, where it comes first."""
    seen: dict[str, T] = {}
    for item in items:
        seen.setdefault(item.id, item)  # type: ignore[attr-defined]
    return list(seen.values())


def best_first(hits: list[Hit], used: list[str]) -> list[Hit]:
    """Each iModel once, by its best fit: what is ready before what is not, then in the order in which it was used."""
    order = order_of(used)

    def key(hit: Hit) -> tuple[Any, ...]:
        return hit.rank, not hit.imodel.is_initialized, order(hit.id), fold(hit.imodel.name) if hit.text else ""

    return once(sorted(hits, key=key))


def order_of(used: list[str]) -> Callable[[str], int]:
    """Where an id stands in the list; behind it, if it does not."""
    places = {item_id: place for place, item_id in reversed(list(enumerate(used)))}
    return lambda item_id: places.get(item_id, len(used))
