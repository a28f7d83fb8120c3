"""The audit log: whatever is done to history behind the program's back, the first bad line is named."""

import os
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.core.management.color import no_style
from django.db import IntegrityError, connection, transaction

from imodels_app.audit import events, log
from imodels_app.audit import verify as verify_module
from imodels_app.audit.verify import Broken, verify
from imodels_app.audit.verify_export import is_consistent
from imodels_app.models import Destination, Event, LogHead, LogLeaf, Notification, UnloggedEvent
from imodels_app.notifications import texts
from imodels_app.runtime import clock
from imodels_app.states import Verb
from imodels_app.tables.filters import Filter
from imodels_app.workers import sweeps
from tests.triggers import triggers_off
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.django_db
EVENT, LEAF = "imodels_app_event", "imodels_app_logleaf"
# Lines.
HEAD_EACH = 50
# As for schedules of faults: 1000 in `make soak` are a log of 100,000 lines.
SOAK_SIZE = 100 * int(os.environ.get("SOAK_SCHEDULES") or 1000)
HEAD, UNLOGGED = "imodels_app_loghead", "imodels_app_unloggedevent"


def write(number: int) -> None:
    """So many events with even numbers, so that others fit between them, all in the log."""
    start = datetime(2026, 11, 29, tzinfo=UTC)
    Event.objects.bulk_create(
        Event(
            pk=2 * at,
            at=start + timedelta(seconds=at),
            verb=Verb.SIGNED_IN,
            actor_name=f"Person {at}",
            actor_email=f"p{at}@harbour.example",
            note=f"Note {at}",
            data={"address": f"192.0.2.{at % 250}", "count": at, "part": 0.5},
        )
        for at in range(1, number + 1)
    )
    # On PostgreSQL the next event gets the number after these.
    sql(*connection.ops.sequence_reset_sql(no_style(), [Event]))
    while log.waiting():
        log.add_events()
    assert log.head().size == number


