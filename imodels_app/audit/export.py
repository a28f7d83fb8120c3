"""Events as a zip that proves itself: a table for spreadsheets, lines with a proof in each, a manifest, and the
checker, which needs nothing of ours.

Streamed in constant memory: while the table leaves, the lines are written to a file, which follows it. So both tell the
same, although operations go on meanwhile.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Self
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils import timezone

from imodels_app.audit import chain, events, log
from imodels_app.audit.log import COLUMNS, Head, LoggedEvent
from imodels_app.audit.verify_export import FIELDS, PERSONAL, SEPARATORS, Range, proved_cells, sealed, written
from imodels_app.display import formats, identity, timeline
from imodels_app.models import Event, User

CELLS = (
    # The instant in UTC, as the log has it, and the same in the zone of whoever exports it.
    *("at", "local_time", "verb", "actor", "team", "operation", "operation_id", "kind", "state", "from", "to", "why"),
    *("note", "code", "itwin", "source", "imodel_id", "requested_by", "decided_by", "request_hash"),
    # What lasts of a person, beside the name that they chose.
    *(
        f"{who}_{what}"
        for who in ("actor", "requested_by", "decided_by")
        for what in ("email", "issuer", "subject", "id")
    ),
    *("address", "client"),
)
CHECKER = Path(__file__).with_name("verify_export.py")
# Events whose proofs are read by one query.
BATCH = 500
PIECE = 64 * 1024


class Behind(Exception):
    """The log does not have all events yet: it is being built, after an upgrade say."""


@dataclass(frozen=True)
class Export:
    """exported: the log's own event of it. found: what it holds, in the order of the log."""

    exported: Event
    found: QuerySet[Event]
    head: Head

    @classmethod
    def begin(cls, found: QuerySet[Event], *, by: User, at: datetime, sentence: str, separator: str) -> Self:
        """Write down that these events are taken out; may raise Behind. The event itself belongs to the next export."""
        log.add_events()
        found = found.filter(leaf__index__lt=log.head().size).order_by("leaf__index")
        facts: dict[str, Any] = {"filter": sentence, "rows": found.count(), "separator": separator}
        facts["zone"] = timezone.get_current_timezone_name()  # it streams when the request's is no longer the current
        note = f"{formats.thousands(facts['rows'])} events: {sentence}"
        event = events.record("exported", at=at, by=by, note=note, **facts)
        log.add_events()
        if log.waiting_one(event):
            raise Behind
        return cls(event, found, log.head())

    def pieces(self, spool_in: Path) -> Iterator[bytes]:
        """The zip. spool_in: where the lines are kept until the table has left."""
        with TemporaryFile("w+", dir=spool_in, encoding="ascii") as spool:
            yield from _zipped(self._files(spool))

    def _files(self, spool: IO[str]) -> Iterator[tuple[str, Iterable[str]]]:
        seals = [""]
        yield "events.csv", self._table(spool, seals)
        spool.seek(0)
        yield "events.jsonl", spool
        yield "manifest.json", [json.dumps(self._manifest(seals[-1]), indent=1)]
        yield CHECKER.name, [CHECKER.read_text(encoding="utf-8")]

    def _table(self, spool: IO[str], seals: list[str]) -> Iterator[str]:
        separator = SEPARATORS[self._facts["separator"]]
        yield "\ufeff"  # so that spreadsheets read UTF-8
        yield from written([CELLS], separator)
        for line in self._lines():
            body = json.dumps(line)[:-1]
            seals[:] = [sealed(body, seals[-1])]
            spool.write(f'{body}, "seal": "{seals[-1]}"}}\n')
            yield from written([line["cells"].values()], separator)

    def _lines(self) -> Iterator[dict[str, Any]]:
        rows = self.found.select_related("operation", "leaf").prefetch_related("operation__decisions")
        zone = ZoneInfo(self._facts["zone"])
        known, there = [Range(0, self.head.size)], rows.iterator(chunk_size=BATCH)
        while batch := list(islice(there, BATCH)):
            proofs = list(chain.proofs((event.leaf.index for event in batch), known))
            hashes = log.subtrees(tree for proof in proofs for tree in proof)
            for event, proof in zip(batch, proofs, strict=True):
                line = _line(event, [hashes[tree] for tree in proof])
                yield line | {"cells": _cells(event, line, zone)}

    def _manifest(self, seal: str) -> dict[str, Any]:
        proof = log.inclusion(self.exported.leaf.index, self.head.size)
        sent, unsent = map(self._proved_head, log.sent_heads())
        return {
            "filter": self._facts["filter"],
            "count": self._facts["rows"],
            "person": self.exported.actor_name,
            "at": log.instant(self.exported.at),
            "separator": self._facts["separator"],
            "zone": self._facts["zone"],
            "columns": CELLS,
            "head": _head_as_json(self.head),
            "sent": sent,
            "made_not_sent": unsent,
            "exported": _line(self.exported, proof),
            "seal": seal,
        }

    def _proved_head(self, one: Head | None) -> dict[str, Any] | None:
        """None, too, if it is of a log that has grown since."""
        if one is None or one.size > self.head.size:
            return None
        return _head_as_json(one) | {"proof": _hex(log.consistency(one.size, self.head.size))}

    @property
    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = self.exported.data
        return facts


