"""Looking for what is made outside iModel Desk: a lead's switch, and an admin's look by hand."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from imodels_app.accounts import permissions, watches
from imodels_app.decorators import auditor, person, signed_in, throttled
from imodels_app.limits import throttles
from imodels_app.models import Team


@require_POST
@signed_in
@throttled(throttles.RULES)
def switch_watch(request: HttpRequest, pk: int) -> HttpResponse:
    """Let one's own token be used to look at the iTwins of a team, or no longer."""
    user = person(request)
    team = get_object_or_404(Team, pk=pk, pk__in=permissions.teams_led_by(user))
    switch = watches.switch_on if request.POST.get("watch") == "on" else watches.switch_off
    switch(user, team)
    return redirect("imodels:session-list")


@require_POST
@auditor
@throttled(throttles.EXPORTS)
def look_outside(request: HttpRequest) -> HttpResponse:
    """Look now, not only at night."""
    count = watches.look_soon()
    messages.success(request, f"iModel Desk looks at {count} iTwin{'' if count == 1 else 's'} now.")
    return redirect(f"{reverse('imodels:audit')}?event=outside")
