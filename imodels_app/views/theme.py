"""How the pages look to this person, remembered in cookies."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from imodels_app.context_processors import CONTRASTS, NOTIFY, SHORTCUTS, THEMES
from imodels_app.redirects import own_path

A_YEAR_S = 365 * 24 * 60 * 60


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Remember what was chosen, and go back to the page. With script, theme.js does this alone."""
    answer = redirect(own_path(request.POST.get("next", ""), "imodels:home"))
    offered = {"theme": THEMES, "contrast": CONTRASTS, "shortcuts": SHORTCUTS, "notify": NOTIFY}
    for cookie, choices in offered.items():
        word = request.POST.get(cookie, "")
        if word in choices:
            answer.set_cookie(cookie, word, max_age=A_YEAR_S, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE)
    return answer