def as_logged(event: Event) -> dict[str, Any]:
    """What the log holds of an event, from which its leaf can be hashed again."""
    logged, leaf = LoggedEvent.of(getattr(event, name) for name in COLUMNS), event.leaf
    return {
        "index": leaf.index,
        "event": dict(zip(FIELDS, logged.fields, strict=True)),
        "personal": dict(zip(PERSONAL, logged.personal, strict=True)),
        "salt": bytes(leaf.salt).hex() if leaf.salt is not None else None,
        "personal_hash": bytes(leaf.personal_hash).hex(),
    }


def _line(event: Event, proof: list[bytes]) -> dict[str, Any]:
    return as_logged(event) | {"proof": _hex(proof)}


def _hex(hashes: Iterable[bytes]) -> list[str]:
    return [one.hex() for one in hashes]


def _head_as_json(head: Head) -> dict[str, Any]:
    return {"size": head.size, "root": head.root, "at": head.at and log.instant(head.at)}


# Cells


def _cells(event: Event, logged: dict[str, Any], zone: ZoneInfo) -> dict[str, str]:
    cells = dict.fromkeys(CELLS, "") | proved_cells(logged["event"], logged["personal"]) | _of_operation(event)
    cells["why"] = timeline.why_it_waits(event)
    cells["local_time"] = event.at.astimezone(zone).isoformat(timespec="seconds")
    return {name: str(cell) for name, cell in cells.items()}


def _of_operation(event: Event) -> dict[str, Any]:
    operation = event.operation
    if operation is None:
        return {}
    decisions = operation.decisions.all()
    return {
        "kind": operation.kind,
        "state": operation.state,
        "itwin": operation.itwin_name,
        "source": operation.source_name,
        "imodel_id": operation.imodel_id,
        "requested_by": operation.requested_by_name,
        "decided_by": ", ".join(decision.by_name for decision in decisions),
        "request_hash": operation.request_hash,
        **_lasting("requested_by", [identity.of_requester(operation)]),
        **_lasting("decided_by", map(identity.of_decider, decisions)),
    }


def _lasting(who: str, people: Iterable[identity.Identity]) -> dict[str, str]:
    """E-mail, issuer, subject and our id: of several people one after another in each cell."""
    columns = zip(*(astuple(person) for person in people), strict=True)
    names = (f"{who}_{what}" for what in ("email", "issuer", "subject", "id"))
    return {name: ", ".join(map(str, column)) for name, column in zip(names, columns, strict=False)}


# The zip


class _Sink:
    """A file that cannot be read or wound back: what is written to it waits to be taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        self._size += len(part)
        return len(part)

    def flush(self) -> None:
        pass

    def taken(self, at_least: int = 1) -> Iterator[bytes]:
        if self._size >= at_least:
            yield b"".join(self._parts)
            self._parts, self._size = [], 0


def _zipped(files: Iterable[tuple[str, Iterable[str]]]) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:  # type: ignore[call-overload]
        for name, texts in files:
            with archive.open(name, "w", force_zip64=True) as file:
                yield from sink.taken()
                for text in texts:
                    file.write(text.encode())
                    yield from sink.taken(PIECE)
    yield from sink.taken()
