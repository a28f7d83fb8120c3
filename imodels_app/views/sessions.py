"""Where a person is signed in, and the way out of each place."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from imodels_app.accounts import sessions
from imodels_app.decorators import person, signed_in


@signed_in
@require_safe
def session_list(request: HttpRequest) -> HttpResponse:
    context = {
        "sessions": sessions.live_of(person(request)),
        "current": sessions.current_id(request),
        "idle_hours": settings.SESSION_IDLE_HOURS,
        "hours": settings.SESSION_HOURS,
    }
    return render(request, "sessions/list.html", context)


@signed_in
@require_POST
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
def end_all_sessions(request: HttpRequest) -> HttpResponse:
    """Sign out everywhere, here too."""
    sessions.end(person(request), by=person(request))
    logout(request)
    return redirect("imodels:sign-in")
