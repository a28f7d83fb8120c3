"""The platform does not answer for an hour: line 16."""

import time

import pytest
from django.urls import reverse
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.limits import circuit_breaker
from imodels_app.models import CircuitBreaker, Operation
from imodels_app.states import FINISHED, Kind, State
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.same_on_both]

BANNER = "The platform has not answered since"
STEP_S = 5


@pytest.fixture
def work(bridge_team, signed_in_mara, spec_for, sandbox):
    """What was under way when it began: three clones that run; and three more that were asked for just then."""
    sandbox.limits_off()  # its clock does not jump
    sandbox.advance_by_polls(3)

    def ask(number: int) -> list[Operation]:
        kinds = [Kind.CLONE, Kind.EMPTY, Kind.CLONE]
        return [lifecycle.request(spec_for(kinds[one % 3]), by=signed_in_mara) for one in range(number)]

    return ask


# A GET that meets these is repeated by the client after a moment, which takes real seconds.
REPEATED = [{"status": 503}, {"cut": True}, {"status": 504, "body": "<html>Gateway</html>"}]


@pytest.mark.parametrize(
    ("minutes", "how"),
    [
        (10, {"status": 500}),
        pytest.param(60, {"status": 500}, marks=pytest.mark.soak),
        *(pytest.param(10, how, marks=pytest.mark.soak) for how in REPEATED),
    ],
    ids=str,
)
def test_16_an_hour_of_5xx_opens_the_circuit_slows_everything_and_loses_nothing(
    work, sandbox, tick, goes_by, client, mara, minutes, how
):
    running = work(3)
    while Operation.objects.exclude(state__in=[State.RUNNING, *FINISHED]).exists():
        tick()
        goes_by(STEP_S)
    before = len(sandbox.journal)
    sandbox.fault("*", r"^/(imodels|itwins|accesscontrol)", times=100_000, **how)
    asked = work(6)

    for _ in range(minutes * 60 // (2 * STEP_S)):
        tick()
        goes_by(2 * STEP_S)

    # A GET may be repeated twice within one call, so a try is up to three requests.
    tries, each = len(sandbox.journal) - before, 1 if how.get("status") == 500 else 3
    assert tries <= each * (minutes * 12 + 20), f"{tries} requests in {minutes} minutes are no slowing down"
    assert circuit_breaker.outage(timezone.now())
    client.force_login(mara)
    for page in ("operation-list", "approval-list", "new"):
        assert client.get(reverse(f"imodels:{page}")).text.count(BANNER) == 1
    assert not Operation.objects.filter(state=State.FAILED).exists()

    sandbox.clear_faults()
    for _ in range(30 // STEP_S):
        tick()
        goes_by(STEP_S)
    assert circuit_breaker.outage(timezone.now()) is None, "not noticed within 30 s that the platform answers again"
    assert BANNER not in client.get(reverse("imodels:operation-list")).text
    for _ in range(60):
        if not Operation.objects.exclude(state=State.SUCCEEDED).exists():
            break
        tick()
        goes_by(STEP_S)

    for operation in [*running, *asked]:
        operation.refresh_from_db()
        assert operation.state == State.SUCCEEDED


def test_16_answers_lost_in_an_outage_are_reconciled_after_it_and_nothing_is_made_twice(work, sandbox, tick, goes_by):
    sandbox.fault("POST", r"/(imodels|clone)$", times=3, lost_answer=True)  # made, and nobody is told
    sandbox.fault("*", r"^/imodels", times=100_000, status=500)
    asked = work(4)
    for _ in range(24):
        tick()
        goes_by(STEP_S)
    sandbox.clear_faults()

    for _ in range(60):
        tick()
        goes_by(STEP_S)

    for operation in asked:
        operation.refresh_from_db()
        assert operation.state == State.SUCCEEDED
        assert len(sandbox.imodels_named(operation.name)) == 1


def test_16_while_nothing_runs_the_next_try_is_left_to_whoever_wants_to_send(work, sandbox, tick, goes_by):
    """A sweep with nothing to follow must not use up the one try."""
    for _ in range(circuit_breaker.FAILURES_TO_OPEN):
        circuit_breaker.record_failure(timezone.now())
    (asked,) = work(1)

    for _ in range(6):
        tick()
        goes_by(STEP_S)

    asked.refresh_from_db()
    assert asked.state in (State.RUNNING, State.SUCCEEDED)


def test_16_one_failed_call_is_no_outage_and_a_success_forgets_it():
    now = timezone.now()
    for _ in range(circuit_breaker.FAILURES_TO_OPEN - 1):
        circuit_breaker.record_failure(now)
    assert circuit_breaker.outage(now) is None

    circuit_breaker.record_success()
    circuit_breaker.record_failure(now)

    assert circuit_breaker.outage(now) is None
    assert CircuitBreaker.objects.get().failures == 1


@pytest.mark.measure
def test_16_real_workers_go_on_within_30_s_of_the_end_of_an_outage(work, sandbox, processes, record_property):
    processes.desk()
    sandbox.fault("*", r"^/(imodels|itwins)", for_s=60, status=503)
    asked = work(4)
    wait_until(lambda: circuit_breaker.outage(timezone.now()) is not None, what="an open circuit")
    wait_until(lambda: not sandbox.platform.faults.waiting, what="the end of the outage")
    began = time.monotonic()

    wait_until(lambda: circuit_breaker.outage(timezone.now()) is None, what="the recovery")
    recovered_s = time.monotonic() - began
    wait_until(lambda: not Operation.objects.exclude(state=State.SUCCEEDED).exists(), what="all that was asked")
    done_s = time.monotonic() - began

    record_property(
        "figure", f"recovered {recovered_s:.1f} s after an outage, and everything done after {done_s:.1f} s"
    )
    assert len(asked) == Operation.objects.count()
    assert recovered_s <= 30
