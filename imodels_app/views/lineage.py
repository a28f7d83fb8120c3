"""Made from what, and what was made from it: a tree of iModels around one of them.

From our rows first; where they end, from what the platform tells this person. Whatever a person may not see has
neither name nor link here.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from imodels_app.decorators import HtmxRequest, person, signed_in
from imodels_app.display import formats, links, status
from imodels_app.models import Operation, OperationQuerySet, User
from imodels_app.requesting.catalog import Catalog, CatalogUnavailable, NotInCatalog, SignInNeeded
from imodels_app.requesting.sources import Origin
from imodels_app.states import OrphanState

# Levels above and below, and how many are drawn side by side: a picture, not an inventory.
LEVELS_UP, LEVELS_DOWN, SIDE_BY_SIDE = 5, 3, 6
HIDDEN = "An iModel that you cannot see"


@dataclass(frozen=True)
class Box:
    """One iModel of the tree. made: how it came from the one above it; more: how many below are not drawn."""

    name: str
    sub: str = ""
    url: str = ""
    made: str = ""
    is_here: bool = False
    is_hidden: bool = False
    below: list["Box"] = field(default_factory=list)
    more: int = 0
    hidden_below: int = 0
    more_url: str = ""


@dataclass(frozen=True)
class Lineage:
    """root: the oldest one known; None when there is nothing to draw. is_asked: the platform has told its part.

    url: where that is asked for
    """

    root: Box | None
    is_asked: bool
    url: str


@signed_in
@require_safe
@vary_on_headers("HX-Request")
def lineage(request: HtmxRequest, pk: UUID) -> HttpResponse:
    """The tree with what the platform tells: the page's part for htmx, a page of its own without."""
    user, now = person(request), timezone.now()
    operation = get_object_or_404(Operation.objects.visible_to(user).to_show(), pk=pk)
    page = reverse("imodels:operation-detail", args=[pk])
    return answer(request, of(operation, user, now, catalog=Catalog(user)), operation.name, page)


def answer(request: HtmxRequest, lineage: Lineage, name: str, page: str) -> HttpResponse:
    """The tree alone for htmx; without, a page of its own, below the one that it belongs to."""
    context = {"lineage": lineage, "name": name, "page": page, "section": "operations"}
    return render(request, "operations/_tree.html" if request.htmx else "operations/lineage.html", context)


def of(operation: Operation, user: User, now: datetime, *, catalog: Catalog | None = None) -> Lineage:
    """The tree around an operation, as this person may see it.

    catalog: what may be asked about iModels that are none of ours; without one only what is remembered is told
    """
    above = _Above(user, catalog, now)
    here = _row_box(operation, now, is_here=True)
    url = reverse("imodels:lineage", args=[operation.pk])
    parents = above.of(operation.source_id, _source_of(operation), but=operation.imodel_id)
    return _tree(here, operation.imodel_id, above, parents, url)


def of_imodel(imodel_id: str, name: str, user: User, now: datetime, *, catalog: Catalog | None = None) -> Lineage:
    """The tree around an iModel that no operation made which this person may see: of what is above it, the platform
    knows. Otherwise as of().
    """
    above = _Above(user, catalog, now)
    here = Box(name, sub="this one", is_here=True)
    origin = above.ask(imodel_id)
    parents: Iterator[Box] = iter(())
    if origin:
        here = replace(here, made=_platform_box(origin, here).made)
        parents = above.of(origin.creation.made_from, Box(HIDDEN, is_hidden=True), but=imodel_id)
    return _tree(here, imodel_id, above, parents, reverse("imodels:imodel-lineage", args=[imodel_id]))


def _tree(here: Box, imodel_id: str, above: "_Above", parents: Iterator[Box], url: str) -> Lineage:
    box = replace(here, **_below(imodel_id, above.rows, above.now))
    for parent in parents:
        box = replace(parent, below=[box])
    return Lineage(box if box.below or not box.is_here else None, above.is_asked or not above.is_cut, url)


