"""What failed operations left on the platform: the list, the question before deleting one, and asking for it."""

from dataclasses import dataclass, replace
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from imodels_app import error_handlers, lifecycle
from imodels_app.accounts import permissions
from imodels_app.decorators import person, signed_in, throttled
from imodels_app.display import live, status
from imodels_app.display.links import operation_url
from imodels_app.limits import throttles
from imodels_app.models import Operation, Orphan, OrphanQuerySet, User
from imodels_app.models.changes import seen_by
from imodels_app.requesting.catalog import Catalog, CatalogUnavailable, NotInCatalog, SignInNeeded
from imodels_app.requesting.sources import Source
from imodels_app.states import NO_LONGER_THERE, OrphanState
from imodels_app.tables import keyset
from imodels_app.views import several

LATEST = keyset.Order(("operation__finished_at", "pk"))


@dataclass(frozen=True)
class OrphanRow:
    """One orphan. why: how its operation failed; status_text: what became of what that left; can: the acts that
    are possible (several.possible).
    """

    operation: Operation
    why: status.StatusText
    status_text: status.StatusText
    why_not: str
    can: str


@dataclass(frozen=True)
class PlatformAnswer:
    """What the platform says about it now, as far as it could be asked. trouble: a sentence, or empty."""

    source: Source | None = None
    trouble: str = ""

    @property
    def is_usable(self) -> bool:
        return self.source is not None and self.source.imodel.is_initialized

    @property
    def may_not(self) -> bool:
        """The rights that are listed do not suffice. Those of an organization's administrators need not be listed."""
        return self.source is not None and not self.source.may_be_deleted


@signed_in
@require_safe
@vary_on_headers("HX-Request")
def orphan_list(request: HttpRequest) -> HttpResponse:
    """What is still there, newest first, and what was deleted. For htmx its live parts; 204 if nothing was missed."""
    user, now = person(request), timezone.now()
    live_page = live.look(request, user, now, seen_by(user))
    if live_page is None:
        return HttpResponse(status=204)
    found = _visible(user)
    left = found.still_there()
    page = keyset.page([left], LATEST, request.GET)
    over = list(found.no_longer_there().order_by("-changed_at", "-pk")[: keyset.PAGE_SIZE])
    operations = [orphan.operation for orphan in page]
    led = permissions.teams_led_by(user)
    rows = [_row(operation, user, led) for operation in operations]
    counted = keyset.counted(page, [left])
    context = {
        "rows": replace(counted, rows=rows),
        "over": [_row(orphan.operation, user, led) for orphan in over],
        "pace": live.pace(operations),
        "section": "orphans",
        "several": several.buttons(several.OF_ORPHANS),
    }
    lists = [[live.row_facts(operation, now) for operation in operations], [str(orphan.pk) for orphan in over]]
    parts = {"lists": [*lists, counted.total]}
    return live_page.render("orphans/list.html", "orphans/_lists.html", context, parts=parts)


@signed_in
@require_safe
def orphan_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The question before it is deleted, with what the platform says about it now."""
    user = person(request)
    operation = get_object_or_404(_visible(user), pk=pk).operation
    return _question(request, operation, user, _ask_platform(user, operation))


@signed_in
@require_POST
@throttled(throttles.DECISIONS)
def delete_orphan(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Have it deleted: 422 and the question again without the tick, 403 for who may not, 409 when it is too late."""
    user = person(request)
    operation = get_object_or_404(_visible(user), pk=pk).operation
    sure, anyway = "sure" in request.POST, "anyway" in request.POST
    answer = _ask_platform(user, operation)
    needs_both = answer.is_usable or operation.orphan.state == OrphanState.USABLE
    if not permissions.why_not_delete_orphan(user, operation) and (not sure or (needs_both and not anyway)):
        problem = "Tick both boxes" if needs_both else "Tick the box"
        return _question(request, operation, user, answer, problem=problem, ticked={"sure": sure, "anyway": anyway})
    try:
        lifecycle.delete_orphan(operation, by=user, even_if_usable=anyway)
    except permissions.Denied as no:
        if operation.orphan.state == OrphanState.LEFT:
            return error_handlers.denied(request, str(no), back=operation_url(operation))
        return _question(request, operation, user, answer, late=str(no))
    except lifecycle.Conflict as late:
        operation.refresh_from_db()
        return _question(request, operation, user, answer, late=str(late))
    messages.info(
        request, f"The orphaned iModel “{operation.name}” in {operation.itwin_name or 'the iTwin'} is being deleted."
    )
    return redirect(operation_url(operation))


def _visible(user: User) -> OrphanQuerySet:
    rows = Orphan.objects.visible_to(user).select_related("operation__team", "operation__upload")
    return rows.prefetch_related("operation__decisions")


def _row(operation: Operation, user: User, led: set[int]) -> OrphanRow:
    why = status.describe(operation, timezone.now())
    why_not = permissions.why_not_delete_orphan(user, operation, led=led)
    can = several.possible(user, operation, several.OF_ORPHANS)
    return OrphanRow(operation, why, status.describe_orphan(operation.orphan), why_not, can)


def _ask_platform(user: User, operation: Operation) -> PlatformAnswer:
    """The platform as this person sees it now. Without an answer the worker's own look, before it deletes, decides."""
    if operation.orphan.state in NO_LONGER_THERE:
        return PlatformAnswer()
    try:
        return PlatformAnswer(Catalog(user, max_age_s=0).source(operation.imodel_id))
    except NotInCatalog:
        return PlatformAnswer(trouble="The platform no longer knows it, or you cannot see it.")
    except (CatalogUnavailable, SignInNeeded):
        return PlatformAnswer(
            trouble="The platform cannot be asked now. It is checked again before anything is deleted."
        )


def _question(
    request: HttpRequest,
    operation: Operation,
    user: User,
    answer: PlatformAnswer,
    *,
    problem: str = "",
    late: str = "",
    ticked: dict[str, bool] | None = None,
) -> HttpResponse:
    context = {
        "operation": operation,
        "status_text": status.describe_orphan(operation.orphan),
        "why": status.describe(operation, timezone.now()),
        "why_not": permissions.why_not_delete_orphan(user, operation),
        "answer": answer,
        "is_usable": answer.is_usable or operation.orphan.state == OrphanState.USABLE,
        "problem": problem,
        "late": late,
        "ticked": ticked or {},
        "section": "orphans",
        "page": operation_url(operation),
    }
    return render(request, "orphans/detail.html", context, status=422 if problem else 409 if late else 200)
