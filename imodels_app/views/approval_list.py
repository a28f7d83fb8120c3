"""The queues of requests: what waits for me, what I requested, what I and my teams decided; and deciding several."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import F, OuterRef, Q, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from imodels_app import eligibility, gateway, lifecycle
from imodels_app.accounts import permissions, sessions
from imodels_app.decorators import person, preserve_input_on_sign_out, signed_in, throttled
from imodels_app.display import live, status
from imodels_app.limits import throttles
from imodels_app.models import Decision, Look, Operation, OperationQuerySet, User
from imodels_app.models.changes import of_own_decisions, seen_by
from imodels_app.states import UNDECIDED, State, WaitReason
from imodels_app.tables import menus
from imodels_app.tables.filters import Filter
from imodels_app.views import approval_card, deciding, several

MOST_DECIDED = 20
MOST_OPEN = 100


@dataclass(frozen=True)
class ApprovalRow:
    """One request of a list. agreed, needed: how many approvals it has, and needs; looking: who looks at it now."""

    operation: Operation
    status_text: status.StatusText
    agreed: int
    needed: int
    looking: str = ""

    @property
    def tick(self) -> str:
        """What is ticked: the request as it stands here. After an edit, or on another level, it is not ticked."""
        return _tick(self.operation.pk, self.operation.stage)


def none_decided(request: HttpRequest, *, asks_again: bool = False) -> HttpResponse:
    """Nothing is decided, and ticks and comment are still there: in the list, or for the signed-out on a page that
    tells nothing but what they have just sent. asks_again: as deciding.not_decided.
    """
    if request.user.is_authenticated:
        return _show_list(request, is_old=True, status_code=422)
    chosen, back = request.POST.getlist("chosen")[:MOST_OPEN], reverse("imodels:approval-list")
    context = {"comment": request.POST.get("comment", ""), "chosen": chosen, "back": back, "section": "approvals"}
    return render(request, "approvals/signed_out.html", context | {"asks_again": asks_again}, status=422)


@preserve_input_on_sign_out(none_decided)
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
@vary_on_headers("HX-Request")
def approval_list(request: HttpRequest) -> HttpResponse:
    """The queues, filtered as the address says. For htmx their live parts; 204 for a poll that has missed nothing.

    A POST brings ticks and a comment along, and no decision.
    """
    return _show_list(request)


def _show_list(request: HttpRequest, *, is_old: bool = False, status_code: int | None = None) -> HttpResponse:
    user, now = person(request), timezone.now()
    live_page = live.look(request, user, now, seen_by(user) | of_own_decisions(user))
    if live_page is None:
        return HttpResponse(status=204)
    asked = Filter.read(request.GET)
    lists = {name: list(rows) for name, rows in _queues(user, asked).items()}
    looks = _looks(lists["waiting"], user, now)
    looking = {pk: one.person.name for pk, one in looks.items()}
    context: dict[str, Any] = {name: _rows(rows, now, looking) for name, rows in lists.items()}
    pace = live.DECIDING_S if lists["waiting"] or lists["requested"] else live.WAITING_S
    context |= {"pace": pace, "section": "approvals", "filters": asked, "is_old": is_old}
    ticked = [_tick(pk, shown) for pk, shown in _ticked(request).items()]
    context |= {"ticked": ticked, "comment": request.POST.get("comment", "")}
    if not live.is_fragment(request):
        scope = Operation.objects.visible_to(user)
        chips = menus.chips(asked, request.GET, scope)
        context |= {"chips": chips, "hidden_inputs": menus.hidden_inputs(request.GET, "q")}
    parts = {"lists": [looking, [[live.row_facts(row, now) for row in rows] for rows in lists.values()]]}
    times = [*live.times(chain(*lists.values()), now), *(one.until for one in looks.values())]
    answer = live_page.render("approvals/list.html", "approvals/_lists.html", context, parts=parts, times=times)
    answer.status_code = status_code or answer.status_code
    return answer


@preserve_input_on_sign_out(none_decided)
@signed_in
@require_POST
@throttled(throttles.DECISIONS)
def decide_several(request: HttpRequest) -> HttpResponse:
    """The same answer, with the same comment, to each that was ticked. Each has an outcome of its own.

    Who decides is confirmed once, before the first: without that none is decided, and ticks and comment come back.
    """
    user, word, stages = person(request), request.POST.get("answer", ""), _ticked(request)
    visible = Operation.objects.visible_to(user).to_show()
    chosen = list(visible.filter(pk__in=stages).order_by("expires_at", "pk")[:MOST_OPEN])
    if word not in deciding.ANSWERS or not chosen:
        messages.error(request, "Tick what you want to decide.")
        return redirect("imodels:approval-list")
    why_nots = {one: _why_not(request, user, one, word, stages[one.pk]) for one in chosen}
    possible = [one for one, why in why_nots.items() if not why]
    asks_again = any(eligibility.has_to_sign_in(user, one) for one in possible)
    try:
        if possible:
            deciding.confirm(request, user, asks_again=asks_again)
    except gateway.MustWait as later:
        if deciding.signs_out(request, possible, later):
            return none_decided(request, asks_again=asks_again)
        return _show_list(request, status_code=503)
    decided = {one: why or _decide(request, user, one, word, stages[one.pk]) for one, why in why_nots.items()}
    outcomes = [several.outcome(one, why) for one, why in decided.items()]
    left = [_tick(one.operation.pk, stages[one.operation.pk]) for one in outcomes if one.why_not]
    context: dict[str, object] = {"comment": request.POST.get("comment", ""), "section": "approvals", "left": left}
    context |= {"back": reverse("imodels:approval-list"), "opens": "imodels:approval-detail"}
    return several.tell(request, outcomes, f"You {deciding.ANSWERS[word][1]} …", context)


def _why_not(request: HttpRequest, user: User, operation: Operation, word: str, shown: str) -> str:
    """What keeps this answer from being given, whoever is confirmed. shown: the stage that was ticked."""
    decide, _ = deciding.ANSWERS[word]
    current = partial(deciding.require_current, user, operation, shown, eligibility.why_not_decide)
    if why := _refusal(request, user, operation, word, current):
        return why
    form = deciding.form_for(decide, user, operation, request.POST.get("comment", ""))
    return "" if form.is_valid() else str(form.errors["comment"][0])


def _decide(request: HttpRequest, user: User, operation: Operation, word: str, shown: str) -> str:
    """Decide one, or say why it is not decided after all."""
    decide, _ = deciding.ANSWERS[word]
    form = deciding.form_for(decide, user, operation, request.POST.get("comment", ""))
    comment = form.cleaned_data["comment"] if form.is_valid() else ""
    is_fresh = sessions.has_just_authenticated(request.session)
    act = partial(decide, operation, by=user, comment=comment, seen=shown, is_fresh=is_fresh)
    return _refusal(request, user, operation, word, act)


def _refusal(request: HttpRequest, user: User, operation: Operation, word: str, act: Callable[[], None]) -> str:
    """Do it, or say why it is refused; who was never asked and tries is in the audit."""
    try:
        act()
    except permissions.Denied as no:
        if not eligibility.was_asked(user, operation):
            deciding.note_refusal(request, operation, f"{deciding.ANSWERS[word][1]}: {no}")
        return str(no)
    except lifecycle.Conflict as conflict:
        return str(conflict)
    return ""


def _tick(pk: UUID, shown: str) -> str:
    return f"{pk}:{shown}"


def _ticked(request: HttpRequest) -> dict[UUID, str]:
    """What was ticked, as far as it makes sense: ids, and the stage that the page showed of each."""
    found = {}
    for text in request.POST.getlist("chosen"):
        pk, _, shown = text.partition(":")
        with suppress(ValueError):
            found[UUID(pk)] = approval_card.as_stage(shown) or approval_card.FIRST_STAGE
    return found


def _queues(user: User, asked: Filter) -> dict[str, OperationQuerySet]:
    """The four tables, soonest deadline or newest decision first."""
    shown = asked.operations(Operation.objects.to_show())
    requested = shown.filter(requested_by=user, state__in=sorted(UNDECIDED))
    by_me = Q(pk__in=user.decisions.values("operation"))
    of_mine = Q(pk__in=Operation.objects.of_teams(user).values("pk")) | Q(requested_by=user)
    newest = Decision.objects.filter(operation=OuterRef("pk")).order_by("-decided_at").values("decided_at")[:1]
    nobody_decided = Q(state=State.EXPIRED) & ~Q(wait_reason=WaitReason.SIGN_IN)
    decided = shown.annotate(decided_at=Subquery(newest))
    decided = decided.filter(Q(decided_at__isnull=False) | nobody_decided)
    decided = decided.order_by(F("decided_at").desc(nulls_last=True), "-changed_at")
    others = decided.filter(of_mine & ~Q(state__in=sorted(UNDECIDED))).exclude(by_me)
    return {
        "waiting": asked.operations(approval_card.in_line(user))[:MOST_OPEN],
        "requested": requested.order_by("expires_at")[:MOST_OPEN],
        "decided_by_me": decided.filter(by_me)[:MOST_DECIDED],
        "decided": others[:MOST_DECIDED],
    }


def _looks(waiting: list[Operation], user: User, now: datetime) -> dict[str, Look]:
    """By request, that somebody else is looking at it."""
    looks = Look.objects.current(now).filter(operation__in=waiting).exclude(person=user).select_related("person")
    return {str(one.operation_id): one for one in looks}


def _rows(operations: list[Operation], now: datetime, looks: dict[str, str]) -> list[ApprovalRow]:
    return [
        ApprovalRow(
            one, status.describe(one, now), *approval_card.count_approvals(one), looking=looks.get(str(one.pk), "")
        )
        for one in operations
    ]
