"""The one iTwin or iModel that was picked from a list, or typed: its name, its id or a link to it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from django.core.exceptions import ValidationError

from imodels_app.itwin.types import ITwin
from imodels_app.requesting.catalog import Catalog, NotInCatalog
from imodels_app.requesting.pasted import GUID
from imodels_app.requesting.ranking import is_named
from imodels_app.requesting.sources import Source

NAMED_AT_MOST = 5
T = TypeVar("T")


class Lookup(ABC, Generic[T]):
    """A search for one thing. Lists that are cut show; they never decide.

    remedy       what to do about none or several
    overlooked   why a search by name may have missed what was meant
    is_elsewhere whether another thing of that name may be where nobody looked
    """

    noun: ClassVar[str]
    remedy = "Pick one from the list, or paste its id or link."
    overlooked = ""
    is_elsewhere = False

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def find(self, text: str, *, picked_id: str) -> T:
        """What was typed, or picked if the text still is its name. Raises ValidationError for none or several."""
        if GUID.fullmatch(picked_id):
            item = self._picked(picked_id.lower(), text)
            if is_named(text, *self.names_of(item)):
                return item
        found = self._found(text)
        meant = found if GUID.search(text) else meant_by(text, found, self.names_of)
        if len(meant) != 1:
            raise ValidationError(self._not_one(text, meant or found) + self.overlooked)
        if self.is_elsewhere and not is_named(text, self.full_name_of(meant[0])):
            raise ValidationError(self._not_sure(meant[0]))
        return meant[0]

    @abstractmethod
    def by_id(self, item_id: str) -> T: ...

    @abstractmethod
    def search(self, text: str) -> list[T]: ...

    @abstractmethod
    def id_of(self, item: T) -> str: ...

    @abstractmethod
    def names_of(self, item: T) -> tuple[str, ...]: ...

    @abstractmethod
    def label_of(self, item: T) -> str: ...

    @abstractmethod
    def full_name_of(self, item: T) -> str: ...

    def _picked(self, item_id: str, text: str) -> T:
        try:
            return self.by_id(item_id)
        except NotInCatalog:  # unless it can be listed, though not opened
            for item in self._found(text):
                if self.id_of(item) == item_id:
                    return item
        raise ValidationError(self._unknown_id())

    def _found(self, text: str) -> list[T]:
        try:
            return self.search(text)
        except NotInCatalog:  # the platform does not search for such a text
            return []

    def _not_one(self, text: str, found: list[T]) -> str:
        if GUID.search(text):
            return self._unknown_id()
        noun, shown = self.noun, text[:60]
        if not found:
            return f"No {noun} “{shown}” that you can see. {self.remedy}"
        names = listed([self.label_of(item) for item in found])
        if len(found) == 1:
            return f"The only {noun} like “{shown}” is {names}. {self.remedy}"
        return f"{len(found)} {noun}s match “{shown}”: {names}. {self.remedy}"

    def _not_sure(self, item: T) -> str:
        full_name = self.full_name_of(item)
        return (
            f"Is it {self.label_of(item)}? Not every iTwin was searched for another of this name. "
            f"Pick it from the list, or type “{full_name}”."
        )

    def _unknown_id(self) -> str:
        return f"No {self.noun} with this id, or you cannot see it. {self.remedy}"


class ITwinLookup(Lookup[ITwin]):
    """An iTwin, by name or number."""

    noun = "iTwin"

    def by_id(self, item_id: str) -> ITwin:
        return self.catalog.itwin(item_id)

    def search(self, text: str) -> list[ITwin]:
        found = self.catalog.itwins(text)
        if not found.is_all:
            self.overlooked = " There are more: type its full name as it is written, or its number."
        return found

    def id_of(self, item: ITwin) -> str:
        return item.id

    def names_of(self, item: ITwin) -> tuple[str, ...]:
        return item.name, item.number

    def label_of(self, item: ITwin) -> str:
        return f"“{item.name}” ({item.number})" if item.number else f"“{item.name}”"

    def full_name_of(self, item: ITwin) -> str:
        return item.name


class IModelLookup(Lookup[Source]):
    """An iModel to copy, by its name or “iTwin / iModel”."""

    noun = "iModel"

    def by_id(self, item_id: str) -> Source:
        return self.catalog.source(item_id)

    def search(self, text: str) -> list[Source]:
        found, is_everywhere = self.catalog.imodels(text)
        self.is_elsewhere = not is_everywhere
        if self.is_elsewhere:
            self.overlooked = " Not every iTwin was searched: its iTwin’s name, a slash and its own name also find it."
        return found

    def id_of(self, item: Source) -> str:
        return item.imodel.id

    def names_of(self, item: Source) -> tuple[str, ...]:
        return item.names

    def label_of(self, item: Source) -> str:
        return f"“{item.imodel.name}” in {item.itwin.name}"

    def full_name_of(self, item: Source) -> str:
        return item.names[-1]


def meant_by(text: str, found: list[T], names_of: Callable[[T], tuple[str, ...]]) -> list[T]:
    """What bears the text as its name, capitals and all, or else without regard to them."""
    named = [item for item in found if is_named(text, *names_of(item))]
    return [item for item in named if text in names_of(item)] or named


def listed(names: list[str], *, is_all: bool = True) -> str:
    """The first few, and how many more. is_all: whether their number is known."""
    more = len(names) - NAMED_AT_MOST
    rest = f" and {more} more" if is_all else " and more"
    return ", ".join(names[:NAMED_AT_MOST]) + (rest if more > 0 else "")
