"""Lists to pick from while a person types: fragments for the comboboxes of the request forms."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from imodels_app.catalog import Catalog, NotFound, SignInNeeded, Unavailable
from imodels_app.views.guards import signed_in

SHOWN = 12
PICK_FIRST = "Pick the iModel first."


@signed_in
@never_cache
@require_GET
def pick_itwins(request: HttpRequest) -> HttpResponse:
    return _listed(request, "itwins", lambda catalog: (catalog.itwins(_typed(request, "itwin")), True))


@signed_in
@never_cache
@require_GET
def pick_imodels(request: HttpRequest) -> HttpResponse:
    """iModels to copy from, each with whether that can be done. ?itwin_id= keeps to one iTwin."""
    itwin_id = request.GET.get("itwin_id", "")
    return _listed(request, "imodels", lambda catalog: catalog.imodels(_typed(request, "source"), itwin_id=itwin_id))


@signed_in
@never_cache
@require_GET
def pick_changesets(request: HttpRequest) -> HttpResponse:
    """The changesets of ?source_id=."""
    return _of_source(request, "changesets", lambda catalog, source: catalog.changesets(source, _typed(request, "changeset")))


@signed_in
@never_cache
@require_GET
def pick_versions(request: HttpRequest) -> HttpResponse:
    """The named versions of ?source_id=."""
    return _of_source(request, "versions", lambda catalog, source: catalog.named_versions(source, _typed(request, "version")))


def _of_source(request: HttpRequest, kind: str, look: Any) -> HttpResponse:
    source_id = request.GET.get("source_id", "")
    if not source_id:
        return _answer(request, kind, [], said=PICK_FIRST)
    return _listed(request, kind, lambda catalog: (look(catalog, source_id), True))


def _listed(request: HttpRequest, kind: str, look: Any) -> HttpResponse:
    """What was found, or a sentence why there is nothing. Always 200: it is no error of the form."""
    try:
        found, is_all = look(Catalog(request.user))
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
