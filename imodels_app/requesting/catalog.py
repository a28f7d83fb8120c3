"""What may this person pick? iTwins, iModels, changesets, named versions, and their rights, as the platform tells them.

A person waits for every answer, so it takes a bounded number of calls, and each comes in seconds or not at all
(reader.py). It only reads.
"""

import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from imodels_app.itwin import Platform, errors
from imodels_app.itwin.types import Changeset, IModel, ITwin, NamedVersion
from imodels_app.requesting.pasted import GUID, id_in
from imodels_app.requesting.reader import CatalogUnavailable, NotInCatalog, Reader, SignInNeeded
from imodels_app.requesting.sources import MANAGE, READ, Origin, Source
from imodels_app.runtime.foreign_text import folded

__all__ = ["Catalog", "CatalogUnavailable", "NotInCatalog", "SignInNeeded"]

# A search over many iTwins stops asking after this long and shows what it has.
SEARCH_FOR_S = 3.0
ITWINS_SEARCHED = 8
SHOWN = 25
# Changesets come in pages; a search reads so many of them before it shows what it has.
CHANGESETS_A_PAGE, PAGES_SEARCHED = 100, 5
# How long an answer is remembered. Names and rights change rarely; what is there to pick changes by the minute.
BRIEFLY_S, A_WHILE_S, LONG_S = 5, 60, 600
# Of an iTwin, an iModel and a named version. The platform refuses to search for more.
LONGEST_NAME = 255
# Where the platform keeps iModels. Source: the data center's description on the create-imodel page.
REGIONS = {
    name.casefold()
    for name in (
        "Australia East",
        "Canada Central",
        "East US",
        "Japan East",
        "North Europe",
        "South Africa North",
        "Southeast Asia",
        "UK South",
    )
}

_ONE_CHANGESET = re.compile(r"[0-9]{1,18}|[0-9a-f]{40}", re.ASCII)
_ENDS_IN_NUMBER = re.compile(r"^(.*\S) (\d{1,4})$", re.DOTALL)
T = TypeVar("T")