class _Above:
    """The iModels that one was made from. rows: what this person may see.

    is_cut    the platform could tell more, and was not asked
    is_asked  or it was, whatever it said
    """

    def __init__(self, user: User, catalog: Catalog | None, now: datetime) -> None:
        self.rows, self.now = Operation.objects.visible_to(user).to_show(), now
        self.is_asked, self.is_cut = catalog is not None, False
        self._catalog = catalog or Catalog(user, is_from_memory=True)

    def of(self, imodel_id: str, source: Box, *, but: str) -> Iterator[Box]:
        """This one, as `source` shows it where it is none of ours, and those before it; nearest first. Not `but`."""
        seen = {but}
        for _ in range(LEVELS_UP):
            if not imodel_id or imodel_id in seen:
                return
            seen.add(imodel_id)
            row = self.rows.filter(imodel_id=imodel_id).first()
            if row:
                yield _row_box(row, self.now)
                imodel_id, source = row.source_id, _source_of(row)
                continue
            origin = self.ask(imodel_id)
            yield _platform_box(origin, source) if origin else source
            if not origin:
                return
            imodel_id, source = origin.creation.made_from, Box(HIDDEN, is_hidden=True)
        if imodel_id:
            yield Box("Earlier ones", is_hidden=True)

    def ask(self, imodel_id: str) -> Origin | None:
        try:
            return self._catalog.origin(imodel_id)
        except NotInCatalog:
            return None
        except (CatalogUnavailable, SignInNeeded):
            self.is_cut = True
            return None


def _source_of(operation: Operation) -> Box:
    """Whoever may see an operation may read what its source is called: it is part of what was asked for."""
    name, url = operation.source_name or operation.source_id, links.imodel_url(operation.source_id)
    return Box(name, sub=operation.source_itwin_name, url=url)


def _row_box(operation: Operation, now: datetime, *, is_here: bool = False) -> Box:
    """How it stands says the page of the one that is looked at, and goes on saying it."""
    state = formats.lower_first(status.describe(operation, now).badge)
    if hasattr(operation, "orphan") and operation.orphan.state != OrphanState.LEFT:
        state += f", {formats.lower_first(status.describe_orphan(operation.orphan).badge)}"
    return Box(
        operation.name,
        sub="this one" if is_here else f"{operation.itwin_name or 'in another iTwin'}, {state}",
        url="" if is_here else links.imodel_url(operation.imodel_id) or links.operation_url(operation),
        made=status.lineage_label(operation) if operation.source_id else "",
        is_here=is_here,
    )


def _platform_box(origin: Origin, source: Box) -> Box:
    """What the platform tells this person; their own rights let them read it."""
    creation = origin.creation
    verb = "forked" if creation.is_fork else "cloned" if creation.is_clone else ""
    at = creation.changeset_id[:8] or "its baseline"
    state = "usable" if origin.imodel.is_initialized else "not usable yet"
    where = origin.itwin_name or source.sub
    made = f"{verb} at {at}" if verb else ""
    return Box(origin.imodel.name, sub=f"{where}, {state}" if where else state, made=made, url=source.url)


# What was made from it


def _below(imodel_id: str, rows: OperationQuerySet, now: datetime) -> dict[str, Any]:
    """The boxes below one, level by level: three queries a level, however many there are."""
    if not imodel_id:
        return {}
    levels: list[dict[str, list[Operation]]] = []
    ids = {imodel_id}
    all_made: dict[str, int] = {}
    seen_made: dict[str, int] = {}
    while ids and len(levels) < LEVELS_DOWN:
        made: dict[str, list[Operation]] = defaultdict(list)
        all_made |= _how_many(Operation.objects.all(), ids)
        seen_made |= _how_many(rows, ids)
        for row in rows.filter(source_id__in=ids).order_by("-created_at", "-pk")[: SIDE_BY_SIDE * len(ids)]:
            if len(made[row.source_id]) < SIDE_BY_SIDE:
                made[row.source_id].append(row)
        levels.append(made)
        ids = {row.imodel_id for found in made.values() for row in found if row.imodel_id}

    def under(imodel_id: str, level: int) -> dict[str, Any]:
        found = levels[level].get(imodel_id, []) if imodel_id and level < len(levels) else []
        count = seen_made.get(imodel_id, 0)
        return {
            "below": [replace(_row_box(row, now), **under(row.imodel_id, level + 1)) for row in found],
            "more": count - len(found),
            "hidden_below": all_made.get(imodel_id, 0) - count,
            "more_url": links.imodel_url(imodel_id),
        }

    return under(imodel_id, 0)


def _how_many(rows: OperationQuerySet, ids: set[str]) -> dict[str, int]:
    counted = rows.filter(source_id__in=ids).order_by().values_list("source_id").annotate(Count("pk"))
    return dict(counted)
