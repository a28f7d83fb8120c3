"""What may this person pick? iTwins, iModels, changesets, named versions, and their rights, as the platform tells them.

A person waits for every answer, so it takes a bounded number of calls, and each comes in seconds or not at all
(reader.py). It only reads.
"""

import re
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial

from imodels_app.itwin import Platform, errors
from imodels_app.itwin.types import Found, IModel, ITwin
from imodels_app.models import Operation
from imodels_app.requesting.contents import A_WHILE_S, BRIEFLY_S, LONG_S
from imodels_app.requesting.itwin_catalog import ITwinCatalog
from imodels_app.requesting.pasted import id_in
from imodels_app.requesting.ranking import Rank, fold, is_named, longest_word
from imodels_app.requesting.reader import CatalogUnavailable, NotInCatalog, SignInNeeded
from imodels_app.requesting.search import (
    A_PAGE,
    LONGEST_NAME,
    PAGES,
    SEARCH_FOR_S,
    SHOWN,
    Hit,
    best_first,
    having,
    with_words,
)
from imodels_app.requesting.sources import Origin, Source
from imodels_app.states import FINISHED

__all__ = ["Catalog", "CatalogUnavailable", "NotInCatalog", "SignInNeeded"]

# A search for an iModel looks into so many iTwins; a list asks what became of so many iModels that are not ready.
ITWINS_SEARCHED = 8
LOOKED_INTO = 5
_ENDS_IN_NUMBER = re.compile(r"^(.*\S) (\d{1,4})$", re.DOTALL)


