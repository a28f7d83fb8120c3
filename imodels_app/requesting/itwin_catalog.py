"""The iTwins that a person may pick, and what they may do in them."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from imodels_app.itwin import Platform
from imodels_app.itwin.types import Found, ITwin
from imodels_app.models import Operation
from imodels_app.requesting.contents import A_WHILE_S, BRIEFLY_S, Contents
from imodels_app.requesting.pasted import id_in
from imodels_app.requesting.ranking import Rank, is_named, rank
from imodels_app.requesting.reader import CatalogUnavailable, NotInCatalog
from imodels_app.requesting.search import A_PAGE, LONGEST_NAME, SHOWN, best_of, once, order_of
from imodels_app.requesting.sources import MANAGE, READ

# Of the person's own operations, so many different sources and iTwins count as used recently.
USED_RECENTLY = 5
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


class ITwinCatalog(Contents):
    """Methods that look for one thing raise NotInCatalog."""

    def itwins(self, text: str = "") -> Found[ITwin]:
        """The person's iTwins whose name or number fits the text, best first; a pasted id or link finds it.

        Of those that fit equally well, and without a text: active ones first, and of those their favourites, what they
        used recently, others.
        """
        pasted = id_in(text, "itwins")
        if pasted:
            return Found(self._if_found(lambda: self.itwin(pasted)), is_all=True)
        text = text.strip()
        if len(text) > LONGEST_NAME:
            return Found(is_all=True)
        found = self._itwins_like(text) if text else self._usual_itwins()
        self._announce(found)
        self._answers.keep({("itwin", itwin.id): itwin for itwin in found[:SHOWN]})
        return found

    def itwin(self, itwin_id: str) -> ITwin:
        found = self._remember(A_WHILE_S, lambda platform: platform.itwin(itwin_id), "itwin", itwin_id)
        self._answers.keep({("itwin", itwin_id): found})
        return found

    def unseen_itwin(self, text: str, picked_id: str = "") -> ITwin | None:
        """The iTwin that was picked from what was shown, or whose id is pasted, taken at its word: for when the
        platform does not answer.
        """
        pasted = id_in(text, "itwins")
        shown: ITwin | None = self._answers.last_answer(("itwin", pasted or picked_id.lower()))
        if shown and (pasted or is_named(text, shown.name, shown.number)):
            return shown
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
        with suppress(NotInCatalog):
            found = self._remember(A_WHILE_S, lambda platform: platform.imodels(itwin.id, top=1), "region", itwin.id)
            if found:
                return found[0].data_center
        return itwin.data_center if itwin.data_center.casefold() in REGIONS else ""

    def permissions(self, itwin_id: str) -> frozenset[str]:
        """None at all for an iTwin that the person cannot see."""
        try:
            return self._remember(A_WHILE_S, lambda platform: platform.permissions(itwin_id), "permissions", itwin_id)
        except NotInCatalog:
            return frozenset()

    def _usual_itwins(self) -> Found[ITwin]:
        mine = self._remember_found(A_WHILE_S, lambda platform: platform.itwins(top=SHOWN), "itwins", "")
        favourites, recent = self._favourite_itwins(), self._recent_itwins()
        self._announce([*favourites, *recent, *mine])
        used = [itwin for itwin_id in self._used("itwin_id") for itwin in self._itwin_if_seen(itwin_id)]
        return Found(once([*favourites, *used, *recent, *mine]), is_all=mine.is_all).cut_at(SHOWN)

    def _itwins_like(self, text: str) -> Found[ITwin]:
        favourites, recent = self._ids_of(self._favourite_itwins), self._ids_of(self._recent_itwins)
        used = order_of([*favourites, *self._used("itwin_id"), *recent])

        def fit(itwin: ITwin) -> Rank:
            return rank(text, itwin.name, itwin.number)

        def ask(platform: Platform) -> Found[ITwin]:
            found = best_of(
                text,
                lambda part: platform.itwins(search=part, top=A_PAGE),
                lambda name: [*platform.itwins(name=name), *platform.itwins(number=name)],
                by=fit,
            )
            found.sort(key=lambda itwin: (fit(itwin), itwin.status == "Inactive", used(itwin.id)))
            return found.cut_at(100)

        return self._remember_found(BRIEFLY_S, ask, "itwins", text)

    def _announce(self, itwins: list[ITwin]) -> None:
        """These need not be asked for one by one."""
        for itwin in itwins:
            self._answers.add(("itwin", itwin.id), itwin)

    def _itwin_if_seen(self, itwin_id: str) -> list[ITwin]:
        return self._if_found(lambda: self.itwin(itwin_id))

    def _used(self, column: str) -> list[str]:
        """Ids of what the person's last operations were made from, or into."""
        mine = Operation.objects.filter(requested_by=self.user).exclude(**{column: ""}).order_by("-created_at")
        return list(dict.fromkeys(mine.values_list(column, flat=True)[:50]))[:USED_RECENTLY]

    def _ids_of(self, ask: Callable[[], list[Any]]) -> list[str]:
        """None when the platform does not tell: the list is only less well sorted."""
        with suppress(CatalogUnavailable):
            return [item.id for item in ask()]
        return []

    def _recent_itwins(self) -> list[ITwin]:
        """A convenience: without it, or when the platform does not know it, the list is only less well sorted."""
        with suppress(NotInCatalog):
            return self._remember(A_WHILE_S, lambda platform: platform.recent_itwins(), "recent-itwins")
        return []

    def _favourite_itwins(self) -> list[ITwin]:
        with suppress(NotInCatalog):
            return self._remember(A_WHILE_S, lambda platform: platform.favourite_itwins(), "favourite-itwins")
        return []
