"""The card of one request: all facts for the decision on one screen, and live."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from imodels_app import eligibility
from imodels_app.accounts import deciders, permissions
from imodels_app.approvals.plan import INSTEAD, Standing
from imodels_app.decorators import HtmxRequest, person, signed_in
from imodels_app.display import live, rule_texts, status
from imodels_app.models import Absence, Decision, Look, Membership, Operation, OperationQuerySet, Team, User
from imodels_app.models.changes import of_forks, of_operation
from imodels_app.requesting import card_facts
from imodels_app.requesting.fields import Form, StartField
from imodels_app.runtime import clock
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import UNDECIDED, State, Verb, Verdict, Who
from imodels_app.views import forks

# What a page from before there were rounds and levels showed.
FIRST_STAGE = "1.1"


class StartForm(Form):
    """When it is sent at the earliest."""

    not_before = StartField()


@dataclass(frozen=True)
class Voter:
    """Who can decide now, and by what right."""

    person: User
    right: eligibility.Right


@dataclass(frozen=True)
class Level:
    """One step of an approval: whose approvals it needs, who answered, and who still can.

    kept       addresses of leads who have not signed in yet
    is_later   another one has to be met first
    is_waived  by a bypass
    """

    title: str
    agreed: int
    needed: int
    decisions: list[Decision]
    voters: list[Voter]
    kept: list[str]
    is_later: bool = False
    is_waived: bool = False


@signed_in
@require_safe
@vary_on_headers("HX-Request")
def approval_facts(request: HtmxRequest, pk: UUID) -> HttpResponse:
    """Asks the platform what the card needs of it; then its live parts for htmx, and the page itself without."""
    user = person(request)
    operation = visible(user, pk)
    known = card_facts.ask(operation, looker=user) if is_open(operation) else card_facts.remembered(operation)
    if not request.htmx:
        return redirect("imodels:approval-detail", pk)
    return live_card(request, pk, user, known)


def live_card(request: HttpRequest, pk: UUID, user: User, known: card_facts.Known | None = None) -> HttpResponse:
    """The page; for htmx its live parts; 204 for a poll that has missed nothing. known: as it was told just now."""
    now = timezone.now()
    # Of a request that has not changed no more is read than where to find what changed around it.
    shown = get_object_or_404(Operation.objects.only("request_hash", "source_id"), pk=pk)
    known = known or card_facts.remembered(shown)
    # Of the other forks of its main iModel, too. What else waits for a person comes by itself.
    changes = of_operation(pk) | of_forks(shown.source_id)
    live_page = live.look(request, user, now, changes, known=known.seen)
    if live_page is None:
        return HttpResponse(status=204)
    operation = visible(user, pk)
    around = _around(operation, user)
    around |= _stage_shown(operation, as_stage(request.GET.get("round", "")) if live.is_fragment(request) else "")
    context = around | _context(operation, user, now, known)
    rows = [operation, *_rows(around)]
    parts = {"known": known.seen, "card": [[live.row_facts(row, now) for row in rows], _seen(operation, around, now)]}
    times = [*live.times(rows, now), *(one.until for one in around["looks"])]
    return live_page.render("approvals/detail.html", "approvals/_card.html", context, parts=parts, times=times)


def card(
    request: HttpRequest, operation: Operation, user: User, *, status_code: int = 200, **more: Any
) -> HttpResponse:
    """The page after something that was sent, with what was typed still in it.

    It is still about the stage that was read when it was sent, and says so if that is over; but a 409 shows anew.
    """
    now = timezone.now()
    context = _around(operation, user) | _context(operation, user, now, card_facts.remembered(operation))
    context |= {
        "now": now,
        "seen": "",
        "comment": request.POST.get("comment", ""),
        "typed_reason": request.POST.get("reason", ""),
    }
    context |= _stage_shown(operation, "" if status_code == 409 else stage_sent(request))
    return render(request, "approvals/detail.html", context | more, status=status_code)


def stage_sent(request: HttpRequest) -> str:
    """The stage (Operation.stage) that the page showed from which this was sent; "" if it says none."""
    return as_stage(request.POST.get("round", ""))


def as_stage(text: str) -> str:
    """What is none is one that nothing has. A round alone, of an older page, was about the first level."""
    number, _, level = text.partition(".")
    return f"{number[:9]}.{level[:9] or 1}" if text else ""


def _stage_shown(operation: Operation, seen: str) -> dict[str, Any]:
    """seen: the stage that was read; "": the one that is shown now."""
    is_another_round = seen.partition(".")[0] != str(operation.plan.number)
    has_moved = operation.state == State.AWAITING_APPROVAL and seen != operation.stage
    return {"stage": seen or operation.stage, "is_changed": bool(seen) and (is_another_round or has_moved)}


def visible(user: User, pk: UUID) -> Operation:
    """What people have to agree to, if this person may see it; whatever else has no card."""
    rows = Operation.objects.visible_to(user).to_show().select_related("team", "requested_by")
    operation = get_object_or_404(rows, pk=pk)
    if not operation.plan.asks_people:
        raise Http404
    return operation


def address(operation: Operation) -> str:
    return reverse("imodels:approval-detail", args=[operation.pk])


def in_line(user: User) -> OperationQuerySet:
    """What waits for this person, soonest deadline first."""
    return eligibility.waiting_for(user).to_show().order_by("expires_at", "pk")


def is_open(operation: Operation) -> bool:
    return operation.state in UNDECIDED


def count_approvals(operation: Operation) -> tuple[int, int]:
    """How many approvals it has, and how many it needs."""
    counts = [_count(level) for level in operation.levels]
    return sum(agreed for agreed, _ in counts), sum(needed for _, needed in counts)


def _count(standings: list[Standing]) -> tuple[int, int]:
    """Of one level; what one person's approval does for two rules is counted once."""
    asked = rule_texts.strictest(one.requirement for one in standings)
    agreed = {(one.requirement.who, one.requirement.people): len(one.agreed) for one in standings}
    return sum(min(agreed[one.who, one.people], one.count) for one in asked), sum(one.count for one in asked)


