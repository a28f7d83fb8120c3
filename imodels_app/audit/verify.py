"""Whether history is what was logged: every event hashed again, in constant memory, up to the first bad line."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Subquery
from django.db.models.functions import Coalesce

from imodels_app.audit import chain, log
from imodels_app.audit.log import COLUMNS, HASH_BYTES, Head, LoggedEvent
from imodels_app.audit.verify_export import event_hash, personal_hash
from imodels_app.models import Destination, Event, LogHead, LogLeaf
from imodels_app.states import Verb

PAGE = 2_000
_LEAF = ("index", "salt", "personal_hash", "hashes", *(f"event__{name}" for name in COLUMNS))


class Broken(Exception):
    """The first line of the log that is not as it was written, and why. Lines are counted from 1."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"Line {line:,} of the log: {why}")
        self.line = line


@dataclass(frozen=True)
class Report:
    """What was found true.

    head     how many events the log has, and what they hash to
    dropped  of how many the addresses were dropped
    waiting  how many are not in the log yet
    sent     the last head that left by e-mail or stream; what came after it could have been cut off without a trace
    unsent   a later one that was made to be sent, and that nobody has got
    """

    head: Head
    dropped: int
    waiting: int
    sent: Head | None
    unsent: Head | None


def verify(*known: Head) -> Report:
    """Raises Broken. known: heads that somebody kept elsewhere."""
    # First what may grow meanwhile, and then the log: so it has all that these tell of.
    heads = sorted([*_made_heads(), *known], key=lambda head: head.size)
    streams = list(Destination.objects.order_by("position").values_list("name", "position", "head_id", "head__verb"))
    found = _check_lines(log.head().size, {head.size for head in heads})
    _check_what_is_not_logged(found.size)
    proved = 0
    for head in heads:
        if head.size > found.size:
            raise Broken(found.size + 1, f"missing, as all up to {head.size:,}: there was a head {head}")
        if found.roots.get(head.size) != head.root:
            raise Broken(proved + 1, f"this line, or one up to {head.size:,}, does not lead to the head {head}")
        if head.chain and found.chains.get(head.size) != head.chain:
            raise Broken(proved + 1, f"of this line, or one up to {head.size:,}, the log's own heads were changed")
        proved = head.size
    for name, position, taken, verb in streams:
        if position > found.size:
            raise Broken(found.size + 1, f"missing, as all up to {position:,}: the stream to {name} has come so far")
        if taken and not verb:
            raise Broken(proved + 1, f"from this line on events were cut off, one of them a head that {name} has taken")
    return Report(Head(found.size, found.root), found.dropped, log.waiting(), *log.sent_heads())


def _made_heads() -> list[Head]:
    """What the log's own events of it say. One that was tampered with is a bad line, and no head."""
    events = Event.objects.filter(verb=Verb.HEAD_SENT, leaf__isnull=False).order_by("leaf__index")
    facts = events.values_list("data__size", "data__root", "at", "data__chain")
    return [
        Head(size, root, at, str(linked or ""))
        for size, root, at, linked in facts
        if isinstance(size, int) and isinstance(root, str)
    ]


def _own_heads(size: int) -> Iterator[Head]:
    """Up to this size. Each is chained to the one before, since chains are kept."""
    after, linked = -1, ""
    while page := list(LogHead.objects.filter(size__gt=after, size__lte=size)[:PAGE]):
        for row in page:
            own = bytes(row.chain or b"")
            if (own or linked) and own != log.chained(linked, row.size, row.root, row.at):
                raise Broken(
                    max(after, 0) + 1, f"of this line, or one up to {row.size:,}, a head is missing or changed"
                )
            after, linked = row.size, own.hex()
            yield Head(row.size, row.root, row.at, linked)


class _Found(NamedTuple):
    """roots: of the log when it had so many lines; chains: those of its heads."""

    size: int
    root: str
    dropped: int
    roots: dict[int, str]
    chains: dict[int, str]


