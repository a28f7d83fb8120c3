"""Events as CSV, for spreadsheets."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import astuple

from django.db.models import QuerySet

from imodels_app.display import identity, timeline
from imodels_app.models import Event

COLUMNS = (
    *("at", "verb", "actor", "team", "operation", "operation_id", "kind", "state", "from", "to", "why", "note", "code"),
    *("itwin", "source", "imodel_id", "requested_by", "decided_by", "request_hash"),
    # What lasts of a person, beside the name that they chose.
    *(
        f"{who}_{what}"
        for who in ("actor", "requested_by", "decided_by")
        for what in ("email", "issuer", "subject", "id")
    ),
    *("address", "client"),
)


def lines(events: QuerySet[Event]) -> Iterator[str]:
    """These events as CSV, line by line, for a list of any length."""
    yield "\ufeff"  # so that spreadsheets read UTF-8
    yield from written([COLUMNS])
    yield from written(map(_cells, events.prefetch_related("operation__decisions").iterator(chunk_size=500)))


def written(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Rows as lines, each cell in quotes and safe."""
    writer = csv.writer(_Echo(), quoting=csv.QUOTE_ALL)
    for row in rows:
        yield writer.writerow([safe(cell) for cell in row])


# Where a cell may begin, whichever separator the file is read with, and what makes it a formula there: these signs
# (in East Asia wide ones, too), blanks and quotes before them or not.
_FORMULA = re.compile(r"(^|[,;|\t\r\n\x0b\x0c\x85\u2028\u2029])(?=[\s\"'\u200b-\u200f\ufeff]*[=+\-@＝＋－＠]|[\t\r\n])")


def safe(cell: object) -> str:
    """A cell that no spreadsheet takes for a formula, nor any part that becomes a cell with another separator."""
    # A character that no file can hold would end the export at its line.
    return _FORMULA.sub(r"\1'", str(cell).encode("utf-8", "replace").decode())


class _Echo:
    """A file whose lines come back at once."""

    def write(self, line: str) -> str:
        return line


def _cells(event: Event) -> list[object]:
    operation = event.operation
    cells = [event.at.isoformat(), event.verb, timeline.who(event), event.team_name, event.operation_name]
    moved = [event.came_from, event.to, timeline.why_it_waits(event), event.note, event.data.get("code", "")]
    actor = identity.of_actor(event)
    lasting = _lasting([actor] if actor else [])
    where = [event.data.get("address", ""), event.data.get("client", "")]
    if operation is None:
        return [*cells, "", "", "", *moved, "", "", "", "", "", "", *lasting, *_lasting([]), *_lasting([]), *where]
    decisions = operation.decisions.all()
    facts = [operation.itwin_name, operation.source_name, operation.imodel_id, operation.requested_by_name]
    who = [", ".join(decision.by_name for decision in decisions), operation.request_hash]
    lasting += [*_lasting([identity.of_requester(operation)]), *_lasting(map(identity.of_decider, decisions))]
    return [*cells, operation.pk, operation.kind, operation.state, *moved, *facts, *who, *lasting, *where]


def _lasting(people: Iterable[identity.Identity]) -> list[str]:
    """E-mail, issuer, subject and our id: of several people one after another in each cell."""
    columns = zip(*(astuple(person) for person in people), strict=True)
    return [", ".join(map(str, column)) for column in columns] or [""] * 4