def _around(operation: Operation, user: User) -> dict[str, Any]:
    """What the card shows of other requests."""
    others = Operation.objects.filter(source_id=operation.source_id).exclude(Q(pk=operation.pk) | Q(source_id=""))
    return forks.around(others, others.ways_to_see(user)) | {
        "following": in_line(user).exclude(pk=operation.pk).first(),
        "comments": list(operation.events.filter(verb=Verb.COMMENTED).select_related("actor")),
        "looks": list(Look.objects.current(clock.now()).filter(operation=operation).select_related("person")),
        "absences": list(Absence.objects.now(clock.now()).filter(team=operation.team_id).values_list("pk", "told_at")),
    }


def _context(operation: Operation, user: User, now: datetime, known: card_facts.Known) -> dict[str, Any]:
    agreed, needed = count_approvals(operation)
    return {
        "operation": operation,
        "status_text": status.describe(operation, now),
        "is_open": is_open(operation),
        "is_over": _is_over(operation, now),
        "why_not": (why_not := eligibility.why_not_decide(user, operation)),
        "why_not_approve": "" if why_not else deciders.why_needed_later(user, operation),
        "may_look": not why_not and is_open(operation) and not _is_over(operation, now),
        "is_looking": Look.objects.current(clock.now()).filter(operation=operation, person=user).exists(),
        "why_not_bypass": eligibility.why_not_bypass(user, operation),
        "may_start": not permissions.why_not_start(user, operation),
        "start_form": StartForm(initial={"not_before": operation.not_before}),
        "must_comment": eligibility.has_to_comment(user, operation),
        "is_open_to_edit": not permissions.why_not_edit(user, operation),
        "plan": operation.plan,
        "still_needed": needed - agreed,
        "levels": _levels(operation),
        "void": [one for one in operation.decisions.all() if one.request_hash != operation.request_hash],
        "target_team": Team.looking_after(operation.itwin_id),
        "known": known,
        "facts": known.facts,
        "is_asked": is_open(operation) and known.is_due,
        "decision": operation.last_decision,
        "section": "approvals",
        "pace": live.DECIDING_S if is_open(operation) else 0 if operation.is_finished else live.pace([operation]),
    }


def _is_over(operation: Operation, now: datetime) -> bool:
    return operation.expires_at is not None and operation.expires_at <= now


def _rows(around: dict[str, Any]) -> list[Operation]:
    following = [around["following"]] if around["following"] else []
    return [*around["forks_open"].shown, *around["forks_done"].shown, *following]


def _seen(operation: Operation, around: dict[str, Any], now: datetime) -> list[Any]:
    """What the card shows besides rows. For those who can decide what their rights come from: it costs less to ask."""
    places = Membership.objects.filter(team=operation.team_id).order_by("pk")
    people = User.objects.filter(Q(is_staff=True) | Q(pk__in=operation.plan.named)).order_by("pk")
    rights = [
        list(places.values_list("user", "role", "given_at", "user__is_active")),
        list(people.values_list("pk", "is_active", "admin_given_at")),
    ]
    counts = [[forks.count, forks.hidden] for forks in (around["forks_open"], around["forks_done"])]
    care = [operation.team.name, Team.looking_after(operation.itwin_id).name]
    talk = [len(around["comments"]), [(one.pk, one.until) for one in around["looks"]], around["absences"]]
    return [rights, counts, care, _is_over(operation, now), talk]


def _levels(operation: Operation) -> list[Level]:
    """In the order in which they have to be met."""
    now_open = operation.open_level if is_open(operation) else 0
    return [
        _level(operation, number, standings, now_open) for number, standings in enumerate(operation.levels, start=1)
    ]


def _level(operation: Operation, number: int, standings: list[Standing], now_open: int) -> Level:
    is_asked = number == now_open and operation.state != State.CHANGES_REQUESTED
    asked = rule_texts.level([one.requirement for one in standings], isolated(operation.team.name))
    agreed, needed = _count(standings)
    return Level(
        title=f"{asked} {'must' if operation.is_undecided else 'had to'} approve",
        agreed=agreed,
        needed=needed,
        decisions=[one for one in operation.answers if one.level == number],
        voters=_voters(operation, standings) if is_asked else [],
        kept=_places_kept(operation, standings) if is_asked else [],
        is_later=0 < now_open < number,
        is_waived=agreed < needed and any(one.verdict == Verdict.BYPASSED for one in operation.answers),
    )


def _voters(operation: Operation, standings: list[Standing]) -> list[Voter]:
    asked = [one.requirement for one in standings if not one.is_met]
    able = {person: one.who for one in asked for person in deciders.eligible(one, operation)}
    rights = deciders.deputies(operation) if any(one.who == Who.LEADS for one in asked) else []
    if operation.is_asked_of_admins_instead:
        able = dict.fromkeys(deciders.admins_left(operation), INSTEAD) | able
    rights += [
        (person, right) for person, who in able.items() if (right := eligibility.right_as(who, person, operation))
    ]
    return [Voter(person, right) for person, right in sorted(rights, key=lambda one: one[0].name)]


def _places_kept(operation: Operation, standings: list[Standing]) -> list[str]:
    asked = [one.requirement for one in standings if not one.is_met]
    return sorted({address for one in asked for address in deciders.kept_places(one, operation)})
