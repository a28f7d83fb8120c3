"""Leads who let iModel Desk look with their token for what is made outside it. Off until one switches it on.

It ends with what it rests on: the grant, the account, the place as a lead. Each change is an event.
"""

from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet

from imodels_app.accounts import permissions
from imodels_app.audit import events
from imodels_app.models import KnownITwin, Team, TeamITwin, User, Watch, WatchedITwin
from imodels_app.runtime import clock
from imodels_app.runtime.loops import for_each
from imodels_app.states import Verb


def switch_on(user: User, team: Team) -> None:
    """Raises permissions.Denied."""
    permissions.require(permissions.why_not_watch(user, team))
    with transaction.atomic():
        _, is_new = Watch.objects.get_or_create(team=team, person=user, defaults={"since": clock.now()})
        if is_new:
            events.record(Verb.WATCH_BEGUN, at=clock.now(), by=user, team=team, person=user.pk)


def switch_off(user: User, team: Team) -> None:
    _end(Watch.objects.filter(team=team, person=user), by=user)


def end_of(user: User, why: str) -> None:
    """The person's grant is over."""
    _end(Watch.objects.filter(person=user), note=why)


def end_for(team: Team) -> None:
    """The team is about to go."""
    _end(team.watches.all(), note="The team was deleted")


def end_unled() -> None:
    """Of whoever no longer leads the team, or has no open account."""
    _end(Watch.objects.exclude(pk__in=Watch.objects.of_leads().values("pk")), note="No longer a lead of the team")


def itwins_of(team: Team) -> QuerySet[KnownITwin] | QuerySet[TeamITwin]:
    """Those that the team looks after; of the default team those that requests told of, and nobody else has."""
    if not team.is_default:
        return team.itwins.all()
    return KnownITwin.objects.filter(~Exists(TeamITwin.objects.filter(itwin_id=OuterRef("pk"))))


def of_leader(user: User) -> list[tuple[Team, Watch | None]]:
    """Each team that this person leads, with their watch if it is on."""
    on = {watch.team_id: watch for watch in user.watches.all()}
    teams = Team.objects.filter(pk__in=permissions.teams_led_by(user))
    return [(team, on.get(team.pk)) for team in teams]


def in_short() -> dict[str, Any]:
    """Who lets their token be used, how many iTwins that is, and how far it is."""
    rows = WatchedITwin.objects.aggregate(itwins=Count("pk"), looked_at=Max("looked_at"))
    due = WatchedITwin.objects.due(clock.now()).count()
    return rows | {"due": due, "watches": list(Watch.objects.usable().select_related("person", "team"))}


def follow() -> None:
    """Each iTwin of a team with a watch has a row, and is looked at."""
    for_each(Team.objects.filter(watches__in=Watch.objects.usable()).distinct(), _watch_itwins)


def _watch_itwins(team: Team) -> None:
    now = clock.now()
    new = itwins_of(team).filter(~Exists(WatchedITwin.objects.filter(pk=OuterRef("itwin_id"))))
    rows = [WatchedITwin(itwin_id=pk, since=now, due_at=now) for pk in new.values_list("itwin_id", flat=True)]
    WatchedITwin.objects.bulk_create(rows, ignore_conflicts=True)


def look_soon() -> int:
    """Look at every iTwin once more, as soon as the rate limits allow; how many."""
    follow()
    teams = Team.objects.filter(watches__in=Watch.objects.usable())
    mine = Q(pk__in=TeamITwin.objects.filter(team__in=teams).values("itwin_id"))
    if teams.filter(is_default=True).exists():
        mine |= ~Q(pk__in=TeamITwin.objects.values("itwin_id"))
    return WatchedITwin.objects.filter(mine, due_at__gt=clock.now()).update(due_at=clock.now())


def _end(watches: QuerySet[Watch], *, by: User | None = None, note: str = "") -> None:
    with transaction.atomic():
        for watch in watches.select_for_update(of=("self",)).select_related("team", "person"):
            watch.delete()
            team, now = watch.team, clock.now()
            events.record(Verb.WATCH_ENDED, at=now, by=by, team=team, note=note, person=watch.person_id)
