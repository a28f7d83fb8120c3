"""Destinations of the audit log, for administrators: how far each is, and from where it goes on."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from imodels_app.accounts import streams
from imodels_app.accounts.stream_form import DestinationForm
from imodels_app.decorators import auditor, person, throttled
from imodels_app.limits import throttles
from imodels_app.models import Destination
from imodels_app.runtime.foreign_text import isolated
from imodels_app.tables import filters


@auditor
@require_http_methods(["GET", "POST"])
@throttled(throttles.RULES)
def stream_list(request: HttpRequest) -> HttpResponse:
    """All destinations, and the form of a new one."""
    form = DestinationForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        made = form.save(by=person(request))
        messages.success(request, f"Events go to {isolated(made.name)} from now on.")
        return redirect("imodels:streams")
    rows = [(one, streams.in_words(one), streams.lag(one)) for one in Destination.objects.all()]
    context = {"rows": rows, "form": form, "section": "audit"}
    return render(request, "audit/streams.html", context, status=422 if form.errors else 200)


@require_POST
@auditor
@throttled(throttles.RULES)
def switch_stream(request: HttpRequest, pk: int) -> HttpResponse:
    one = get_object_or_404(Destination, pk=pk)
    streams.switch(one, by=person(request), is_on=request.POST.get("on") == "yes")
    return redirect("imodels:streams")


@require_POST
@auditor
@throttled(throttles.RULES)
def replay_stream(request: HttpRequest, pk: int) -> HttpResponse:
    """Go on from a line of the log, or with the events of a day and after it, sent or not."""
    one, since = get_object_or_404(Destination, pk=pk), filters.day(request.POST.get("since", ""))
    line = request.POST.get("line", "")
    if line and (not filters.is_number(line) or line == "0"):
        messages.error(request, "Nothing is sent again: lines of the log are numbers from 1.")
    elif line or since:
        wanted = streams.first_line(filters.start_of(since)) if since else int(line) - 1
        position = streams.replay(one, wanted, by=person(request))
        messages.success(request, f"{isolated(one.name)} goes on with line {position + 1} of the audit log.")
    else:
        messages.error(request, "Nothing is sent again: choose a day or a line.")
    return redirect("imodels:streams")


@require_POST
@auditor
@throttled(throttles.RULES)
def delete_stream(request: HttpRequest, pk: int) -> HttpResponse:
    one = get_object_or_404(Destination, pk=pk)
    streams.delete(one, by=person(request))
    messages.success(request, f"No more events go to {isolated(one.name)}.")
    return redirect("imodels:streams")
