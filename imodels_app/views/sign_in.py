"""Coming and going: to the provider's page, back with a code, and out again at both."""

import logging
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import login, logout
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from imodels_app import lifecycle
from imodels_app.accounts import oidc, sign_in
from imodels_app.decorators import throttled
from imodels_app.limits import throttles
from imodels_app.models import User
from imodels_app.redirects import own_path

log = logging.getLogger(__name__)

BACKEND = "django.contrib.auth.backends.ModelBackend"
NEXT = "next_after_sign_in"
# Of a refusal in the log: anybody can come back from the provider with a sentence of any length.
LOGGED = 200


@never_cache
@require_safe
def sign_in_page(request: HttpRequest) -> HttpResponse:
    """The door: one button. Whoever is signed in already goes on."""
    if request.user.is_authenticated:
        return redirect(own_path(request.GET.get("next", ""), "imodels:operation-list"))
    return render(request, "sign_in/sign_in.html", {"next": request.GET.get("next", "")})


@never_cache
@require_safe
@throttled(throttles.SIGN_INS, methods=("GET", "HEAD"))
def sign_in_start(request: HttpRequest) -> HttpResponse:
    """To the provider's page. Where the person wanted to go waits in the session."""
    request.session[NEXT] = own_path(request.GET.get("next", ""), reverse("imodels:operation-list"))
    _forget_abandoned(request)
    try:
        return oidc.authorize(request, _callback())
    except oidc.ProviderDown as down:
        return _failed(request, str(down), status=503)


@never_cache
@require_safe
@throttled(throttles.SIGN_INS, methods=("GET", "HEAD"))
def sign_in_callback(request: HttpRequest) -> HttpResponse:
    """Back from the provider with a code, or with a refusal."""
    try:
        claims, token = oidc.exchange(request)
        user = sign_in.sign_in(claims, token)
    except oidc.ProviderDown as down:
        return _failed(request, str(down), status=503)
    except (oidc.ProviderError, sign_in.NoIdentity) as no:
        log.info("A sign-in failed: %s", str(no)[:LOGGED])
        return _failed(request, "The sign-in was not completed. Nothing has changed; sign in again.", status=400)
    if not user.is_active:
        return _failed(request, "This account has been closed in iModel Desk.", status=403)
    return _enter(request, user)


@never_cache
@require_safe
def admin_login(request: HttpRequest) -> HttpResponse:
    """Django's admin has no door of its own: it is entered through ours, and for all but admins it is not there."""
    if request.user.is_authenticated:
        raise Http404
    return redirect(f"{reverse('imodels:sign-in')}?{urlencode({'next': request.GET.get('next', '')})}")


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
    return render(request, "sign_in/signed_out.html", {"end_session": end_session})


def _enter(request: HttpRequest, user: User) -> HttpResponse:
    """A new session for the person, and on with what waited for them."""
    going_to = request.session.get(NEXT, "")
    # Whatever was there before the sign-in could have been planted: only the way on is kept.
    request.session.flush()
    login(request, user, backend=BACKEND)
    lifecycle.wake_after_sign_in(user)
    return redirect(going_to or reverse("imodels:operation-list"))


def _callback() -> str:
    return settings.DASHBOARD_URL + reverse("imodels:sign-in-callback")


def _forget_abandoned(request: HttpRequest) -> None:
    """Each start leaves a state in the session; those of abandoned sign-ins would pile up."""
    for key in [key for key in request.session.keys() if key.startswith("_state_")]:  # noqa: SIM118
        del request.session[key]


def _failed(request: HttpRequest, sentence: str, *, status: int) -> HttpResponse:
    return render(request, "sign_in/failed.html", {"sentence": sentence}, status=status)