class Catalog(ITwinCatalog):
    """The platform as one person may pick from it: methods that look for one thing raise NotInCatalog."""

    def favourites(self, kind: str) -> set[str]:
        """Ids of the person's favourite "itwins" or "imodels"; none when the platform does not tell."""
        with suppress(CatalogUnavailable):
            items = self._favourite_itwins() if kind == "itwins" else self._favourite_imodels()
            return {item.id for item in items}
        return set()

    # iModels

    def imodels(self, text: str = "", *, itwin_id: str = "") -> tuple[Found[Source], bool]:
        """iModels to copy from whose name or description fits the text, best first, and whether each iTwin was asked.

        In one iTwin, or over what the person copied before, their favourites, recent iModels and first few iTwins;
        “iTwin / iModel” looks in the iTwins of that name. A pasted id or link finds that one. Of those that fit
        equally well, what can be copied comes first, then what the person used.
        """
        pasted = id_in(text, "imodels")
        if pasted:
            return Found(self._if_found(lambda: self.source(pasted)), is_all=True), True
        text = text.strip()
        if len(text) > LONGEST_NAME:
            return Found(is_all=True), True
        hits, is_everywhere = self._search([(itwin_id, text)], []) if itwin_id else self._search_everywhere(text)
        best = best_first(hits, self._copied_or_liked())
        listed = Found([self._in_a_list(hit) for hit in best[:SHOWN]], is_all=is_everywhere and len(best) <= SHOWN)
        for source in [one for one in listed if not one.imodel.is_initialized][:LOOKED_INTO]:
            with suppress(CatalogUnavailable):  # what cannot be said of one hides nothing else
                listed[listed.index(source)] = self.with_creation(source)
        self._note_shown(listed)
        return listed, is_everywhere

    def source(self, imodel_id: str) -> Source:
        """One iModel with its iTwin."""
        source = self.with_creation(self.with_own_permissions(self._with_itwin(self._imodel(imodel_id))))
        self._note_shown([source])
        return source

    def shown_source(self, text: str, picked_id: str) -> Source | None:
        """The iModel that was picked from what was shown, or whose id is pasted: for when the platform does not
        answer.
        """
        pasted = id_in(text, "imodels")
        kept: tuple[IModel, ITwin] | None = self._answers.last_answer(("source", pasted or picked_id.lower()))
        if kept is None:
            return None
        shown = Source(imodel=kept[0], itwin=kept[1], permissions=None)
        return shown if pasted or is_named(text, *shown.names) else None

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

    def with_creation(self, source: Source) -> Source:
        """What became of an iModel that is not ready."""
        if source.imodel.is_initialized:
            return source
        imodel_id = source.imodel.id
        with suppress(NotInCatalog, CatalogUnavailable):
            operation = self._remember(
                BRIEFLY_S, lambda platform: platform.create_operation(imodel_id), "creation", imodel_id
            )
            return replace(source, creation=operation.state)
        return source

    def is_free(self, itwin_id: str, name: str) -> bool:
        """Whether no iModel of the iTwin has this name, capitals or not."""
        return fold(name) not in self._names_in(itwin_id, name)

    def is_under_way(self, itwin_id: str, name: str) -> bool:
        """Whether an operation under way, as far as this person sees, will make an iModel of this name there."""
        return fold(name) in self._names_under_way(itwin_id)

    def next_name(self, itwin_id: str, name: str) -> str:
        """The name itself if nothing has it and no operation under way will; or else the first free one like it."""
        is_next = not self.is_under_way(itwin_id, name) and self.is_free(itwin_id, name)
        return name if is_next else self.free_name_like(itwin_id, name)

    def free_name_like(self, itwin_id: str, name: str) -> str:
        """The first of “name 2”, “name 3” … that is free."""
        numbered = _ENDS_IN_NUMBER.match(name)
        stem, number = (numbered[1], int(numbered[2])) if numbered else (name, 1)
        taken = self._names_in(itwin_id, stem) | self._names_under_way(itwin_id)
        while True:
            number += 1
            offer = f"{stem[: 254 - len(str(number))]} {number}"
            if fold(offer) not in taken:
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

    # How

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

    def _recent_imodels(self) -> list[IModel]:
        with suppress(NotInCatalog):
            return self._remember(BRIEFLY_S, lambda platform: platform.recent_imodels(), "recent-imodels")
        return []

    def _search_everywhere(self, text: str) -> tuple[list[Hit], bool]:
        """Over what is near, then iTwin by iTwin; and whether those were all."""
        near = [hit for imodel in self._near() if (hit := Hit(imodel, text)).rank < Rank.ELSEWHERE]
        itwins = self.itwins()
        places = [*self._places_named(text), *((itwin.id, text) for itwin in itwins[:ITWINS_SEARCHED])]
        hits, is_done = self._search(places, near)
        return hits, is_done and itwins.is_all and len(itwins) <= ITWINS_SEARCHED

    def _search(self, places: list[tuple[str, str]], hits: list[Hit]) -> tuple[list[Hit], bool]:
        """The hits and more of them, until the time is up, or the platform has had enough; and whether it was done.

        places  in which iTwin to look for what. Only where no name has it as it was typed, its words are looked for
                in another order
        """
        stop_at = time.monotonic() + SEARCH_FOR_S
        for by_words in (False, True):
            for itwin_id, wanted in places:
                if time.monotonic() > stop_at:
                    return hits, False
                try:
                    hits = hits + self._hits_in(itwin_id, wanted, by_words=by_words)
                except CatalogUnavailable:
                    if not hits:
                        raise
                    return hits, False
            if any(hit.rank < Rank.DESCRIPTION for hit in hits):
                break
        return hits, True

    def _near(self) -> list[IModel]:
        """What the person copied before, their favourite and their recent iModels."""
        copied = [imodel for imodel_id in self._used("source_id") for imodel in self._imodel_if_seen(imodel_id)]
        return [*copied, *self._favourite_imodels(), *self._recent_imodels()]

    def _imodel_if_seen(self, imodel_id: str) -> list[IModel]:
        return self._if_found(lambda: self._imodel(imodel_id))

    def _imodel(self, imodel_id: str) -> IModel:
        return self._remember(BRIEFLY_S, lambda platform: platform.imodel(imodel_id), "imodel", imodel_id)

    def _hits_in(self, itwin_id: str, text: str, *, by_words: bool = False) -> list[Hit]:
        """In one iTwin: the best of what has the text; by_words: of what has all its words, in whichever order."""

        def search(platform: Platform, part: str) -> Found[IModel]:
            return platform.imodels(itwin_id, search=part, top=A_PAGE if part else SHOWN, pages=PAGES if part else 1)

        def ask(platform: Platform) -> Found[IModel]:
            has = partial(search, platform)
            if by_words:
                found = with_words(text, has, by=lambda imodel: Hit(imodel, text).rank)
            else:
                found = having(text, has, lambda name: platform.imodels(itwin_id, name=name))
            found.sort(key=lambda imodel: (Hit(imodel, text).rank, not imodel.is_initialized))
            return found.cut_at(SHOWN + 1)  # one more tells that there are more

        if by_words and not longest_word(text):
            return []
        try:
            found = self._remember_found(BRIEFLY_S, ask, "imodels", itwin_id, text, "by words" * by_words)
        except NotInCatalog:  # or the platform does not search for such a text
            return []
        return [Hit(imodel, text) for imodel in found]

    def _copied_or_liked(self) -> list[str]:
        favourites, recent = self._ids_of(self._favourite_imodels), self._ids_of(self._recent_imodels)
        return [*self._used("source_id"), *favourites, *recent]

    def _places_named(self, text: str) -> list[tuple[str, str]]:
        """Of “iTwin / iModel”: the iTwins of that name, each with what to look for there."""
        where, slash, what = (part.strip() for part in text.partition("/"))
        return [(itwin.id, what) for itwin in self.itwins(where)[:ITWINS_SEARCHED]] if slash and where else []

    def _note_shown(self, shown: list[Source]) -> None:
        self._answers.keep({("source", source.imodel.id): (source.imodel, source.itwin) for source in shown})

    def _with_itwin(self, imodel: IModel) -> Source:
        try:
            itwin = self.itwin(imodel.itwin_id)
        except NotInCatalog:  # shared with the person, though they are no member of its iTwin
            itwin = ITwin(id=imodel.itwin_id, name="", number="", status="", data_center=imodel.data_center)
        return Source(imodel=imodel, itwin=itwin, permissions=self.permissions(imodel.itwin_id))

    def _in_a_list(self, hit: Hit) -> Source:
        """What of it did not come in time is left out: a list with gaps is better than none."""
        imodel = hit.imodel
        try:
            source = self._with_itwin(imodel)
        except CatalogUnavailable:
            nameless = ITwin(id=imodel.itwin_id, name="", number="", status="", data_center=imodel.data_center)
            itwin = self._answers.get(("itwin", imodel.itwin_id), nameless)
            source = Source(imodel=imodel, itwin=itwin, permissions=None)
        return replace(source, why=hit.why)

    def _names_under_way(self, itwin_id: str) -> set[str]:
        under_way = Operation.objects.visible_to(self.user).exclude(state__in=FINISHED).filter(itwin_id=itwin_id)
        return {fold(name) for name in under_way.values_list("name", flat=True)}

    def _names_in(self, itwin_id: str, name: str) -> set[str]:
        """The names in use that are this one or begin like it. Two questions: a search need not find what is exact."""

        def ask(platform: Platform) -> set[str]:
            found = having(
                name,
                lambda part: platform.imodels(itwin_id, search=part, top=A_PAGE, pages=PAGES),
                lambda _: [],
            )
            return {fold(imodel.name) for imodel in [*platform.imodels(itwin_id, name=name, top=1), *found]}

        try:
            return self._remember(BRIEFLY_S, ask, "names", itwin_id, name)
        except NotInCatalog:  # a name the search does not take: the platform itself will judge it
            return set()
