"""The audit log: a sweep adds events to a Merkle tree, so that whoever changes history is found out.

Whoever writes an event locks nothing for it: a trigger notes that it waits. However late it commits, and whatever its
number, it is added once. Each leaf's row has the hashes of the complete subtrees that end with it, so that a head or a
proof reads a few rows.
"""

import hashlib
import json
import logging
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from imodels_app.audit import chain, events
from imodels_app.audit.verify_export import PERSONAL, Range, event_hash, packed, personal_hash
from imodels_app.models import Destination, Event, LogHead, LogLeaf, Notification, Operation, UnloggedEvent
from imodels_app.runtime import clock
from imodels_app.states import Verb

log_ = logging.getLogger(__name__)
BATCH = 500
# How long one sweep goes on.
ROUND_S = 15.0
SENT_EVERY = timedelta(days=1)
SALT_BYTES = 16
HASH_BYTES = 32
# Of an event, as verify_export.FIELDS; then what stands apart.
COLUMNS = (
    *("pk", "at", "verb", "actor_id", "actor_name", "operation_id", "operation_name"),
    *("team_name", "came_from", "to", "note", "data", "actor_email"),
)


@dataclass(frozen=True)
class Head:
    """What the log's first `size` leaves hash to, and when it was so. chain: hashes all heads up to it; "" unknown."""

    size: int
    root: str
    at: datetime | None = None
    chain: str = ""

    @classmethod
    def read(cls, text: str) -> Self:
        """As people copy it from an e-mail: size:root. ValueError if it is none."""
        size, _, root = text.strip().partition(":")
        if len(bytes.fromhex(root)) != HASH_BYTES:
            raise ValueError("A head is a number, a colon and 64 hexadecimal digits.")
        return cls(int(size), root.lower())

    def __str__(self) -> str:
        return f"{self.size}:{self.root}"


class LoggedEvent(NamedTuple):
    """An event as the log hashes it: FIELDS as text, and the addresses apart."""

    fields: list[str]
    personal: list[str]

    @classmethod
    def of(cls, values: Iterable[Any]) -> Self:
        """From COLUMNS."""
        number, at, *plain, data, email = values
        facts = dict(data) if isinstance(data, dict) else {"": data}
        personal = [email, *(str(facts.pop(name, "")) for name in PERSONAL[1:])]
        texts = ["" if value is None else str(value) for value in plain]
        return cls([str(number), instant(at) if at else "", *texts, _as_json(facts)], personal)


def instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


_as_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def head() -> Head:
    row = LogHead.objects.last()
    return Head(row.size, row.root, row.at, bytes(row.chain or b"").hex()) if row else Head(0, "")


def chained(before: str, size: int, root: str, at: datetime) -> bytes:
    """The chain of a head behind that of the one before: so no head in between can be changed or taken away."""
    return hashlib.sha256(packed([before, str(size), root, instant(at)])).digest()


def sent_heads() -> tuple[Head | None, Head | None]:
    """The last one that left, which a database's administrator cannot change any more; and a later one that nobody got.

    It left when a mail server took an e-mail with it, or a destination the stream's message.
    """
    made = Event.objects.filter(verb=Verb.HEAD_SENT)
    mailed = Notification.objects.filter(kind=Verb.HEAD_SENT, sent_at__isnull=False).values("event")
    streamed = Destination.objects.filter(head__isnull=False).values("head")
    sent = made.filter(Q(pk__in=mailed) | Q(pk__in=streamed)).last()
    newest = made.last()
    return _as_head(sent), _as_head(newest) if newest != sent else None


def _as_head(event: Event | None) -> Head | None:
    return Head(event.data["size"], event.data["root"], event.at, event.data.get("chain", "")) if event else None


def waiting() -> int:
    """How many events the log does not have yet."""
    return UnloggedEvent.objects.count()


def waiting_one(event: Event) -> bool:
    return UnloggedEvent.objects.filter(pk=event.pk).exists()


def waiting_of(operation: Operation) -> int:
    """How many events of this operation the log does not have yet."""
    return UnloggedEvent.objects.filter(event__operation=operation).count()


