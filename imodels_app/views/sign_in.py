"""Coming and going: to the provider's page, back with a code, and out again at both."""

import logging
from functools import partial
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from imodels_app import gateway, lifecycle
from imodels_app.accounts import oidc, pending, permissions, preferences, session_keys, sessions, sign_in
from imodels_app.accounts.pending import PendingSignIn
from imodels_app.audit import refusals
from imodels_app.decorators import LONGEST_PATH, leaves_nothing, throttled
from imodels_app.limits import throttles
from imodels_app.models import User
from imodels_app.redirects import own_path
from imodels_app.runtime import foreign_text, request_context
from imodels_app.runtime.timing import SIGN_IN_TAKES_S
from imodels_app.states import Verb

log = logging.getLogger(__name__)

BACKEND = "django.contrib.auth.backends.ModelBackend"
# Of a refusal in the log: anybody can come back from the provider with a sentence of any length.
LOGGED = 400
KNOWN_FOR_S = 365 * 24 * 60 * 60
NOT_COMPLETED = "The sign-in was not completed. Nothing has changed."
ACCOUNT_CLOSED = "An administrator has closed your account in iModel Desk. If you need it again, ask an administrator."


@never_cache
@require_safe
def sign_in_page(request: HttpRequest) -> HttpResponse:
    """The door: one button. Whoever is signed in already goes on. Who only wanted to go home is told what this is."""
    wanted = request.GET.get("next", "")
    if request.user.is_authenticated:
        return redirect(own_path(wanted, "imodels:operation-list"))
    is_home = wanted == reverse("imodels:operation-list")
    return render(request, "sign_in/sign_in.html", {"next": "" if is_home else wanted, "provider": _provider()})


@never_cache
@require_safe
@throttled(throttles.SIGN_INS, methods=("GET", "HEAD"))
def sign_in_start(request: HttpRequest) -> HttpResponse:
    """To the provider's page. What has to come back from there, and where the person wanted to go, waits in a cookie:
    each tab may have a sign-in of its own, and a stranger leaves nothing in the database. With `again` the provider
    asks for the person even if it remembers them.
    """
    wanted = request.GET.get("next", "")
    going_to = own_path(wanted if len(wanted) <= pending.LONGEST_WAY else "", reverse("imodels:operation-list"))
    try:
        address, asked = oidc.authorize(_callback(), asks_again="again" in request.GET)
    except oidc.ProviderError as no:
        return _failed(request, no, going_to)
    begun = PendingSignIn(asked["state"], asked["nonce"], asked["code_verifier"], going_to)
    return _remember(redirect(address), [*_pending(request), begun])


@never_cache
@require_safe
@throttled(throttles.SIGN_INS, methods=("GET", "HEAD"))
def sign_in_callback(request: HttpRequest) -> HttpResponse:
    """Back from the provider with a code, or with a refusal. Each start is good for one return."""
    state = request.GET.get("state", "")
    of_this_tab = next((one for one in _pending(request) if one.state == state), None)
    going_to = of_this_tab.going_to if of_this_tab else ""
    try:
        answer = _enter(request, *_person(request, of_this_tab), going_to)
    except oidc.ProviderError as no:
        answer = _failed(request, no, going_to)
    except sign_in.AccountClosed:
        refusals.record(Verb.SIGN_IN_FAILED, request, note="The account is closed.")
        answer = _not_signed_in(request, ACCOUNT_CLOSED, 403, None)
    return _remember(answer, [one for one in _pending(request) if one != of_this_tab])


@never_cache
@require_safe
def admin_login(request: HttpRequest) -> HttpResponse:
    """Django's admin has no door of its own: it is entered through ours, and for all but admins it is not there."""
    if isinstance(request.user, User):
        if not permissions.may_administer(request.user):
            refusals.record(Verb.ACCESS_REFUSED, request, note=request.GET.get("next", "")[:LONGEST_PATH])
        raise Http404
    return redirect(f"{reverse('imodels:sign-in')}?{urlencode({'next': request.GET.get('next', '')})}")


