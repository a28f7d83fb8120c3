"""How many calls leave, and that each is counted: while the platform is down, and while all goes well."""

from datetime import timedelta

import pytest

from imodels_app import lifecycle
from imodels_app.limits import circuit_breaker, rate_limits
from imodels_app.models import Bucket, Operation
from imodels_app.runtime import clock
from imodels_app.states import FINISHED, Kind, Outcome, State
from imodels_app.workers.reconcile import reconcile

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("signed_in_mara")]

API = ("/imodels", "/itwins", "/accesscontrol", "/users")


@pytest.mark.no_oracle
@pytest.mark.parametrize("count", [5, 50])
def test_an_open_circuit_lets_one_call_through_each_twenty_seconds_however_many_wait(
    mara, spec_for, sandbox, settings, virtual_clock, count
):
    settings.ITWIN_TIER = "premium"
    for _ in range(count):
        operation = lifecycle.request(spec_for(Kind.EMPTY), by=mara)
        attempt = lifecycle.claim(operation, bucket="create", now=clock.now() - timedelta(minutes=1))
        lifecycle.answered(attempt, Outcome.UNKNOWN)
    sandbox.fault("*", r"^/imodels", times=100_000, status=500)
    for _ in range(circuit_breaker.FAILURES_TO_OPEN):
        Operation.objects.update(due_at=clock.now())
        reconcile(Operation.objects.order_by("created_at").first().pk)
    virtual_clock.passes(60)
    opened = len(sandbox.journal)

    for _ in range(300):
        virtual_clock.passes(1)
        for pk in Operation.objects.due_for_reconcile(clock.now()).values_list("pk", flat=True):
            reconcile(pk)

    assert 300 / 20 - 1 <= len(sandbox.journal) - opened <= 300 / 20 + 2


def test_the_journeys_of_all_five_kinds_count_exactly_the_calls_that_arrive(
    bridge_team, mara, tomas, spec_for, baseline_of, sandbox, tick, goes_by
):
    sandbox.limits_off()
    sandbox.advance_by_polls(4)
    for kind in (Kind.EMPTY, Kind.TEMPLATE, Kind.CLONE):
        lifecycle.request(spec_for(kind), by=mara)
    baseline_of(b"SQLite format 3\0" + bytes(1000))
    lifecycle.approve(lifecycle.request(spec_for(Kind.FORK), by=mara), by=tomas)

    for _ in range(100):
        if not Operation.objects.exclude(state__in=FINISHED).exists():
            break
        tick()
        goes_by(5)

    counted = Bucket.objects.get(name=rate_limits.CALLS).counted
    arrived = sum(entry.path.startswith(API) for entry in sandbox.journal)
    assert set(Operation.objects.values_list("state", flat=True)) == {State.SUCCEEDED}
    assert counted == arrived
