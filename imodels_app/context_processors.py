"""What every page's frame needs: the context processor behind base.html."""

from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from imodels_app import eligibility
from imodels_app.display import live
from imodels_app.display.banners import Banners

THEMES = ("system", "light", "dark")
CONTRASTS = ("normal", "high")
SHORTCUTS = ("on", "off")
NOTIFY = ("off", "on")


def page(request: HttpRequest) -> dict[str, Any]:
    """How the page looks, what it talks to, and how many requests wait for this person's decision."""
    about: dict[str, Any] = appearance(request) | {
        # Where one is, to come back to: an act's own address cannot be asked for again.
        "here": request.get_full_path() if request.method == "GET" else "",
        "notify": (notify := _chosen(request, "notify", NOTIFY)),
        "shortcuts": _chosen(request, "shortcuts", SHORTCUTS),
        "version": settings.VERSION,
        "platform": urlsplit(settings.ITWIN_API_URL).netloc,
        "tier": settings.ITWIN_TIER.capitalize(),
        "time_zone": timezone.get_current_timezone_name(),
    }
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated or getattr(request, "htmx", False):
        return about
    # Asked for when it is drawn: a live page has asked already, for its token.
    about["banners"] = SimpleLazyObject(partial(Banners.of, user, timezone.now()))
    about["waiting_for_me"] = SimpleLazyObject(lambda: eligibility.waiting_for(user).count())
    # Who wants to be notified is told of what happens while nobody sees the page.
    pace = live.HIDDEN_S if notify == "on" else SimpleLazyObject(partial(live.hidden_pace, user))
    return about | {"hidden_pace": pace}


def appearance(request: HttpRequest) -> dict[str, Any]:
    """What the person chose for their eyes. Nothing but cookies is read, so it works when all else is down."""
    return {"theme": _chosen(request, "theme", THEMES), "contrast": _chosen(request, "contrast", CONTRASTS)}


def _chosen(request: HttpRequest, cookie: str, choices: tuple[str, ...]) -> str:
    """A cookie's word if it is one of ours, else the first choice."""
    word = request.COOKIES.get(cookie, "")
    return word if word in choices else choices[0]
