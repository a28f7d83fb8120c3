"""What happened, for admins: events and operations, all about one person, and the export."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from django.views.decorators.http import require_safe

from imodels_app.accounts import sight, watches
from imodels_app.audit import log
from imodels_app.audit.export import Behind, Export
from imodels_app.audit.verify_export import SEPARATORS
from imodels_app.decorators import auditor, person, throttled
from imodels_app.display import status, timeline, told
from imodels_app.display.status_table import FAILURES
from imodels_app.limits import throttles
from imodels_app.models import Operation, SavedFilter, Team, User
from imodels_app.requesting import staging
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import EVENT_GROUPS, Kind, Verb
from imodels_app.tables import filters, keyset, menus
from imodels_app.tables.filters import Filter
from imodels_app.views import saved_filters

# A list of more helps nobody; the search finds the others by their names.
MOST_CHOICES = 200


@auditor
@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    """Events, newest first."""
    asked = _read(request.GET)
    context = _filter_of(request, asked, SavedFilter.Page.EVENTS)
    context |= {"rows": event_rows(asked, request), "log": {"head": log.head(), "waiting": log.waiting()}}
    if "outside" in asked.events:
        context["outside"] = watches.in_short()
    return render(request, "audit/list.html", context)


@auditor
@require_safe
def audit_operations(request: HttpRequest) -> HttpResponse:
    """Operations by the same filter, in the order that the address names."""
    asked, now = _read(request.GET), timezone.now()
    word, order = filters.sorted_by(request.GET.get("sort", ""))
    found = asked.operations(Operation.objects.to_show().annotate(lasted=filters.LASTED))
    page = keyset.page([found], order, request.GET)
    rows = [(operation, status.describe(operation, now)) for operation in page]
    context = _filter_of(request, asked, SavedFilter.Page.OPERATIONS)
    context |= {"rows": replace(keyset.counted(page, [found]), rows=rows), "sort": word, "sorts": filters.sorts(word)}
    return render(request, "audit/operations.html", context)


@auditor
@require_safe
@throttled(throttles.EXPORTS, methods=("GET", "HEAD"))
def audit_export(request: HttpRequest) -> HttpResponseBase:
    """Exactly the filtered events with their proofs; that they were taken out is an event. A HEAD takes none."""
    if request.method == "HEAD":
        return HttpResponse(content_type="application/zip")
    user, asked, now = person(request), _read(request.GET), timezone.now()
    separator = request.GET.get("separator", "")
    if separator not in SEPARATORS:
        separator = next(iter(SEPARATORS))
    try:
        taken = Export.begin(asked.all_events(), by=user, at=now, sentence=asked.sentence, separator=separator)
    except Behind:
        sentence = "The audit log does not have all events yet. Try again in some minutes."
        return HttpResponse(sentence, status=503, content_type="text/plain; charset=utf-8")
    answer = StreamingHttpResponse(taken.pieces(staging.folder()), content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="imodel-desk-{timezone.localtime(now):%Y-%m-%d-%H%M}.zip"'
    return answer


# Everything about one


@auditor
@require_safe
def audit_person(request: HttpRequest, pk: int) -> HttpResponse:
    """What somebody did, asked for, and was given or lost."""
    user = get_object_or_404(User, pk=pk)
    teams = user.membership_set.select_related("team").order_by("team__name")
    facts = [("Person", str(user.pk)), ("E-mail", user.email), ("Subject", user.subject), ("Issuer", user.issuer)]
    facts += [("Account", "open" if user.is_active else "closed"), ("Administrator", "yes" if user.is_admin else "no")]
    facts += [("Team", f"{isolated(place.team.name)}, {place.get_role_display().lower()}") for place in teams]
    asked = Filter(people=(str(pk),))
    operations = keyset.total([asked.operations(Operation.objects.all())])
    context = {"name": user.name, "facts": facts, "query": f"person={pk}", "operations": operations, "section": "audit"}
    return render(request, "audit/person.html", context | {"rows": event_rows(asked, request)})


@auditor
@require_safe
def audit_case(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Everything there is about one operation, on one page that can be printed."""
    rows = Operation.objects.to_show().select_related("requested_by", "again_of")
    operation = get_object_or_404(rows, pk=pk)
    events = list(operation.events.select_related("actor").order_by("at", "pk"))
    context = {
        "operation": operation,
        "status_text": status.describe(operation, timezone.now()),
        "timeline": [timeline.entry(event, operation) for event in events],
        "attempts": list(operation.attempts.all()),
        "decisions": list(operation.decisions.all()),
        "told": told.of(operation, events),
        "could_decide": [(event.at, event.data["could_decide"]) for event in events if "could_decide" in event.data],
        "leads": list(operation.team.leads()),
        "sight": [
            ("When it was requested", sight.when(operation, operation.created_at)),
            ("Now", sight.now(operation)),
        ],
        "waiting": log.waiting_of(operation),
        "head": log.head(),
        "printed_at": timezone.now(),
        "section": "audit",
    }
    return render(request, "audit/case.html", context)


# What the pages share


def _read(query: QueryDict) -> Filter:
    """With one choice of each list, as the form has it; but with all kinds of a rate limit, as numbers link to it."""
    return Filter.read(MultiValueDict({name: query.getlist(name)[0 if name == "kind" else -1 :] for name in query}))


def event_rows(asked: Filter, request: HttpRequest) -> keyset.Slice:
    """The page of events that the address names, each with its words."""
    parts = asked.event_parts()
    page = keyset.page(parts, filters.EVENTS_NEWEST, request.GET)
    lines = [(event, timeline.audit_entry(event), timeline.who(event)) for event in page]
    return replace(keyset.counted(page, parts, asked.most_counted), rows=lines)


def _filter_of(request: HttpRequest, asked: Filter, page: SavedFilter.Page) -> dict[str, Any]:
    """What the filter's lists offer: bounded, and always with what is picked, for the form sends it again."""
    teams = list(Team.objects.values_list("name", flat=True)[:MOST_CHOICES])
    return {
        "filters": asked,
        "filtered": menus.hidden_inputs(request.GET, "separator"),
        "event_groups": [(word, label) for word, (label, _) in EVENT_GROUPS.items()],
        "verbs": [(verb.value, timeline.event_name(verb)) for verb in Verb],
        "groups": [(word, label) for word, (label, _) in filters.GROUPS.items()],
        "kinds": Kind.choices,
        "codes": _with_picked(filter(None, FAILURES), asked.codes),
        "itwins": menus.itwins(asked.itwins, MOST_CHOICES),
        "people": menus.people(asked.people, MOST_CHOICES),
        "teams": _with_picked(teams, asked.teams),
        "section": "audit",
    } | saved_filters.on(request, page)


def _with_picked(offered: Any, picked: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(word, word) for word in dict.fromkeys([*offered, *picked])]
