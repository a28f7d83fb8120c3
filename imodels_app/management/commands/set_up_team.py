"""manage.py set_up_team: a team, its people and its iTwins from the command line."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from imodels_app import identity
from imodels_app.models import ITwinCharge, Membership, Team


class Command(BaseCommand):
    help = "Set up a team. Calling it again adds what is missing and changes roles; it removes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--itwin", action="append", default=[], help="id of an iTwin the team looks after")
        parser.add_argument("--lead", action="append", default=[], help="e-mail address of a lead")
        parser.add_argument("--member", action="append", default=[], help="e-mail address of a member")
        parser.add_argument("--default", action="store_true", help="looks after all iTwins that no other team does")

    def handle(self, *args: Any, **options: Any) -> None:
        team, _ = Team.objects.update_or_create(
            name=options["name"], defaults={"is_default": True} if options["default"] else {}
        )
        for itwin_id in options["itwin"]:
            ITwinCharge.objects.update_or_create(itwin_id=itwin_id.lower(), defaults={"team": team})
        for role in (Membership.Role.LEAD, Membership.Role.MEMBER):
            for email in options[role]:
                _place(team, email.lower(), role)
        self.stdout.write(f"{team.name}: {team.charges.count()} iTwins, {team.membership_set.count()} people")


def _place(team: Team, email: str, role: str) -> None:
    Membership.objects.update_or_create(
        team=team, email=email, defaults={"role": role, "user": identity.holder_of(email)}
    )
