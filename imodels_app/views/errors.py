"""Pages for what went wrong: 403, 404, 500, and a form whose CSRF token is missing or old."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for an unsafe request without our token: sent from elsewhere, or from a page older than the sign-in."""
    return render(request, "errors/csrf.html", status=403)
