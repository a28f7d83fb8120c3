"""Check an export of iModel Desk's audit. In the folder with its files: python3 -I -S verify_export.py

Python's standard library is enough; nothing of iModel Desk is used, and no database. Each line of events.jsonl is an
event with its proof that the audit log has it, as in RFC 9162; events.csv is the same for spreadsheets. The log's head,
which manifest.json names, is what you compare with the e-mail that administrators get every day.
"""

import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TextIO

FORMAT = "iModel Desk event 1"
# What the log holds of an event, in this order, each as text.
FIELDS = (
    *("number", "at", "verb", "actor_id", "actor_name", "operation_id", "operation_name"),
    *("team_name", "came_from", "to", "note", "data"),
)
# What it holds by a salted hash only: once salt and text are gone, the proof still holds.
PERSONAL = ("actor_email", "address", "client")
# Cells that say what the log holds; the others are what operations and people were called when it was exported.
PROVED = {"at": "at", "verb": "verb", "team": "team_name", "operation": "operation_name"}
PROVED |= {"operation_id": "operation_id", "from": "came_from", "to": "to", "note": "note"}
PROVED |= {"actor": "actor_name", "actor_id": "actor_id"}
# Those that stand in the event's data.
FACTS = ("code", "actor_issuer", "actor_subject")
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t"}


class Bad(Exception):
    """What was tampered with, and where."""


# Hashes


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def packed(texts: Iterable[str]) -> bytes:
    """Each text behind its length, so that nothing can move from one to the next."""
    return "".join([f"{len(text)}:{text}" for text in texts]).encode("utf-8", "surrogatepass")


def personal_hash(salt: bytes, texts: Iterable[str]) -> bytes:
    return hashlib.sha256(salt + packed(texts)).digest()


def event_hash(index: int, fields: Iterable[str], personal: bytes) -> bytes:
    """With its place, so that a line that was moved is the one that is wrong."""
    return leaf_hash(packed([FORMAT, str(index), *fields, personal.hex()]))


# The tree


class Range(NamedTuple):
    """The leaves of a subtree, without `end`."""

    start: int
    end: int


def path(index: int, tree: Range) -> list[Range]:
    """The subtrees beside the way from a leaf to the root, nearest first: what an inclusion proof holds."""
    start, end = tree
    found = []
    while end - start > 1:
        middle = start + (1 << ((end - start - 1).bit_length() - 1))
        if index < middle:
            found.append(Range(middle, end))
            end = middle
        else:
            found.append(Range(start, middle))
            start = middle
    return found[::-1]


