"""An export proves itself: verify_export.py accepts a true one and names the line that somebody changed."""

import json
import random
from pathlib import Path

import pytest

from imodels_app.audit import log
from imodels_app.audit.verify_export import FACTS, PERSONAL, PROVED, Bad, check, sealed
from imodels_app.models import Event, LogLeaf, Notification
from imodels_app.runtime import clock
from imodels_app.workers import sweeps
from tests.audit.test_log import after_days, write
from tests.exports import checked, unpacked
from tests.triggers import triggers_off

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]
EXPORT = "/audit/export"
LINES = 200


@pytest.fixture
def export(client, ines, tmp_path, monkeypatch):
    """export("?q=...") is its files, in a folder with nothing else; a head has been sent before."""
    write(LINES)
    after_days(monkeypatch, 2)
    sweeps.audit_log()
    Notification.objects.update(sent_at=clock.now())
    client.force_login(ines)
    return lambda query="": unpacked(client.get(EXPORT + query), tmp_path)


@pytest.mark.parametrize("separator", ["comma", "semicolon", "tab", "bar"])
@pytest.mark.parametrize(("text", "number"), [("", LINES + 1), ("p1", 111), ("p77@", 1), ("Nobody", 0)])
def test_a_true_export_is_accepted(export, separator, text, number):
    folder = export(f"?q={text}&separator={separator}")

    code, said = checked(folder)

    assert (code, said.startswith(f"True: {number} events, all in the log whose head is {log.head()}")) == (0, True)
    assert f"It contains the head {LINES}:" in said


def test_what_comes_with_it_is_what_the_manifest_says(export, ines):
    folder = export("?q=p1")

    manifest = json.loads((folder / "manifest.json").read_text())
    assert {path.name for path in folder.iterdir()} == {
        "events.csv", "events.jsonl", "manifest.json", "verify_export.py"
    }  # fmt: skip
    told = [manifest[name] for name in ("filter", "count", "person", "separator")]
    assert told == ["text “p1”", 111, ines.name, "comma"]
    assert (manifest["head"]["size"], manifest["sent"]["size"]) == (log.head().size, LINES)


def test_an_export_holds_when_addresses_are_dropped(export):
    with triggers_off():
        Event.objects.filter(pk__lte=50).update(actor_email="", data={})
        LogLeaf.objects.filter(event__lte=50).update(salt=None)

    assert checked(export("?q=p200@"))[0] == 0


# ---------- tampered ----------


def edit(lines, at, chance):
    """A letter of what the log holds, in the line only."""
    lines[at] = lines[at].replace('"note": "Note', '"note": "Nota', 1)
    return at


def edit_and_seal(lines, at, chance):
    """The same, with seals and cells that fit."""
    line = json.loads(lines[at])
    name = chance.choice(["note", "actor_name", "team_name", "at", "data", "number"])
    line["event"][name] += "0"
    if name in line["cells"]:
        line["cells"][name] += "0"
    lines[at] = json.dumps(line)
    seal_again(lines)
    return at


def edit_personal(lines, at, chance):
    line = json.loads(lines[at])
    line["personal"][chance.choice(list(line["personal"]))] += "1"
    lines[at] = json.dumps(line)
    seal_again(lines)
    return at


def edit_a_cell(lines, at, chance):
    lines[at] = lines[at].replace('"cells": {', '"cells": { ', 1)
    return at


def forge_a_cell(lines, at, chance):
    """What the log proves, said otherwise where people read it, with seals that fit."""
    line = json.loads(lines[at])
    line["cells"][chance.choice([*PROVED, *PERSONAL, *FACTS])] += "0"
    lines[at] = json.dumps(line)
    seal_again(lines)
    return at


def delete(lines, at, chance):
    del lines[at]
    return at


def insert(lines, at, chance):
    lines.insert(at, lines[chance.randrange(len(lines))])
    return at


def repeat_and_seal(lines, at, chance):
    lines.insert(at, lines[at])
    seal_again(lines)
    return at + 1


def swap(lines, at, chance):
    lines[at], lines[-1] = lines[-1], lines[at]
    return at


def swap_and_seal(lines, at, chance):
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    seal_again(lines)
    return at


def truncate(lines, at, chance):
    del lines[at:]
    return at


