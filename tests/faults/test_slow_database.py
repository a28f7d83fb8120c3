"""Between two lines of ours a minute may pass: the database is slow, the host is paused, a token is refreshed.

What was true before is looked at again, and the clock last, right before something leaves that nothing brings back.
"""

import json

import pytest
from django.db import connection

from imodels_app import lifecycle
from imodels_app.limits import rate_limits
from imodels_app.models import Attempt, Bucket, Operation
from imodels_app.runtime import failpoints
from imodels_app.states import Kind, OrphanState, State, WaitReason
from imodels_app.workers import cleanup
from imodels_app.workers.poll import poll
from imodels_app.workers.reconcile import reconcile
from imodels_app.workers.submit import submit
from tests.people import HARBOUR

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.same_on_both,
    pytest.mark.usefixtures("signed_in_mara"),
]


@pytest.fixture
def meanwhile(monkeypatch):
    """meanwhile("submit.claiming", act) does something at that place, once."""

    def at(place, act):
        left = [act]

        def reach(name):
            if name == place and left:
                left.pop()()

        monkeypatch.setattr(failpoints, "reach", reach)

    return at


@pytest.fixture
def slow(virtual_clock):
    """slow("UPDATE", Bucket, 60) is a database that takes a minute for the first such statement."""

    def statements(verb, model, seconds):
        left = [seconds]

        def wait(execute, sql, *rest):
            if left and sql.startswith(verb) and model._meta.db_table in sql:
                virtual_clock.passes(left.pop())
            return execute(sql, *rest)

        return connection.execute_wrapper(wait)

    return statements


def now_of(operation):
    operation.refresh_from_db()
    return operation


# ---------- sending ----------


def test_a_request_whose_call_took_long_to_be_counted_is_not_sent(queued_clone, sandbox, slow):
    with slow("UPDATE", Bucket, 60):
        submit(queued_clone.pk)

    assert sandbox.calls("POST", "/clone") == 0


def test_a_claim_is_as_old_as_it_is_and_not_as_the_task_that_made_it(queued_clone, virtual_clock, meanwhile, sandbox):
    """Refreshing a token may take longer than a claim lasts, and others are served meanwhile."""
    began = virtual_clock.now()
    meanwhile("submit.claiming", lambda: virtual_clock.passes(20))

    submit(queued_clone.pk)

    assert now_of(queued_clone).state == State.RUNNING
    assert (queued_clone.attempts.get().sent_at - began).total_seconds() >= 20


def test_who_waited_for_a_token_takes_no_place_of_those_who_were_served_meanwhile(
    queued_clone, virtual_clock, meanwhile, sandbox, settings
):
    """Five a minute; the last but one and this one would else leave two seconds apart."""
    settings.ITWIN_TIER = "trial"
    now = virtual_clock.now()

    def others():
        virtual_clock.passes(6)
        for number in range(5):
            Attempt.objects.create(
                operation=queued_clone,
                number=10 + number,
                bucket="clone",
                body_hash="0" * 64,
                sent_at=virtual_clock.now(),
            )
        virtual_clock.passes(2)

    meanwhile("submit.claiming", others)
    submit(queued_clone.pk)

    assert sandbox.calls("POST", "/clone") == 0
    assert now_of(queued_clone).wait_reason == WaitReason.OWN_LIMIT
    assert (queued_clone.wait_until - now).total_seconds() > 60
    Attempt.objects.filter(number__gte=10).delete()


# ---------- what is waited for counts from the answer ----------


def test_a_retry_after_counts_from_the_answer_and_not_from_before_the_call(queued_clone, sandbox, slow, virtual_clock):
    sandbox.fault("POST", r"/clone$", lost_answer=True)
    submit(queued_clone.pk)
    virtual_clock.passes(10)
    sandbox.fault("GET", r"^/imodels", status=429, retry_after=5)

    with slow("UPDATE", Bucket, 8):
        reconcile(queued_clone.pk)

    assert now_of(queued_clone).state == State.SUBMITTING
    assert rate_limits.frozen_until(virtual_clock.now()) is not None


# ---------- deleting ----------


