"""What is in an iModel: its changesets and named versions, as the platform tells them to one person."""

import re
import time
from contextlib import suppress

from imodels_app.itwin import Platform
from imodels_app.itwin.types import Changeset, Found, NamedVersion
from imodels_app.requesting.pasted import GUID
from imodels_app.requesting.ranking import Rank, fold, rank
from imodels_app.requesting.reader import CatalogUnavailable, NotInCatalog, Reader
from imodels_app.requesting.search import A_PAGE, LONGEST_NAME, PAGES, SEARCH_FOR_S, SHOWN, best_of

# Changesets come in pages; a search reads so many of them before it shows what it has.
CHANGESETS_A_PAGE, PAGES_SEARCHED = 100, 5
# How long an answer is remembered. Names and rights change rarely; what is there to pick changes by the minute.
BRIEFLY_S, A_WHILE_S, LONG_S = 5, 60, 600

_ONE_CHANGESET = re.compile(r"[0-9]{1,18}|[0-9a-f]{40}", re.ASCII)


class Contents(Reader):
    """Methods that look for one thing raise NotInCatalog."""

    def newest_changeset(self, imodel_id: str) -> Changeset | None:
        """What “all up to now” means; None when there is nothing but the baseline."""
        newest = self._changesets_before(imodel_id, None)[:1]
        self._keep_changesets(imodel_id, newest)
        return newest[0] if newest else None

    def changesets(
        self, imodel_id: str, text: str = "", *, before: int | None = None, most: int = SHOWN
    ) -> tuple[list[Changeset], int | None]:
        """Changesets, newest first, and the index before which to go on, None at the end.

        text    words of the description, or how number or id begin; a whole number or id finds that one however old
                it is
        before  only those with a smaller index
        """
        wanted = fold(text)
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
        question = ("changeset", imodel_id, id_or_index)
        found = self._remember(BRIEFLY_S, lambda platform: platform.changeset(imodel_id, id_or_index), *question)
        self._keep_changesets(imodel_id, [found])
        return found

    def shown_changeset(self, imodel_id: str, index: str) -> Changeset | None:
        """The one of that number that was in a list, for when the platform does not answer."""
        shown: Changeset | None = self._answers.last_answer(("changeset", imodel_id, index))
        return shown

    def named_versions(self, imodel_id: str, text: str = "") -> Found[NamedVersion]:
        """Those whose name has the text, best first, or whose id it is; else newest first. Hidden ones come last."""
        text = text.strip()
        if len(text) > LONGEST_NAME:
            return Found(is_all=True)
        if GUID.fullmatch(text):
            return Found(self._if_found(lambda: self.named_version(imodel_id, text.lower())), is_all=True)

        def ask(platform: Platform) -> Found[NamedVersion]:
            found = best_of(
                text,
                lambda part: platform.named_versions(imodel_id, search=part, top=A_PAGE if part else 100, pages=PAGES),
                lambda name: platform.named_versions(imodel_id, name=name),
                by=lambda version: rank(text, version.name),
            )
            found.sort(key=lambda version: (rank(text, version.name), version.is_hidden))
            return found.cut_at(100)

        found = self._remember_found(BRIEFLY_S, ask, "versions", imodel_id, text)
        self._answers.keep({("version", imodel_id, fold(version.name)): version for version in found[:SHOWN]})
        return found

    def named_version(self, imodel_id: str, version_id: str) -> NamedVersion:
        question = ("version", imodel_id, version_id)
        return self._remember(BRIEFLY_S, lambda platform: platform.named_version(imodel_id, version_id), *question)

    def shown_version(self, imodel_id: str, name: str) -> NamedVersion | None:
        """The one of that name that was in a list, for when the platform does not answer."""
        shown: NamedVersion | None = self._answers.last_answer(("version", imodel_id, fold(name)))
        return shown

    def people(self, imodel_id: str) -> dict[str, str]:
        """Names by id of who works on an iModel; none when the platform does not tell."""
        with suppress(NotInCatalog, CatalogUnavailable):
            return self._remember(A_WHILE_S, lambda platform: platform.people(imodel_id), "people", imodel_id)
        return {}

    def _keep_changesets(self, imodel_id: str, shown: list[Changeset]) -> None:
        self._answers.keep({("changeset", imodel_id, str(item.index)): item for item in shown})

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


def _fits(changeset: Changeset, wanted: str) -> bool:
    names_it = str(changeset.index).startswith(wanted.removeprefix("#"))
    begins_its_id = len(wanted) >= 6 and changeset.id.startswith(wanted)
    return names_it or begins_its_id or rank(wanted, "", description=changeset.description) < Rank.ELSEWHERE
