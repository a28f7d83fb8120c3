"""manage.py set_up_team: a team, its people and its iTwins from the command line."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.db.models import Q

from imodels_app.accounts import rights
from imodels_app.accounts.chat_form import ChatForm
from imodels_app.models import KnownITwin, Membership, Operation, SeenIModel, Team, TeamITwin
from imodels_app.requesting.fields import Form
from imodels_app.requesting.pasted import id_in
from imodels_app.requesting.team_forms import PlaceForm, TeamForm
from imodels_app.runtime import foreign_text
from imodels_app.states import Chat


class Command(BaseCommand):
    help = "Set up a team. Running it again adds what is missing and changes roles; it removes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--itwin", action="append", default=[], help="id of an iTwin the team looks after")
        parser.add_argument("--lead", action="append", default=[], help="e-mail address of a lead")
        parser.add_argument("--member", action="append", default=[], help="e-mail address of a member")
        parser.add_argument("--teams-webhook", default="", help="where Microsoft Teams takes messages of this team")
        parser.add_argument("--slack-webhook", default="", help="where Slack does")
        parser.add_argument("--default", action="store_true", help="rename the existing default team to this name")

    def handle(self, *args: Any, **options: Any) -> None:
        itwins = [_id_of(text) for text in options["itwin"]]
        name = _checked(TeamForm, "name", options["name"])
        which = {"is_default": True} if options["default"] else {"name__iexact": name}
        team = Team.objects.filter(**which).first() or Team()
        team.name = name
        if Team.objects.filter(name__iexact=team.name).exclude(pk=team.pk).exists():
            raise CommandError(f"Another team is already called {team.name}. Choose another name for the default team.")
        with transaction.atomic():
            rights.save(team, by=None)
            for itwin_id in itwins:
                _give(team, itwin_id)
            for role in (Membership.Role.LEAD, Membership.Role.MEMBER):
                for email in options[role]:
                    _place(team, _checked(PlaceForm, "email", email).lower(), role)
            for chat in Chat:
                _set_chat(team, chat, options[f"{chat}_webhook"])
        self.stdout.write(f"{team.name}: {team.itwins.count()} iTwins, {team.membership_set.count()} people")
        for itwin_id in _unknown(itwins):
            self.stdout.write(
                f"{itwin_id} was not looked up, as nobody is signed in here. See on the team's page that it has a name."
            )


def _checked(form: type[Form], field: str, text: str) -> str:
    """As the page's form takes it."""
    try:
        return str(form.base_fields[field].clean(text))
    except ValidationError as no:
        raise CommandError(f"“{foreign_text.isolated(text)}”: {' '.join(no.messages)}") from no


def _give(team: Team, itwin_id: str) -> None:
    itwin = TeamITwin.objects.filter(itwin_id=itwin_id).first() or TeamITwin(itwin_id=itwin_id)
    itwin.team = team
    rights.save(itwin, by=None)


def _id_of(text: str) -> str:
    """From an id or a link. Nobody is signed in here, so the platform cannot be asked; but some iModels are known."""
    itwin_id = id_in(text, "itwins")
    if not itwin_id:
        raise CommandError(f"“{foreign_text.isolated(text)}” is not the id of an iTwin, nor a link to one.")
    copies = Operation.objects.filter(Q(imodel_id=itwin_id) | Q(source_id=itwin_id))
    if copies.exists() or SeenIModel.objects.filter(pk=itwin_id).exists():
        raise CommandError(f"“{foreign_text.isolated(text)}” is the id of an iModel. Give that of its iTwin.")
    return itwin_id


def _unknown(itwin_ids: list[str]) -> list[str]:
    """Those that may be anything."""
    known = {*KnownITwin.objects.filter(pk__in=itwin_ids).values_list("pk", flat=True)}
    return [one for one in itwin_ids if one not in known]


def _set_chat(team: Team, chat: Chat, url: str) -> None:
    form = ChatForm({"team": team.pk, "chat": chat, "url": url})
    if url and not form.is_valid():
        raise CommandError(" ".join(str(wrong[0]) for wrong in form.errors.values()))
    if url:
        form.save(by=None)


def _place(team: Team, email: str, role: str) -> None:
    place = Membership.objects.filter(team=team, email__iexact=email).first() or Membership(team=team, email=email)
    place.role = role
    rights.save(place, by=None)