def _check_lines(end: int, sizes: set[int]) -> _Found:
    """Each line, and the heads that the log made as it grew to this end. sizes: of which the root is wanted."""
    peaks: list[bytes] = []
    size, dropped, known = 0, 0, 0
    roots: dict[int, str] = {}
    chains: dict[int, str] = {}
    heads = _own_heads(end)
    head = next(heads, None)
    for index, salt, personal, hashes, *values in _lines(end):
        if index != size:
            raise Broken(size + 1, "the event or its hash is missing")
        _check_leaf(index, chain.grown(peaks, index, _hashed(index, salt, bytes(personal), values)), bytes(hashes))
        size, dropped = size + 1, dropped + (salt is None)
        if size in sizes:
            roots[size] = chain.folded(peaks).hex()
        if head and head.size <= size:
            if (head.size, head.root) != (size, chain.folded(peaks).hex()):
                raise Broken(known + 1, f"this line, or one up to {size:,}, does not lead to the log's own head {head}")
            known, chains[size] = size, head.chain
            head = next(heads, None)
    if head:
        raise Broken(size + 1, "the event or its hash is missing")
    return _Found(size, chain.folded(peaks).hex() if peaks else "", dropped, roots, chains)


def _hashed(index: int, salt: bytes | None, personal: bytes, values: list[Any]) -> bytes:
    event = LoggedEvent.of(values)
    if any(event.personal) if salt is None else personal_hash(bytes(salt), event.personal) != personal:
        raise Broken(index + 1, f"event {values[0]} has other addresses than it was logged with")
    return event_hash(index, event.fields, personal)


def _check_leaf(index: int, found: list[bytes], stored: bytes) -> None:
    if stored[:HASH_BYTES] != found[0]:
        raise Broken(index + 1, "the event is not what was logged")
    if stored != b"".join(found):
        level = next((n for n, pair in enumerate(zip(found, _split(stored), strict=False)) if pair[0] != pair[1]), 0)
        raise Broken(index + 2 - (1 << level), f"this line, or one up to {index + 1:,}, was logged with other hashes")


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]


def _lines(end: int) -> Iterator[tuple[Any, ...]]:
    """What is added meanwhile is for the next check."""
    after = -1
    while after + 1 < end and (page := _page(after)):
        yield from (line for line in page if line[0] < end)
        after = page[-1][0]


def _page(after: int) -> list[tuple[Any, ...]]:
    """Some lines. One that nobody can read is named."""
    rows = LogLeaf.objects.filter(index__gt=after).order_by("index")
    try:
        return list(rows.values_list(*_LEAF)[:PAGE])
    except (TypeError, ValueError):
        for index in rows.values_list("index", flat=True)[:PAGE]:
            _read(index)
        raise


def _read(index: int) -> None:
    try:
        list(LogLeaf.objects.filter(index=index).values_list(*_LEAF))
    except (TypeError, ValueError) as odd:
        raise Broken(index + 1, "the event cannot be read") from odd


def _check_what_is_not_logged(size: int) -> None:
    last = Coalesce(Subquery(LogHead.objects.order_by("-size").values("size")[:1]), 0)
    unknown = LogLeaf.objects.filter(index__gte=last).order_by("index").values_list("index", flat=True).first()
    if unknown is not None:
        raise Broken(unknown + 1, "slipped in: no head knows this line")
    again = log.logged_again().order_by("event__leaf__index").values_list("event__leaf__index", "pk").first()
    if again:
        raise Broken(again[0] + 1, f"event {again[1]} has this line, and waits for the log once more")
    slipped_in = Event.objects.filter(leaf=None, unlogged=None).order_by("pk").values_list("pk", flat=True).first()
    if slipped_in is not None:
        raise Broken(size + 1, f"event {slipped_in} was slipped in: it is in no line")
    if log.without_event().exists():
        raise Broken(size + 1, "an event is missing that waited for the log")
