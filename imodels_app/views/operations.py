"""The live table of operations, the page of one, and calling it off."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from imodels_app import eligibility, error_handlers, lifecycle
from imodels_app.accounts import permissions
from imodels_app.decorators import person, signed_in, throttled
from imodels_app.display import formats, live, progress, status, timeline
from imodels_app.display.estimates import Estimates
from imodels_app.display.links import operation_url
from imodels_app.limits import fair_queue, rate_limits, throttles
from imodels_app.models import Operation, OperationQuerySet, SavedFilter, Subscription, User
from imodels_app.models.changes import (
    OF_LIMITS,
    Condition,
    of_operation,
    of_person,
    of_teams,
    seen_by,
)
from imodels_app.redirects import own_path
from imodels_app.requesting.spec import crs_in, extent_in
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import CANCELLABLE, State, Verb, WaitReason
from imodels_app.tables import filters, keyset, menus
from imodels_app.views import asking, first_steps, lineage, saved_filters, several


@dataclass(frozen=True)
class OperationRow:
    """One line of the table. can: the acts that are possible (several.possible)."""

    operation: Operation
    status_text: status.StatusText
    why_not_cancel: str
    can: str
    is_subscribed: bool

    @cached_property
    def made_from(self) -> str:
        return status.made_from(self.operation)

    def facts(self, now: datetime) -> list[Any]:
        """What this line shows: a poll sends it again when it differs."""
        said = [self.status_text, self.can, self.why_not_cancel, self.is_subscribed]
        return [live.row_facts(self.operation, now), *said]


@signed_in
@require_safe
@vary_on_headers("HX-Request")
def operation_list(request: HttpRequest) -> HttpResponse:
    """The table page; for htmx its live parts; 204 for a poll that has missed nothing."""
    user, now = person(request), timezone.now()
    tab = request.GET.get("whose") or ("all" if user.is_admin else "mine")
    if tab not in filters.tabs(user):
        raise Http404
    live_page = live.look(request, user, now, _changes(user, tab) | OF_LIMITS)
    if live_page is None:
        return HttpResponse(status=204)
    asked, scopes = filters.Filter.read(request.GET), {word: filters.whose(user, word) for word in filters.tabs(user)}
    scope = scopes[tab]
    sort, order = filters.sorted_by(request.GET.get("sort", ""))
    told = Exists(Subscription.objects.filter(person=user, operation=OuterRef("pk")))
    found = asked.operations(scope.to_show().annotate(lasted=filters.LASTED, is_subscribed=told))
    page = keyset.page([found], order, request.GET)
    positions = fair_queue.positions(page, now)
    rows = _rows(page, user, now, positions)
    counted, limits = keyset.counted(page, [found]), rate_limits.remaining(now)
    context = {
        "numbers": filters.numbers(scope, now),
        "rate_limits": limits,
        "rows": replace(counted, rows=rows),
        "sorts": filters.sorts(sort),
        "pace": live.pace(page),
        "tab": tab,
        "tabs": [(word, label, keyset.total([scopes[word]])) for word, label in filters.tabs(user).items()],
        "filters": asked,
        "hidden": _hidden(asked, scope, page),
        "several": several.buttons(several.OF_TABLE),
    }
    parts = {name: context[name] for name in ("numbers", "rate_limits", "tabs")} | {"total": counted.total}
    if user.is_admin and tab == "all" and not page.rows and not asked.is_set:
        context["steps"] = first_steps.steps()
    if not live.is_fragment(request):
        context |= _around_the_table(request, asked, scope)
    return live_page.render(
        "operations/list.html",
        "operations/_live.html",
        context,
        parts=parts,
        rows={row.operation.pk: row.facts(now) for row in rows},
        times=[*live.times(page, now), *_times(positions, now), *(one.more_at for one in limits if one.more_at)],
        extra=live.QUEUE if positions else "",
    )


def _around_the_table(request: HttpRequest, asked: filters.Filter, scope: OperationQuerySet) -> dict[str, Any]:
    """What the whole page has and its live parts have not: the filter."""
    context = {"chips": menus.chips(asked, request.GET, scope), "section": "operations"}
    context |= {"hidden_inputs": menus.hidden_inputs(request.GET, "q")}
    return context | saved_filters.on(request, SavedFilter.Page.TABLE)


@signed_in
@require_safe
@vary_on_headers("HX-Request")
def operation_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Everything about one operation; for htmx its live parts; 204 for a poll that has missed nothing."""
    user, now = person(request), timezone.now()
    live_page = live.look(request, user, now, of_operation(pk) & seen_by(user))
    if live_page is None:
        return HttpResponse(status=204)
    operation = _visible(user, pk)
    context = _page_of(operation, user, now) | {"section": "operations"}
    positions = fair_queue.positions([operation], now)
    read = [
        live.row_facts(operation, now),
        context["status_text"],
        len(context["timeline"]),
        live.tick([operation], now),
    ]
    return live_page.render(
        "operations/detail.html",
        "operations/_detail.html",
        context,
        parts={"operation": read},
        times=[*live.times([operation], now), *_times(positions, now)],
        extra=live.QUEUE if positions else "",
    )