@pytest.fixture
def orphan_state(queued_clone, signed_in_mara, sandbox):
    """What a failed clone of Mara's left, and is to be deleted."""
    sandbox.advance_manually()
    submit(queued_clone.pk)
    now_of(queued_clone)
    sandbox.finish(queued_clone.imodel_id, state="failed")
    poll(queued_clone.pk)
    lifecycle.delete_orphan(now_of(queued_clone), by=signed_in_mara)
    return now_of(queued_clone)


def test_what_became_usable_while_a_worker_slept_is_not_deleted_by_it(orphan_state, virtual_clock, meanwhile, sandbox):
    def another_looks():
        virtual_clock.passes(60)
        sandbox.initialize(orphan_state.imodel_id)
        cleanup.delete(orphan_state.pk)

    meanwhile("cleanup.sending", another_looks)
    cleanup.delete(orphan_state.pk)

    assert now_of(orphan_state).orphan.state == OrphanState.USABLE
    assert orphan_state.imodel_id in sandbox.world.imodels


def test_what_was_seen_long_ago_decides_nothing_when_nobody_else_looked_either(
    orphan_state, virtual_clock, meanwhile, sandbox
):
    def sleeps():
        virtual_clock.passes(600)
        sandbox.initialize(orphan_state.imodel_id)

    meanwhile("cleanup.sending", sleeps)
    cleanup.delete(orphan_state.pk)
    assert orphan_state.imodel_id in sandbox.world.imodels

    cleanup.delete(orphan_state.pk)
    assert now_of(orphan_state).orphan.state == OrphanState.USABLE


# ---------- looking that tells nothing ----------


def lost(operation, sandbox):
    """Its request never arrived, and nobody knows."""
    sandbox.fault("POST", r"^/imodels", cut=True)
    submit(operation.pk)
    return now_of(operation)


def hours(virtual_clock, operation, count=1):
    """Whatever is due for it, each time that it is."""
    ends = virtual_clock.now().timestamp() + count * 3600
    while virtual_clock.now().timestamp() < ends and now_of(operation).state in (State.SUBMITTING, State.QUEUED):
        virtual_clock.passes(1)
        (reconcile if operation.state == State.SUBMITTING else submit)(operation.pk)


def test_a_name_that_is_taken_in_other_capitals_ends_it_without_asking_on_and_on(
    bridge_team, signed_in_mara, spec_for, sandbox, platform_of, virtual_clock
):
    operation = lost(lifecycle.request(spec_for(Kind.EMPTY, name="Pier 7"), by=signed_in_mara), sandbox)
    platform_of("tomas").start("/imodels", json.dumps({"iTwinId": HARBOUR, "name": "PIER 7"}))

    hours(virtual_clock, operation)

    assert (operation.state, operation.failure_code, operation.imodel_id) == (State.FAILED, "iModelExists", "")
    assert Attempt.objects.filter(operation=operation).count() == 2


def test_a_name_that_is_taken_by_nobody_we_can_see_ends_it_after_a_while(
    bridge_team, signed_in_mara, spec_for, sandbox, virtual_clock
):
    operation = lost(lifecycle.request(spec_for(Kind.EMPTY, name="Pier 7"), by=signed_in_mara), sandbox)
    taken = {"error": {"code": "iModelExists", "message": "iModel with the same name already exists."}}
    sandbox.fault("POST", r"^/imodels$", status=409, body=json.dumps(taken), times=99)

    hours(virtual_clock, operation)

    assert (operation.state, operation.failure_code) == (State.FAILED, "iModelExists")
    assert Attempt.objects.filter(operation=operation).count() == 2


def test_who_may_no_longer_look_is_told_so_and_looked_for_seldom(queued_clone, sandbox, virtual_clock):
    lost(queued_clone, sandbox)
    sandbox.allow(queued_clone.itwin_id, "mara", [])

    hours(virtual_clock, queued_clone)

    assert (queued_clone.state, queued_clone.wait_reason) == (State.SUBMITTING, WaitReason.NOT_PERMITTED)
    assert sandbox.calls("GET", "/imodels") <= 32
    sandbox.allow(queued_clone.itwin_id, "mara", ["imodels_webview", "imodels_manage"])
    hours(virtual_clock, queued_clone)
    assert Operation.objects.get(pk=queued_clone.pk).state == State.RUNNING