@never_cache
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Out here, and at the provider.

    A page rather than a redirect: the content policy holds form posts to our own address, and browsers
    hold the whole chain of redirects to it.
    """
    end_session = ""
    if isinstance(request.user, User):
        end_session = sign_in.sign_out(request.user, back_to=settings.DASHBOARD_URL + reverse("imodels:sign-in"))
    logout(request)
    return leaves_nothing(render(request, "sign_in/signed_out.html", {"end_session": end_session}))


def _provider() -> str:
    """The sign-in service as people know it: Bentley, or the host of another one; "" where its host has no name."""
    host = urlsplit(settings.OIDC_ISSUER).hostname or ""
    if f".{host}".endswith(".bentley.com"):
        return "Bentley"
    return host if "." in host and not host[-1].isdigit() else ""


def _person(request: HttpRequest, begun: PendingSignIn | None) -> tuple[User, float]:
    """Whoever the provider sends, and when it asked for them. Raises ProviderError and AccountClosed."""
    if not oidc.is_issuer(request.GET.get("iss", settings.OIDC_ISSUER)):
        raise oidc.ProviderError("The answer is another provider's: the parameter iss is not OIDC_ISSUER.")
    if "code" not in request.GET:
        reasons = (request.GET.get(name) for name in ("error_description", "error"))
        raise oidc.ProviderError(next(filter(None, reasons), "The sign-in service sent no code."))
    if begun is None:
        raise oidc.ProviderError("The state is of no sign-in that this browser began.")
    claims, token = oidc.exchange(
        request.GET["code"], _callback(), nonce=begun.nonce, code_verifier=begun.code_verifier
    )
    at_platform = partial(gateway.address_of, token["access_token"], claims["sub"])
    return sign_in.sign_in(claims, token, at_platform=at_platform), oidc.authenticated_at(claims)


def _enter(request: HttpRequest, user: User, authenticated_at: float, going_to: str) -> HttpResponse:
    """A new session for the person, and on with what waited for them."""
    # Whatever was there before the sign-in could have been planted.
    request.session.flush()
    login(request, user, backend=BACKEND)
    client = request.headers.get("User-Agent", "")
    sessions.describe(request.session, address=request_context.current().address, client=client)
    sessions.note_authentication(request.session, authenticated_at)
    preferences.learn_zone(user, request.COOKIES.get("zone", ""))
    if not user.email:
        messages.warning(request, "Your e-mail address is not confirmed. “Your sessions” says what that means.")
    lifecycle.wake_after_sign_in(user)
    return _known(redirect(going_to))


def _known(answer: HttpResponse) -> HttpResponse:
    """With a cookie that outlives the session: what this browser sends is read all the same, and handed back."""
    answer.set_cookie(
        settings.KNOWN_COOKIE_NAME,
        session_keys.new(),
        max_age=KNOWN_FOR_S,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return answer


def _callback() -> str:
    return settings.DASHBOARD_URL + reverse("imodels:sign-in-callback")


def _pending(request: HttpRequest) -> list[PendingSignIn]:
    return pending.read(request.COOKIES.get(settings.SIGN_IN_COOKIE_NAME, ""))


def _remember(answer: HttpResponse, begun: list[PendingSignIn]) -> HttpResponse:
    """With the browser's sign-ins that are still under way; without the cookie when there is none."""
    name, value = settings.SIGN_IN_COOKIE_NAME, pending.write(begun)
    # Lax: the provider sends the browser back by a top-level GET, which must carry it. "" ends it at once.
    lasts_s = SIGN_IN_TAKES_S if value else 0
    answer.set_cookie(
        name, value, max_age=lasts_s, secure=settings.SESSION_COOKIE_SECURE, httponly=True, samesite="Lax"
    )
    return answer


def _failed(request: HttpRequest, no: oidc.ProviderError, going_to: str) -> HttpResponse:
    """What went wrong is for the log and the audit, and the person may try again."""
    reason = foreign_text.cleaned(str(no), most=LOGGED)
    log.warning("A sign-in failed: %s", reason)
    refusals.record(Verb.SIGN_IN_FAILED, request, note=reason)
    is_down = isinstance(no, oidc.ProviderDown)
    return _not_signed_in(request, str(no) if is_down else NOT_COMPLETED, 503 if is_down else 400, going_to)


def _not_signed_in(request: HttpRequest, sentence: str, status: int, going_to: str | None = "") -> HttpResponse:
    """going_to: None where it would not help to sign in again."""
    return render(request, "sign_in/failed.html", {"sentence": sentence, "next": going_to}, status=status)
