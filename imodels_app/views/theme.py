"""How the pages look to this person, remembered in cookies."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from imodels_app.context_processors import CONTRASTS, SHORTCUTS, THEMES

A_YEAR_S = 365 * 24 * 60 * 60


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Remember what was chosen, and go back to the page. With script, theme.js does this alone."""
    target = request.POST.get("next", "")
    answer = redirect(target if url_has_allowed_host_and_scheme(target, allowed_hosts=None) else "imodels:home")
    for cookie, choices in (("theme", THEMES), ("contrast", CONTRASTS), ("shortcuts", SHORTCUTS)):
        word = request.POST.get(cookie, "")
        if word in choices:
            answer.set_cookie(cookie, word, max_age=A_YEAR_S, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE)
    return answer