class Catalog(Reader):
    """The platform as one person may pick from it: methods that look for one thing raise NotInCatalog."""

    # iTwins

    def itwins(self, text: str = "") -> list[ITwin]:
        """The person's iTwins whose name or number has the text, inactive ones last; a pasted id or link finds it.

        Without a text: their favourites, then those used recently, then other active ones.
        """
        pasted = id_in(text, "itwins")
        if pasted:
            return self._if_found(lambda: self.itwin(pasted))
        text = text.strip()
        if len(text) > LONGEST_NAME:
            return []
        if text:
            found = self._remember(BRIEFLY_S, lambda platform: platform.itwins(search=text), "itwins", text)
            return self._know(sorted(found, key=lambda itwin: itwin.status == "Inactive"))
        mine = self._remember(A_WHILE_S, lambda platform: platform.itwins(top=SHOWN), "itwins", "")
        return self._know(_once(self._favourite_itwins() + self._recent_itwins() + mine)[:SHOWN])

    def favourites(self, kind: str) -> set[str]:
        """Ids of the person's favourite "itwins" or "imodels"; none when the platform does not tell."""
        with suppress(CatalogUnavailable):
            items = self._favourite_itwins() if kind == "itwins" else self._favourite_imodels()
            return {item.id for item in items}
        return set()

    def itwin(self, itwin_id: str) -> ITwin:
        return self._remember(A_WHILE_S, lambda platform: platform.itwin(itwin_id), "itwin", itwin_id)

    def unseen_itwin(self, text: str) -> ITwin | None:
        """The iTwin whose id is pasted, taken at its word: for when the platform does not answer."""
        pasted = id_in(text, "itwins")
        return ITwin(id=pasted, name=pasted, number="", status="", data_center="") if pasted else None

    def may_manage(self, itwin_id: str) -> bool:
        """Whether the person's own rights on the iTwin include imodels_manage, which create, clone and fork need."""
        return MANAGE in self.permissions(itwin_id)

    def may_read(self, itwin_id: str) -> bool:
        """Whether they include imodels_read, which a template needs."""
        return READ in self.permissions(itwin_id)

    def region(self, itwin: ITwin) -> str:
        """The data center of an iTwin's iModels; "" when it cannot be told.

        All of them are in one, which need not be the iTwin's own: the platform takes another where it is not supported.
        """
        try:
            found = self._remember(A_WHILE_S, lambda platform: platform.imodels(itwin.id, top=1), "region", itwin.id)
        except NotInCatalog:
            found = []
        if found:
            return found[0].data_center
        return itwin.data_center if itwin.data_center.casefold() in REGIONS else ""

    def permissions(self, itwin_id: str) -> frozenset[str]:
        """None at all for an iTwin that the person cannot see."""
        try:
            return self._remember(A_WHILE_S, lambda platform: platform.permissions(itwin_id), "permissions", itwin_id)
        except NotInCatalog:
            return frozenset()

    # iModels

    def imodels(self, text: str = "", *, itwin_id: str = "") -> tuple[list[Source], bool]:
        """iModels to copy from whose name or description has the text, and whether that is all there are.

        In one iTwin, or over favourites, recent iModels and the person's first few iTwins; “iTwin / iModel” looks in
        the iTwins of that name. A pasted id or link finds that one.
        """
        pasted = id_in(text, "imodels")
        if pasted:
            return self._if_found(lambda: self.source(pasted)), True
        text = text.strip()
        if itwin_id:
            found = self._imodels_in(itwin_id, text)
            is_all = len(found) < SHOWN
        else:
            found, is_all = self._imodels_everywhere(text)
        return [self._in_a_list(imodel) for imodel in found[:SHOWN]], is_all and len(found) <= SHOWN

    def source(self, imodel_id: str) -> Source:
        """One iModel with its iTwin."""
        imodel = self._remember(BRIEFLY_S, lambda platform: platform.imodel(imodel_id), "imodel", imodel_id)
        return self.with_own_permissions(self._with_itwin(imodel))

    def unseen_source(self, text: str) -> Source | None:
        """The iModel whose id is pasted, taken at its word: for when the platform does not answer."""
        pasted = id_in(text, "imodels")
        if not pasted:
            return None
        imodel = IModel.from_json({"id": pasted, "name": pasted, "state": "initialized"})
        nowhere = ITwin(id="", name="", number="", status="", data_center="")
        return Source(imodel=imodel, itwin=nowhere, permissions=None)

    def with_own_permissions(self, source: Source) -> Source:
        """An iModel of a list, looked at more closely."""
        imodel = source.imodel
        return replace(source, own=self._own_permissions(imodel)) if imodel.is_secured else source

    def is_free(self, itwin_id: str, name: str) -> bool:
        """Whether no iModel of the iTwin has this name, whatever its capitals and its form."""
        return folded(name) not in self._names_in(itwin_id, name)

    def free_name_like(self, itwin_id: str, name: str) -> str:
        """The first of “name 2”, “name 3” … that is free."""
        numbered = _ENDS_IN_NUMBER.match(name)
        stem, number = (numbered[1], int(numbered[2])) if numbered else (name, 1)
        taken = self._names_in(itwin_id, stem)
        while True:
            number += 1
            offer = f"{stem[: 254 - len(str(number))]} {number}"
            if folded(offer) not in taken:
                return offer

    # Where an iModel comes from

    def origin(self, imodel_id: str) -> Origin:
        """What an iModel was made from, with its name and iTwin. Remembered for a while: it never changes."""

        def ask(platform: Platform) -> Origin:
            imodel, creation = platform.imodel(imodel_id), platform.create_operation(imodel_id)
            try:
                itwin_name = platform.itwin(imodel.itwin_id).name
            except errors.Refused:  # shared with the person, though they are no member of its iTwin
                itwin_name = ""
            return Origin(imodel, itwin_name, creation)

        return self._remember(LONG_S, ask, "origin", imodel_id)

    # What is in an iModel

    def newest_changeset(self, imodel_id: str) -> Changeset | None:
        """What “all up to now” means; None when there is nothing but the baseline."""
        newest = self._changesets_before(imodel_id, None)
        return newest[0] if newest else None

    def changesets(
        self, imodel_id: str, text: str = "", *, before: int | None = None, most: int = SHOWN
    ) -> tuple[list[Changeset], int | None]:
        """Changesets, newest first, and the index before which to go on, None at the end.

        text    in the description, or how number or id begin; a whole number or id finds that one however old it is
        before  only those with a smaller index
        """
        wanted = folded(text.strip())
        number = wanted.removeprefix("#")
        found: list[Changeset] = []
        if _ONE_CHANGESET.fullmatch(number) and before is None:
            found = self._if_found(lambda: self.changeset(imodel_id, number))
            if found and found[0].id == number:
                return found, None
        stop_at = time.monotonic() + SEARCH_FOR_S
        for _ in range(PAGES_SEARCHED):
            for item in (page := self._changesets_before(imodel_id, before)):
                if _fits(item, wanted) and str(item.index) != number:
                    found.append(item)
                before = item.index
                if len(found) == most and before > 1:
                    return found, before
            if not page or page[-1].index <= 1:
                return found, None
            if time.monotonic() > stop_at:
                break
        return found, before

    def changeset(self, imodel_id: str, id_or_index: str) -> Changeset:
        """One changeset by its 40-digit id or its number."""
        return self._remember(
            BRIEFLY_S,
            lambda platform: platform.changeset(imodel_id, id_or_index),
            "changeset",
            imodel_id,
            id_or_index,
        )

    def named_versions(self, imodel_id: str, text: str = "") -> list[NamedVersion]:
        """Those whose name has the text, or whose id it is; newest first, hidden ones last."""
        text = text.strip()
        if len(text) > LONGEST_NAME:
            return []
        search = "" if GUID.fullmatch(text) else text
        found: list[NamedVersion] = self._remember(
            BRIEFLY_S,
            lambda platform: platform.named_versions(imodel_id, search=search, top=100),
            "versions",
            imodel_id,
            search,
        )
        fits = [item for item in found if search or text.lower() in ("", item.id)]
        return sorted(fits, key=lambda item: item.is_hidden)

    def people(self, imodel_id: str) -> dict[str, str]:
        """Names by id of who works on an iModel; none when the platform does not tell."""
        with suppress(NotInCatalog, CatalogUnavailable):
            return self._remember(A_WHILE_S, lambda platform: platform.people(imodel_id), "people", imodel_id)
        return {}

    # How

    def _recent_itwins(self) -> list[ITwin]:
        """A convenience: without it, or when the platform does not know it, the list is only less well sorted."""
        with suppress(NotInCatalog):
            return self._remember(A_WHILE_S, lambda platform: platform.recent_itwins(), "recent-itwins")
        return []

    def _favourite_itwins(self) -> list[ITwin]:
        with suppress(NotInCatalog):
            return self._remember(A_WHILE_S, lambda platform: platform.favourite_itwins(), "favourite-itwins")
        return []

    def _favourite_imodels(self) -> list[IModel]:
        with suppress(NotInCatalog):
            return self._remember(A_WHILE_S, lambda platform: platform.favourite_imodels(), "favourite-imodels")
        return []

    def _own_permissions(self, imodel: IModel) -> frozenset[str] | None:
        """None when they cannot be told."""
        with suppress(NotInCatalog):
            return self._remember(
                A_WHILE_S, lambda platform: platform.imodel_permissions(imodel.id), "imodel-permissions", imodel.id
            )
        return None

    def _changesets_before(self, imodel_id: str, before: int | None) -> list[Changeset]:
        """A page of those that can be copied, newest first."""
        page: list[Changeset] = self._remember(
            BRIEFLY_S,
            lambda platform: platform.changesets(imodel_id, top=CHANGESETS_A_PAGE, before=before),
            "changesets",
            imodel_id,
            str(before),
        )
        return [item for item in page if item.is_whole]

    def _recent_imodels(self) -> list[IModel]:
        with suppress(NotInCatalog):
            return self._remember(BRIEFLY_S, lambda platform: platform.recent_imodels(), "recent-imodels")
        return []

    def _imodels_in(self, itwin_id: str, text: str) -> list[IModel]:
        if len(text) > LONGEST_NAME:
            return []
        return self._remember(
            BRIEFLY_S,
            lambda platform: platform.imodels(itwin_id, search=text, top=SHOWN),
            "imodels",
            itwin_id,
            text,
        )

    def _imodels_everywhere(self, text: str) -> tuple[list[IModel], bool]:
        """Favourites and recent ones, then iTwin by iTwin until the time is up, or the platform has had enough."""
        stop_at = time.monotonic() + SEARCH_FOR_S
        wanted = folded(text)
        near = [*self._favourite_imodels(), *self._recent_imodels()]
        found = [imodel for imodel in near if _has(wanted, imodel.name, imodel.description)]
        itwins = self.itwins()
        places = [(itwin, text) for itwin in itwins[:ITWINS_SEARCHED]]
        where, slash, what = (part.strip() for part in text.partition("/"))
        if slash and where:
            places = [(itwin, what) for itwin in self.itwins(where)[:ITWINS_SEARCHED]] + places
        for itwin, wanted_there in places:
            if time.monotonic() > stop_at:
                return _once(found), False
            try:
                found += self._imodels_in(itwin.id, wanted_there)
            except NotInCatalog:
                continue
            except CatalogUnavailable:
                if not found:
                    raise
                return _once(found), False
        return _once(found), len(itwins) <= ITWINS_SEARCHED

    def _with_itwin(self, imodel: IModel) -> Source:
        try:
            itwin = self.itwin(imodel.itwin_id)
        except NotInCatalog:  # shared with the person, though they are no member of its iTwin
            itwin = ITwin(id=imodel.itwin_id, name="", number="", status="", data_center=imodel.data_center)
        return Source(imodel=imodel, itwin=itwin, permissions=self.permissions(imodel.itwin_id))

    def _in_a_list(self, imodel: IModel) -> Source:
        """What of it did not come in time is left out: a list with gaps is better than none."""
        try:
            return self._with_itwin(imodel)
        except CatalogUnavailable:
            nameless = ITwin(id=imodel.itwin_id, name="", number="", status="", data_center=imodel.data_center)
            itwin = self._answers.get(("itwin", imodel.itwin_id), nameless)
            return Source(imodel=imodel, itwin=itwin, permissions=None)

    def _names_in(self, itwin_id: str, name: str) -> set[str]:
        """The names in use that are this one or begin like it. Two questions: a search need not find what is exact."""

        def ask(platform: Platform) -> set[str]:
            both = platform.imodels(itwin_id, name=name, top=1), platform.imodels(itwin_id, search=name, top=1000)
            return {folded(imodel.name) for found in both for imodel in found}

        try:
            return self._remember(BRIEFLY_S, ask, "names", itwin_id, name)
        except NotInCatalog:  # a name the search does not take: the platform itself will judge it
            return set()

    def _if_found(self, ask: Callable[[], T]) -> list[T]:
        try:
            return [ask()]
        except NotInCatalog:
            return []

    def _know(self, itwins: list[ITwin]) -> list[ITwin]:
        """These need not be asked for one by one."""
        for itwin in itwins:
            self._answers.add(("itwin", itwin.id), itwin)
        return itwins


def _has(wanted: str, *texts: str) -> bool:
    return not wanted or any(wanted in folded(text) for text in texts)


def _fits(changeset: Changeset, wanted: str) -> bool:
    names_it = str(changeset.index).startswith(wanted.removeprefix("#"))
    begins_its_id = len(wanted) >= 6 and changeset.id.startswith(wanted)
    return names_it or begins_its_id or wanted in folded(changeset.description)


def _once(items: Iterable[T]) -> list[T]:
    """Each id once, where it comes first."""
    seen: dict[str, T] = {}
    for item in items:
        seen.setdefault(item.id, item)  # type: ignore[attr-defined]
    return list(seen.values())
