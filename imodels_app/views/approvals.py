"""What waits for a decision, the facts for it on one screen, and the decision."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import logout
from django.db.models import F, OuterRef, Q, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from imodels_app import error_handlers, gateway, lifecycle
from imodels_app.accounts import permissions
from imodels_app.audit import refusals
from imodels_app.decorators import person, preserve_input_on_sign_out, signed_in, throttled
from imodels_app.display import live, status
from imodels_app.limits import throttles
from imodels_app.models import Decision, Operation, User
from imodels_app.requesting import card_facts
from imodels_app.requesting.fields import Form, text_field
from imodels_app.runtime import foreign_text
from imodels_app.states import Kind, State, Verb, WaitReason
from imodels_app.views import approval_card

MOST_DECIDED = 20
MOST_OPEN = 100


class DecisionForm(Form):
    """What is said with a decision."""

    comment = text_field(
        "Comment", "Say why, so that the next request can be better.", most=foreign_text.PARAGRAPH, is_line=False
    )


@dataclass(frozen=True)
class ApprovalRow:
    operation: Operation
    status_text: status.StatusText


@signed_in
@require_safe
@vary_on_headers("HX-Request")
def approval_list(request: HttpRequest) -> HttpResponse:
    """Waiting for me, my requests, decided. For htmx its live parts; 204 for a poll that has missed nothing."""
    user, now = person(request), timezone.now()
    lists = _lists(user)
    shown = [operation for rows in lists.values() for operation in rows]
    live_page = live.page(request, user, now, shown, *map(len, lists.values()))
    if live_page.is_unchanged:
        return HttpResponse(status=204)
    context: dict[str, Any] = {name: _rows(rows, now) for name, rows in lists.items()}
    pace = live.DECIDING_S if lists["waiting"] or lists["requested"] else live.WAITING_S
    context |= {"pace": pace, "section": "approvals"}
    return live_page.render("approvals/list.html", "approvals/_lists.html", context)


def _not_decided(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Nothing is decided, and the comment is still there: on the card, or for the signed-out on a page that tells
    nothing but what they have just sent.
    """
    if not request.user.is_authenticated:
        context = {"comment": request.POST.get("comment", ""), "pk": pk, "section": "approvals"}
        return render(request, "approvals/signed_out.html", context, status=422)
    user = person(request)
    return approval_card.card(request, approval_card.visible(user, pk), user, status_code=422, is_old=True)


@preserve_input_on_sign_out(_not_decided)
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
@vary_on_headers("HX-Request")
def approval_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """All facts of one request, and the form for whoever may decide; for htmx its live parts, as approval_facts.

    A POST brings a comment along, and no decision.
    """
    user = person(request)
    operation = approval_card.visible(user, pk)
    if request.method == "POST":
        return approval_card.card(request, operation, user)
    return approval_card.live_card(request, operation, user, card_facts.remembered(operation))


@preserve_input_on_sign_out(_not_decided)
@signed_in
@require_POST
@throttled(throttles.DECISIONS)
def approve(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let it run. 403 with the reason for who may not, 409 and the card as it is now for who comes late."""
    return _decide(request, pk, lifecycle.approve, "approved")


@preserve_input_on_sign_out(_not_decided)
@signed_in
@require_POST
@throttled(throttles.DECISIONS)
def reject(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Refuse it, with a comment: the requester has to know why."""
    return _decide(request, pk, lifecycle.reject, "rejected")


def _decide(request: HttpRequest, pk: UUID, decide: Callable[..., None], done: str) -> HttpResponse:
    user = person(request)
    operation = approval_card.visible(user, pk)
    form = DecisionForm(request.POST)
    form.fields["comment"].required = done == "rejected"
    try:
        permissions.require(permissions.why_not_decide(user, operation))
        if not form.is_valid() and operation.state == State.AWAITING_APPROVAL:
            problem = str(form.errors["comment"][0]).rstrip(".")
            return approval_card.card(request, operation, user, status_code=422, problem=problem)
        if operation.state == State.AWAITING_APPROVAL:
            gateway.confirm_grant(user)
        decide(operation, by=user, comment=form.cleaned_data.get("comment", ""))
    except gateway.MustWait as later:
        return _not_confirmed(request, operation, later)
    except permissions.Denied as no:
        refusals.record(Verb.DECISION_REFUSED, request, note=f"{done}: {no}", operation=operation)
        return error_handlers.denied(request, str(no), back=reverse("imodels:approval-detail", args=[pk]))
    except lifecycle.Conflict as conflict:
        return approval_card.card(request, approval_card.visible(user, pk), user, status_code=409, late=str(conflict))
    following = approval_card.in_line(user).first()
    more = " This is the next in line." if following else ""
    messages.success(request, f"You {done} {foreign_text.isolated(operation.name)}.{more}")
    return redirect("imodels:approval-detail", following.pk) if following else redirect("imodels:approval-list")


def _not_confirmed(request: HttpRequest, operation: Operation, later: gateway.MustWait) -> HttpResponse:
    """Whether the person is still who signed in is not known: nothing is decided, and the comment stays."""
    if later.reason == WaitReason.SIGN_IN:
        refusals.record(Verb.DECISION_REFUSED, request, note="Has to sign in again first.", operation=operation)
        logout(request)
        return _not_decided(request, operation.pk)
    messages.error(request, "Nothing is decided: the sign-in service has to confirm who you are. Try again soon.")
    return approval_card.card(request, operation, person(request), status_code=503)


def _lists(user: User) -> dict[str, list[Operation]]:
    """The three tables, soonest deadline or newest decision first."""
    forks = Operation.objects.filter(kind=Kind.FORK).to_show()
    requested = forks.filter(requested_by=user, state=State.AWAITING_APPROVAL)
    decided = forks.filter(Q(pk__in=Operation.objects.of_teams(user).values("pk")) | Q(requested_by=user))
    newest = Decision.objects.filter(operation=OuterRef("pk")).order_by("-decided_at").values("decided_at")[:1]
    decided = decided.annotate(decided_at=Subquery(newest))
    decided = decided.filter(Q(decided_at__isnull=False) | Q(state=State.EXPIRED))
    return {
        "waiting": list(approval_card.in_line(user)[:MOST_OPEN]),
        "requested": list(requested.order_by("expires_at")[:MOST_OPEN]),
        "decided": list(decided.order_by(F("decided_at").desc(nulls_last=True), "-changed_at")[:MOST_DECIDED]),
    }


def _rows(operations: list[Operation], now: datetime) -> list[ApprovalRow]:
    return [ApprovalRow(operation, status.describe(operation, now)) for operation in operations]
