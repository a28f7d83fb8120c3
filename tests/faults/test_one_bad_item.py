"""One bad item stops nobody behind it: each loop over what is due has one that can never succeed, the oldest."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.db import connection
from django.urls import reverse

from imodels_app import lifecycle, tasks
from imodels_app.accounts import rights, tokens
from imodels_app.audit import events, refusals
from imodels_app.limits import fair_queue
from imodels_app.models import (
    Absence,
    Attempt,
    CircuitBreaker,
    Event,
    Notification,
    Operation,
    Orphan,
    RefusedAccess,
    StagedFile,
    Team,
    TeamITwin,
    TokenSet,
    Upload,
    User,
)
from imodels_app.notifications import outbox
from imodels_app.requesting import staging
from imodels_app.runtime import clock
from imodels_app.states import Kind, OrphanState, State, WaitReason
from imodels_app.workers import cleanup
from imodels_app.workers.poll import poll
from imodels_app.workers.reconcile import reconcile
from imodels_app.workers.submit import submit
from imodels_app.workers.upload import upload
from tests.exports import table
from tests.people import HARBOUR

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.no_oracle]


class Poison(Exception):
    """Nothing that anybody foresaw."""


@contextmanager
def poisoned(bad: Operation) -> Iterator[None]:
    """Every change of this operation fails: its history cannot be written."""
    about = {bad.pk, bad.pk.hex}

    def write(execute, sql, params, many, context):
        if sql.startswith("INSERT") and Event._meta.db_table in sql and about & {p for p in params if _is_id(p)}:
            raise Poison
        return execute(sql, params, many, context)

    with connection.execute_wrapper(write):
        yield


def _is_id(param: object) -> bool:
    return isinstance(param, str | UUID)


def attempt(step, rows) -> None:
    """What workers do with the rows that sweeps announce, one after another."""
    for row in rows:
        with suppress(Poison):
            step(row.pk)


@pytest.fixture
def three(bridge_team, signed_in_mara, spec_for, sandbox) -> list[Operation]:
    """What Mara asked for, the oldest first; the first is the bad one."""
    sandbox.advance_by_polls(0)
    return [lifecycle.request(spec_for(Kind.EMPTY), by=signed_in_mara) for _ in range(3)]


def states(operations: list[Operation]) -> list[str]:
    return [Operation.objects.get(pk=operation.pk).state for operation in operations]


def send(operations: list[Operation]) -> list[Operation]:
    for operation in operations:
        submit(operation.pk)
        operation.attempts.update(sent_at=clock.now() - timedelta(minutes=5), answered_at=clock.now())
        operation.refresh_from_db()
    return operations


def test_sending(three, goes_by):
    with poisoned(three[0]):
        for _ in range(4):
            first = fair_queue.next_in_line("create", clock.now())
            attempt(submit, [first.operation if first else three[0]])
            Attempt.objects.update(sent_at=clock.now() - timedelta(minutes=5))

    assert states(three) == [State.QUEUED, State.RUNNING, State.RUNNING]
    goes_by(60)
    submit(three[0].pk)
    assert states(three)[0] == State.RUNNING


def test_sending_while_a_file_cannot_be_looked_at(baseline_of, three, tmp_path, settings):
    bad = baseline_of(b"SQLite format 3\0" + bytes(100))
    Operation.objects.filter(pk=bad.pk).update(created_at=bad.created_at - timedelta(hours=1))
    settings.STAGING_DIR = tmp_path / "file"
    settings.STAGING_DIR.write_bytes(b"")

    for _ in range(4):
        with suppress(NotADirectoryError):
            submit(fair_queue.next_in_line("create", clock.now()).operation.pk)
        Attempt.objects.update(sent_at=clock.now() - timedelta(minutes=5))

    assert states([bad, *three]) == [State.QUEUED, *[State.RUNNING] * 3]


def test_polling(three):
    send(three)

    with poisoned(three[0]):
        attempt(poll, Operation.objects.due_for_poll(clock.now()))
        tasks.sweep_running()

    assert states(three) == [State.RUNNING, State.SUCCEEDED, State.SUCCEEDED]
    assert not Operation.objects.due_for_poll(clock.now()).exists()


def test_reconciling(three, sandbox):
    sandbox.fault("POST", r"^/imodels$", lost_answer=True, times=3)
    send(three)
    Operation.objects.update(due_at=clock.now())

    with poisoned(three[0]):
        attempt(reconcile, Operation.objects.due_for_reconcile(clock.now()))

    assert states(three) == [State.SUBMITTING, State.RUNNING, State.RUNNING]
    assert not Operation.objects.due_for_reconcile(clock.now()).filter(pk=three[0].pk).exists()


def test_uploading(baseline_of, sandbox, signed_in_mara):
    three = send([baseline_of(b"SQLite format 3\0" + bytes(100)) for _ in range(3)])

    with poisoned(three[0]):
        attempt(upload, Upload.objects.due(clock.now()))

    assert states(three) == [State.UPLOADING, State.RUNNING, State.RUNNING]
    assert not Upload.objects.due(clock.now()).exists()


def test_deleting_orphans(bridge_team, spec_for, sandbox, signed_in_mara):
    sandbox.advance_by_polls(0)
    three = [lifecycle.request(spec_for(Kind.CLONE), by=signed_in_mara) for _ in range(3)]
    for _ in three:
        sandbox.next_outcome("failed")
    for operation in send(three):
        poll(operation.pk)
        lifecycle.delete_orphan(lifecycle.operation_for(operation.pk), by=signed_in_mara)

    with poisoned(three[0]):
        attempt(cleanup.delete, Orphan.objects.due(clock.now()))

    left = [Orphan.objects.get(pk=operation.pk).state for operation in three]
    assert left == [OrphanState.DELETING, OrphanState.DELETED, OrphanState.DELETED]
    assert not Orphan.objects.due(clock.now()).exists()


def test_expiring_and_whatever_else_that_sweep_does(three, sandbox, mara):
    past = clock.now() - timedelta(minutes=1)
    Operation.objects.update(wait_reason=WaitReason.SIGN_IN, expires_at=past, due_at=clock.now() + timedelta(hours=1))
    TokenSet.objects.update(sign_in_needed=True)

    with poisoned(three[0]):
        tasks.sweep_submitting()

    assert states(three) == [State.QUEUED, State.EXPIRED, State.EXPIRED]


@pytest.mark.parametrize("by", ["the sweep", "the sign-in"])
def test_going_on_after_a_sign_in(three, mara, by):
    Operation.objects.update(wait_reason=WaitReason.SIGN_IN)

    with poisoned(three[0]):
        tasks.sweep_submitting() if by == "the sweep" else lifecycle.wake_after_sign_in(mara)

    waits = [Operation.objects.get(pk=operation.pk).wait_reason for operation in three]
    assert waits == [WaitReason.SIGN_IN, WaitReason.NONE, WaitReason.NONE]


def test_going_on_after_the_clock_was_put_back(three):
    later = clock.now() + timedelta(hours=1)
    Operation.objects.update(changed_at=later, due_at=later)

    with poisoned(three[0]):
        tasks.sweep_submitting()

    due = [Operation.objects.get(pk=operation.pk).due_at < later for operation in three]
    assert due == [False, True, True]


# ---------- files ----------


@pytest.fixture
def stale_files(mara) -> list[StagedFile]:
    """Files that nobody came back for. In the place of the first one is something that cannot be deleted."""
    staging.folder()
    then = clock.now() - timedelta(days=2)
    about = {"owner": mara, "name": "a.bim", "size": 9, "created_at": then, "touched_at": then}
    files = [StagedFile.objects.create(**about) for _ in range(3)]
    for file in files[1:]:
        staging.path_of(file).write_bytes(b"123456789")
    staging.path_of(files[0]).mkdir()
    return files


def test_forgetting_files(stale_files):
    staging.clean(clock.now())

    assert not StagedFile.objects.exists()
    assert [staging.path_of(file).exists() for file in stale_files] == [True, False, False]
    staging.path_of(stale_files[0]).rmdir()


def test_forgetting_bytes_without_a_row(stale_files):
    StagedFile.objects.all().delete()

    staging.clean(clock.now())

    assert [staging.path_of(file).exists() for file in stale_files] == [True, False, False]
    staging.path_of(stale_files[0]).rmdir()


# ---------- mail ----------

BAD = "bad@harbour.example"


def spoil_address(bad: User, mail_server) -> None:
    User.objects.filter(pk=bad.pk).update(email=f"{BAD}\nBcc: all@harbour.example")


def drop_connection(bad: User, mail_server) -> None:
    mail_server.drops = {BAD}


def refuse_address(bad: User, mail_server) -> None:
    mail_server.refuses = {BAD}


@pytest.mark.parametrize("spoil", [spoil_address, drop_connection, refuse_address])
def test_mail(failed_fork, mara, tomas, ines, otto, mail_server, spoil):
    Notification.objects.all().delete()
    User.objects.filter(pk=tomas.pk).update(email=BAD)
    now = clock.now()
    for number, to in enumerate([tomas, mara, ines, otto]):
        due_at = now - timedelta(minutes=9 - number)
        Notification.objects.create(to=to, operation=failed_fork, kind="failed", written_at=now, due_at=due_at)
    spoil(tomas, mail_server)

    outbox.send_due()

    assert [len(mail_server.to(person.email)) for person in (mara, ines, otto)] == [1, 1, 1]
    due_at = Notification.objects.get(sent_at=None).due_at
    assert due_at is None or due_at > clock.now() + timedelta(minutes=1)
    assert CircuitBreaker.objects.get(name="mail").failures == 0


# ---------- keys, export, lists ----------


def test_encrypting_with_a_new_key(signed_in_mara, tomas, otto, sandbox):
    for name, person in (("tomas", tomas), ("otto", otto)):
        tokens.store(person, sandbox.tokens_for(name))
    spoiled = Fernet(settings.TOKEN_KEYS[0].encode()).encrypt(b"\xff\xfe").decode()
    TokenSet.objects.filter(user=signed_in_mara).update(access_token=spoiled)
    before = set(TokenSet.objects.values_list("access_token", flat=True))

    assert tokens.reencrypt() == 2

    assert before & set(TokenSet.objects.values_list("access_token", flat=True)) == {spoiled}


@pytest.mark.on_sqlite  # PostgreSQL stores no such character
def test_exporting(client, ines, three):
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = on")
    events.record("failed", at=clock.now(), operation=three[1], by=None, to=State.FAILED, code="\ud800")
    client.force_login(ines)

    exported = {row["operation_id"] for row in table(client.get(reverse("imodels:audit-export")))}

    assert {str(operation.pk) for operation in three} <= exported


@pytest.mark.parametrize("odd", [None, 7, "x", [], {}, {"id": None}, {"id": 7}, {"id": ["x"]}], ids=repr)
def test_reading_lists(platform_of, sandbox, odd):
    good = [{"id": str(uuid4()), "name": f"Pier {number}", "displayName": f"Pier {number}"} for number in range(2)]
    for path, name in ((r"^/imodels$", "iModels"), (r"^/itwins$", "iTwins")):
        sandbox.fault("GET", path, status=200, body={name: [odd, *good]}, times=1)
    there = platform_of("mara")

    assert [one.name for one in there.imodels(HARBOUR)] == ["Pier 0", "Pier 1"]
    assert [one.name for one in there.itwins()] == ["Pier 0", "Pier 1"]


@pytest.fixture
def forks(bridge_team, signed_in_mara, tomas, spec_for) -> list[Operation]:
    """Forks that wait for a decision, the oldest first; the first is the bad one."""
    return [lifecycle.request(spec_for(Kind.FORK, name=f"Pier {at}"), by=signed_in_mara) for at in range(3)]


def test_calling_off_what_a_closed_account_asked_for(forks, mara, ines):
    mara.is_active = False

    with poisoned(forks[0]):
        rights.save(mara, by=ines)

    assert states(forks) == [State.AWAITING_APPROVAL, State.CANCELLED, State.CANCELLED]
    tasks.sweep_submitting()
    assert states(forks)[0] == State.CANCELLED


def test_moving_requests_to_the_team_that_decides_now(forks, ines):
    team = Team.objects.create(name="Harbour team")
    row = TeamITwin.objects.get(itwin_id=forks[0].deciding_itwin_id)
    row.team = team

    with poisoned(forks[0]):
        rights.save(row, by=ines)

    moved = [Operation.objects.get(pk=fork.pk).team == team for fork in forks]
    assert moved == [False, True, True]
    tasks.sweep_submitting()
    assert Operation.objects.get(pk=forks[0].pk).team == team


def test_asking_who_is_left(forks, tomas, ines):
    """Nobody is, for she who removed the only lead gives herself no right by it."""
    with poisoned(forks[0]):
        rights.delete(tomas.membership_set.get(), by=ines)

    assert states(forks) == [State.AWAITING_APPROVAL, State.EXPIRED, State.EXPIRED]
    tasks.sweep_approvals()
    assert set(states(forks)) == {State.EXPIRED}


def test_asking_a_deputy(forks, tomas, otto):
    now = clock.now()
    place = tomas.membership_set.get()
    place.team.membership_set.create(user=otto, email=otto.email)
    day = {"starts_at": now - timedelta(hours=1), "ends_at": now + timedelta(days=1), "given_at": now}
    Absence.objects.create(lead=tomas, deputy=otto, team=place.team, given_by=tomas, **day)

    with poisoned(forks[0]):
        tasks.sweep_submitting()

    asked = Event.objects.filter(verb="deputy_asked").values_list("operation", flat=True)
    assert set(asked) == {forks[1].pk, forks[2].pk}


@pytest.mark.parametrize("late", ["to remind", "to void"])
def test_reminding_and_voiding(forks, tomas, late):
    past = clock.now() - timedelta(minutes=1)
    if late == "to void":
        for fork in forks:
            lifecycle.approve(fork, by=tomas, comment="Fine.")
    Operation.objects.update(**({"remind_at": past} if late == "to remind" else {"use_by": past}))

    with poisoned(forks[0]):
        tasks.sweep_approvals()

    verb = "reminded" if late == "to remind" else "approval_lapsed"
    assert set(Event.objects.filter(verb=verb).values_list("operation", flat=True)) == {forks[1].pk, forks[2].pk}


def test_telling_what_was_refused(three):
    past = clock.now() - timedelta(hours=1)
    for at in range(3):
        RefusedAccess.objects.create(verb="sign_in_failed", address=f"192.0.2.{at}", since=past, count=1)
    RefusedAccess.objects.filter(address="192.0.2.0").update(verb="no such word")

    refusals.close_windows(clock.now())

    assert Event.objects.filter(verb="sign_in_failed").count() == 2