def seal_again(lines):
    seal = ""
    for at, line in enumerate(lines):
        body = json.dumps({name: value for name, value in json.loads(line).items() if name != "seal"})[:-1]
        seal = sealed(body, seal)
        lines[at] = f'{body}, "seal": "{seal}"}}\n'


WAYS = [edit, edit_and_seal, edit_personal, edit_a_cell, delete, insert, repeat_and_seal, swap, swap_and_seal, truncate]
WAYS += [forge_a_cell] * 3


def test_of_100_tampered_ones_the_line_is_named(export):
    folder, chance = export(), random.Random(7)
    true = (folder / "events.jsonl").read_text()
    assert check(folder).startswith("True")

    for number in range(100):
        way, at = WAYS[number % len(WAYS)], chance.randrange(LINES - 1)
        lines = true.splitlines(keepends=True)
        # Counted from 1.
        line = way(lines, at, chance) + 1
        (folder / "events.jsonl").write_text("".join(lines))
        with pytest.raises(Bad) as found:
            check(folder)
        # What is sealed again and in the log is first missed in the table.
        places = [f"events.jsonl, line {line}: ", f"events.csv, event {line}: "]
        assert any(place in str(found.value) for place in places), (way.__name__, line, str(found.value))

    assert checked(folder) == (1, f"NOT TRUE. {found.value}.")


def test_columns_that_the_log_does_not_prove_are_named(export):
    _, said = checked(export())

    assert said.endswith(
        "The log does not prove these columns: kind, state, why, itwin, source, imodel_id, requested_by, decided_by,"
        " request_hash, requested_by_email, requested_by_issuer, requested_by_subject, requested_by_id,"
        " decided_by_email, decided_by_issuer, decided_by_subject, decided_by_id."
    )


def test_columns_that_are_called_otherwise_are_noticed(export):
    folder = export()
    table = (folder / "events.csv").read_bytes()
    (folder / "events.csv").write_bytes(table.replace(b'"from","to"', b'"to","from"', 1))
    edit_manifest(folder, lambda one: one | {"columns": [*one["columns"][:9], "to", "from", *one["columns"][11:]]})

    assert checked(folder) == (1, "NOT TRUE. events.jsonl, line 1: other columns.")


@pytest.mark.parametrize("at", [1, 2, 99, LINES])
def test_the_line_of_a_tampered_table_is_named(export, at):
    folder = export()
    table = (folder / "events.csv").read_bytes()
    (folder / "events.csv").write_bytes(table.replace(f'"Note {at}"'.encode(), b'"Not so"'))

    assert checked(folder) == (1, f"NOT TRUE. events.csv, event {at}: not what events.jsonl says.")


@pytest.mark.parametrize("end", ['"x"\r\n', " "])
def test_what_is_added_to_a_table_is_named(export, end):
    with ((folder := export()) / "events.csv").open("a", newline="") as table:
        table.write(end)

    assert checked(folder) == (1, f"NOT TRUE. events.csv, event {LINES + 2}: added.")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("filter", "everything else"),
        ("count", 7),
        ("person", "Otto"),
        ("at", "2020-01-01"),
        ("separator", "tab"),
        ("zone", "UTC+3"),
    ],
)
def test_a_tampered_manifest_is_named(export, name, value):
    edit_manifest(folder := export(), lambda manifest: manifest | {name: value})

    assert checked(folder) == (1, f"NOT TRUE. manifest.json: {name} is not what the log says.")


def test_a_head_that_nobody_got_is_no_anchor(client, export):
    Notification.objects.update(sent_at=None)

    code, said = checked(export())

    assert code == 0
    assert "It contains the head" not in said
    assert f"The head {LINES}:" in said
    assert "was made, not sent: nobody has got it." in said


@pytest.mark.parametrize("part", ["head", "sent"])
def test_another_head_is_noticed(export, part):
    edit_manifest(folder := export(), lambda manifest: manifest | {part: manifest[part] | {"root": "00" * 32}})

    assert checked(folder)[0] == 1


@pytest.mark.parametrize("name", ["events.csv", "events.jsonl", "manifest.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff\xfe", b"[]\n"])
def test_a_file_that_is_missing_or_no_such_file_is_no_true_export(export, name, content):
    path = export() / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)

    code, said = checked(path.parent)

    assert (code, said[:9]) == (1, "NOT TRUE.")


def edit_manifest(folder: Path, change) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
