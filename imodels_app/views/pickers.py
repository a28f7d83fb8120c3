"""Lists to pick from while a person types: fragments for the comboboxes of the request forms."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_safe

from imodels_app.decorators import View, person, signed_in
from imodels_app.models import User
from imodels_app.requesting.catalog import Catalog, CatalogUnavailable, NotInCatalog, SignInNeeded
from imodels_app.runtime import foreign_text

SHOWN = 12
# A person types on meanwhile: what takes longer is told as not answering.
WITHIN_S = 6.0


def signed_in_part(view: View) -> View:
    """For parts of a form: whoever was signed out meanwhile is told so there, and what they typed stays."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated or not getattr(request, "htmx", False):
            return signed_in(view)(request, *args, **kwargs)
        return render(request, "new_imodel/_signed_out.html")

    return wrapped


@signed_in_part
@require_safe
def pick_itwins(request: HttpRequest) -> HttpResponse:
    """iTwins that a new iModel may go into."""
    text = _typed(request, "itwin")

    def query(catalog: Catalog) -> dict[str, Any]:
        found = catalog.itwins(text).cut_at(SHOWN)
        is_nowhere = not text and not found and found.is_all
        listed = {"found": found, "is_all": found.is_all, "is_nowhere": is_nowhere}
        return listed | {"favourites": catalog.favourites("itwins")}

    return _listed(request, "itwins", query)


@signed_in_part
@require_safe
def access(request: HttpRequest) -> HttpResponse:
    """What to do for whoever is in no iTwin yet: a part of a page that does not wait for it. 204: nothing to say."""
    try:
        found = Catalog(person(request), within_s=WITHIN_S).itwins()
    except (CatalogUnavailable, NotInCatalog, SignInNeeded):
        return HttpResponse(status=204)
    if found or not found.is_all:
        return HttpResponse(status=204)
    admins = User.objects.filter(is_active=True, is_staff=True).order_by("first_name", "last_name")[:3]
    return render(request, "new_imodel/_no_itwin.html", {"admins": admins})


@signed_in_part
@require_safe
def pick_imodels(request: HttpRequest) -> HttpResponse:
    """iModels to copy from, each with whether that can be done. ?itwin_id= keeps to one iTwin.

    ?as=template lists them as templates, for which reading is enough.
    """
    text, itwin_id = _typed(request, "source"), request.GET.get("itwin_id", "")

    def query(catalog: Catalog) -> dict[str, Any]:
        found = catalog.imodels(text, itwin_id=itwin_id)[0].cut_at(SHOWN)
        return {"found": found, "is_all": found.is_all, "favourites": catalog.favourites("imodels")}

    return _listed(request, "templates" if request.GET.get("as") == "template" else "imodels", query)


@signed_in_part
@require_safe
def pick_changesets(request: HttpRequest) -> HttpResponse:
    """The changesets of ?source_id=, newest first; ?before= is the index to go on from, and brings options alone."""
    text, source, start = _typed(request, "changeset"), request.GET.get("source_id", ""), request.GET.get("before", "")
    before = int(start) if start.isascii() and start.isdigit() and len(start) < 19 else None

    def query(catalog: Catalog) -> dict[str, Any]:
        found, older = catalog.changesets(source, text, before=before, most=SHOWN)
        more = QueryDict(mutable=True)
        more.update({"source_id": source, "q": text, "before": str(older)})
        authors = catalog.people(source) if found else {}
        return {
            "found": [(item, authors.get(item.creator_id, "")) for item in found],
            "more": f"{request.path}?{more.urlencode()}" if older is not None else "",
            "older": older,
        }

    return _listed(request, "changesets", query, of=source, goes_on=before is not None)


@signed_in_part
@require_safe
def pick_versions(request: HttpRequest) -> HttpResponse:
    """The named versions of ?source_id=."""
    text, source = _typed(request, "version"), request.GET.get("source_id", "")

    def query(catalog: Catalog) -> dict[str, Any]:
        found = catalog.named_versions(source, text).cut_at(SHOWN)
        return {"found": found, "is_all": found.is_all}

    return _listed(request, "versions", query, of=source)


def _listed(
    request: HttpRequest,
    kind: str,
    query: Callable[[Catalog], dict[str, Any]],
    *,
    of: str | None = None,
    goes_on: bool = False,
) -> HttpResponse:
    """What was found, or a sentence why there is nothing. Always 200: nothing is wrong with the form.

    of       the id of the iModel whose parts are listed; "" while none is picked
    goes_on  options alone, to follow those of a list that is there
    """
    try:
        answer = query(Catalog(person(request), within_s=WITHIN_S)) if of != "" else {"said": "Pick the iModel first."}
    except CatalogUnavailable as down:
        answer = {"said": str(down), "is_down": True}
    except SignInNeeded:
        answer = {"said": "You must sign in again.", "sign_in": True}
    except NotInCatalog:
        answer = {}
    return render(request, "new_imodel/_list.html", {"kind": kind, "is_all": True, "goes_on": goes_on} | answer)


def _typed(request: HttpRequest, field: str) -> str:
    """A combobox sends its text under its own name. It may be a long link."""
    return foreign_text.cleaned(request.GET.get("q", "") or request.GET.get(field, ""), most=1000)
