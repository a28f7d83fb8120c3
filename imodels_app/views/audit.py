"""What happened, for admins: events with filters and numbers, and their export."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Self

from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import TruncDate
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from django.views.decorators.http import require_safe

from imodels_app import table_filters
from imodels_app.audit import log
from imodels_app.audit.export import Behind, Export
from imodels_app.audit.verify_export import SEPARATORS
from imodels_app.decorators import auditor, person, throttled
from imodels_app.display import charts, formats, status, timeline
from imodels_app.display.percentiles import percentile
from imodels_app.limits import throttles
from imodels_app.models import Decision, Event, Operation, Team, User
from imodels_app.requesting import staging
from imodels_app.states import Kind, State

CHART_DAYS = 14
# A list of more helps nobody; the search finds the others by their names.
MOST_CHOICES = 200


@dataclass(frozen=True)
class EventFilter(table_filters.OperationFilter):
    """The filter of operations, for events: with a team, and with one choice of each list."""

    team: str = ""

    @classmethod
    def read(cls, query: MultiValueDict[str, str]) -> Self:
        # Days are those of the events here, so that a day of ending would be a second one beside them.
        last_words = MultiValueDict({name: query.getlist(name)[-1:] for name in query if name != "ended"})
        return replace(super().read(last_words), team=table_filters.typed(query.get("team", "")))

    @property
    def sentence(self) -> str:
        """The filter as a sentence, for the record of an export."""
        parts: list[object] = [self.text and f"text “{self.text}”", *self.groups, *self.kinds]
        parts += [f"person {pk}" for pk in self.people] + [f"iTwin {itwin}" for itwin in self.itwins] + [self.team]
        parts += [self.since and f"from {self.since}", self.until and f"to {self.until}"]
        return ", ".join(str(part) for part in parts if part) or "everything"

    def events(self) -> QuerySet[Event]:
        return (
            Event.objects.filter(*self._event_conditions()).select_related("operation", "actor").order_by("-at", "-pk")
        )

    def operations(self) -> QuerySet[Operation]:
        """The operations that the numbers are about: ended within these days."""
        ended = Operation.objects.filter(finished_at__isnull=False)
        return self.apply(ended.filter(team__name=self.team) if self.team else ended, dates="finished_at")

    def _event_conditions(self) -> Iterator[Q]:
        yield from table_filters.within("at", self.since, self.until)
        if facts := self.facts():
            yield Q(operation__in=Operation.objects.filter(*facts).values("pk"))
        yield from table_filters.said(self.text, _says)
        if self.people:
            yield Q(actor__in=self.people) | Q(operation__requested_by__in=self.people)
        if self.team:
            yield Q(team_name=self.team)


@auditor
@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    """Events, newest first, with the numbers of the operations that ended in the same filter."""
    filters = EventFilter.read(request.GET)
    found = filters.events()
    page = table_filters.paginate(found, request.GET.get("page"))
    lines = [(event, timeline.audit_entry(event), timeline.who(event)) for event in page]
    context = _choices(filters) | {
        "filters": filters,
        "rows": table_filters.Slice(lines, page.number, page.more, found.order_by().count()),
        "figures": _figures(filters.operations()),
        "days": _by_day(filters),
        "durations": _by_kind(filters.operations()),
        "filtered": table_filters.hidden_inputs(request.GET, "separator"),
        "log": {"head": log.head(), "waiting": log.waiting()},
        "section": "audit",
    }
    return render(request, "audit/list.html", context)


@auditor
@require_safe
@throttled(throttles.EXPORTS, methods=("GET", "HEAD"))
def audit_export(request: HttpRequest) -> HttpResponseBase:
    """Exactly the filtered events, with their proofs; that they were taken out is itself an event."""
    user, filters, now = person(request), EventFilter.read(request.GET), timezone.now()
    separator = request.GET.get("separator", "")
    if separator not in SEPARATORS:
        separator = next(iter(SEPARATORS))
    try:
        taken = Export.begin(filters.events(), by=user, at=now, sentence=filters.sentence, separator=separator)
    except Behind:
        sentence = "The audit log does not have all events yet. Try again in some minutes."
        return HttpResponse(sentence, status=503, content_type="text/plain; charset=utf-8")
    answer = StreamingHttpResponse(taken.pieces(staging.folder()), content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="imodel-desk-{timezone.localtime(now):%Y-%m-%d-%H%M}.zip"'
    return answer


# Numbers


def _figures(ended: QuerySet[Operation]) -> dict[str, Any]:
    numbers = ended.aggregate(
        ended=Count("pk"),
        succeeded=Count("pk", filter=Q(state=State.SUCCEEDED)),
        failed=Count("pk", filter=Q(state=State.FAILED)),
    )
    rest = numbers["ended"] - numbers["succeeded"] - numbers["failed"]
    share = {name: _percent(count, numbers["ended"]) for name, count in (*numbers.items(), ("otherwise", rest))}
    return numbers | {"otherwise": rest, "share": share, "waited": _waits(ended)}


def _waits(ended: QuerySet[Operation]) -> dict[str, timedelta]:
    """How long the latest thousand decisions took; empty when there are none."""
    decisions = Decision.objects.filter(operation__in=ended).order_by("-decided_at")
    waited = decisions.annotate(waited=F("decided_at") - F("operation__created_at"))
    waits = list(waited.values_list("waited", flat=True)[:1000])
    return {"median": percentile(waits, 50), "p95": percentile(waits, 95)} if waits else {}


def _by_day(filters: EventFilter) -> charts.Days:
    """How operations ended, day by day; without dates the last fortnight."""
    until = filters.until or timezone.localdate()
    since = max(filters.since or date.min, until - timedelta(days=CHART_DAYS - 1))
    rows = (
        filters.operations()
        .filter(*table_filters.within("finished_at", since, until))
        .annotate(day=TruncDate("finished_at"))
        .values_list("day", "state")
        .annotate(number=Count("pk"))
        .order_by()
    )
    return charts.days(since, until, rows)


def _by_kind(ended: QuerySet[Operation]) -> charts.Durations:
    """How long each kind takes from the platform's yes to the end. The latest ones, bounded."""
    done = ended.filter(state=State.SUCCEEDED, accepted_at__isnull=False).order_by("-finished_at")
    took: dict[str, list[timedelta]] = {}
    for kind, lasted in done.annotate(took=F("finished_at") - F("accepted_at")).values_list("kind", "took")[:2000]:
        took.setdefault(kind, []).append(max(lasted, timedelta(0)))
    found = [
        (status.kind_label(kind), percentile(took[kind], 50), percentile(took[kind], 95))
        for kind in reversed(Kind.values)
        if kind in took
    ]
    return charts.durations(found, formats.lasted)


