"""Going somewhere by a few letters: to a page, an operation, an iModel or an iTwin."""

from dataclasses import dataclass
from functools import partial

from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Length
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from imodels_app.decorators import person, signed_in
from imodels_app.display import links, status
from imodels_app.models import KnownITwin, KnownSource, Operation, OperationQuerySet, Team, TeamITwin, User
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import State
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
# What a person sees, in parts (OperationQuerySet.ways_to_see).
Seen = list[OperationQuerySet]
# As Operation.is_usable has it.
USABLE = (Q(state=State.SUCCEEDED) | Q(state=State.RUNNING, usable_at__isnull=False)) & ~Q(imodel_id="")


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

    Without letters: the pages, and what is newest.
    """
    user, text = person(request), filters.typed(request.GET.get("q", "")).strip()
    seen = Operation.objects.ways_to_see(user)
    found = {
        "Operations": _operations(seen, text),
        "iModels": _imodels(seen, text),
        "iTwins": _itwins(user, seen, text),
    }
    groups = [("Pages", _pages(user, text), False)]
    for title, places in found.items():
        groups.append((title, places[:SHOWN], len(places) > SHOWN))
    context = {"groups": [group for group in groups if group[1]], "text": text}
    return render(request, "find/_found.html" if getattr(request, "htmx", False) else "find/find.html", context)


def _pages(user: User, text: str) -> list[Destination]:
    shown = PAGES if user.is_admin else PAGES[:-FOR_ADMINS]
    return [
        Destination(title, reverse(f"imodels:{name}"), icon)
        for title, icon, name in shown
        if all(word in title.casefold() for word in text.casefold().split())
    ]


def _operations(seen: Seen, text: str) -> list[Destination]:
    conditions = list(filters.said(text, filters.named))
    parts = [part.filter(*conditions) for part in seen]
    return [_operation(one) for one in _newest(parts)]


def _operation(operation: Operation) -> Destination:
    about = f"{status.kind_label(operation.kind)} into {isolated(operation.itwin_name or operation.itwin_id)}"
    about = f"{about}, {operation.get_state_display().lower()}"
    return Destination(operation.name, links.operation_url(operation), operation.kind, about)


def _imodels(seen: Seen, text: str) -> list[Destination]:
    """What was made from first, and what was made, each once; what bears the letters and no more before the others."""
    once: dict[str, Destination] = {}
    for place in (*_sources(seen, text), *_made(seen, text)):
        once.setdefault(place.url, place)
    return sorted(once.values(), key=lambda place: place.name.casefold() != text.casefold())


def _sources(seen: Seen, text: str) -> list[Destination]:
    """Those that something is made from which this person sees, by the name that it has there."""
    of_it = {"source_id": OuterRef("imodel_id"), "source_name": OuterRef("name")}
    is_seen = filters.any_of(Exists(part.filter(~Q(source_id=""), **of_it)) for part in seen)
    rows = KnownSource.objects.filter(is_seen, *filters.said(text, partial(_called, key="imodel_id")))
    order = [Length("name"), "name", "pk"] if text else ["-pk"]
    found = rows.order_by(*order)[: SHOWN + 1]
    return [Destination(one.name, links.imodel_url(one.imodel_id), "cube") for one in found]


def _made(seen: Seen, text: str) -> list[Destination]:
    conditions = [USABLE, *filters.said(text, partial(_called, key="imodel_id"))]
    parts = [part.filter(*conditions) for part in seen]
    return [Destination(one.name, links.imodel_url(one.imodel_id), "cube", one.itwin_name) for one in _newest(parts)]


def _itwins(user: User, seen: Seen, text: str) -> list[Destination]:
    """Those in which this person sees something, or that a team of theirs looks after."""
    ways = [Exists(part.filter(itwin_id=OuterRef("pk"))) for part in seen]
    in_care = TeamITwin.objects.filter(itwin_id=OuterRef("pk"), team__in=Team.objects.visible_to(user))
    rows = KnownITwin.objects.filter(filters.any_of([*ways, Exists(in_care)]))
    rows = rows.filter(*filters.said(text, partial(_called, key="pk"))).order_by(Length("name"), "name", "pk")
    return [Destination(str(one), links.itwin_url(one.pk), "twin") for one in rows[: SHOWN + 1]]


def _called(word: str, *, key: str) -> Q:
    """With this in its name, or with an id that begins so."""
    return Q(name__icontains=word) | Q(**{f"{key}__startswith": word.lower()})


def _newest(parts: Seen) -> list[Operation]:
    """One more than are shown."""
    rows = [row for part in parts for row in filters.NEWEST.of(part)[: SHOWN + 1]]
    return sorted(rows, key=filters.NEWEST.place_of, reverse=True)[: SHOWN + 1]
