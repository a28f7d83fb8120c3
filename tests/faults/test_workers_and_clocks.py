"""Lines 25 to 29, 37 and 38 of docs/reliability.md: tasks that come twice, processes that hang, clocks apart."""

import os
import signal
import time
from datetime import timedelta
from functools import partial
from itertools import pairwise

import pytest
from celery import current_app
from django.conf import settings
from django.db import connection
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.accounts import permissions
from imodels_app.models import Attempt, Bucket, Operation
from imodels_app.runtime import clock
from imodels_app.states import Kind, Outcome, State
from tests.people import HARBOUR
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def desk(processes, sandbox, bridge_team, signed_in_mara):
    """A worker and a beat at work; an operation ends at the first look."""
    sandbox.advance_by_polls(0)
    processes.desk()
    return processes


def deliver(task: str, operation: Operation, *, times: int) -> None:
    for _ in range(times):
        current_app.send_task(f"imodels_app.{task}", [str(operation.pk)], ignore_result=True)


# 25


@pytest.mark.parametrize("times", [pytest.param(2, marks=pytest.mark.soak), 10])
def test_25_a_task_delivered_several_times_sends_one_request(desk, spec_for, mara, sandbox, reached, times):
    held = sandbox.fault("POST", r"/clone$", held=True)
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)
    wait_until(lambda: held.holding, what="the request")

    deliver("submit", clone, times=times)
    wait_until(lambda: desk.count("submit", "succeeded") >= times, what="the others")
    held.release()
    reached(clone, State.RUNNING, State.SUCCEEDED)
    deliver("poll", clone, times=times)
    deliver("reconcile", clone, times=times)

    reached(clone, State.SUCCEEDED)
    assert sandbox.calls("POST", "/clone") == clone.attempts.count() == 1


def test_25_a_task_delivered_an_hour_late_does_nothing(desk, spec_for, mara, sandbox, reached, time_passes):
    clone = reached(lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara), State.SUCCEEDED)
    time_passes(3600)
    before = (clone.version, len(sandbox.journal))

    for task in ("submit", "reconcile", "poll"):
        deliver(task, clone, times=2)
    later = reached(lifecycle.request(spec_for(Kind.CLONE), by=mara), State.SUCCEEDED)

    clone.refresh_from_db()
    assert clone.version == before[0]
    assert sandbox.calls("POST", "/clone") == 2
    assert later.attempts.count() == 1


# 26


def test_26_two_beats_and_two_workers_send_each_request_once(desk, spec_for, mara, sandbox, reached, time_passes):
    desk.desk()

    clones = [lifecycle.request(spec_for(Kind.EMPTY), by=mara) for _ in range(3)]

    for clone in clones:
        reached(clone, State.SUCCEEDED)
    assert sandbox.calls("POST", "/imodels") == 3
    assert Attempt.objects.count() == 3


def test_26_two_sweeps_at_once_announce_each_row_once(queued_clone, running_clone, redis_url):
    from imodels_app import tasks

    Operation.objects.filter(pk=running_clone.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    for _ in range(2):
        tasks.sweep_running()

    with current_app.connection_for_read() as broker:
        declare = broker.default_channel.queue_declare
        waiting = sum(declare(queue, passive=True).message_count for queue in ("celery", "polls"))
    # One hint when it was queued, one when it was accepted, and one of the first sweep.
    assert waiting == 3


def test_26_a_dead_beat_is_made_up_for_by_the_next(desk, spec_for, mara, reached, processes):
    for process, _ in processes._started[1:]:
        processes.kill(process)
    clone = lifecycle.request(spec_for(Kind.EMPTY), by=mara)
    processes.beat()

    reached(clone, State.SUCCEEDED)


# 27


def test_27_a_worker_stopped_before_it_sent_sends_nothing_when_it_goes_on_after_its_lease(
    desk, spec_for, mara, sandbox, reached, time_passes
):
    desk.arm("submit.claimed", "stop")
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)
    stopped = desk.struck("submit.claimed")

    time_passes(120)
    reached(clone, State.SUCCEEDED)
    os.kill(stopped, signal.SIGCONT)
    desk.finish("submit")

    assert sandbox.calls("POST", "/clone") == 1
    assert [attempt.outcome for attempt in clone.attempts.all()] == [Outcome.UNKNOWN, Outcome.ACCEPTED]


