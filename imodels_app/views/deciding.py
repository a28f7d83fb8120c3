"""One person's answer to one request, or the same one to several: what is checked, and what comes of it."""

from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import logout
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from imodels_app import eligibility, error_handlers, gateway, lifecycle
from imodels_app.accounts import permissions, sessions
from imodels_app.audit import refusals
from imodels_app.decorators import View, person, preserve_input_on_sign_out, signed_in, throttled
from imodels_app.limits import throttles
from imodels_app.models import Operation, User
from imodels_app.requesting.fields import Form, text_field
from imodels_app.runtime import clock, foreign_text
from imodels_app.states import Verb, WaitReason
from imodels_app.views import approval_card

SHORTEST_REASON = 10
Decide = Callable[..., None]
# By the last part of its address: what an answer does, and how it is told.
ANSWERS: dict[str, tuple[Decide, str]] = {
    "approve": (lifecycle.approve, "approved"),
    "reject": (lifecycle.reject, "rejected"),
    "request-changes": (lifecycle.request_changes, "asked for changes to"),
}


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


def not_decided(request: HttpRequest, pk: UUID, *, asks_again: bool = False) -> HttpResponse:
    """Nothing is decided, and the comment is still there: on the card, or for the signed-out on a page that tells
    nothing but what they have just sent.

    asks_again  a rule wants the sign-in service to ask for the person, though it may remember them
    """
    if not request.user.is_authenticated:
        field = "reason" if "reason" in request.POST else "comment"
        typed = request.POST.get(field) or request.POST.get("text", "")
        back = reverse("imodels:approval-detail", args=[pk])
        context = {"comment": typed, "field": field, "back": back, "section": "approvals", "asks_again": asks_again}
        return render(request, "approvals/signed_out.html", context, status=422)
    user = person(request)
    return approval_card.card(request, approval_card.visible(user, pk), user, status_code=422, is_old=True)


def act_on_card(view: View) -> View:
    """The guards of all that is sent from a card."""
    guarded = throttled(throttles.DECISIONS)(view)
    return preserve_input_on_sign_out(not_decided)(signed_in(require_POST(guarded)))


def answer(request: HttpRequest, pk: UUID, word: str) -> HttpResponse:
    """Give one of ANSWERS."""
    decide, done = ANSWERS[word]
    user = person(request)
    operation = approval_card.visible(user, pk)
    form = form_for(decide, user, operation, request.POST.get("comment", ""))

    def act(by: User, **how: Any) -> None:
        decide(operation, by=by, comment=form.cleaned_data["comment"], **how)

    return respond(request, operation, form, act, eligibility.why_not_decide, done)


def form_for(decide: Decide, user: User, operation: Operation, comment: str) -> DecisionForm:
    form = DecisionForm({"comment": comment})
    form.fields["comment"].required = decide is not lifecycle.approve or eligibility.has_to_comment(user, operation)
    return form


def respond(
    request: HttpRequest,
    operation: Operation,
    form: Form,
    act: Decide,
    why_not: Callable[[User, Operation], str],
    done: str,
) -> HttpResponse:
    """Decide, or answer why not: 403, 409 with the card as it is now, 422 at the field, 503 unconfirmed."""
    user, shown = person(request), approval_card.stage_sent(request) or approval_card.FIRST_STAGE
    asks_again = eligibility.has_to_sign_in(user, operation, bypasses=why_not is eligibility.why_not_bypass)
    try:
        require_current(user, operation, shown, why_not)
        if not form.is_valid():
            problems = {f"{name}_problem": str(wrong[0]).rstrip(".") for name, wrong in form.errors.items()}
            problems["problem"] = problems.get("comment_problem", "")
            return approval_card.card(request, operation, user, status_code=422, **problems)
        confirm(request, user, asks_again=asks_again)
        act(user, seen=shown, is_fresh=sessions.has_just_authenticated(request.session))
    except gateway.MustWait as later:
        if signs_out(request, [operation], later):
            return not_decided(request, operation.pk, asks_again=asks_again)
        return approval_card.card(request, operation, user, status_code=503)
    except permissions.Denied as no:
        if _comes_late(user, operation, why_not):
            return late(request, operation, user, str(no))
        note_refusal(request, operation, f"{done}: {no}")
        return error_handlers.denied(request, str(no), back=reverse("imodels:approval-detail", args=[operation.pk]))
    except lifecycle.Conflict as conflict:
        return late(request, operation, user, str(conflict))
    return _to_next(request, user, operation, done)


def require_current(user: User, operation: Operation, shown: str, why_not: Callable[[User, Operation], str]) -> None:
    """Raise Denied for who was never asked, and Conflict for who was and comes late. shown: the stage they saw."""
    why = why_not(user, operation)
    is_late = bool(why) and _comes_late(user, operation, why_not)
    permissions.require("" if is_late else why)
    lifecycle.require_waiting(operation, shown)
    if is_late:
        raise lifecycle.Conflict(why)


def _comes_late(user: User, operation: Operation, why_not: Callable[[User, Operation], str]) -> bool:
    """Whether this was theirs to do at any time; to bypass is administrators'."""
    is_theirs = why_not is eligibility.why_not_decide or user.is_admin
    return is_theirs and eligibility.was_asked(user, operation)


def late(request: HttpRequest, operation: Operation, user: User, why: str) -> HttpResponse:
    """The card as it is now, with what was typed."""
    now_shown = approval_card.visible(user, operation.pk)
    return approval_card.card(request, now_shown, user, status_code=409, late=why)


def confirm(request: HttpRequest, user: User, *, asks_again: bool) -> None:
    """Raise MustWait unless this is still who signed in; where a rule asks again for it, a moment ago."""
    if asks_again and not sessions.has_just_authenticated(request.session):
        raise gateway.MustWait(WaitReason.SIGN_IN, clock.now(), "A rule asks for a new sign-in.")
    gateway.confirm_grant(user)


def signs_out(request: HttpRequest, operations: Collection[Operation], later: gateway.MustWait) -> bool:
    """Sign out who has to sign in again before they decide these. Else tell why they have to wait, and False."""
    if later.reason != WaitReason.SIGN_IN:
        messages.error(request, "Nothing is decided: the sign-in service has to confirm who you are. Try again soon.")
        return False
    for operation in operations:
        note_refusal(request, operation, "Has to sign in again first.")
    logout(request)
    return True


def note_refusal(request: HttpRequest, operation: Operation, note: str) -> None:
    refusals.record(Verb.DECISION_REFUSED, request, note=note, operation=operation)


def _to_next(request: HttpRequest, user: User, operation: Operation, done: str) -> HttpResponse:
    following = approval_card.in_line(user).first()
    more = " This is the next in line." if following else ""
    messages.success(request, f"You {done} {foreign_text.isolated(operation.name)}.{more}")
    return redirect("imodels:approval-detail", following.pk) if following else redirect("imodels:approval-list")
