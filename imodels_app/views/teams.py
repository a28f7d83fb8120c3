"""Teams: for admins to set up, for their own people to read."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from imodels_app.accounts import deciders, permissions, rights
from imodels_app.decorators import administrator, person, signed_in, throttled
from imodels_app.limits import throttles
from imodels_app.models import KnownITwin, Membership, Team, TeamITwin, User
from imodels_app.requesting.catalog import Catalog, CatalogUnavailable, NotInCatalog, SignInNeeded
from imodels_app.requesting.team_forms import PlaceForm, TeamForm, TeamITwinForm
from imodels_app.runtime.foreign_text import isolated
from imodels_app.views import asking

# All look-ups of an iTwin that is given to a team; and of names that a page lacks.
LOOK_UP_WITHIN_S, NAME_WITHIN_S = 20.0, 2.0
NAMES_ASKED = 5
# Addresses that a browser offers while one types.
MOST_OFFERED = 200


@signed_in
@require_safe
def team_list(request: HttpRequest) -> HttpResponse:
    """One's own teams, or all of them for admins."""
    user = person(request)
    teams = Team.objects.visible_to(user).prefetch_related("membership_set__user")
    rows = [
        {"team": team, "leads": _leads(team), "trouble": deciders.why_not_in(team)}
        for team in teams.annotate(itwin_count=Count("itwins")).order_by("name")
    ]
    context = {"rows": rows, "can_change": permissions.may_administer(user), "section": "teams"}
    return render(request, "teams/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@administrator
@throttled(throttles.RIGHTS)
def new_team(request: HttpRequest) -> HttpResponse:
    form = TeamForm(request.POST if request.method == "POST" else None, team=Team())
    if not form.is_valid():
        return render(
            request, "teams/new.html", {"form": form, "section": "teams"}, status=422 if form.is_bound else 200
        )
    team = form.filled()
    rights.save(team, by=person(request))
    messages.success(request, f"{isolated(team.name)} is there. Now give it its people and iTwins.")
    return redirect("imodels:team-detail", team.pk)


@signed_in
@require_safe
def team_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Who is in it, what it looks after, and whether somebody can decide for it."""
    return _page(request, get_object_or_404(Team.objects.visible_to(person(request)), pk=pk))


@require_POST
@administrator
@throttled(throttles.RIGHTS)
def change_team(request: HttpRequest, pk: int) -> HttpResponse:
    """Its name and its days to decide."""
    team = get_object_or_404(Team, pk=pk)
    form = TeamForm(request.POST, team=team)
    if not form.is_valid():
        return _page(request, team, settings=form)
    rights.save(form.filled(), by=person(request))
    messages.success(request, f"{isolated(team.name)} is saved.")
    return redirect("imodels:team-detail", pk)


@require_POST
@administrator
@throttled(throttles.RIGHTS)
def delete_team(request: HttpRequest, pk: int) -> HttpResponse:
    """With its places, iTwins and rules; what the record needs stays."""
    team = get_object_or_404(Team, pk=pk)
    try:
        rights.delete(team, by=person(request))
    except permissions.Denied as no:
        messages.error(request, f"Nothing was deleted. {no}")
        return redirect("imodels:team-detail", pk)
    messages.success(request, f"{isolated(team.name)} is deleted. The default team looks after what was its own.")
    return redirect("imodels:team-list")


@require_POST
@administrator
@throttled(throttles.RIGHTS)
def give_place(request: HttpRequest, pk: int) -> HttpResponse:
    """A place in the team for an address."""
    team = get_object_or_404(Team, pk=pk)
    form = PlaceForm(request.POST, team=team)
    if not form.is_valid():
        return _page(request, team, place=form)
    place = form.filled()
    rights.save(place, by=person(request))
    waits = "" if place.user else ", and takes the place with their first sign-in"
    messages.success(request, f"{_whose(place)} is a {place.get_role_display().lower()} now{waits}.")
    return redirect("imodels:team-detail", pk)


@require_POST
@administrator
@throttled(throttles.RIGHTS)
def change_place(request: HttpRequest, pk: int) -> HttpResponse:
    """Another role, or with `remove` none, once one is sure."""
    place = get_object_or_404(Membership.objects.select_related("team", "user"), pk=pk)
    if "remove" in request.POST:
        if not asking.is_sure(request):
            return _ask_to_remove(request, place)
        rights.delete(place, by=person(request))
        messages.success(request, f"{_whose(place)} is no longer in {isolated(place.team.name)}.")
    elif request.POST.get("role") in Membership.Role.values:
        place.role = request.POST["role"]
        rights.save(place, by=person(request))
        messages.success(request, f"{_whose(place)} is a {place.get_role_display().lower()} now.")
    return redirect("imodels:team-detail", place.team_id)


@require_POST
@administrator
@throttled(throttles.RIGHTS)
def give_itwin(request: HttpRequest, pk: int) -> HttpResponse:
    """An iTwin into the team's care, from another team's if that is meant."""
    team = get_object_or_404(Team, pk=pk)
    catalog = Catalog(person(request), max_age_s=0, within_s=LOOK_UP_WITHIN_S)
    form = TeamITwinForm(request.POST, team=team, catalog=catalog)
    if not form.is_valid() or form.found is None:
        return _page(request, team, itwin=form)
    with transaction.atomic():
        rights.save(form.filled(), by=person(request))
        KnownITwin.note(form.found.id, form.found.name)
    messages.success(request, f"{isolated(team.name)} looks after “{isolated(form.found.name)}” now.")
    return redirect("imodels:team-detail", pk)


@require_POST
@administrator
@throttled(throttles.RIGHTS)
def take_itwin(request: HttpRequest, pk: int) -> HttpResponse:
    """Out of the team's care, and so into the default team's, once one is sure."""
    row = get_object_or_404(TeamITwin.objects.select_related("team"), pk=pk)
    if not asking.is_sure(request):
        return _ask_to_take(request, row)
    rights.delete(row, by=person(request))
    messages.success(request, f"{isolated(row.team.name)} no longer looks after it; the default team does.")
    return redirect("imodels:team-detail", row.team_id)


def _ask_to_remove(request: HttpRequest, place: Membership) -> HttpResponse:
    whose, team = _whose(place), isolated(place.team.name)
    return asking.ask(
        request,
        f"Remove {whose} from {team}?",
        f"{whose} sees the operations of {team} no more, and decides none of its requests. Added again, {whose} decides"
        " what is requested from then on.",
        button="Remove",
        back=reverse("imodels:team-detail", args=[place.team_id]),
        sends=[("remove", "yes")],
        is_danger=True,
        section="teams",
    )


def _ask_to_take(request: HttpRequest, row: TeamITwin) -> HttpResponse:
    names = KnownITwin.objects.filter(pk=row.itwin_id).values_list("name", flat=True)
    itwin, team = isolated(names.first() or row.itwin_id), isolated(row.team.name)
    return asking.ask(
        request,
        f"Remove {itwin} from {team}?",
        f"The default team looks after it then, and its leads decide what waits. {team} can be given it again.",
        button="Remove",
        back=reverse("imodels:team-detail", args=[row.team_id]),
        is_danger=True,
        section="teams",
    )


def _page(request: HttpRequest, team: Team, **refused: Any) -> HttpResponse:
    """The team's page; refused: one of its forms, to be sent again."""
    user = person(request)
    form = next(iter(refused.values()), None)
    places = team.membership_set.select_related("user").order_by("role", "email")
    context = {
        "team": Team.objects.get(pk=team.pk),  # not with what a refused form has made of it
        "places": places,
        "itwins": _named(user, team.itwins.order_by("itwin_id")),
        "trouble": deciders.why_not_in(team),
        "whom_to_ask": deciders.whom_to_ask(),
        "can_change": permissions.may_administer(user),
        "sees_addresses": permissions.may_administer(user) or team.pk in permissions.teams_led_by(user),
        "section": "teams",
        "form": form,
    }
    if context["can_change"]:
        context |= _forms(user, team) | refused
    return render(request, "teams/detail.html", context, status=422 if form else 200)


def _forms(user: User, team: Team) -> dict[str, Any]:
    inside = team.membership_set.values("email")
    outside = User.objects.filter(is_active=True).exclude(email="").exclude(email__in=inside).order_by("email")
    return {
        "settings": TeamForm(team=team),
        "place": PlaceForm(team=team),
        "itwin": TeamITwinForm(team=team, catalog=Catalog(user)),
        "why_not_delete": permissions.why_not_delete_team(team),
        "known": outside.values_list("email", flat=True)[:MOST_OFFERED],
    }


def _leads(team: Team) -> list[str]:
    """By name; a place that waits for its person by its address."""
    places = [one for one in team.membership_set.all() if one.role == Membership.Role.LEAD]
    return sorted(map(_whose, places))


def _whose(place: Membership) -> str:
    return isolated(place.user.name) if place.user else place.email


def _named(user: User, rows: Iterable[TeamITwin]) -> list[tuple[TeamITwin, str]]:
    """With the names that are known here, or else by the platform, if it says so soon."""
    rows = list(rows)
    names = dict(KnownITwin.objects.filter(pk__in=[row.itwin_id for row in rows]).values_list("pk", "name"))
    catalog = Catalog(user, within_s=NAME_WITHIN_S)
    for row in [row for row in rows if not names.get(row.itwin_id)][:NAMES_ASKED]:
        with suppress(NotInCatalog, CatalogUnavailable, SignInNeeded):
            names[row.itwin_id] = catalog.itwin(row.itwin_id).name
    return [(row, names.get(row.itwin_id, "")) for row in rows]
