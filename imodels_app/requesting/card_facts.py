"""What the platform says now about a request that waits: for the card of whoever decides.

It is asked as the requester, whose rights the request will run with, and out of the look-ups of whoever looks: at most
once a minute for each request, however many people look at its card. What it said before stays with its time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from django.core.cache import cache
from redis import RedisError

from imodels_app import gateway
from imodels_app.itwin.types import Changeset, ITwin
from imodels_app.models import Operation, User
from imodels_app.requesting.catalog import Catalog, CatalogUnavailable, NotInCatalog, SignInNeeded
from imodels_app.requesting.contents import CHANGESETS_A_PAGE
from imodels_app.requesting.sources import MANAGE, WEBVIEW, Source
from imodels_app.runtime import clock
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import ChangesetSelection, WaitReason

ASKED_EVERY_S = 60
KEPT_S = 24 * 3600
# The part of a page that waits for it shows meanwhile what was said before.
WITHIN_S = 6.0
NOT_KEPT = "The cache is down, so the platform is not asked: nobody could count how often."


@dataclass(frozen=True, kw_only=True)
class Newer:
    """Changesets after the last one that will be copied. is_all: there are no more than these.

    authors  who pushed them, whoever did so last first; those whose name the platform does not tell are left out
    """

    count: int = 0
    is_all: bool = True
    index: int = 0
    pushed_at: datetime | None = None
    authors: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Target:
    """The iTwin that it goes into, and its region; permissions: the requester's there."""

    itwin: ITwin
    region: str
    permissions: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class PlatformFacts:
    """As the requester sees it. None: the platform does not show it to them, or no longer.

    last      the last changeset that will be copied; None too for the baseline and for whatever is there when it runs
    author    who pushed that; "" when it is not told
    versions  names of the named versions that stand there
    newest    index of the newest changeset; None where the requester may not see changesets
    """

    at: datetime
    source: Source | None
    target: Target | None
    last: Changeset | None = None
    author: str = ""
    versions: tuple[str, ...] = ()
    newest: int | None = None
    newer: Newer = Newer()

    @property
    def loses_permissions(self) -> bool:
        """Whether the main iModel has permissions of its own, which no copy gets."""
        return self.source is not None and self.source.imodel.is_secured

    @property
    def own_permissions(self) -> list[str]:
        """The requester's on the main iModel itself, where it has permissions of its own."""
        return sorted(self.source.own or ["none"]) if self.source else []

    @property
    def missing(self) -> list[tuple[str, str]]:
        """Permissions that the request needs and the requester does not have: each with where."""
        return list(self._missing())

    def _missing(self) -> Iterator[tuple[str, str]]:
        if self.source and MANAGE not in (self.source.permissions or ()):
            yield MANAGE, self.source.itwin.name or "the main iModel’s iTwin"
        if self.source and not self.source.may_view:
            yield WEBVIEW, self.source.imodel.name
        is_here = self.source and self.target and self.target.itwin.id == self.source.itwin.id
        if self.target and not is_here and MANAGE not in self.target.permissions:
            yield MANAGE, self.target.itwin.name


@dataclass(frozen=True, kw_only=True)
class Known:
    """What can be told now. problem: why it is not known, or no longer; a sentence. is_due: it may be asked for."""

    facts: PlatformFacts | None = None
    problem: str = ""
    is_due: bool = False

    @property
    def seen(self) -> list[str]:
        """For a live page's token."""
        return [str(self.facts.at) if self.facts else "", self.problem, str(self.is_due)]


def remembered(operation: Operation) -> Known:
    """What the platform said last; it is not asked."""
    kept, asked = _key(operation), f"{_key(operation)}:asked"
    try:
        found = cache.get_many([kept, asked])
    except (RedisError, OSError):
        return Known(problem=NOT_KEPT)
    return replace(found.get(kept) or Known(), is_due=asked not in found)


