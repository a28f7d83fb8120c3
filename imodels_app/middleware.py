"""What holds for every request and answer, whatever makes it."""

import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import is_valid_path
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from imodels_app.accounts import sessions
from imodels_app.display import live
from imodels_app.models import User
from imodels_app.models.people import zone_named
from imodels_app.runtime import request_context
from imodels_app.runtime.request_context import RequestContext

GetResponse = Callable[[HttpRequest], HttpResponse]

PROBES = ("/healthz", "/readyz", "/metrics")
OF_PAGES = (
    *("Permissions-Policy", "Content-Security-Policy", "Cross-Origin-Opener-Policy", "Referrer-Policy"),
    *("X-Frame-Options", "X-Content-Type-Options", "Expires", "Content-Type"),
)
REQUEST_ID = "X-Request-ID"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")
# Some proxies write the port, too.
_WITH_PORT = re.compile(r"\[([^]]+)\](?::\d+)?|([^:]+):\d+")
# To begin a sign-in is no use of the session that is there.
_NO_USE = {"sign-in", "sign-in-start"}


def probes(get_response: GetResponse) -> GetResponse:
    """Health checks are answered by any name: an orchestrator knows addresses. What they tell depends on none."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path_info in PROBES:
            request.META["HTTP_HOST"] = "localhost"
        return get_response(request)

    return middleware


def headers(get_response: GetResponse) -> GetResponse:
    """What a browser may not do for our pages; and no cache keeps what went wrong."""

    def middleware(request: HttpRequest) -> HttpResponse:
        answer = get_response(request)
        answer.headers["Permissions-Policy"] = settings.PERMISSIONS_POLICY
        if answer.status_code == HTTPStatus.NO_CONTENT:
            # Most answers are these, of live pages: what forbids a page something has none here.
            for name in OF_PAGES:
                answer.headers.pop(name, None)
        if answer.status_code >= 400:
            add_never_cache_headers(answer)
        return answer

    return middleware


def name_request(get_response: GetResponse) -> GetResponse:
    """Give each request an id, which its answer, lines of the log and events carry, and find the client's address."""

    def middleware(request: HttpRequest) -> HttpResponse:
        context = RequestContext(_request_id(request), client_address(request), request)
        request_context.begin(context)
        answer = get_response(request)
        answer.headers[REQUEST_ID] = context.request_id
        return answer

    return middleware


class LocalTime:
    """Times are told in the zone of the person, or of their browser (a cookie of theme.js), or of the settings."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with timezone.override(zone_named(request.COOKIES.get("zone", ""))):
            return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: object) -> None:
        """What machines ask is for nobody: it reads no session, and so no database."""
        if request.path_info not in PROBES and isinstance(request.user, User) and request.user.zone:
            timezone.activate(request.user.zone)


def show_way_back(get_response: GetResponse) -> GetResponse:
    """A page instead of Django's blank answer for who opens an address to which forms are sent: after a refused form
    it stands in the address bar.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        answer = get_response(request)
        if answer.status_code != HTTPStatus.METHOD_NOT_ALLOWED or request.method != "GET" or answer.content:
            return answer
        parent = request.path.rpartition("/")[0] + "/"
        page = render(request, "errors/405.html", {"back": is_valid_path(parent) and parent}, status=answer.status_code)
        page.headers["Allow"] = answer.headers["Allow"]
        return page

    return middleware


def renew_session(get_response: GetResponse) -> GetResponse:
    """Put off the end of a session that is used: by a click or a form, not by a live page that polls."""

    def middleware(request: HttpRequest) -> HttpResponse:
        answer = get_response(request)
        # A view that did not ask for the session has no person who could have used it.
        if request.session.accessed and answer.status_code < 500 and _is_use(request) and request.user.is_authenticated:
            sessions.renew(request.session)
        return answer

    return middleware


def _is_use(request: HttpRequest) -> bool:
    view = request.resolver_match.url_name if request.resolver_match else ""
    return view not in _NO_USE and not live.is_poll(request)


def client_address(request: HttpRequest) -> str:
    """The address that the outermost of our proxies saw; without proxies whoever is connected.

    Each proxy appends whom it heard. What stands before that came from the client, who may write there what they like.
    """
    connected = request.META.get("REMOTE_ADDR", "")
    heard = [*request.META.get("HTTP_X_FORWARDED_FOR", "").split(","), connected]
    if len(heard) <= settings.TRUSTED_PROXIES:
        return _ip(connected)
    return _ip(heard[-1 - settings.TRUSTED_PROXIES]) or _ip(connected)


def _ip(text: str) -> str:
    """An address in its shortest form; "" for anything else."""
    text = text.strip()
    with_port = _WITH_PORT.fullmatch(text)
    if with_port:
        text = with_port[1] or with_port[2]
    with suppress(ValueError):
        address = ip_address(text.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return str(mapped or address)
    return ""


def _request_id(request: HttpRequest) -> str:
    """The proxy's own, so that both logs have it, or a new one."""
    given = request.headers.get(REQUEST_ID, "")
    is_ours = settings.TRUSTED_PROXIES and _WELL_FORMED.fullmatch(given)
    return given if is_ours else uuid.uuid4().hex