def without_event() -> QuerySet[UnloggedEvent]:
    """Which wait, though their event is missing."""
    return UnloggedEvent.objects.exclude(Exists(Event.objects.filter(pk=OuterRef("pk"))))


def logged_again() -> QuerySet[UnloggedEvent]:
    """Which wait, though their event has its line."""
    return UnloggedEvent.objects.filter(event__leaf__isnull=False)


def record_head() -> Event | None:
    """Once a day: the event that the head is sent with. None before a day is over."""
    now, last = clock.now(), head()
    since = Event.objects.filter(verb=Verb.HEAD_SENT).last() or LogHead.objects.first()
    if since is None or now < since.at + SENT_EVERY:
        return None
    note = f"{last.size:,} events: {last}"
    return events.record(Verb.HEAD_SENT, at=now, note=note, size=last.size, root=last.root, chain=last.chain)


# Adding


def add_events() -> None:
    """Add what waits, for a while. What commits late with a lower number is for the next round."""
    stop_at, last = time.monotonic() + ROUND_S, 0
    while (last := _add_batch(after=last)) and time.monotonic() < stop_at:
        pass


@transaction.atomic
def _add_batch(*, after: int) -> int:
    """Add the next events in order, with the head that they make. The number of the last; 0: no other waits."""
    # A second worker waits here, and then finds nothing; and no two could give the same index.
    waits = UnloggedEvent.objects.filter(pk__gt=after).select_for_update().order_by("pk")
    taken = list(waits.values_list("pk", flat=True)[:BATCH])
    # Only those whose event is there, and has no line: what is missing, or waits again, is for verify() to say.
    rows = list(Event.objects.filter(pk__in=taken, leaf=None).order_by("pk").values_list(*COLUMNS))
    if len(rows) < len(taken):
        log_.error("%d events wait for the audit log that are missing or have their line", len(taken) - len(rows))
    if rows:
        last, now = head(), clock.now()
        size, peaks = last.size + len(rows), _hashes(chain.complete_parts(Range(0, last.size)))
        LogLeaf.objects.bulk_create(_leaf(peaks, index, values) for index, values in enumerate(rows, start=last.size))
        root = chain.folded(peaks).hex()
        LogHead.objects.create(size=size, root=root, at=now, chain=chained(last.chain, size, root, now))
        UnloggedEvent.objects.filter(pk__in=[values[0] for values in rows]).delete()
    return taken[-1] if len(taken) == BATCH else 0


def _leaf(peaks: list[bytes], index: int, values: tuple[Any, ...]) -> LogLeaf:
    event, salt = LoggedEvent.of(values), secrets.token_bytes(SALT_BYTES)
    personal = personal_hash(salt, event.personal)
    hashes = chain.grown(peaks, index, event_hash(index, event.fields, personal))
    return LogLeaf(index=index, event_id=values[0], salt=salt, personal_hash=personal, hashes=b"".join(hashes))


# Proofs


def subtrees(trees: Iterable[Range]) -> dict[Range, bytes]:
    """The hash of each of these subtrees, by one query."""
    wanted = set(trees)
    ends = {part.end - 1 for tree in wanted for part in chain.complete_parts(tree)}
    rows = dict(LogLeaf.objects.filter(pk__in=ends).values_list("index", "hashes"))

    def lookup(part: Range) -> bytes:
        level = (part.end - part.start).bit_length() - 1
        return bytes(rows[part.end - 1][level * HASH_BYTES : (level + 1) * HASH_BYTES])

    return {tree: chain.root(tree, lookup) for tree in wanted}


def inclusion(index: int, size: int) -> list[bytes]:
    """That the log of this size has this leaf: 20 hashes at most in a log of a million."""
    return _hashes(next(chain.proofs([index], [Range(0, size)])))


def consistency(first: int, second: int) -> list[bytes]:
    """That the log was only added to between two sizes."""
    return _hashes(chain.consistency(first, Range(0, second)))


def _hashes(trees: list[Range]) -> list[bytes]:
    found = subtrees(trees)
    return [found[tree] for tree in trees]
