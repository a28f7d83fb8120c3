"""The card of one request: all facts for the decision on one screen, and live."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from imodels_app.accounts import permissions
from imodels_app.decorators import HtmxRequest, person, signed_in
from imodels_app.display import live, status
from imodels_app.models import Decision, Membership, Operation, OperationQuerySet, Team, User
from imodels_app.requesting import card_facts
from imodels_app.states import FINISHED, Kind, State

MOST_FORKS = 5


@dataclass(frozen=True)
class Level:
    """One step of an approval: how many of whom have to agree, who answered, and who still can."""

    title: str
    needed: int
    decisions: list[Decision]
    places: list[Membership]

    @property
    def agreed(self) -> int:
        return sum(decision.verdict == "approved" for decision in self.decisions)


@dataclass(frozen=True)
class Forks:
    """Other forks of the same main iModel, newest first. count: how many this person may see; hidden: and may not."""

    shown: list[Operation]
    count: int
    hidden: int = 0

    @property
    def more(self) -> int:
        return self.count - len(self.shown)


@signed_in
@require_safe
@vary_on_headers("HX-Request")
def approval_facts(request: HtmxRequest, pk: UUID) -> HttpResponse:
    """Asks the platform what the card needs of it; then its live parts for htmx, and the page itself without."""
    user = person(request)
    operation = visible(user, pk)
    known = (card_facts.ask if is_open(operation) else card_facts.remembered)(operation)
    if not request.htmx:
        return redirect("imodels:approval-detail", pk)
    return live_card(request, operation, user, known)


def live_card(request: HttpRequest, operation: Operation, user: User, known: card_facts.Known) -> HttpResponse:
    """The page; for htmx its live parts; 204 for a poll that has missed nothing."""
    now = timezone.now()
    context = _context(operation, user, now, known)
    live_page = live.page(request, user, now, _rows(context), *_seen(context))
    if live_page.is_unchanged:
        return HttpResponse(status=204)
    return live_page.render("approvals/detail.html", "approvals/_card.html", context)


def card(
    request: HttpRequest, operation: Operation, user: User, *, status_code: int = 200, **more: Any
) -> HttpResponse:
    """The page after something that was sent, with what was typed still in it."""
    now = timezone.now()
    context = _context(operation, user, now, card_facts.remembered(operation))
    context |= {"now": now, "seen": "", "comment": request.POST.get("comment", "")}
    return render(request, "approvals/detail.html", context | more, status=status_code)


def visible(user: User, pk: UUID) -> Operation:
    """A fork that this person may see; whatever else has no card."""
    rows = Operation.objects.visible_to(user).filter(kind=Kind.FORK).to_show().select_related("team", "requested_by")
    return get_object_or_404(rows, pk=pk)


def in_line(user: User) -> OperationQuerySet:
    """What waits for this person, soonest deadline first."""
    return Operation.objects.waiting_for(user).to_show().order_by("expires_at", "pk")


def is_open(operation: Operation) -> bool:
    return operation.state == State.AWAITING_APPROVAL


def _context(operation: Operation, user: User, now: datetime, known: card_facts.Known) -> dict[str, Any]:
    return {
        "operation": operation,
        "status_text": status.describe(operation, now),
        "is_open": is_open(operation),
        "is_over": operation.expires_at is not None and operation.expires_at <= now,
        "why_not": permissions.why_not_decide(user, operation),
        "levels": _levels(operation),
        "target_team": Team.looking_after(operation.itwin_id),
        "known": known,
        "facts": known.facts,
        "is_asked": is_open(operation) and known.is_due,
        "forks_open": _forks(operation, user, is_open=True),
        "forks_done": _forks(operation, user, is_open=False),
        "decision": operation.last_decision,
        "following": in_line(user).exclude(pk=operation.pk).first(),
        "section": "approvals",
        "pace": live.DECIDING_S if is_open(operation) else 0 if operation.is_finished else live.pace([operation]),
    }


def _rows(context: dict[str, Any]) -> list[Operation]:
    following = [context["following"]] if context["following"] else []
    return [context["operation"], *context["forks_open"].shown, *context["forks_done"].shown, *following]


def _seen(context: dict[str, Any]) -> list[Any]:
    """What the card shows besides the rows."""
    rights = [[place.user_id, place.given_at] for level in context["levels"] for place in level.places]
    counts = [[forks.count, forks.hidden] for forks in (context["forks_open"], context["forks_done"])]
    return [rights, counts, context["known"].seen, context["is_over"], context["why_not"], context["target_team"].name]


def _levels(operation: Operation) -> list[Level]:
    """In the order in which they have to be met; one lead is enough here."""
    places = _memberships(operation) if is_open(operation) else []
    return [Level("One lead must approve", 1, list(operation.decisions.all()), places)]


def _memberships(operation: Operation) -> list[Membership]:
    """The places in the team by which people may decide this now."""
    leads = Membership.objects.filter(team=operation.team, role=Membership.Role.LEAD, user__is_active=True)
    places = leads.select_related("user", "given_by").order_by("user__first_name", "user__last_name")
    return [place for place in places if place.user and not permissions.why_not_decide(place.user, operation)]


def _forks(operation: Operation, user: User, *, is_open: bool) -> Forks:
    others = Operation.objects.filter(kind=Kind.FORK, source_id=operation.source_id).exclude(pk=operation.pk)
    others = others.exclude(state__in=FINISHED) if is_open else others.filter(state__in=FINISHED)
    seen = others.visible_to(user)
    shown = list(seen.to_show().order_by("-created_at", "-pk")[:MOST_FORKS])
    count = seen.count()
    return Forks(shown, count, others.count() - count)
