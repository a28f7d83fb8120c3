"""Audit."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from imodels_app.views.guards import signed_in


@signed_in
def page(request: HttpRequest) -> HttpResponse:
    return render(request, "audit/list.html", {"section": "audit"})
