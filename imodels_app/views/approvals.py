"""What waits for a decision, the facts for it on one screen, and the decision."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import logout
from django.core.exceptions import ValidationError
from django.db.models import F, OuterRef, Q, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from imodels_app import error_handlers, gateway, lifecycle
from imodels_app.accounts import permissions, sessions
from imodels_app.audit import refusals
from imodels_app.decorators import person, preserve_input_on_sign_out, signed_in, throttled
from imodels_app.display import live, status
from imodels_app.limits import throttles
from imodels_app.models import Decision, Operation, User
from imodels_app.models.changes import seen_by
from imodels_app.requesting import card_facts
from imodels_app.requesting.fields import Form, text_field
from imodels_app.runtime import clock, foreign_text
from imodels_app.states import UNDECIDED, State, Verb, WaitReason
from imodels_app.views import approval_card

MOST_DECIDED = 20
SHORTEST_REASON = 10
MOST_OPEN = 100


class DecisionForm(Form):
    """What is said with a decision."""

    comment = text_field(
        "Comment", "Say why, so that the next request can be better.", most=foreign_text.PARAGRAPH, is_line=False
    )


class BypassForm(Form):
    """Why an approval is bypassed."""

    reason = text_field("Reason", "Say why.", most=foreign_text.PARAGRAPH, is_line=False)

    def clean_reason(self) -> str:
        reason: str = self.cleaned_data["reason"]
        if len(reason) < SHORTEST_REASON:
            raise ValidationError(f"Say why, in at least {SHORTEST_REASON} characters.")
        return reason


@dataclass(frozen=True)
class ApprovalRow:
    """One request of a list. agreed, needed: how many approvals it has, and needs."""

    operation: Operation
    status_text: status.StatusText
    agreed: int
    needed: int


@signed_in
@require_safe
@vary_on_headers("HX-Request")
def approval_list(request: HttpRequest) -> HttpResponse:
    """Waiting for me, my requests, decided. For htmx its live parts; 204 for a poll that has missed nothing."""
    user, now = person(request), timezone.now()
    decided = Q(operation_id__in=user.decisions.values("operation"))
    live_page = live.look(request, user, now, seen_by(user) | decided)
    if live_page is None:
        return HttpResponse(status=204)
    lists = _lists(user)
    context: dict[str, Any] = {name: _rows(rows, now) for name, rows in lists.items()}
    pace = live.DECIDING_S if lists["waiting"] or lists["requested"] else live.WAITING_S
    context |= {"pace": pace, "section": "approvals"}
    parts = {"lists": [[live.shown(row, now) for row in rows] for rows in lists.values()]}
    times = live.times(chain(*lists.values()), now)
    return live_page.render("approvals/list.html", "approvals/_lists.html", context, parts=parts, times=times)


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


@preserve_input_on_sign_out(_not_decided)
@signed_in
@require_POST
@throttled(throttles.DECISIONS)
def request_changes(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give it back to its requester, with a comment: what should be different."""
    return _decide(request, pk, lifecycle.request_changes, "asked for changes to")


@preserve_input_on_sign_out(_not_decided)
@signed_in
@require_POST
@throttled(throttles.DECISIONS)
def bypass(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let it run without the approvals that it lacks: admins only, with a reason that all leads read."""
    operation, form = approval_card.visible(person(request), pk), BypassForm(request.POST)

    def act(by: User) -> None:
        lifecycle.bypass(operation, by=by, reason=form.cleaned_data.get("reason", ""), seen=_seen(request))

    return _act(request, operation, form, act, permissions.why_not_bypass, "bypassed the approval of")


def _decide(request: HttpRequest, pk: UUID, decide: Callable[..., None], done: str) -> HttpResponse:
    user = person(request)
    operation, form = approval_card.visible(user, pk), DecisionForm(request.POST)
    is_approval = decide is lifecycle.approve
    form.fields["comment"].required = not is_approval or permissions.has_to_comment(user, operation)

    def act(by: User) -> None:
        decide(operation, by=by, comment=form.cleaned_data.get("comment", ""), seen=_seen(request))

    return _act(request, operation, form, act, permissions.why_not_decide, done)


def _act(
    request: HttpRequest,
    operation: Operation,
    form: Form,
    act: Callable[[User], None],
    why_not: Callable[[User, Operation], str],
    done: str,
) -> HttpResponse:
    """Decide, or answer why not: 403, 409 with the card as it is now, 422 at the field, 503 unconfirmed."""
    user, is_valid = person(request), form.is_valid()
    try:
        permissions.require(why_not(user, operation))
        if operation.state == State.AWAITING_APPROVAL:
            if not is_valid:
                problems = {f"{name}_problem": str(wrong[0]).rstrip(".") for name, wrong in form.errors.items()}
                problems["problem"] = problems.get("comment_problem", "")
                return approval_card.card(request, operation, user, status_code=422, **problems)
            _confirm(request, user, operation)
        act(user)
    except gateway.MustWait as later:
        return _not_confirmed(request, operation, later)
    except permissions.Denied as no:
        refusals.record(Verb.DECISION_REFUSED, request, note=f"{done}: {no}", operation=operation)
        return error_handlers.denied(request, str(no), back=reverse("imodels:approval-detail", args=[operation.pk]))
    except lifecycle.Conflict as conflict:
        now_shown = approval_card.visible(user, operation.pk)
        return approval_card.card(request, now_shown, user, status_code=409, late=str(conflict))
    following = approval_card.in_line(user).first()
    more = " This is the next in line." if following else ""
    messages.success(request, f"You {done} {foreign_text.isolated(operation.name)}.{more}")
    return redirect("imodels:approval-detail", following.pk) if following else redirect("imodels:approval-list")


def _seen(request: HttpRequest) -> int:
    """The round that the page showed. A page from before there were any showed the first."""
    shown = request.POST.get("round", "1")
    return int(shown) if shown.isdecimal() and len(shown) < 9 else 0


def _confirm(request: HttpRequest, user: User, operation: Operation) -> None:
    """Raise MustWait unless this is still who signed in; where a rule asks for it, a moment ago."""
    if permissions.has_to_sign_in(user, operation) and not sessions.is_fresh(request.session):
        raise gateway.MustWait(WaitReason.SIGN_IN, clock.now(), "A rule asks for a new sign-in.")
    gateway.confirm_grant(user)


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
    shown = Operation.objects.to_show()
    requested = shown.filter(requested_by=user, state__in=sorted(UNDECIDED))
    by_me = Q(pk__in=user.decisions.values("operation"))
    of_mine = Q(pk__in=Operation.objects.of_teams(user).values("pk")) | Q(requested_by=user)
    decided = shown.filter(by_me | (of_mine & ~Q(state__in=sorted(UNDECIDED))))
    newest = Decision.objects.filter(operation=OuterRef("pk")).order_by("-decided_at").values("decided_at")[:1]
    nobody_decided = Q(state=State.EXPIRED) & ~Q(wait_reason=WaitReason.SIGN_IN)
    decided = decided.annotate(decided_at=Subquery(newest))
    decided = decided.filter(Q(decided_at__isnull=False) | nobody_decided)
    return {
        "waiting": list(approval_card.in_line(user)[:MOST_OPEN]),
        "requested": list(requested.order_by("expires_at")[:MOST_OPEN]),
        "decided": list(decided.order_by(F("decided_at").desc(nulls_last=True), "-changed_at")[:MOST_DECIDED]),
    }


def _rows(operations: list[Operation], now: datetime) -> list[ApprovalRow]:
    return [ApprovalRow(one, status.describe(one, now), *approval_card.count_approvals(one)) for one in operations]
