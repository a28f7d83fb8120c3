"""What a person chooses for themselves, on one page."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from imodels_app.accounts.preferences import PreferencesForm
from imodels_app.decorators import person, signed_in


@signed_in
@require_http_methods(["GET", "POST"])
def preferences(request: HttpRequest) -> HttpResponse:
    """Time zone and e-mails, kept with the account; theme, contrast and keys, kept in the browser (views.theme)."""
    typed = request.POST if request.method == "POST" else None
    form = PreferencesForm(typed, user=person(request), here=timezone.get_current_timezone_name())
    if form.is_valid():
        form.save()
        messages.success(request, "Your preferences are saved.")
        return redirect("imodels:preferences")
    return render(request, "preferences/preferences.html", {"form": form}, status=422 if form.errors else 200)
