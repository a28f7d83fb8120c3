"""Going somewhere by a few letters: to a page, an operation, an iModel or an iTwin."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from imodels_app.decorators import person, signed_in
from imodels_app.display import status
from imodels_app.models import Operation, User
from imodels_app.runtime.foreign_text import isolated
from imodels_app.tables import filters

SHOWN = 8
# Pages by their titles, with the icon and the name of their address. The last ones are for administrators.
PAGES = (
    ("Operations", "st-running", "operation-list"),
    ("New iModel", "plus", "new"),
    ("Clone an iModel", "clone", "request-clone"),
    ("Fork an iModel", "fork", "request-fork"),
    ("New empty iModel", "empty", "request-empty"),
    ("New iModel from a template", "template", "request-template"),
    ("New iModel from a baseline file", "baseline", "request-baseline"),
    ("Approvals", "st-approval", "approval-list"),
    ("Approval rules", "shield", "rule-list"),
    ("Deputies", "calendar", "absence-list"),
    ("Orphaned iModels", "trash", "orphan-list"),
    ("Teams", "people", "team-list"),
    ("Help", "help", "help"),
    ("What’s new", "info", "whats-new"),
    ("Preferences", "sun", "preferences"),
    ("Your sessions", "user", "session-list"),
    ("People", "user", "person-list"),
    ("Chats", "comment", "chat-list"),
    ("Audit", "history", "audit"),
    ("Operating", "refresh", "operating"),
)
FOR_ADMINS = 4


@dataclass(frozen=True)
class Destination:
    """Somewhere to go."""

    name: str
    url: str
    icon: str
    about: str = ""


@signed_in
@require_safe
@vary_on_headers("HX-Request")
def find(request: HttpRequest) -> HttpResponse:
    """What bears the letters, of what this person may see; for htmx the list alone. The platform is not asked.

    Without letters: the pages, and what the person may see of the newest operations.
    """
    user, text = person(request), filters.typed(request.GET.get("q", "")).strip()
    found = Operation.objects.visible_to(user).filter(*filters.said(text, filters.named))
    operations = list(found.order_by("-created_at", "-pk")[: SHOWN * 4])
    groups = {
        "Pages": _pages(user, text),
        "Operations": [_operation(one) for one in operations[:SHOWN]],
        "iModels": _named(text, [place for one in operations for place in _imodels(user, one)]),
        "iTwins": _named(text, [_itwin(user, one) for one in operations]),
    }
    context = {"groups": {title: places for title, places in groups.items() if places}, "text": text}
    return render(request, "find/_found.html" if getattr(request, "htmx", False) else "find/find.html", context)


def _pages(user: User, text: str) -> list[Destination]:
    shown = PAGES if user.is_admin else PAGES[:-FOR_ADMINS]
    return [
        Destination(title, reverse(f"imodels:{name}"), icon)
        for title, icon, name in shown
        if all(word in title.casefold() for word in text.casefold().split())
    ]


def _operation(operation: Operation) -> Destination:
    about = f"{status.kind_label(operation.kind)} into {isolated(operation.itwin_name or operation.itwin_id)}"
    url = reverse("imodels:operation-detail", args=[operation.pk])
    return Destination(operation.name, url, operation.kind, f"{about}, {operation.get_state_display().lower()}")


def _imodels(user: User, operation: Operation) -> list[Destination]:
    """What it made and what that is made from, each leading to the operations that are about it."""
    made = [(operation.imodel_id, operation.name, operation.itwin_name)] if operation.is_usable else []
    source = (operation.source_id, operation.source_name, operation.source_itwin_name)
    return [
        Destination(name, _operations(user, operation, q=imodel_id), "cube", itwin)
        for imodel_id, name, itwin in [*made, source]
        if imodel_id and name
    ]


def _itwin(user: User, operation: Operation) -> Destination:
    url = _operations(user, operation, itwin=operation.itwin_id)
    return Destination(operation.itwin_name or operation.itwin_id, url, "twin", operation.itwin_number)


def _operations(user: User, operation: Operation, **filtered: str) -> str:
    whose = "all" if user.is_admin else "mine" if operation.requested_by_id == user.pk else "team"
    return f"{reverse('imodels:operation-list')}?{urlencode({'whose': whose} | filtered)}"


def _named(text: str, places: list[Destination]) -> list[Destination]:
    """Each once, and of those only what bears the letters itself."""
    once = {(place.name, place.about): place for place in reversed(places)}
    words = text.casefold().split()
    return [place for place in reversed(once.values()) if all(word in place.name.casefold() for word in words)][:SHOWN]
