"""Lists to pick from while a person types: fragments for the comboboxes of the request forms."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from imodels_app.catalog import Catalog, NotFound, SignInNeeded, Unavailable
from imodels_app.views.guards import View, person, signed_in

SHOWN = 12


def signed_in_part(view: View) -> View:
    """For parts of a form: whoever was signed out meanwhile is told so there, and what they typed stays."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated or not getattr(request, "htmx", False):
            return signed_in(view)(request, *args, **kwargs)
        return render(request, "requests/_signed_out.html")

    return guarded


@signed_in_part
@require_safe
def pick_itwins(request: HttpRequest) -> HttpResponse:
    """iTwins that a new iModel may go into."""
    text = _typed(request, "itwin")
    return _listed(request, "itwins", lambda catalog: (catalog.itwins(text), True))


@signed_in_part
@require_safe
def pick_imodels(request: HttpRequest) -> HttpResponse:
    """iModels to copy from, each with whether that can be done. ?itwin_id= keeps to one iTwin.

    ?as=template lists them as templates, for which reading is enough.
    """
    text, itwin_id = _typed(request, "source"), request.GET.get("itwin_id", "")
    kind = "templates" if request.GET.get("as") == "template" else "imodels"
    return _listed(request, kind, lambda catalog: catalog.imodels(text, itwin_id=itwin_id))


@signed_in_part
@require_safe
def pick_changesets(request: HttpRequest) -> HttpResponse:
    """The changesets of ?source_id=."""
    text, source = _typed(request, "changeset"), request.GET.get("source_id", "")
    return _listed(request, "changesets", lambda catalog: (catalog.changesets(source, text), True), of=source)


@signed_in_part
@require_safe
def pick_versions(request: HttpRequest) -> HttpResponse:
    """The named versions of ?source_id=."""
    text, source = _typed(request, "version"), request.GET.get("source_id", "")
    return _listed(request, "versions", lambda catalog: (catalog.named_versions(source, text), True), of=source)


def _listed(
    request: HttpRequest, kind: str, look: Callable[[Catalog], tuple[list[Any], bool]], *, of: str | None = None
) -> HttpResponse:
    """What was found, or a sentence why there is nothing. Always 200: nothing is wrong with the form.

    of  the id of the iModel whose parts are listed; "" while none is picked
    """
    if of == "":
        return _answer(request, kind, [], said="Pick the iModel first.")
    try:
        found, is_all = look(Catalog(person(request)))
    except Unavailable as down:
        return _answer(request, kind, [], said=str(down))
    except SignInNeeded:
        return _answer(request, kind, [], said="The platform asks you to sign in again.", sign_in=True)
    except NotFound:
        found, is_all = [], True
    return _answer(request, kind, found[:SHOWN], is_all=is_all and len(found) <= SHOWN)


def _answer(request: HttpRequest, kind: str, found: list[Any], **more: Any) -> HttpResponse:
    return render(request, "requests/_list.html", {"kind": kind, "found": found} | more)


def _typed(request: HttpRequest, field: str) -> str:
    """A combobox sends its text under its own name."""
    return request.GET.get("q", "") or request.GET.get(field, "")
