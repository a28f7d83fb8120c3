"""Pages for what went wrong: 403, 404, 409, 500, 503, and a form whose CSRF token is missing or old."""

import logging
import secrets
import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import add_never_cache_headers

from imodels_app.audit import refusals
from imodels_app.context_processors import appearance
from imodels_app.states import Verb

log = logging.getLogger(__name__)

# About as long as a database server takes to start.
TRY_AGAIN_S = 10
# Of an address in the log: what says which page it was, however long somebody made it.
_LOGGED = 200
# How Django's reason begins for a form's token that is not this session's. Another origin is refused before that.
OLD_TOKEN = "CSRF token from POST"  # noqa: S105 - no secret
# Letters and digits that nobody mixes up when reading aloud.
_CLEAR = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


def denied(request: HttpRequest, sentence: str, *, back: str = "") -> HttpResponse:
    """403 with the reason as permissions.Denied gives it."""
    return render(request, "errors/403.html", {"sentence": sentence, "back": back}, status=403)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 403."""
    return denied(request, str(exception))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The same page for what does not exist and for what this person may not see."""
    return render(request, "errors/404.html", status=404)


def broken(request: HttpRequest) -> HttpResponse:
    """500 with a number that is also in the log. No context processor runs: one of them may be what broke."""
    # Django calls this while it handles the exception, and does not hand it over.
    if isinstance(sys.exc_info()[1], (OperationalError, InterfaceError)):
        return database_away(request)
    number = "-".join("".join(secrets.choice(_CLEAR) for _ in range(4)) for _ in range(2))
    log.error("The page %s failed; the person was given number %s", request.path[:_LOGGED], number)
    return HttpResponse(render_to_string("errors/500.html", {"number": number}), status=500)


def database_away(request: HttpRequest) -> HttpResponse:
    """503 while the database is down, full or locked. The page asks it for nothing; a live page's poll goes on."""
    log.warning("The page %s could not be shown: the database does not answer", request.path[:_LOGGED])
    # What was sent may be sent again: the form carries the id of its operation.
    again = request.get_full_path() if request.method == "GET" else ""
    page = render_to_string("errors/503.html", appearance(request) | {"again": again, "seconds": TRY_AGAIN_S})
    answer = HttpResponse(page, status=503, headers={"Retry-After": str(TRY_AGAIN_S)})
    add_never_cache_headers(answer)
    return answer


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """403 for an unsafe request without our token: sent from elsewhere, or from a page older than the sign-in.

    The latter has a token, only no more the right one: what was typed there is handed back, where the view can
    (decorators.preserve_input_on_sign_out). Nothing is done in either case.
    """
    refusals.record(Verb.CSRF_REFUSED, request, note=reason)
    match = request.resolver_match
    if match and reason.startswith(OLD_TOKEN) and hasattr(match.func, "redisplay"):
        answer: HttpResponseBase = match.func.redisplay(request, *match.args, **match.kwargs)
        return answer
    return render(request, "errors/csrf.html", status=403)
