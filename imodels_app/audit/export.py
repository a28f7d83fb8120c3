"""Events as CSV, for spreadsheets."""

import csv
from collections.abc import Iterator

from django.db.models import QuerySet

from imodels_app.display import timeline
from imodels_app.models import Event

COLUMNS = (
    *("at", "verb", "actor", "team", "operation", "operation_id", "kind", "state", "from", "to", "note", "code"),
    *("itwin", "source", "imodel_id", "requested_by", "decided_by", "request_hash"),
)


def lines(events: QuerySet[Event]) -> Iterator[str]:
    """These events as CSV, line by line, for a list of any length."""
    writer = csv.writer(_Echo())
    yield "\ufeff"  # so that spreadsheets read UTF-8
    yield writer.writerow(COLUMNS)
    for event in events.prefetch_related("operation__decisions").iterator(chunk_size=500):
        yield writer.writerow([safe(cell) for cell in _cells(event)])


def safe(cell: object) -> str:
    """A cell that no spreadsheet takes for a formula: those begin with one of these, blanks before them or not."""
    text = str(cell)
    return f"'{text}" if text.lstrip(" \u00a0")[:1] in tuple("=+-@\t\r\n") and text else text


class _Echo:
    """A file whose lines come back at once."""

    def write(self, line: str) -> str:
        return line


def _cells(event: Event) -> list[object]:
    operation = event.operation
    cells = [event.at.isoformat(), event.verb, timeline.who(event), event.team_name, event.operation_name]
    moved = [event.came_from, event.to, event.note, event.data.get("code", "")]
    if operation is None:
        return [*cells, "", "", "", *moved, "", "", "", "", "", ""]
    facts = [operation.itwin_name, operation.source_name, operation.imodel_id, operation.requested_by_name]
    who = [", ".join(decision.by_name for decision in operation.decisions.all()), operation.request_hash]
    return [*cells, operation.pk, operation.kind, operation.state, *moved, *facts, *who]