def sql(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


# What is done to line `at` and perhaps a later one, `other`, of a log of `size`; and the first line that is bad then.
# Line n is event 2n, and leaf n - 1.
ANOTHER = {
    "at": "'2026-11-29 12:00:00.000001+00:00'",
    "verb": "'signed_out'",
    "actor_name": "'Somebody else'",
    "actor_email": "''",
    "operation_name": "'Pier 8'",
    "team_name": "'Transit team'",
    "came_from": "'queued'",
    '"to"': "'failed'",
    "note": "note || '.'",
    "data": '\'{"address": "192.0.2.251", "part": 0.5}\'',
}
COLUMNS = 'at, verb, actor_name, actor_email, operation_name, team_name, came_from, "to", note, data'


def edit(at: int, other: int, size: int) -> int:
    column = list(ANOTHER)[other % len(ANOTHER)]
    sql(f"UPDATE {EVENT} SET {column} = {ANOTHER[column]} WHERE id = {2 * at}")
    return at


def delete(at: int, other: int, size: int) -> int:
    tables = {0: [(EVENT, f"id = {2 * at}")], 1: [(LEAF, f"event_id = {2 * at}")]}
    tables[2] = tables[0] + tables[1]
    sql(*(f"DELETE FROM {table} WHERE {row}" for table, row in tables[other % 3]))
    return at


def insert(at: int, other: int, size: int) -> int:
    copied, event = 2 * at + 1, f"FROM {EVENT} WHERE id = {2 * at}"
    sql(f"INSERT INTO {EVENT} (id, {COLUMNS}) SELECT {copied}, {COLUMNS} {event}")
    if other % 2:
        leaf = f"salt, personal_hash, hashes FROM {LEAF} WHERE event_id = {2 * at}"
        sql(f'INSERT INTO {LEAF} ("index", event_id, salt, personal_hash, hashes) SELECT {size}, {copied}, {leaf}')
    return size + 1


def swap(at: int, other: int, size: int) -> int:
    table, column, one, two = (EVENT, "id", 2 * at, 2 * other) if other % 2 else (LEAF, '"index"', at - 1, other - 1)
    for now, then in ((one, -1), (two, one), (-1, two)):
        sql(f"UPDATE {table} SET {column} = {then} WHERE {column} = {now}")
    return at


def truncate(at: int, other: int, size: int) -> int:
    sql(f"DELETE FROM {EVENT} WHERE id >= {2 * at}")
    if other % 2:
        sql(f"DELETE FROM {LEAF} WHERE event_id >= {2 * at}")
    return at


def heads(at: int, other: int, size: int) -> int:
    """One of the log's own heads is deleted, or said to be older."""
    first = (at - 1) // HEAD_EACH * HEAD_EACH
    last = first + HEAD_EACH
    row = f"size = {last}"
    if other % 2 or last == size:
        sql(f"UPDATE {HEAD} SET at = '2026-11-28 12:00:00.000001+00:00' WHERE {row}")
        return first + 1
    sql(f"DELETE FROM {HEAD} WHERE {row}")
    return first + 1


def wait_again(at: int, other: int, size: int) -> int:
    sql(f"INSERT INTO {UNLOGGED} (event_id) VALUES ({2 * at})")
    return at


def cut_to_a_head(at: int, other: int, size: int) -> int:
    """Events, lines and heads, all that came after a head. A destination has been sent them."""
    last = (at - 1) // HEAD_EACH * HEAD_EACH
    sql(f"DELETE FROM {EVENT} WHERE id > {2 * last}", f"DELETE FROM {LEAF} WHERE event_id > {2 * last}")
    sql(f"DELETE FROM {HEAD} WHERE size > {last}")
    return last + 1


WAYS = [edit, delete, insert, swap, truncate, heads, wait_again, cut_to_a_head]


def tamper(way: Callable[[int, int, int], int], times: int, size: int) -> None:
    """So many times, each on the log as it was, which a destination has been sent."""
    chance = random.Random(way.__name__)
    Destination.objects.create(name="SIEM", position=size)
    with triggers_off():
        for _ in range(times):
            at, other = sorted(chance.sample(range(1, size + 1), 2))
            before = transaction.savepoint()
            expected = way(at, other, size)
            with pytest.raises(Broken) as found:
                verify()
            assert found.value.line == expected, (way.__name__, at, other, str(found.value))
            transaction.savepoint_rollback(before)
        verify()


@pytest.mark.same_on_both
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_each_of_1000_times_the_first_bad_line_is_named(way, monkeypatch):
    monkeypatch.setattr(log, "BATCH", HEAD_EACH)
    write(2_000)

    tamper(way, 1_000 // len(WAYS), 2_000)


@pytest.mark.soak
@pytest.mark.same_on_both
def test_so_it_is_of_100_000(monkeypatch, record_property):
    monkeypatch.setattr(log, "BATCH", HEAD_EACH)
    write(SOAK_SIZE)
    began = time.process_time()
    verify()
    record_property("figure", f"{SOAK_SIZE:,} events verified in {time.process_time() - began:.1f} s of CPU")

    for way in WAYS:
        tamper(way, 3, SOAK_SIZE)
        Destination.objects.all().delete()


def after_days(monkeypatch, days: int) -> None:
    """The desk's clock, so many days later."""
    now = clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(days=days))


@pytest.mark.parametrize("way", ["rewritten", "cut off"])
def test_who_rewrites_the_whole_log_is_found_by_a_head_that_left(way, monkeypatch):
    write(20)
    known = log.head()
    with triggers_off():
        rewrite(cut=way == "cut off")

    verify()
    with pytest.raises(CommandError, match=r"Line (1|11) of the log"):
        call_command("verify_audit", head=[str(known)])


def rewrite(*, cut: bool) -> None:
    """As somebody may who owns the database: the log fits itself again."""
    LogLeaf.objects.all().delete()
    LogHead.objects.all().delete()
    Event.objects.filter(pk=2).update(note="It never happened.")
    Event.objects.filter(pk__gt=20 if cut else 40).delete()
    UnloggedEvent.objects.bulk_create(UnloggedEvent(event=event) for event in Event.objects.all())
    log.add_events()


def test_each_day_the_head_goes_to_the_admins_and_what_is_cut_off_after_it_is_unproven_since(
    ines, mara, monkeypatch, capsys
):
    write(20)
    sweeps.audit_log()
    assert not Notification.objects.exists()
    known = log.head()
    after_days(monkeypatch, 1)

    for _ in range(3):
        sweeps.audit_log()

    Notification.objects.update(sent_at=clock.now())
    sent = Notification.objects.get()
    subject, text = texts.subject_and_text([sent])
    assert (sent.to, subject) == (ines, f"Head of the audit log: {known}")
    assert f"verify_audit --head {known}" in text
    with triggers_off():
        LogLeaf.objects.filter(index__gte=21).delete()
    call_command("verify_audit", head=[str(known)])
    said = capsys.readouterr().out
    assert f"Unproven since {sent.event.at:%Y-%m-%d %H:%M} UTC: whether events are missing after line 20." in said


@pytest.mark.parametrize("nobody", ["no administrator", "a closed account", "mail that was not taken"])
def test_a_head_that_nobody_got_proves_nothing(nobody, request, monkeypatch, capsys):
    if nobody != "no administrator":
        ines = request.getfixturevalue("ines")
        ines.is_active = nobody != "a closed account"
        ines.save()
    write(20)
    known = log.head()
    after_days(monkeypatch, 1)

    for _ in range(3):
        sweeps.audit_log()
    call_command("verify_audit")

    said = capsys.readouterr().out
    assert Event.objects.filter(verb=Verb.HEAD_SENT).count() == 1
    assert f"The head {known} was made, not sent" in said
    assert "No head was sent yet" in said


def test_a_head_that_a_destination_took_is_sent(monkeypatch):
    write(20)
    known = log.head()
    after_days(monkeypatch, 1)
    for _ in range(2):
        sweeps.audit_log()
    Destination.objects.create(name="SIEM", position=21, head=Event.objects.get(verb=Verb.HEAD_SENT))

    report = verify()

    assert (str(report.sent), report.unsent) == (str(known), None)
    with triggers_off():
        rewrite(cut=True)
        with pytest.raises(Broken, match="the stream to SIEM has come so far"):
            verify()
        Destination.objects.update(position=0)
        with pytest.raises(Broken, match="a head that SIEM has taken"):
            verify()


def test_what_is_logged_while_it_is_verified_is_no_false_alarm(monkeypatch):
    write(10)
    page = verify_module._page

    def page_and_more(after):
        events.record("signed_in", at=clock.now(), note="late")
        log.add_events()
        return page(after)

    monkeypatch.setattr(verify_module, "_page", page_and_more)

    assert verify().head.size == 10


def test_an_event_that_waits_though_it_is_logged_stops_nothing_and_is_named():
    write(5)
    UnloggedEvent.objects.create(event_id=4)
    events.record("signed_in", at=clock.now())

    log.add_events()

    assert log.head().size == 6
    with pytest.raises(Broken, match="Line 2 of the log: event 4 has this line, and waits for the log once more"):
        verify()


@pytest.mark.parametrize("head", ["", "x", "12", "12:", "12:zz", f"x:{'0' * 64}", f"12:{'0' * 63}"])
def test_what_is_no_head_is_refused_with_a_sentence(head):
    with pytest.raises(CommandError, match="--head"):
        call_command("verify_audit", head=[head])


def test_an_event_waits_from_the_moment_it_is_written(ines):
    events.record("signed_in", at=clock.now(), by=ines)
    assert log.waiting() == 1

    log.add_events()

    assert (log.waiting(), log.head().size) == (0, 1)


@pytest.mark.parametrize("drop", [{"actor_email": "", "data": {"count": 1, "part": 0.5}}])
def test_addresses_can_be_dropped_and_nothing_else(drop, capsys):
    write(5)
    with triggers_off():
        Event.objects.filter(pk=2).update(**drop)
        with pytest.raises(Broken, match="Line 1 of the log: event 2 has other addresses"):
            verify()
        LogLeaf.objects.filter(index=0).update(salt=None)

    call_command("verify_audit")

    assert "The addresses of 1 events were dropped." in capsys.readouterr().out


@pytest.mark.parametrize("which", ["person", "before"])
def test_a_command_drops_addresses_and_all_proofs_hold(which, mara, otto, capsys):
    for by in (mara, otto, mara):
        events.record("signed_in", at=clock.now(), by=by, address="192.0.2.9", client="Firefox", part=0.5, seen="Ж")
    events.record("signed_in", at=clock.now() + timedelta(days=2), by=otto, address="192.0.2.9")
    tomorrow = f"{clock.now() + timedelta(days=1):%Y-%m-%d}"
    asked = {"person": ("--person", str(mara.pk)), "before": ("--before", tomorrow)}[which]
    gone = {"person": 2, "before": 3}[which]

    call_command("drop_addresses", *asked)
    call_command("drop_addresses", *asked)
    log.add_events()

    assert verify().dropped == gone
    said = Event.objects.get(verb=Verb.ADDRESSES_DROPPED)
    assert (said.data["count"], Event.objects.filter(actor_email="", actor__isnull=False).count()) == (gone, gone)
    assert Event.objects.filter(data__client="Firefox").count() == 3 - gone
    for word in (mara.email, otto.email):
        assert Filter(text=word).all_events().count() == Event.objects.filter(actor_email=word).count()
    if connection.vendor == "sqlite":
        words = connection.cursor().execute("SELECT count(*) FROM imodels_app_event_words WHERE actor_email <> ''")
        assert words.fetchone()[0] == 4 - gone
    assert f"The addresses of {gone} events were dropped" in capsys.readouterr().out


DROPPED = {"actor_email": "", "data": {"count": 1, "part": 0.5}}


@pytest.mark.parametrize(
    ("change", "is_salt_there"),
    [
        (DROPPED, True),
        ({"actor_email": ""}, False),
        ({"actor_email": "", "data": {}}, False),
        (DROPPED | {"note": "x"}, False),
        (DROPPED | {"at": datetime(2026, 1, 1, tzinfo=UTC)}, False),
        (DROPPED | {"actor_email": "otto@harbour.example"}, False),
    ],
)
def test_triggers_let_no_other_change_of_an_event_pass(change, is_salt_there):
    write(2)
    if not is_salt_there:
        LogLeaf.objects.update(salt=None)

    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        Event.objects.filter(pk=2).update(**change)


def test_any_two_heads_are_consistent_and_a_proof_is_short():
    write(300)
    for size in range(5):
        events.record("signed_out", at=clock.now(), note=str(size))
        log.add_events()
    heads = list(LogHead.objects.all())
    last = heads[-1]

    assert len(heads) == 6
    for head in heads:
        proof = log.consistency(head.size, last.size)
        roots = bytes.fromhex(head.root), bytes.fromhex(last.root)
        assert is_consistent(head.size, roots[0], last.size, roots[1], proof)
    assert max(len(log.inclusion(index, last.size)) for index in range(0, last.size, 17)) <= 9


@pytest.mark.parametrize("lost", ["the event", "the event's wait"])
def test_what_is_done_to_an_event_before_the_log_has_it_is_found(lost):
    write(3)
    event = events.record("signed_in", at=clock.now())
    with triggers_off():
        (Event if lost == "the event" else UnloggedEvent).objects.filter(pk=event.pk).delete()
    log.add_events()

    with pytest.raises(Broken, match="Line 4"):
        verify()


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    ("column", "value"),
    [("at", "{"), ("at", "2026-13-45 00:00:00"), ("at", "7"), ("data", "{"), ("data", "[]"), ("data", "7")],
)
def test_what_nobody_can_read_is_named(column, value):
    write(10)
    with triggers_off():
        sql("PRAGMA ignore_check_constraints = on", f"UPDATE {EVENT} SET {column} = '{value}' WHERE id = 14")

        with pytest.raises(Broken, match="Line 7 of the log"):
            verify()


