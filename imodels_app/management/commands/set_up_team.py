"""manage.py set_up_team: a team, its people and its iTwins from the command line."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from imodels_app.accounts import sign_in
from imodels_app.models import Membership, Team, TeamITwin
from imodels_app.requesting.pasted import id_in


class Command(BaseCommand):
    help = "Set up a team. Running it again adds what is missing and changes roles; it removes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--itwin", action="append", default=[], help="id of an iTwin the team looks after")
        parser.add_argument("--lead", action="append", default=[], help="e-mail address of a lead")
        parser.add_argument("--member", action="append", default=[], help="e-mail address of a member")
        parser.add_argument("--default", action="store_true", help="rename the existing default team to this name")

    def handle(self, *args: Any, **options: Any) -> None:
        itwins = [_id_of(text) for text in options["itwin"]]
        team = _renamed_default_team(options["name"]) if options["default"] else _team_named(options["name"])
        for itwin_id in itwins:
            TeamITwin.objects.update_or_create(itwin_id=itwin_id, defaults={"team": team})
        for role in (Membership.Role.LEAD, Membership.Role.MEMBER):
            for email in options[role]:
                _place(team, email.lower(), role)
        self.stdout.write(f"{team.name}: {team.itwins.count()} iTwins, {team.membership_set.count()} people")


def _id_of(text: str) -> str:
    """From an id or a link. Nobody is signed in here, so it cannot be looked up."""
    itwin_id = id_in(text, "itwins")
    if not itwin_id:
        raise CommandError(f"“{text}” is not the id of an iTwin, nor a link to one.")
    return itwin_id


def _team_named(name: str) -> Team:
    return Team.objects.get_or_create(name=name)[0]


def _renamed_default_team(name: str) -> Team:
    if Team.objects.filter(name=name, is_default=False).exists():
        raise CommandError(f"Another team is already called {name}. Choose another name for the default team.")
    Team.objects.filter(is_default=True).update(name=name)
    return Team.objects.get(is_default=True)


def _place(team: Team, email: str, role: str) -> None:
    Membership.objects.update_or_create(
        team=team, email=email, defaults={"role": role, "user": sign_in.holder_of(email)}
    )
