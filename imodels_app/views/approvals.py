"""The card of a request, and what is sent from it: a decision, a comment, when it may start, who is looking."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods
from django.views.decorators.vary import vary_on_headers

from imodels_app import eligibility, error_handlers, gateway, lifecycle
from imodels_app.accounts import permissions
from imodels_app.decorators import person, preserve_input_on_sign_out, signed_in
from imodels_app.models import User
from imodels_app.requesting.fields import Form, text_field
from imodels_app.runtime import foreign_text
from imodels_app.views import approval_card, deciding
from imodels_app.views.deciding import act_on_card


class CommentForm(Form):
    """What somebody writes without deciding."""

    text = text_field("Comment", "Write something.", most=foreign_text.PARAGRAPH, is_line=False)


@preserve_input_on_sign_out(deciding.not_decided)
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
@vary_on_headers("HX-Request")
def approval_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """All facts of one request, and the form for whoever may decide; for htmx its live parts, as approval_facts.

    A POST brings a comment along, and no decision.
    """
    user = person(request)
    if request.method == "POST":
        return approval_card.card(request, approval_card.visible(user, pk), user)
    return approval_card.live_card(request, pk, user)


@act_on_card
def approve(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let it run. 403 with the reason for who may not, 409 and the card as it is now for who comes late."""
    return deciding.answer(request, pk, "approve")


@act_on_card
def reject(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Refuse it, with a comment: the requester has to know why."""
    return deciding.answer(request, pk, "reject")


@act_on_card
def request_changes(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give it back to its requester, with a comment: what should be different."""
    return deciding.answer(request, pk, "request-changes")


@act_on_card
def bypass(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let it run without the approvals that it lacks: admins only, with a reason that all leads read."""
    operation, form = approval_card.visible(person(request), pk), deciding.BypassForm(request.POST)

    def act(by: User, **how: Any) -> None:
        lifecycle.bypass(operation, by=by, reason=form.cleaned_data["reason"], **how)

    return deciding.respond(request, operation, form, act, eligibility.why_not_bypass, "bypassed the approval of")


@act_on_card
def comment(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Write something about it, and decide nothing; whoever may see it may."""
    user = person(request)
    operation, form = approval_card.visible(user, pk), CommentForm(request.POST)
    if not form.is_valid():
        said = {"typed_text": request.POST.get("text", ""), "text_problem": str(form.errors["text"][0]).rstrip(".")}
        return approval_card.card(request, operation, user, status_code=422, **said)
    lifecycle.comment(operation, form.cleaned_data["text"], by=user)
    return redirect(approval_card.address(operation) + "#comments-part")


@act_on_card
def look(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Say that one is looking at it, or with `no` that one is not any more."""
    user = person(request)
    operation = approval_card.visible(user, pk)
    if "no" in request.POST:
        lifecycle.look_away(operation, by=user)
        return redirect(approval_card.address(operation))
    try:
        lifecycle.look(operation, by=user)
    except permissions.Denied as no:
        return error_handlers.denied(request, str(no), back=approval_card.address(operation))
    return redirect(approval_card.address(operation))


@act_on_card
def start(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Say when it is sent at the earliest: the requester, or who may decide. 409 when it is too late for that."""
    user = person(request)
    operation, form = approval_card.visible(user, pk), approval_card.StartForm(request.POST)
    if not form.is_valid():
        return approval_card.card(request, operation, user, status_code=422, start_form=form)
    asks_again = eligibility.has_to_sign_in(user, operation)
    try:
        if user.pk != operation.requested_by_id and not permissions.why_not_start(user, operation):
            deciding.confirm(request, user, asks_again=asks_again)
        lifecycle.start_at(operation, form.cleaned_data["not_before"], by=user)
    except gateway.MustWait as later:
        if deciding.signs_out(request, [operation], later):
            return deciding.not_decided(request, pk, asks_again=asks_again)
        return approval_card.card(request, operation, user, status_code=503, start_form=form)
    except permissions.Denied as no:
        if eligibility.was_asked(user, operation):
            return deciding.late(request, operation, user, str(no))
        return error_handlers.denied(request, str(no), back=approval_card.address(operation))
    except lifecycle.Conflict as conflict:
        return deciding.late(request, operation, user, str(conflict))
    messages.success(request, "Saved.")
    return redirect(approval_card.address(operation))
