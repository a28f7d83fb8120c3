"""Who may come in, and how often: the guards before a view."""

from collections.abc import Callable, Collection
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import logout
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from imodels_app.accounts import permissions, sessions
from imodels_app.audit import refusals
from imodels_app.limits import throttles
from imodels_app.models import User
from imodels_app.runtime import request_context
from imodels_app.states import Verb

View = Callable[..., HttpResponseBase]
# Of an address in the record: what says which page it was, however long somebody made it.
LONGEST_PATH = 200
CSRF = "csrfmiddlewaretoken"


class HtmxRequest(HttpRequest):
    """What django-htmx's middleware makes of a request."""

    htmx: HtmxDetails


def signed_in(view: View) -> View:
    """To the sign-in page and back again; a fragment makes the whole page go there. Never kept by a cache."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        answer = view(request, *args, **kwargs) if request.user.is_authenticated else _to_sign_in(request)
        add_never_cache_headers(answer)
        return answer

    return wrapped


def preserve_input_on_sign_out(redisplay: View) -> Callable[[View], View]:
    """For what people type and send: whoever was signed out meanwhile gets kept(request, ...), a page with what they
    typed, and so does whoever sends a page older than their sign-in (error_handlers.csrf_failure). Nothing else is
    done. Meanwhile is also while the view refuses it: it may be what finds the grant revoked.
    """

    page: View = never_cache(redisplay)
    # Of a view that checks our token by itself nothing is checked yet: what comes from elsewhere is not shown.
    page_if_ours: View = csrf_protect(page)

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method != "POST":
                return view(request, *args, **kwargs)
            if request.user.is_authenticated:
                answer = view(request, *args, **kwargs)
                if answer.status_code < 400 or not _was_signed_out(request):
                    return answer
                logout(request)
            return page_if_ours(request, *args, **kwargs)

        wrapped.redisplay = page  # type: ignore[attr-defined]
        return wrapped

    return decorate


def auditor(view: View) -> View:
    """For whom may audit. For others the page does not exist."""
    return _only_for(permissions.may_audit, view)


def administrator(view: View) -> View:
    """For whom may set up teams and people. For others the page does not exist."""
    return _only_for(permissions.may_administer, view)


def _only_for(may: Callable[[User], bool], view: View) -> View:
    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not may(person(request)):
            refusals.record(Verb.ACCESS_REFUSED, request, note=request.path[:LONGEST_PATH])
            raise Http404
        return view(request, *args, **kwargs)

    return signed_in(wrapped)


def throttled(throttle: throttles.Throttle, *, methods: Collection[str] = ("POST",)) -> Callable[[View], View]:
    """Answer what comes too often with 429, and with a page from which it can be sent again as it was."""

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                if request.method in methods:
                    count_request(request, throttle)
            except throttles.Throttled as no:
                return _too_many(request, no)
            return view(request, *args, **kwargs)

        return wrapped

    return decorate


def count_request(request: HttpRequest, throttle: throttles.Throttle) -> None:
    """Count what this person does, or this address while nobody is signed in. Raises throttles.Throttled."""
    who = f"person-{request.user.pk}" if request.user.is_authenticated else request_context.current().address
    throttles.count(throttle, who)


def person(request: HttpRequest) -> User:
    """Who is signed in. Only behind a guard."""
    assert isinstance(request.user, User)  # noqa: S101 - the guard has let nobody else through
    return request.user


def _was_signed_out(request: HttpRequest) -> bool:
    """Whether somebody else than the view ended the session: the view has its own page to tell."""
    return request.user.is_authenticated and sessions.has_ended(request.session)


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """Back to the page itself after the sign-in, never to a fragment or an act.

    A session that has run out takes its cookie along. Where one still comes, somebody has ended its session: then what
    the browser keeps of it goes, as after a sign-out.
    """
    htmx = getattr(request, "htmx", None)
    page = _page_around(htmx) if htmx else request.get_full_path() if request.method == "GET" else ""
    sign_in_url = reverse("imodels:sign-in") + (f"?{urlencode({'next': page})}" if page else "")
    answer = HttpResponseClientRedirect(sign_in_url) if htmx else redirect(sign_in_url)
    return leaves_nothing(answer) if request.COOKIES.get(settings.SESSION_COOKIE_NAME) else answer


def leaves_nothing(answer: HttpResponse) -> HttpResponse:
    """Have the browser forget pages and what scripts have stored. Not cookies: those of other hosts would go, too."""
    answer["Clear-Site-Data"] = '"cache", "storage"'
    return answer


def _page_around(htmx: HtmxDetails) -> str:
    """The page that a fragment stands in, as its header says; empty when that makes no sense."""
    try:
        return htmx.current_url_abs_path or ""
    except ValueError:
        return ""


def _too_many(request: HttpRequest, no: throttles.Throttled) -> HttpResponse:
    typed = [(name, text) for name, texts in request.POST.lists() if name != CSRF for text in texts]
    answer = render(request, "errors/429.html", {"sentence": str(no), "typed": typed}, status=429)
    answer.headers["Retry-After"] = str(no.retry_after_s)
    return answer
