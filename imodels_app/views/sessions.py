"""Where a person is signed in, and the way out of each place."""

from functools import wraps

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from imodels_app.accounts import sessions, watches
from imodels_app.decorators import View, leaves_nothing, person, signed_in


@signed_in
@require_safe
def session_list(request: HttpRequest) -> HttpResponse:
    context = {
        "sessions": sessions.live_of(person(request)),
        "current": sessions.current_id(request),
        "idle_hours": settings.SESSION_IDLE_HOURS,
        "hours": settings.SESSION_HOURS,
        "watches": watches.of_leader(person(request)),
        "may_end": sessions.is_fresh(request.session),
    }
    return render(request, "sessions/list.html", context)


def with_a_fresh_sign_in(view: View) -> View:
    """For what ends sessions: the sign-in service has asked for the person a moment ago. Else the page tells."""

    @wraps(view)
    def wrapped(request: HttpRequest) -> HttpResponseBase:
        if sessions.is_fresh(request.session):
            return view(request)
        messages.warning(request, "No session was ended. Sign in again first.")
        return redirect("imodels:session-list")

    return wrapped


@signed_in
@require_POST
@with_a_fresh_sign_in
def end_session(request: HttpRequest) -> HttpResponse:
    """Sign out of one other browser."""
    which = request.POST.get("session", "")
    if not which:
        raise Http404
    # One that has ended meanwhile is what was wanted.
    sessions.end(person(request), by=person(request), only=which)
    messages.success(request, "Signed out there.")
    return redirect("imodels:session-list")


@signed_in
@require_POST
@with_a_fresh_sign_in
def end_all_sessions(request: HttpRequest) -> HttpResponse:
    """Sign out everywhere, here too."""
    sessions.end(person(request), by=person(request))
    logout(request)
    return leaves_nothing(redirect("imodels:sign-in"))