def _percent(part: int, whole: int) -> int:
    return round(100 * part / whole) if whole else 0


def _says(text: str) -> Q:
    """Events that have this in any field a person reads."""
    fields = (
        "note",
        "operation_name",
        "actor_name",
        "actor_email",
        "team_name",
        "operation__failure_code",
        "operation__reason",
    )
    condition = table_filters.any_of(Q(**{f"{name}__icontains": text}) for name in fields)
    return condition | Q(operation__in=Operation.objects.filter(table_filters.named(text)).values("pk"))


def _choices(filters: EventFilter) -> dict[str, Any]:
    """What the filter's lists offer: bounded, and always with what is picked, for the form sends it again."""
    people = User.objects.order_by("first_name", "last_name", "pk")
    itwins = table_filters.itwin_menu(Operation.objects.all(), filters.itwins, MOST_CHOICES)
    teams = list(Team.objects.values_list("name", flat=True))
    return {
        "groups": [(word, label) for word, (label, _) in table_filters.GROUPS.items()],
        "kinds": Kind.choices,
        "itwins": itwins,
        "people": table_filters.menu(people, "pk", filters.people, MOST_CHOICES, lambda user: (user.pk, user.name)),
        "teams": teams if filters.team in ("", *teams) else [*teams, filters.team],
    }
