"""Filters of a table that a person keeps under a name: of the operations, and for admins of the audit's pages."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from imodels_app.accounts import permissions
from imodels_app.decorators import person, signed_in, throttled
from imodels_app.limits import throttles
from imodels_app.models import SavedFilter
from imodels_app.requesting.fields import text_field
from imodels_app.runtime import foreign_text
from imodels_app.tables import menus

MOST_SAVED = 50
LONGEST_QUERY = 2000
NAME = text_field("Name", "The filter needs a name.", most=100)
PAGES = {
    SavedFilter.Page.EVENTS: "imodels:audit",
    SavedFilter.Page.OPERATIONS: "imodels:audit-operations",
    SavedFilter.Page.TABLE: "imodels:operation-list",
}


@require_POST
@signed_in
@throttled(throttles.PRESETS)
def save_filter(request: HttpRequest) -> HttpResponse:
    """Keep the filter of a page under a name; the same name again replaces it."""
    user, page = person(request), request.POST.get("page", "")
    if page not in PAGES or not (page == SavedFilter.Page.TABLE or permissions.may_audit(user)):
        raise Http404
    query = menus.without(QueryDict(request.POST.get("query", "")[:LONGEST_QUERY])).removeprefix("?")
    own = user.saved_filters.filter(page=page)
    try:
        name = NAME.clean(request.POST.get("name", ""))
    except ValidationError as no:
        messages.error(request, f"Not saved. {' '.join(no.messages)}")
        return redirect(f"{_address(page)}?{query}")
    if own.count() >= MOST_SAVED:
        messages.error(request, f"Not saved: you have {MOST_SAVED} saved filters already.")
    else:
        kept = own.filter(name__iexact=name).first() or SavedFilter(owner=user, page=page)
        kept.name, kept.query = name, query
        kept.save()
        messages.success(request, f"The filter is saved as “{foreign_text.isolated(name)}”.")
    return redirect(f"{_address(page)}?{query}")


@require_POST
@signed_in
@throttled(throttles.PRESETS)
def delete_filter(request: HttpRequest, pk: int) -> HttpResponse:
    saved = get_object_or_404(SavedFilter, pk=pk, owner=person(request))
    saved.delete()
    messages.success(request, f"The saved filter “{foreign_text.isolated(saved.name)}” was deleted.")
    return redirect(_address(saved.page))


def on(request: HttpRequest, page: SavedFilter.Page) -> dict[str, Any]:
    """What components/_saved_filters.html shows of a page's filters, and the one that could be saved."""
    saved = person(request).saved_filters.filter(page=page)
    return {"page": page, "saved": saved, "query": menus.without(request.GET).removeprefix("?")}


def _address(page: str) -> str:
    return reverse(PAGES[SavedFilter.Page(page)])
