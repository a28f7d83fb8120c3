"""Pages for what went wrong: 403, 404, 409, 500, and a form whose CSRF token is missing or old."""

import logging
import secrets

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

log = logging.getLogger(__name__)

# Letters and digits that nobody mixes up when reading aloud.
_CLEAR = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


def denied(request: HttpRequest, sentence: str, *, back: str = "") -> HttpResponse:
    """403 with the reason as policy.Denied gives it."""
    return render(request, "errors/403.html", {"sentence": sentence, "back": back}, status=403)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 403."""
    return denied(request, str(exception))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The same page for what does not exist and for what this person may not see."""
    return render(request, "errors/404.html", status=404)


def broken(request: HttpRequest) -> HttpResponse:
    """500 with a number that is also in the log. No context processor runs: one of them may be what broke."""
    number = "-".join("".join(secrets.choice(_CLEAR) for _ in range(4)) for _ in range(2))
    log.error("The page %s broke; the person was told number %s", request.path, number)
    return HttpResponse(render_to_string("errors/500.html", {"number": number}), status=500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for an unsafe request without our token: sent from elsewhere, or from a page older than the sign-in."""
    return render(request, "errors/csrf.html", status=403)