@signed_in
@require_POST
@throttled(throttles.DECISIONS)
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Call one off, once one is sure: 403 for who may not, 409 and the page as it is now when it is too late."""
    operation = _visible(person(request), pk)
    if not asking.is_sure(request) and not permissions.why_not_cancel(person(request), operation):
        return _ask_to_cancel(request, operation)
    return _act(request, pk, lifecycle.cancel, "{} was cancelled. It was not sent.")


def _ask_to_cancel(request: HttpRequest, operation: Operation) -> HttpResponse:
    word = "Withdraw" if operation.is_undecided else "Cancel"
    return asking.ask(
        request,
        f"{word} “{isolated(operation.name)}”?",
        several.ACTS[several.CANCEL].warning,
        button=f"{word} it",
        back=own_path(request.POST.get("next", ""), operation_url(operation)),
        icon="st-cancelled",
        can=[several.Outcome(operation, status.describe(operation, timezone.now()))],
        opens="imodels:operation-detail",
        section="operations",
    )


@signed_in
@require_POST
@throttled(throttles.DECISIONS)
def start_now(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let one that was put off be sent as soon as it may be. Answers as cancel()."""
    return _act(request, pk, partial(lifecycle.start_at, at=None), "{} is sent as soon as it may be.")


def _act(request: HttpRequest, pk: UUID, act: Callable[..., None], done: str) -> HttpResponse:
    user, now = person(request), timezone.now()
    operation = _visible(user, pk)
    try:
        act(operation, by=user)
    except permissions.Denied as no:
        might_once = operation.requested_by_id == user.pk or user.is_admin
        if might_once and operation.state not in CANCELLABLE:
            return _too_late(request, operation, user, now, str(no))
        return error_handlers.denied(request, str(no), back=operation_url(operation))
    except lifecycle.Conflict as conflict:
        return _too_late(request, _visible(user, pk), user, now, str(conflict))
    messages.success(request, done.format(isolated(operation.name)))
    return redirect(own_path(request.POST.get("next", ""), operation_url(operation)))