def test_27_a_claim_is_for_sending_at_once_and_an_old_one_sends_nothing(queued_clone):
    attempt = lifecycle.claim(queued_clone, bucket="clone", now=clock.now() - timedelta(seconds=11))

    with pytest.raises(lifecycle.Conflict, match="has expired"):
        lifecycle.confirm_claim(queued_clone, attempt)


def test_27_a_claim_that_grows_old_while_the_database_is_asked_for_it_sends_nothing(queued_clone, virtual_clock):
    attempt = lifecycle.claim(queued_clone, bucket="clone", now=clock.now())

    def slow(execute, *statement):
        virtual_clock.passes(11)
        return execute(*statement)

    with connection.execute_wrapper(slow), pytest.raises(lifecycle.Conflict, match="has expired"):
        lifecycle.confirm_claim(queued_clone, attempt)


def test_27_a_worker_stopped_after_the_answer_writes_nothing_when_it_goes_on(
    desk, spec_for, mara, sandbox, reached, time_passes
):
    desk.arm("submit.answered", "stop")
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)
    stopped = desk.struck("submit.answered")

    time_passes(30)
    version = reached(clone, State.SUCCEEDED).version
    os.kill(stopped, signal.SIGCONT)
    desk.finish("submit")

    clone.refresh_from_db()
    assert clone.version == version
    assert sandbox.calls("POST", "/clone") == 1


# 28


@pytest.mark.parametrize("ahead_s", [3600, pytest.param(-300, marks=pytest.mark.soak)])
def test_28_a_worker_whose_clock_is_wrong_works_as_any_other(
    processes, sandbox, bridge_team, signed_in_mara, spec_for, reached, ahead_s
):
    sandbox.advance_by_polls(0)
    Bucket.objects.create(name="clone", no_bursts_until=timezone.now() + timedelta(hours=1))
    processes.worker(clock_ahead_s=ahead_s)
    processes.beat()
    asked_at = timezone.now()

    clones = [lifecycle.request(spec_for(Kind.CLONE), by=signed_in_mara) for _ in range(2)]

    for clone in clones:
        reached(clone, State.SUCCEEDED)
    sent = sorted(Attempt.objects.values_list("sent_at", flat=True))
    a_minute = timedelta(minutes=1)
    assert asked_at - a_minute < sent[0] < sent[-1] < timezone.now() + a_minute
    # Twenty a minute: whatever the host's clock says, three seconds lie between two.
    assert all(later - earlier > timedelta(seconds=2.9) for earlier, later in pairwise(sent))
    assert sandbox.calls("POST", "/clone") == 2


def test_28_the_clock_is_the_databases_and_no_jump_of_the_hosts_moves_it(db, monkeypatch):
    before = clock.now()
    real = time.time

    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    monkeypatch.setattr(timezone, "now", lambda: before + timedelta(hours=1))

    assert before <= clock.now() < before + timedelta(minutes=30)
    monkeypatch.setattr(clock, "_last", None)
    assert before <= clock.now() < before + timedelta(minutes=30)


# 29


BREAK_SQLITE = """
CREATE TRIGGER full_disk BEFORE UPDATE ON imodels_app_operation WHEN NEW.state = 'running' AND OLD.state <> 'running'
BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END
"""
BREAK_POSTGRES = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001'; END $$;
CREATE TRIGGER full_disk BEFORE UPDATE ON imodels_app_operation FOR EACH ROW
WHEN (NEW.state = 'running' AND OLD.state <> 'running') EXECUTE FUNCTION full_disk()
"""
BROKEN = {"sqlite": BREAK_SQLITE, "postgresql": BREAK_POSTGRES}
MENDED = {
    "sqlite": "DROP TRIGGER IF EXISTS full_disk",
    "postgresql": "DROP FUNCTION IF EXISTS full_disk CASCADE",
}


def run(statements: dict[str, str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statements[connection.vendor])


@pytest.fixture
def database_that_refuses(transactional_db):
    """Whatever would store the platform's answer fails, as with a full disk or a serialization failure."""
    run(BROKEN)
    yield
    run(MENDED)


def test_29_an_answer_that_cannot_be_stored_is_found_again_when_the_database_takes_it(
    desk, database_that_refuses, spec_for, mara, sandbox, reached, time_passes
):
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)
    wait_until(lambda: bool(sandbox.imodels_named("Pier 7", HARBOUR)), what="the iModel at the platform")
    wait_until(lambda: desk.count("submit", "raised"), what="an answer that cannot be stored")
    time_passes(30)
    wait_until(lambda: desk.count("reconcile", "raised"), what="what was found and cannot be stored either")
    clone.refresh_from_db()
    assert clone.state == State.SUBMITTING

    run(MENDED)
    time_passes(30)

    reached(clone, State.SUCCEEDED)
    assert sandbox.calls("POST", "/clone") == 1


