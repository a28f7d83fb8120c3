"""Who decides in the place of a lead who is away."""

from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from imodels_app.accounts import permissions, rights
from imodels_app.accounts.absence_form import AbsenceForm
from imodels_app.decorators import person, signed_in, throttled
from imodels_app.limits import throttles
from imodels_app.models import Absence, User
from imodels_app.runtime.foreign_text import isolated


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
@throttled(throttles.RULES)
def absence_list(request: HttpRequest) -> HttpResponse:
    """Who stands in for me, and for whom I do; and for leads the form to name a deputy."""
    user = person(request)
    form = AbsenceForm(request.POST if request.method == "POST" else None, lead=user)
    if form.is_valid():
        absence = form.save()
        messages.success(request, f"{isolated(absence.deputy.name)} decides in your place in these days.")
        return redirect("imodels:absence-list")
    rows = [(one, not permissions.why_not_end_absence(user, one)) for one in _of(user)]
    is_lead = bool(permissions.teams_led_by(user))
    context = {"form": form, "rows": rows, "is_lead": is_lead, "section": "approvals"}
    return render(request, "approvals/absences.html", context, status=422 if form.errors else 200)


@signed_in
@require_POST
@throttled(throttles.RULES)
def end_absence(request: HttpRequest, pk: int) -> HttpResponse:
    """From now on nobody stands in."""
    user = person(request)
    absence = next((one for one in _of(user) if one.pk == pk), None)
    if absence is None or permissions.why_not_end_absence(user, absence):
        raise Http404
    rights.delete(absence, by=user)
    deputy, lead = isolated(absence.deputy.name), isolated(absence.lead.name)
    messages.success(request, f"{deputy} no longer decides in the place of {lead}.")
    return redirect("imodels:absence-list")


def _of(user: User) -> list[Absence]:
    """Those that are not over: a person's own, and those in which they stand in; an admin sees all."""
    rows = Absence.objects.filter(ends_at__gt=timezone.now()).select_related("lead", "deputy", "team")
    return list(rows if user.is_admin else rows.filter(Q(lead=user) | Q(deputy=user)))