@pytest.mark.parametrize("data", [{}, [], {"size": "x", "root": 7}, {"size": 3, "root": "00" * 32}])
def test_a_head_that_was_tampered_with_in_the_log_is_the_bad_line(data, monkeypatch):
    write(20)
    after_days(monkeypatch, 1)
    sweeps.audit_log()
    sweeps.audit_log()
    with triggers_off():
        Event.objects.filter(verb=Verb.HEAD_SENT).update(data=data)

    with pytest.raises(Broken, match="Line 21 of the log: the event is not what was logged"):
        verify()


@pytest.mark.django_db(transaction=True)
@pytest.mark.on_postgres
def test_an_event_that_commits_late_with_a_lower_number_is_added_once(transactional_db):
    written, go_on = threading.Event(), threading.Event()

    def slowly() -> None:
        with transaction.atomic():
            events.record("signed_in", at=clock.now(), note="late")
            written.set()
            go_on.wait(PATIENCE_S)
        connection.close()

    late = threading.Thread(target=slowly)
    late.start()
    assert written.wait(PATIENCE_S)
    early = events.record("signed_out", at=clock.now(), note="early")
    log.add_events()
    assert list(LogLeaf.objects.values_list("event_id", flat=True)) == [early.pk]
    go_on.set()
    late.join()

    together = [threading.Thread(target=lambda: (log.add_events(), connection.close())) for _ in range(4)]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()

    order = LogLeaf.objects.order_by("index").values_list("event__note", "event_id")
    assert [note for note, _ in order] == ["early", "late"]
    assert order[1][1] < order[0][1]
    verify()
