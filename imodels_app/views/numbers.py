"""Numbers of the audit: what became of operations, how long it took, who asked and decided. From daily sums alone."""

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from imodels_app.audit import figures
from imodels_app.decorators import auditor
from imodels_app.display import charts, formats, status
from imodels_app.display.status_table import FAILURES
from imodels_app.limits import fair_queue, rate_limits
from imodels_app.models import Figure, KnownITwin, User
from imodels_app.states import Kind
from imodels_app.tables.filters import DESK, NO_CODE, day

USUAL_DAYS = 14
# Bars of more are too narrow; an export has all there is.
MOST_DAYS = 3 * 366
MOST_ROWS = 10


@auditor
@require_safe
def audit_numbers(request: HttpRequest) -> HttpResponse:
    """What happened from one day to another, by the desk's time zone; without days in the last fortnight."""
    until = day(request.GET.get("until", "")) or timezone.localdate(timezone=timezone.get_default_timezone())
    since = day(request.GET.get("since", "")) or until - timedelta(days=USUAL_DAYS - 1)
    since = max(min(since, until), until - timedelta(days=MOST_DAYS))
    days = charts.days(since, until, figures.ended_by_day(since, until))
    took, decided = (figures.ranges(what, since, until) for what in (Figure.TOOK, Figure.DECIDED))
    found = [(status.kind_label(kind), *took[kind][1:]) for kind in reversed(Kind.values) if kind in took]
    context = {
        "since": since,
        "until": until,
        "within": urlencode({"ended": since, "ended_to": until, "zone": DESK}),
        "happened": urlencode({"since": since, "until": until, "zone": DESK}),
        "zone": timezone.get_default_timezone_name(),
        "figures": _figures(days) | {"decided": decided.get("")},
        "days": days,
        "durations": charts.durations(found, formats.lasted),
        "kinds": [(kind, label, took.get(kind), decided.get(kind)) for kind, label in Kind.choices],
        "failures": _failures(since, until),
        "people": _people(Figure.PERSON, since, until),
        "leads": _leads(since, until),
        "itwins": _named(figures.by_key(Figure.ITWIN, since, until, most=MOST_ROWS), _itwin_names),
        "buckets": _buckets(since, until),
        "summed_at": figures.summed_at(),
        "section": "audit",
    }
    return render(request, "audit/numbers.html", context)


def _figures(days: charts.Days) -> dict[str, Any]:
    by_tone = {tone: sum(period.numbers[tone] for period in days.periods) for tone in charts.TONES}
    share = {tone: round(100 * number / days.total) if days.total else 0 for tone, number in by_tone.items()}
    return by_tone | {"ended": days.total, "share": share}


def _failures(since: date, until: date) -> list[tuple[str, str, int]]:
    """Code, what it is called, and how many."""
    found = figures.by_key(Figure.CODE, since, until, most=MOST_ROWS)
    return [(code or NO_CODE, FAILURES.get(code, FAILURES[""]).badge, numbers["all"]) for code, numbers in found]


def _people(what: Figure, since: date, until: date) -> list[tuple[str, str, dict[str, int]]]:
    return _named(figures.by_key(what, since, until, most=MOST_ROWS), _names_of_people)


def _leads(since: date, until: date) -> list[tuple[str, str, dict[str, int], figures.Range]]:
    took = figures.ranges(Figure.LEAD_TOOK, since, until)
    return [(*row, took[row[0]]) for row in _people(Figure.LEAD, since, until)]


def _buckets(since: date, until: date) -> list[tuple[str, str, int, int, int, int]]:
    """Bucket, the kinds in it as a filter has them, requests in all, in the busiest minute, how many a minute may have,
    and the busiest one's share.
    """
    sent = figures.busiest(since, until)
    limits = {bucket: rate_limits.limit(bucket) for bucket in sent}
    kinds = {bucket: urlencode([("kind", kind) for kind in fair_queue.KINDS.get(bucket, ())]) for bucket in sent}
    return [
        (bucket, kinds[bucket], *sent[bucket], limit, round(100 * sent[bucket][1] / limit))
        for bucket, limit in limits.items()
    ]


Rows = list[tuple[str, dict[str, int]]]


def _named(rows: Rows, names_of: Callable[[list[str]], dict[str, str]]) -> list[tuple[str, str, dict[str, int]]]:
    names = names_of([key for key, _ in rows])
    return [(key, names.get(key) or key, numbers) for key, numbers in rows]


def _names_of_people(keys: Iterable[str]) -> dict[str, str]:
    return {str(user.pk): user.name for user in User.objects.filter(pk__in=list(keys))}


def _itwin_names(keys: Iterable[str]) -> dict[str, str]:
    return dict(KnownITwin.objects.filter(pk__in=list(keys)).values_list("pk", "name"))
