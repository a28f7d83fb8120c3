"""Line 28 of docs/reliability.md: the database's own clock jumps by an hour. In virtual time, and for real."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection

from imodels_app import lifecycle, tasks
from imodels_app.accounts import tokens
from imodels_app.limits import circuit_breaker
from imodels_app.models import Operation, TokenSet, Upload
from imodels_app.runtime import clock, dispatch
from imodels_app.states import Kind, State
from imodels_app.workers.poll import poll
from imodels_app.workers.submit import submit
from tests.faults import oracle
from tests.files import a_file
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.same_on_both]

HOUR_S = 3600
JUMPS = pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S], ids=["forward", "back"])
DOES = {"imodels_app.submit": submit, "imodels_app.poll": poll}


@pytest.fixture
def second(virtual_clock, monkeypatch):
    """second() is one of the timetable's: the sweeps, and what they announce."""
    hints: list[tuple[str, UUID]] = []
    monkeypatch.setattr(dispatch, "send", lambda task, pk, **how: hints.append((task, pk)))

    def pass_() -> None:
        virtual_clock.passes(1)
        for sweep in (tasks.sweep_submitting, tasks.sweep_queued, tasks.sweep_running):
            sweep()
        while hints:
            task, pk = hints.pop(0)
            DOES[task](UUID(str(pk)))

    return pass_


@pytest.fixture
def clones(bridge_team, signed_in_mara, spec_for, virtual_clock, sandbox):
    """More than a minute's budget allows."""
    sandbox.advance_by_polls(0)
    return [lifecycle.request(spec_for(Kind.CLONE), by=signed_in_mara) for _ in range(30)]


@pytest.mark.no_oracle
@JUMPS
def test_28_a_jump_of_the_databases_clock_makes_no_burst_and_no_long_pause(
    clones, second, virtual_clock, sandbox, jump_s
):
    """How long ago the last request left is told by that clock alone: one may leave too early, and is told to wait."""
    for _ in range(40):
        second()
    before = sandbox.calls("POST", "/clone")
    virtual_clock.jumps(jump_s)
    for _ in range(180):
        second()
        if not Operation.objects.exclude(state=State.SUCCEEDED).exists():
            break

    assert before >= 12
    refused = [entry.path for entry in sandbox.journal if entry.status == 429]
    assert len(refused) <= 1
    assert sandbox.calls("POST", "/clone") == 30 + len(refused)
    assert not Operation.objects.exclude(state=State.SUCCEEDED).exists()
    assert not list(oracle.made_twice(sandbox))


@pytest.mark.no_oracle
def test_28_an_approval_expires_earlier_by_the_jump_and_by_no_more(waiting_fork, second, virtual_clock, sandbox):
    Operation.objects.update(expires_at=virtual_clock.now() + timedelta(hours=2))

    virtual_clock.jumps(HOUR_S)
    virtual_clock.passes(3500)
    second()
    waiting_fork.refresh_from_db()
    assert waiting_fork.state == State.AWAITING_APPROVAL
    virtual_clock.passes(100)
    second()

    waiting_fork.refresh_from_db()
    assert waiting_fork.state == State.EXPIRED


@pytest.mark.no_oracle
def test_28_leases_taken_before_the_clock_was_put_back_end_all_the_same(
    signed_in_mara, queued_clone, second, virtual_clock, sandbox
):
    sandbox.advance_manually()
    queued_clone.refresh_from_db()
    second()
    virtual_clock.passes(HOUR_S)
    for _ in range(circuit_breaker.FAILURES_TO_OPEN):
        circuit_breaker.record_failure(clock.now())
    assert tokens._take_lease(TokenSet.objects.get())
    assert circuit_breaker.open_until(clock.now())

    virtual_clock.jumps(-HOUR_S)
    virtual_clock.passes(1)

    assert circuit_breaker.open_until(clock.now()) is None
    assert tokens.access_token(signed_in_mara)


@pytest.mark.no_oracle
def test_28_what_ran_for_long_before_the_clock_was_put_back_is_looked_at_within_seconds(
    running_clone, signed_in_mara, second, virtual_clock, sandbox
):
    virtual_clock.passes(3 * HOUR_S)
    Operation.objects.update(due_at=virtual_clock.now() + timedelta(seconds=100))

    virtual_clock.jumps(-HOUR_S)
    for _ in range(3):
        second()

    running_clone.refresh_from_db()
    assert running_clone.polls > 0


@pytest.mark.no_oracle
def test_28_a_file_whose_uploader_died_right_before_the_clock_was_put_back_goes_on_within_seconds(
    baseline_of, signed_in_mara, virtual_clock, sandbox
):
    operation = baseline_of(a_file())
    submit(operation.pk)
    virtual_clock.passes(3 * HOUR_S)
    lifecycle.lease_upload(lifecycle.operation_for(operation.pk))

    virtual_clock.jumps(-HOUR_S)
    tasks.sweep_submitting()

    assert Upload.objects.due(virtual_clock.now()).exists()


# For real: a PostgreSQL whose clock_timestamp() is ours.


@pytest.fixture
def databases_clock(postgres_process):
    """databases_clock(seconds) puts the clock of the database forward or back, for whoever asks from now on."""
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute("""
            CREATE SCHEMA jumped;
            CREATE TABLE jumped.ahead (by interval NOT NULL);
            INSERT INTO jumped.ahead VALUES ('0');
            CREATE FUNCTION jumped.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
              'SELECT pg_catalog.clock_timestamp() + (SELECT by FROM jumped.ahead)'
        """)
        # Named like this, the system's own functions are not looked for first.
        cursor.execute(f'ALTER DATABASE "{name}" SET search_path = jumped, pg_catalog, public')
    connection.close()

    def jump(seconds: float) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE jumped.ahead SET by = %s", [f"{seconds} seconds"])
        clock._last = None

    yield jump
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" RESET search_path')
        cursor.execute("DROP SCHEMA jumped CASCADE")
    connection.close()
    clock._last = None


@pytest.mark.soak
@JUMPS
def test_28_real_workers_go_on_when_the_clock_of_a_real_postgres_jumps(
    databases_clock, processes, bridge_team, signed_in_mara, spec_for, sandbox, reached, jump_s
):
    sandbox.advance_by_polls(0)
    processes.desk()
    asked = [lifecycle.request(spec_for(Kind.CLONE), by=signed_in_mara) for _ in range(5)]
    wait_until(lambda: sandbox.calls("POST", "/clone") >= 2, what="a beginning")
    before = clock.now()

    databases_clock(jump_s)
    asked += [lifecycle.request(spec_for(Kind.CLONE), by=signed_in_mara) for _ in range(2)]

    assert abs((clock.now() - before).total_seconds() - jump_s) < 60
    for clone in asked:
        reached(clone, State.SUCCEEDED)
    assert sandbox.calls("POST", "/clone") == len(asked)
    assert not [entry for entry in sandbox.journal if entry.status == 429]
