"""People, for admins: who is here, what they may, and the end of it."""

from collections.abc import Callable
from functools import reduce
from operator import or_

from django.conf import settings
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from imodels_app.accounts import permissions, rights, sessions
from imodels_app.decorators import administrator, person, throttled
from imodels_app.limits import throttles
from imodels_app.models import Membership, Operation, User
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import CANCELLABLE
from imodels_app.tables import filters, keyset

NEWEST = keyset.Order(("pk",))
SEARCHED = ("first_name", "last_name", "email")
# Places that wait for their people.
MOST_WAITING = 50


@administrator
@require_safe
def person_list(request: HttpRequest) -> HttpResponse:
    """Whoever has signed in, the newest first; and who is expected."""
    text = filters.typed(request.GET.get("q", ""))
    found = User.objects.filter(*(_named(word) for word in text.split())).prefetch_related("membership_set__team")
    waiting = Membership.objects.filter(user=None).select_related("team").order_by("email", "team__name")
    page = keyset.page([found], NEWEST, request.GET)
    context = {"rows": keyset.counted(page, [found]), "text": text, "waiting": waiting[:MOST_WAITING]}
    return render(request, "people/list.html", context | {"section": "teams"})


@administrator
@require_safe
def person_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Who somebody is, what they may and by whom, and where they are signed in."""
    user = get_object_or_404(User.objects.select_related("admin_given_by"), pk=pk)
    unsent = Operation.objects.filter(requested_by=user, state__in=sorted(CANCELLABLE))
    context = {
        "who": user,
        "places": user.membership_set.select_related("team", "given_by").order_by("team__name"),
        "presets": user.presets.select_related("team"),
        "sessions": sessions.live_of(user),
        "unsent": unsent.count(),
        "is_self": user == person(request),
        "why_not": permissions.why_not_demote(person(request), user),
        "is_named": user.email in settings.DASHBOARD_ADMINS,
        "section": "teams",
    }
    return render(request, "people/detail.html", context)


@require_POST
@administrator
@throttled(throttles.RIGHTS)
def set_admin(request: HttpRequest, pk: int) -> HttpResponse:
    """Make somebody an administrator, or no longer."""

    def change(user: User) -> str:
        user.is_staff = request.POST.get("on") == "yes"
        return "is an administrator now" if user.is_staff else "is no longer an administrator"

    return _change(request, pk, change)


@require_POST
@administrator
@throttled(throttles.RIGHTS)
def set_account(request: HttpRequest, pk: int) -> HttpResponse:
    """Close an account, or open it again."""

    def change(user: User) -> str:
        user.is_active = request.POST.get("on") == "yes"
        return "can sign in again" if user.is_active else "is signed out and cannot sign in any more"

    return _change(request, pk, change)


@require_POST
@administrator
@throttled(throttles.RIGHTS)
def end_sessions(request: HttpRequest, pk: int) -> HttpResponse:
    """Sign somebody out of one browser, or of all."""
    user = get_object_or_404(User, pk=pk)
    if user == person(request):  # one's own are ended after a fresh sign-in
        return redirect("imodels:session-list")
    ended = sessions.end(user, by=person(request), only=request.POST.get("session", ""))
    messages.success(request, f"{isolated(user.name)} is signed out. Sessions ended: {ended}.")
    return redirect("imodels:person-detail", pk)


def _change(request: HttpRequest, pk: int, change: Callable[[User], str]) -> HttpResponse:
    user = get_object_or_404(User, pk=pk)
    said = change(user)
    try:
        rights.save(user, by=person(request))
    except permissions.Denied as no:
        messages.error(request, f"Nothing was changed. {no}")
    else:
        messages.success(request, f"{isolated(user.name)} {said}.")
    return redirect("imodels:person-detail", pk)


def _named(word: str) -> Q:
    """Any of the columns has this word."""
    return reduce(or_, (Q(**{f"{column}__icontains": word}) for column in SEARCHED))