@signed_in
@require_POST
@throttled(throttles.PRESETS)
def subscribe(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Be told of the end of one, or no longer. 409 and the page as it is now where nothing can be told."""
    user, operation = person(request), _visible(person(request), pk)
    if request.POST.get("on") == "yes":
        if why_not := several.why_not_tell(user, operation):
            return _too_late(request, operation, user, timezone.now(), why_not, "You are not told.")
        Subscription.objects.get_or_create(person=user, operation=operation)
        messages.success(request, f"You will be told when {isolated(operation.name)} has ended.")
    else:
        user.subscriptions.filter(operation=operation).delete()
        messages.success(request, f"You will not be told about {isolated(operation.name)}.")
    return redirect(own_path(request.POST.get("next", ""), operation_url(operation)))


# The table


def _rows(
    page: keyset.Slice, user: User, now: datetime, positions: dict[UUID, fair_queue.QueuePosition]
) -> list[OperationRow]:
    estimates = Estimates()
    return [
        OperationRow(
            operation,
            status.describe(
                operation,
                now,
                estimates.of(operation) if operation.state == State.RUNNING else None,
                positions.get(operation.pk),
            ),
            permissions.why_not_cancel(user, operation),
            several.possible(user, operation, several.OF_TABLE),
            getattr(operation, "is_subscribed", False),
        )
        for operation in page
    ]


def _changes(user: User, tab: str) -> Condition:
    """Those of the operations of one tab (filters.whose)."""
    if tab == "mine":
        return of_person(user)
    return of_teams(user) if tab == "team" else seen_by(user)


def _hidden(asked: filters.Filter, scope: QuerySet[Operation], page: keyset.Slice) -> str:
    """How many rows an empty page's filter hides, as it is read; nothing if it hides none."""
    return keyset.total([scope]) if asked.is_set and not page.rows and scope.exists() else ""


def _times(positions: dict[UUID, fair_queue.QueuePosition], now: datetime) -> Iterator[datetime]:
    """When what is read of a place changes by time alone: its turn comes, or is so near that no time is told."""
    for position in positions.values():
        yield from (at for at in (position.start - status.A_MOMENT, position.start) if at > now)


# One operation


def _page_of(operation: Operation, user: User, now: datetime) -> dict[str, Any]:
    usual = Estimates().of(operation)
    status_text = status.describe(operation, now, usual, fair_queue.positions([operation], now).get(operation.pk))
    attempts = list(operation.attempts.all())
    return {
        "operation": operation,
        "status_text": status_text,
        "usual": usual,
        "steps": progress.steps(operation, status_text),
        "doing": progress.progress_headline(operation),
        "basis": progress.estimate_basis(operation, usual, now),
        "headline": status.headline(operation) if operation.state == State.FAILED else "",
        "timeline": [
            timeline.entry(event, operation)
            # What the platform was asked stands beside it, with its answers.
            for event in operation.events.exclude(verb=Verb.CALLED).select_related("actor").order_by("-at", "-pk")
        ],
        "attempts": attempts,
        "request_url": request_url(operation),
        "curl": formats.curl(request_url(operation), operation.request_body),
        "why_not_cancel": permissions.why_not_cancel(user, operation),
        "may_start": operation.wait_reason == WaitReason.NOT_BEFORE and not permissions.why_not_start(user, operation),
        "is_subscribed": user.subscriptions.filter(operation=operation).exists(),
        "why_not_tell": several.why_not_tell(user, operation),
        "can_decide": not eligibility.why_not_decide(user, operation),
        "lineage": lineage.of(operation, user, now),
        # Teams and their iTwins change: whoever may see this one need not see the one before it.
        "again_of": Operation.objects.visible_to(user).filter(again=operation).first(),
        "again_as": list(Operation.objects.visible_to(user).filter(again_of=operation).order_by("-created_at")[:5]),
        "extent": extent_in(operation.request_body),
        "crs": crs_in(operation.request_body),
        # What has ended changes no more.
        "pace": live.pace([operation]) if not operation.is_finished or live.is_deleting(operation) else 0,
        "why_not_delete": permissions.why_not_delete_orphan(user, operation),
    }


def _visible(user: User, pk: UUID) -> Operation:
    rows = Operation.objects.visible_to(user).to_show().select_related("team", "requested_by")
    return get_object_or_404(rows, pk=pk)


def _too_late(
    request: HttpRequest,
    operation: Operation,
    user: User,
    now: datetime,
    sentence: str,
    not_done: str = "Not cancelled.",
) -> HttpResponse:
    context = _page_of(operation, user, now)
    context |= {"seen": "", "now": now, "section": "operations", "late": sentence, "not_done": not_done}
    return render(request, "operations/detail.html", context, status=409)


def request_url(operation: Operation) -> str:
    return settings.ITWIN_API_URL + operation.request_path
