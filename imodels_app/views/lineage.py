"""Made from what, and what was made from it: a tree of iModels around one operation.

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
from imodels_app.display import formats, status
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
    """root: the oldest one known; None when there is nothing to draw. is_asked: the platform has told its part."""

    root: Box | None
    is_asked: bool


@signed_in
@require_safe
@vary_on_headers("HX-Request")
def lineage(request: HtmxRequest, pk: UUID) -> HttpResponse:
    """The tree with what the platform tells: the page's part for htmx, a page of its own without."""
    user, now = person(request), timezone.now()
    operation = get_object_or_404(Operation.objects.visible_to(user).to_show(), pk=pk)
    context = {
        "operation": operation,
        "lineage": of(operation, user, now, catalog=Catalog(user), is_asked=True),
        "section": "operations",
    }
    return render(request, "operations/_tree.html" if request.htmx else "operations/lineage.html", context)


def of(
    operation: Operation, user: User, now: datetime, *, catalog: Catalog | None = None, is_asked: bool = False
) -> Lineage:
    """The tree around an operation, as this person may see it.

    catalog: what may be asked about iModels that are none of ours; without one only what is remembered is told
    """
    rows = Operation.objects.visible_to(user).to_show()
    here = _row_box(operation, now, is_here=True)
    box = replace(here, **_below(operation, rows, now))
    above = _Above(rows, catalog or Catalog(user, is_from_memory=True), now)
    for parent in above.of(operation):
        box = replace(parent, below=[box])
    return Lineage(box if box.below or not box.is_here else None, is_asked or not above.is_cut)


class _Above:
    """The iModels that one was made from, nearest first. is_cut: the platform could tell more, and was not asked."""

    def __init__(self, rows: OperationQuerySet, catalog: Catalog, now: datetime) -> None:
        self._rows, self._catalog, self._now = rows, catalog, now
        self.is_cut = False

    def of(self, operation: Operation) -> Iterator[Box]:
        imodel_id, seen = operation.source_id, {operation.imodel_id}
        # Whoever may see an operation may read what its source is called: it is part of what was asked for.
        source = Box(operation.source_name or operation.source_id, sub=operation.source_itwin_name)
        for _ in range(LEVELS_UP):
            if not imodel_id or imodel_id in seen:
                return
            seen.add(imodel_id)
            row = self._rows.filter(imodel_id=imodel_id).first()
            if row:
                yield _row_box(row, self._now)
                imodel_id, source = row.source_id, Box(row.source_name or row.source_id, sub=row.source_itwin_name)
                continue
            origin = self._ask(imodel_id)
            yield _platform_box(origin, source) if origin else source
            if not origin:
                return
            imodel_id, source = origin.creation.made_from, Box(HIDDEN, is_hidden=True)
        if imodel_id:
            yield Box("Earlier ones", is_hidden=True)

    def _ask(self, imodel_id: str) -> Origin | None:
        try:
            return self._catalog.origin(imodel_id)
        except NotInCatalog:
            return None
        except (CatalogUnavailable, SignInNeeded):
            self.is_cut = True
            return None


def _row_box(operation: Operation, now: datetime, *, is_here: bool = False) -> Box:
    """How it stands says the page of the one that is looked at, and goes on saying it."""
    state = formats.lower_first(status.describe(operation, now).badge)
    if hasattr(operation, "orphan") and operation.orphan.state != OrphanState.LEFT:
        state += f", {formats.lower_first(status.describe_orphan(operation.orphan).badge)}"
    return Box(
        operation.name,
        sub="this one" if is_here else f"{operation.itwin_name or 'in another iTwin'}, {state}",
        url="" if is_here else reverse("imodels:operation-detail", args=[operation.pk]),
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
    return Box(origin.imodel.name, sub=f"{where}, {state}" if where else state, made=f"{verb} at {at}" if verb else "")


# What was made from it


def _below(operation: Operation, rows: OperationQuerySet, now: datetime) -> dict[str, Any]:
    """The boxes below one, level by level: three queries a level, however many there are."""
    if not operation.imodel_id:
        return {}
    levels: list[dict[str, list[Operation]]] = []
    ids = {operation.imodel_id}
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
            "more_url": f"{reverse('imodels:operation-list')}?q={imodel_id}",
        }

    return under(operation.imodel_id, 0)


def _how_many(rows: OperationQuerySet, ids: set[str]) -> dict[str, int]:
    counted = rows.filter(source_id__in=ids).order_by().values_list("source_id").annotate(Count("pk"))
    return dict(counted)
