"""Approval rules: which hold, a request to try them with, and their forms for whoever may change them."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from imodels_app.accounts import permissions, rights
from imodels_app.approvals.plan import plan_for
from imodels_app.decorators import person, preserve_input_on_sign_out, signed_in, throttled
from imodels_app.display import rule_texts
from imodels_app.error_handlers import denied
from imodels_app.limits import throttles
from imodels_app.models import ApprovalRule, Event, Team, User
from imodels_app.requesting.rule_forms import ALL_TEAMS, RuleForm, TryForm
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import Verb

MOST_VERSIONS = 20


@signed_in
@require_safe
def rule_list(request: HttpRequest) -> HttpResponse:
    """What holds for the requests of this person's teams; with a request in the address, which rules would match it."""
    user = person(request)
    teams = Team.objects.all() if user.is_admin else Team.objects.filter(membership__user=user)
    choices = list(teams.distinct().values_list("pk", "name"))
    trial = TryForm(request.GET if "kind" in request.GET else None, teams=choices)
    rules = list(ApprovalRule.objects.visible_to(user).select_related("team"))
    context = {
        "rows": [rule_texts.row(rule) | {"can_change": not permissions.why_not_manage(user, rule)} for rule in rules],
        "can_add": bool(_teams_of(user)),
        "trial": trial if choices else None,
        "outcome": _tried(trial) if trial.is_bound and trial.is_valid() else None,
        "section": "approvals",
    }
    return render(request, "rules/list.html", context, status=422 if trial.is_bound and trial.errors else 200)


def _signed_out(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """What was typed, for whoever was signed out meanwhile."""
    teams = _teams_of(person(request)) if request.user.is_authenticated else [ALL_TEAMS]
    form = RuleForm(request.POST, rule=ApprovalRule(), teams=teams)
    return _page(request, form, status_code=422, is_old=True)


@preserve_input_on_sign_out(_signed_out)
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
@throttled(throttles.RULES)
def new_rule(request: HttpRequest) -> HttpResponse:
    """Make a rule: an admin for all teams or one, a lead for theirs."""
    if not _teams_of(person(request)):
        raise Http404
    return _edit(request, ApprovalRule())


@preserve_input_on_sign_out(_signed_out)
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
@throttled(throttles.RULES)
def rule_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a rule: a new version, which what already waits does not notice."""
    return _edit(request, _managed(person(request), pk))


@signed_in
@require_POST
@throttled(throttles.RULES)
def switch_rule(request: HttpRequest, pk: int) -> HttpResponse:
    """Switch a rule off, or on again."""
    user = person(request)
    rule = _managed(user, pk)
    rule.is_active = request.POST.get("on") == "yes"
    try:
        rights.save(rule, by=user)
    except rights.Unmeetable as no:
        messages.error(request, f"{isolated(rule.name)} stays off. {no}")
    else:
        word = "on" if rule.is_active else "off"
        messages.success(request, f"{isolated(rule.name)} is {word}. What already waits is not changed.")
    return redirect("imodels:rule-list")


def _edit(request: HttpRequest, rule: ApprovalRule) -> HttpResponse:
    user = person(request)
    data, version = request.POST if request.method == "POST" else None, rule.version
    form = RuleForm(data, rule=rule, teams=_teams_of(user))
    if data is None or not form.is_valid():
        return _page(request, form, status_code=422 if data is not None else 200)
    if why := permissions.why_not_manage(user, rule):
        return denied(request, why, back=reverse("imodels:rule-list"))
    if rule.pk and form.cleaned_data["version"] != version:
        return _page(request, form, status_code=409, late=version)
    try:
        rights.save(rule, by=user)
    except rights.Unmeetable as no:
        form.refuse(no)
        return _page(request, form, status_code=422)
    messages.success(request, f"{isolated(rule.name)} holds for new requests. What already waits is not changed.")
    return redirect("imodels:rule-list")


def _page(request: HttpRequest, form: RuleForm, *, status_code: int, **more: Any) -> HttpResponse:
    context = {"form": form, "rule": form.rule, "versions": _versions(form.rule), "section": "approvals"}
    return render(request, "rules/form.html", context | more, status=status_code)


def _versions(rule: ApprovalRule) -> list[Event]:
    """What was changed when and by whom, newest first."""
    if not rule.pk:
        return []
    changes = Event.objects.filter(verb__in=[Verb.RULE_MADE, Verb.RULE_CHANGED], data__rule=rule.pk)
    return list(changes.select_related("actor").order_by("-at", "-pk")[:MOST_VERSIONS])


def _managed(user: User, pk: int) -> ApprovalRule:
    return get_object_or_404(ApprovalRule.objects.managed_by(user).select_related("team"), pk=pk)


def _teams_of(user: User) -> list[tuple[Any, str]]:
    """For whom this person may make rules; admins for all teams, too."""
    if user.is_admin:
        return [ALL_TEAMS, *Team.objects.values_list("pk", "name")]
    led = permissions.teams_led_by(user)
    return list(Team.objects.filter(pk__in=led).values_list("pk", "name"))


def _tried(trial: TryForm) -> dict[str, Any]:
    """Which rules would match, and what would come of it."""
    team = Team.objects.get(pk=trial.cleaned_data["team"])
    plan = plan_for(trial.facts, [rule.as_rule() for rule in ApprovalRule.objects.holding_for(team)])
    return rule_texts.outcome(plan, team)
