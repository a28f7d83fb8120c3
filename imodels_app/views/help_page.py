"""What the words mean, what one needs, and how much is allowed: for people who are here for the first time."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from imodels_app.decorators import signed_in
from imodels_app.display import changelog, meanings
from imodels_app.limits import rate_limits


@signed_in
@require_safe
def help_page(request: HttpRequest) -> HttpResponse:
    limits = [(name, rate_limits.limit(bucket)) for bucket, name in rate_limits.NAMES.items()]
    return render(request, "help/help.html", {"badges": meanings.badges(), "limits": limits})


@signed_in
@require_safe
def whats_new(request: HttpRequest) -> HttpResponse:
    """CHANGELOG.md as a page."""
    return render(request, "help/whats_new.html", {"releases": changelog.releases()})