class Walk:
    """Leaves in the log's order, each proved by what the proofs before it did not show yet."""

    def __init__(self, size: int, root: bytes) -> None:
        # Subtrees to the right of the last leaf whose hashes are proved, the nearest last.
        self._known = [(Range(0, size), root)]

    def has(self, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
        while self._known and self._known[-1][0].end <= index:
            self._known.pop()
        if not self._known or index < self._known[-1][0].start:
            return False
        tree, expected = self._known.pop()
        siblings, found, right = path(index, tree), leaf, []
        if len(siblings) != len(proof):
            return False
        for sibling, one in zip(siblings, proof, strict=True):
            if sibling.start > index:
                found = node_hash(found, one)
                right.append((sibling, one))
            else:
                found = node_hash(one, found)
        self._known += reversed(right)
        return found == expected


def is_consistent(first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the log of size `second` begins with the one of size `first` (RFC 9162, 2.1.4.2)."""
    if first == second:
        return not proof and first_root == second_root
    hashes = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not 0 < first < second or not hashes:
        return False
    old, new = first - 1, second - 1
    while old & 1:
        old, new = old >> 1, new >> 1
    old_root = new_root = hashes[0]
    for one in hashes[1:]:
        if not new:
            return False
        if old & 1 or old == new:
            old_root, new_root = node_hash(one, old_root), node_hash(one, new_root)
            while old and not old & 1:
                old, new = old >> 1, new >> 1
        else:
            new_root = node_hash(new_root, one)
        old, new = old >> 1, new >> 1
    return (old_root, new_root, new) == (first_root, second_root, 0)


# Lines


def proved_cells(event: Mapping[str, str], personal: Mapping[str, str]) -> dict[str, str]:
    """The cells of a line that follow from what the log holds."""
    data = json.loads(event["data"])
    facts = {name: data.get(name) for name in FACTS}
    return (
        {cell: event[field] for cell, field in PROVED.items()}
        | {cell: personal[cell] for cell in PERSONAL}
        | {cell: "" if fact is None else str(fact) for cell, fact in facts.items()}
    )


def sealed(body: str, before: str) -> str:
    """The seal of a line: of its text and of the seal before it. It has no key: it shows what was lost or changed by
    accident, while whoever means to change a line can seal all lines again.
    """
    return hashlib.sha256(f"{before}\n{body}".encode()).hexdigest()


def written(rows: Iterable[Iterable[object]], separator: str) -> Iterator[str]:
    """Rows as lines of CSV, each cell in quotes and safe."""
    writer = csv.writer(_Echo(), quoting=csv.QUOTE_ALL, delimiter=separator)
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


# The check


def check(folder: Path) -> str:
    """What is proved, as a sentence; or Bad, which names the first line that is wrong."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    head = manifest["head"]
    _check_manifest(manifest)
    with (
        (folder / "events.jsonl").open(encoding="ascii") as lines,
        (folder / "events.csv").open(encoding="utf-8-sig", newline="") as table,
    ):
        number = _check_lines(lines, table, manifest)
    sent, unsent = manifest["sent"], manifest["made_not_sent"]
    known = f" It contains the head {sent['size']}:{sent['root']}, sent on {sent['at'][:10]}." if sent else ""
    known += f" The head {unsent['size']}:{unsent['root']} was made, not sent: nobody has got it." if unsent else ""
    proved = proved_cells(dict.fromkeys(FIELDS, "{}"), dict.fromkeys(PERSONAL, ""))
    others = ", ".join(name for name in manifest["columns"] if name not in {*proved, "local_time"})
    log = f"all in the log whose head is {head['size']}:{head['root']}"
    return f"True: {number} events, {log}.{known} The log does not prove these columns: {others}."


def _check_manifest(manifest: Mapping[str, Any]) -> None:
    """That the log's own event of this export says the same as the manifest, and that the log was only added to."""
    head, exported = manifest["head"], manifest["exported"]
    if not _is_proved(exported, _walk(head)):
        raise Bad("manifest.json: the event of this export is not in the log")
    told = json.loads(exported["event"]["data"])
    facts = {"filter": told["filter"], "count": told["rows"], "separator": told["separator"], "zone": told["zone"]}
    facts |= {"person": exported["event"]["actor_name"], "at": exported["event"]["at"]}
    for name, fact in facts.items():
        if manifest[name] != fact:
            raise Bad(f"manifest.json: {name} is not what the log says")
    for one in filter(None, (manifest["sent"], manifest["made_not_sent"])):
        roots = bytes.fromhex(one["root"]), bytes.fromhex(head["root"])
        if not is_consistent(one["size"], roots[0], head["size"], roots[1], _hashes(one["proof"])):
            raise Bad(f"manifest.json: the log does not contain the head of {one['at'][:10]}")


def _check_lines(lines: Iterable[str], table: TextIO, manifest: Mapping[str, Any]) -> int:
    walk, seal, number = _walk(manifest["head"]), "", 0
    separator = SEPARATORS[manifest["separator"]]
    _compare(table, manifest["columns"], separator, 0)
    for number, line in enumerate(lines, start=1):
        body, _, rest = line.rpartition(', "seal": ')
        seal = sealed(body, seal)
        if rest != f'"{seal}"}}\n':
            raise Bad(f"events.jsonl, line {number}: changed, or lines before it are missing or were added")
        event = json.loads(body + "}")
        _check_line(event, walk, number, manifest["columns"])
        _compare(table, event["cells"].values(), separator, number)
    if number != manifest["count"] or seal != manifest["seal"]:
        raise Bad(f"events.jsonl, line {number + 1}: missing; there were {manifest['count']}")
    if table.read(1):
        raise Bad(f"events.csv, event {number + 1}: added")
    return number


def _check_line(line: Mapping[str, Any], walk: Walk, number: int, columns: list[str]) -> None:
    if not _is_proved(line, walk):
        raise Bad(f"events.jsonl, line {number}: not what the log holds")
    if list(line["cells"]) != columns:
        raise Bad(f"events.jsonl, line {number}: other columns")
    for cell, text in proved_cells(line["event"], line["personal"]).items():
        if line["cells"][cell] != text:
            raise Bad(f"events.jsonl, line {number}: the cell “{cell}” is not what the event says")
    local, at = (datetime.fromisoformat(text) for text in (line["cells"]["local_time"], line["event"]["at"]))
    if local != at.replace(microsecond=0):
        raise Bad(f"events.jsonl, line {number}: the cell “local_time” is another instant than the event’s")


def _compare(table: TextIO, row: Iterable[object], separator: str, number: int) -> None:
    """That the table goes on as it must. By characters, for a cell may have line breaks."""
    expected = "".join(written([row], separator))
    if table.read(len(expected)) != expected:
        raise Bad(f"events.csv, event {number}: not what events.jsonl says" if number else "events.csv: other columns")


def _is_proved(line: Mapping[str, Any], walk: Walk) -> bool:
    personal = bytes.fromhex(line["personal_hash"])
    if line["salt"] is not None:
        texts = [line["personal"][name] for name in PERSONAL]
        if personal_hash(bytes.fromhex(line["salt"]), texts) != personal:
            return False
    elif any(line["personal"].values()):
        return False
    fields = [line["event"][name] for name in FIELDS]
    return walk.has(line["index"], event_hash(line["index"], fields, personal), _hashes(line["proof"]))


def _walk(head: Mapping[str, Any]) -> Walk:
    return Walk(head["size"], bytes.fromhex(head["root"]))


def _hashes(texts: Iterable[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def main() -> int:
    try:
        print(check(Path(__file__).resolve().parent))
    except Bad as bad:
        print(f"NOT TRUE. {bad}.")
    except (KeyError, TypeError, ValueError, OSError) as odd:
        print(f"NOT TRUE. A file is missing or cannot be read: {type(odd).__name__}: {odd}.")
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
