"""Who may come in: the guards before a view."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect

View = Callable[..., HttpResponse]


def signed_in(view: View) -> View:
    """To the sign-in page and back again; a fragment makes the whole page go there."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        door = reverse("imodels:sign-in")
        if getattr(request, "htmx", False):
            return HttpResponseClientRedirect(door)
        return redirect(f"{door}?{urlencode({'next': request.get_full_path()})}")

    return guarded
