"""What every page's frame needs: the context processor behind base.html."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from imodels_app.display import formats
from imodels_app.limits import circuit_breaker
from imodels_app.models import Operation, User
from imodels_app.states import FINISHED, WaitReason

THEMES = ("system", "light", "dark")
CONTRASTS = ("normal", "high")
SHORTCUTS = ("on", "off")


@dataclass(frozen=True)
class Banners:
    """What stands above every page. sign_in: how many of the person's operations wait for their sign-in."""

    outage: circuit_breaker.Outage | None
    sign_in: int

    @property
    def visible_state(self) -> list[str]:
        """For a live page's token: what can be read, so that it changes by the minute at most."""
        outage = [formats.clock(self.outage.since), formats.clock(self.outage.until)] if self.outage else []
        return [*outage, str(self.sign_in)]

    @property
    def announcement(self) -> str:
        """For screen readers, once it appears."""
        if self.outage:
            return "The platform is not answering, nothing is lost"
        return "Sign in again, your operations are waiting for it" if self.sign_in else ""


def banners(user: User, now: datetime) -> Banners:
    waiting = Operation.objects.filter(requested_by=user, wait_reason=WaitReason.SIGN_IN).exclude(
        state__in=sorted(FINISHED)
    )
    return Banners(outage=circuit_breaker.outage(now), sign_in=waiting.count())


def page(request: HttpRequest) -> dict[str, Any]:
    """How the page looks, what it talks to, and how many requests wait for this person's decision."""
    about: dict[str, Any] = appearance(request) | {
        # Where one is, to come back to: an act's own address cannot be asked for again.
        "here": request.get_full_path() if request.method == "GET" else "",
        "shortcuts": _chosen(request, "shortcuts", SHORTCUTS),
        "platform": urlsplit(settings.ITWIN_API_URL).netloc,
        "tier": settings.ITWIN_TIER.capitalize(),
        "time_zone": settings.TIME_ZONE,
    }
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated or getattr(request, "htmx", False):
        return about
    # Asked for when it is drawn: a live page has asked already, for its token.
    about["banners"] = SimpleLazyObject(partial(banners, user, timezone.now()))
    return about | {"waiting_for_me": Operation.objects.waiting_for(user).count()}


def appearance(request: HttpRequest) -> dict[str, Any]:
    """What the person chose for their eyes. Nothing but cookies is read, so it works when all else is down."""
    return {"theme": _chosen(request, "theme", THEMES), "contrast": _chosen(request, "contrast", CONTRASTS)}


def _chosen(request: HttpRequest, cookie: str, choices: tuple[str, ...]) -> str:
    """A cookie's word if it is one of ours, else the first choice."""
    word = request.COOKIES.get(cookie, "")
    return word if word in choices else choices[0]
