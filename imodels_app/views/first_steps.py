"""What an empty desk lacks on the way to its first clone, for whoever sets it up."""

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from imodels_app.accounts import deciders
from imodels_app.decorators import administrator
from imodels_app.models import Membership, Operation, Team, TeamITwin, Webhook
from imodels_app.states import Kind, State

SMTP = "django.core.mail.backends.smtp.EmailBackend"


@dataclass(frozen=True)
class Step:
    """One of them. why: what it is for, or what is in the way; url: where it is done, "" where no page can."""

    title: str
    why: str
    is_done: bool
    url: str = ""
    act: str = ""


@administrator
@require_safe
def first_steps(request: HttpRequest) -> HttpResponse:
    return render(request, "first_steps/first_steps.html", {"steps": steps(), "section": "teams"})


def steps() -> list[Step]:
    """In the order in which they are best done."""
    return [_itwin(), _lead(), _decision(), _messages(), _clone()]


def _itwin() -> Step:
    own = Team.objects.filter(is_default=False).first()
    url = reverse("imodels:team-detail", args=[own.pk]) if own else reverse("imodels:new-team")
    why = "Its leads decide about forks of what is in there. What no team looks after is the default team’s."
    is_done = TeamITwin.objects.exists()
    return Step("A team looks after an iTwin", why, is_done, url, "Give it an iTwin" if own else "Make a team")


def _lead() -> Step:
    led = Membership.objects.filter(role=Membership.Role.LEAD).values("team")
    without = list(Team.objects.exclude(pk__in=led))
    names = ", ".join(team.name for team in without[:3])
    why = f"Without a lead: {names}." if without else "Each team has somebody who decides."
    url = reverse("imodels:team-detail", args=[without[0].pk]) if without else reverse("imodels:team-list")
    return Step("Each team has a lead", why, not without, url, "Name a lead")


def _decision() -> Step:
    stuck = [(team, why) for team in Team.objects.all() if (why := deciders.why_not_in(team))]
    url = reverse("imodels:team-detail", args=[stuck[0][0].pk]) if stuck else reverse("imodels:rule-list")
    why = stuck[0][1] if stuck else "There are enough people for what the approval rules ask."
    return Step("Somebody can decide", why, not stuck, url, "See who is missing")


def _messages() -> Step:
    why = "By e-mail, once whoever runs iModel Desk has set EMAIL_URL, or to the team’s chat."
    is_done = settings.EMAIL_BACKEND == SMTP or Webhook.objects.exists()
    return Step("Leads hear of requests", why, is_done, reverse("imodels:chat-list"), "Name a chat")


def _clone() -> Step:
    is_done = Operation.objects.filter(kind=Kind.CLONE, state=State.SUCCEEDED).exists()
    why = "Pick an iModel; its iTwin and a free name are filled in. It can be deleted on the platform afterwards."
    return Step("The first clone", why, is_done, reverse("imodels:request-clone"), "Clone an iModel")