# 37


def test_37_who_cancels_before_the_claim_wins_and_nothing_is_sent(desk, spec_for, mara, sandbox, reached):
    desk.arm("submit.claiming", "stop")
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)
    stopped = desk.struck("submit.claiming")

    lifecycle.cancel(clone, by=mara)
    os.kill(stopped, signal.SIGCONT)
    desk.finish("submit")

    clone.refresh_from_db()
    assert clone.state == State.CANCELLED
    assert not clone.attempts.exists()
    assert sandbox.calls("POST", "/clone") == 0


def test_37_who_cancels_after_the_claim_is_told_that_it_was_sent(desk, spec_for, mara, sandbox, reached):
    held = sandbox.fault("POST", r"/clone$", held=True)
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)
    wait_until(lambda: held.holding, what="the request")

    with pytest.raises(lifecycle.Conflict, match="changed meanwhile"):
        lifecycle.cancel(clone, by=mara)
    clone.refresh_from_db()
    with pytest.raises(permissions.Denied, match="cannot stop"):
        lifecycle.cancel(clone, by=mara)
    held.release()

    reached(clone, State.SUCCEEDED)
    assert sandbox.calls("POST", "/clone") == 1


def test_37_what_was_sent_once_and_seems_never_to_have_arrived_cannot_be_cancelled_either(queued_clone, mara):
    attempt = lifecycle.claim(queued_clone, bucket="clone", now=clock.now())
    lifecycle.answered(attempt, Outcome.UNKNOWN)
    lifecycle.send_again(queued_clone, note="The request never arrived.")

    with pytest.raises(lifecycle.Conflict, match="sent once"):
        lifecycle.cancel(queued_clone, by=mara)


# 38


@pytest.mark.parametrize("times", [1, pytest.param(3, marks=pytest.mark.soak)])
def test_38_workers_replaced_one_after_another_finish_what_they_do_and_lose_nothing(
    desk, spec_for, mara, sandbox, reached, processes, times
):
    old, operations = processes._started[0][0], []
    for _ in range(times):
        held = sandbox.fault("POST", r"/imodels$", held=True)
        operations += [lifecycle.request(spec_for(Kind.EMPTY), by=mara) for _ in range(3)]
        wait_until(partial(getattr, held, "holding"), what="a request")
        processes.ask_to_stop(old)
        held.release()
        old.wait(PATIENCE_S)
        old = processes.worker()

    for spec in operations:
        reached(spec, State.SUCCEEDED)
    assert sandbox.calls("POST", "/imodels") == 3 * times
    # Nothing was cut off in the middle, so nothing had to be looked up.
    assert set(Attempt.objects.values_list("outcome", flat=True)) == {Outcome.ACCEPTED}


@pytest.mark.soak
def test_38_an_idle_worker_ends_at_once(desk):
    worker = desk._started[0][0]

    desk.stop(worker)

    assert "Soft Shutdown" not in desk.log(worker)


@pytest.fixture
def newer_schema(transactional_db):
    """The tables as the next version's migration leaves them: a column more, which the old code does not know."""
    table = "imodels_app_operation"
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} ADD COLUMN of_the_next_version varchar(20) DEFAULT 'x'")
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} DROP COLUMN of_the_next_version")


def test_38_an_old_worker_works_on_the_next_versions_tables(desk, newer_schema, spec_for, mara, sandbox, reached):
    clone = lifecycle.request(spec_for(Kind.CLONE), by=mara)

    reached(clone, State.SUCCEEDED)


# A worker that lives and does not consume


def test_a_worker_that_no_longer_consumes_ends_and_the_next_one_goes_on(
    processes, sandbox, bridge_team, signed_in_mara, spec_for, reached
):
    sandbox.advance_by_polls(0)
    worker = processes.worker(silent_for_s=3)
    for queue in settings.CELERY_TASK_QUEUES:
        assert current_app.control.cancel_consumer(queue, reply=True, limit=1, timeout=PATIENCE_S)
    clone = lifecycle.request(spec_for(Kind.CLONE), by=signed_in_mara)
    processes.beat()

    assert worker.wait(20) == -signal.SIGKILL
    assert "Messages are waiting and this worker takes none" in processes.log(worker)
    processes.worker()
    reached(clone, State.SUCCEEDED)