def ask(operation: Operation, *, looker: User) -> Known:
    """What the platform says now, unless it was asked within the last minute."""
    try:
        is_ours = cache.add(f"{_key(operation)}:asked", 1, ASKED_EVERY_S)
    except (RedisError, OSError):
        return Known(problem=NOT_KEPT)
    known = remembered(operation)
    if not is_ours:
        return known
    try:
        known = Known(facts=_facts(operation, looker))
    except (CatalogUnavailable, SignInNeeded) as no:
        if getattr(no.__cause__, "note", "") == gateway.SHARE_USED:
            # Theirs is used up, not the next one's.
            cache.delete(f"{_key(operation)}:asked")
            return Known(facts=known.facts, problem=str(no))
        known = Known(facts=known.facts, problem=_problem(no, operation))
    cache.set(_key(operation), known, KEPT_S)
    return known


def _key(operation: Operation) -> str:
    return f"card:{operation.pk}:{operation.request_hash}"


def _problem(no: Exception, operation: Operation) -> str:
    """The reason as it reads for somebody else than the requester."""
    name = isolated(operation.requested_by_name)
    if isinstance(no, SignInNeeded):
        return f"{name} has to sign in again before it can be asked, and before this can be sent."
    if getattr(no.__cause__, "reason", "") == WaitReason.TOKEN:
        return f"The platform is not accepting {name}’s sign-in at the moment."
    return str(no)


def _facts(operation: Operation, looker: User) -> PlatformFacts:
    # Fresh: its age is shown, and what the requester's forms were told a while ago would be older.
    catalog = Catalog(operation.requested_by, max_age_s=0, within_s=WITHIN_S, looker=looker)
    facts = PlatformFacts(at=clock.now(), source=_source(catalog, operation), target=_target(catalog, operation))
    if facts.source is None:
        return facts
    try:
        return _with_changesets(facts, catalog, operation)
    except NotInCatalog:
        return facts


def _source(catalog: Catalog, operation: Operation) -> Source | None:
    if not operation.source_id:
        return None
    try:
        source = catalog.source(operation.source_id)
    except NotInCatalog:
        return None
    # An upload link is a secret, and what is kept here is kept for a day.
    return replace(source, imodel=replace(source.imodel, upload=None))


def _target(catalog: Catalog, operation: Operation) -> Target | None:
    try:
        itwin = catalog.itwin(operation.itwin_id)
    except NotInCatalog:
        return None
    return Target(itwin=itwin, region=catalog.region(itwin), permissions=catalog.permissions(itwin.id))


def _with_changesets(facts: PlatformFacts, catalog: Catalog, operation: Operation) -> PlatformFacts:
    imodel_id = operation.source_id
    page, _ = catalog.changesets(imodel_id, most=CHANGESETS_A_PAGE)
    newest = page[0].index if page else 0
    last = _last(catalog, operation, page)
    people = catalog.people(imodel_id)
    at = _last_index(operation, last)
    # Of the baseline every changeset is newer, and always was.
    newer = _newer(page, at, people) if at else Newer()
    return replace(
        facts,
        newest=newest,
        last=last,
        author=people.get(last.creator_id, "") if last else "",
        versions=tuple(one.name for one in catalog.named_versions(imodel_id) if one.changeset_index == at),
        newer=newer,
    )


def _last(catalog: Catalog, operation: Operation, page: list[Changeset]) -> Changeset | None:
    wanted = operation.changeset_id or str(operation.changeset_index or "")
    if not wanted:
        return None
    here = (one for one in page if wanted in (one.id, str(one.index)))
    return next(here, None) or catalog.changeset(operation.source_id, wanted)


def _last_index(operation: Operation, last: Changeset | None) -> int | None:
    """0 for the baseline; None for whatever is there when it runs."""
    if operation.changeset_selection == ChangesetSelection.EVERYTHING:
        return None
    return last.index if last else 0


def _newer(page: list[Changeset], at: int, people: dict[str, str]) -> Newer:
    newer = [one for one in page if one.index > at]
    if not newer:
        return Newer()
    names = dict.fromkeys(people[one.creator_id] for one in newer if one.creator_id in people)
    return Newer(
        count=len(newer),
        is_all=len(newer) < CHANGESETS_A_PAGE,
        index=newer[0].index,
        pushed_at=newer[0].pushed_at,
        authors=tuple(names),
    )
