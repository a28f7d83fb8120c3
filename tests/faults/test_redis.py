"""Redis down, flushed, and restarted again and again: lines 21 to 23."""

import os
import time

import pytest
import redis
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.models import Operation
from imodels_app.states import Kind, State
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.same_on_both]

# In `make soak`; `make test` plays the short form.
IN_SOAK = [pytest.param("long", marks=pytest.mark.soak), "short"]
DOWN_FOR_S = {"long": float(os.environ.get("SOAK_REDIS_DOWN_S", "300")), "short": 0}
RESTARTS = {"long": int(os.environ.get("SOAK_REDIS_RESTARTS", "20")), "short": 3}


def all_succeeded() -> bool:
    return not Operation.objects.exclude(state=State.SUCCEEDED).exists()


@pytest.mark.parametrize("length", IN_SOAK)
def test_21_while_redis_is_down_pages_and_approvals_work_and_submits_go_on_soon_after(
    waiting_fork,
    signed_in_mara,
    tomas,
    confirmed_leads,
    spec_for,
    sandbox,
    processes,
    redis_process,
    client,
    reached,
    length,
    record_property,
):
    sandbox.advance_by_polls(1)
    worker = processes.desk()
    first = lifecycle.request(spec_for(Kind.EMPTY), by=signed_in_mara)
    reached(first, State.SUCCEEDED)

    redis_process.stop()
    client.force_login(tomas)
    for page in ("operation-list", "approval-list", "new", "readyz"):
        assert client.get(reverse(f"imodels:{page}")).status_code == 200
    approve = reverse("imodels:approve", args=[waiting_fork.pk])
    assert client.post(approve, {"comment": "Fine."}).status_code == 302
    asked = [lifecycle.request(spec_for(Kind.EMPTY), by=signed_in_mara) for _ in range(2)]
    waiting_fork.refresh_from_db()
    assert waiting_fork.state == State.QUEUED
    wait_until(lambda: "Connection to broker lost" in processes.log(worker), what="a worker that notices")
    time.sleep(DOWN_FOR_S[length])
    redis_process.start()

    back_at = time.monotonic()
    wait_until(lambda: not Operation.objects.filter(state=State.QUEUED).exists(), what="that everything was sent")
    record_property("figure", f"everything sent {time.monotonic() - back_at:.1f} s after Redis was back")
    wait_until(all_succeeded, what="everything that was asked")
    assert len(asked) + 2 == Operation.objects.count()


@pytest.mark.soak
def test_22_a_redis_flushed_at_full_load_loses_nothing_and_causes_no_429(
    bridge_team, signed_in_mara, spec_for, sandbox, processes, redis_url
):
    """As many as are allowed in the first half minute, of two kinds, and a flush each second."""
    sandbox.advance_by_polls(2)
    processes.desk()
    for number in range(14):
        lifecycle.request(spec_for(Kind.CLONE if number % 4 == 0 else Kind.EMPTY), by=signed_in_mara)

    with redis.Redis.from_url(redis_url) as client:

        def over_after_a_flush() -> bool:
            client.flushall()
            time.sleep(1)
            return all_succeeded()

        wait_until(over_after_a_flush, what="everything that was asked")

    assert sandbox.calls("POST", "/imodels") + sandbox.calls("POST", "/clone") == 14
    assert not [entry for entry in sandbox.journal if entry.status == 429]


@pytest.mark.parametrize("length", IN_SOAK)
def test_23_a_worker_consumes_again_each_time_that_redis_was_restarted(
    bridge_team, signed_in_mara, spec_for, sandbox, processes, redis_process, reached, length, record_property
):
    sandbox.advance_by_polls(1)
    worker = processes.desk()
    took = []

    for _ in range(RESTARTS[length]):
        redis_process.stop()
        redis_process.start()
        began = time.monotonic()
        reached(lifecycle.request(spec_for(Kind.EMPTY), by=signed_in_mara), State.SUCCEEDED)
        took.append(time.monotonic() - began)

    assert worker.poll() is None
    figures = ", ".join(f"{seconds:.1f}" for seconds in took)
    record_property("figure", f"Redis restarted {len(took)} times, next operation done after {figures} s")
