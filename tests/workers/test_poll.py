"""One look at a running operation: the platform's word is taken, and no news is no failure."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from dashboard.celery import app
from imodels_app import lifecycle, tasks
from imodels_app.limits.allowance import RESERVE, Limit
from imodels_app.models import Bucket, CircuitBreaker, Operation, TokenSet
from imodels_app.runtime import clock
from imodels_app.states import ChangesetSelection, Kind, State, WaitReason
from imodels_app.workers.following import next_poll
from imodels_app.workers.poll import poll
from imodels_app.workers.submit import submit

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("signed_in_mara")]


@pytest.fixture
def clone(queued_clone, sandbox):
    """A clone that runs at the sandbox and moves only when told to."""
    sandbox.advance_manually()
    submit(queued_clone.pk)
    queued_clone.refresh_from_db()
    assert queued_clone.state == State.RUNNING
    return queued_clone


def polled(operation: Operation) -> Operation:
    """After one poll, whenever it was due."""
    Operation.objects.filter(pk=operation.pk, state=State.RUNNING).update(due_at=clock.now())
    poll(operation.pk)
    operation.refresh_from_db()
    return operation


def test_a_scheduled_operation_goes_on(clone):
    assert (polled(clone).state, clone.platform_state) == (State.RUNNING, "scheduled")
    assert clone.due_at > timezone.now() - timedelta(seconds=1)


def test_initialized_before_successful_is_usable_and_still_running(clone, sandbox):
    sandbox.initialize(clone.imodel_id)

    assert polled(clone).state == State.RUNNING
    assert clone.usable_at


@pytest.mark.parametrize(
    ("said", "state", "code"),
    [
        ("successful", State.SUCCEEDED, ""),
        ("failed", State.FAILED, "failed"),
        ("mainIModelIsMissingFederationGuids", State.FAILED, "mainIModelIsMissingFederationGuids"),
        ("sourceIsMissingFederationGuids", State.FAILED, "mainIModelIsMissingFederationGuids"),
    ],
)
def test_the_platforms_last_word_ends_it(clone, sandbox, said, state, code):
    sandbox.finish(clone.imodel_id, state=said)

    assert (polled(clone).state, clone.failure_code) == (state, code)
    assert clone.platform_state == said


def test_an_imodel_from_a_template_is_followed_to_its_end(bridge_team, mara, spec_for, sandbox):
    sandbox.advance_manually()
    spec = spec_for(Kind.TEMPLATE, up_to=ChangesetSelection.BASELINE, changeset_index=None)
    operation = lifecycle.request(spec, by=mara)
    submit(operation.pk)
    assert polled(operation).platform_state == "scheduled"
    sandbox.finish(operation.imodel_id)

    assert polled(operation).state == State.SUCCEEDED


def test_an_unknown_state_is_kept_and_watched_on(clone, sandbox):
    sandbox.finish(clone.imodel_id, state="somethingNew")

    assert (polled(clone).state, clone.platform_state) == (State.RUNNING, "somethingNew")


def test_a_429_while_following_is_obeyed_and_told(clone, sandbox):
    sandbox.fault("GET", r"/operations/create$", status=429, retry_after=1700, times=1)

    assert (polled(clone).state, clone.wait_reason) == (State.RUNNING, WaitReason.RATE_LIMIT)
    assert timedelta(minutes=27) < clone.wait_until - timezone.now() < timedelta(minutes=29)
    assert clone.due_at == clone.wait_until
    assert Bucket.objects.get(name="calls").frozen_until


def test_the_next_answer_ends_the_wait(clone, sandbox):
    sandbox.fault("GET", r"/operations/create$", status=429, retry_after=1, times=1)
    polled(clone)
    Bucket.objects.update(frozen_until=None)

    assert polled(clone).wait_reason == WaitReason.NONE


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "times": 3},
        {"status": 200, "body": "<html>Welcome</html>", "times": 1},
        {"status": 200, "body": '{"createOperation": {"sta', "times": 1},
        {"lost_answer": True, "times": 3},
    ],
)
def test_no_news_is_no_failure(clone, sandbox, fault):
    sandbox.fault("GET", r"/operations/create$", **fault)

    assert (polled(clone).state, clone.wait_reason) == (State.RUNNING, WaitReason.PLATFORM_DOWN)


def test_a_short_404_right_after_the_answer_is_normal(clone, sandbox):
    sandbox.fault("GET", r"/operations/create$", status=404, times=2)
    polled(clone)
    polled(clone)
    assert clone.missing_since

    assert (polled(clone).state, clone.missing_since) == (State.RUNNING, None)


def test_a_404_that_lasts_while_the_imodel_is_there_is_no_failure(clone, sandbox):
    sandbox.fault("GET", r"/operations/create$", status=404, times=2)
    polled(clone)
    ago = timezone.now() - timedelta(seconds=90)
    Operation.objects.filter(pk=clone.pk).update(missing_since=ago, accepted_at=ago)

    assert polled(clone).state == State.RUNNING


def test_a_404_that_lasts_is_a_failure_with_its_own_name(clone, sandbox):
    sandbox.fault("GET", rf"/imodels/{clone.imodel_id}", status=404, times=10)
    polled(clone)
    ago = timezone.now() - timedelta(seconds=90)
    Operation.objects.filter(pk=clone.pk).update(missing_since=ago, accepted_at=ago)

    assert (polled(clone).state, clone.failure_code) == (State.FAILED, "vanished")


def test_an_expired_token_is_refreshed_once_and_the_rotated_one_is_kept(clone, sandbox):
    before = TokenSet.objects.get().refresh_token
    TokenSet.objects.update(expires_at=timezone.now())
    sandbox.expire_tokens()

    polled(clone)
    polled(clone)

    assert clone.state == State.RUNNING
    assert clone.wait_reason == WaitReason.NONE
    assert sandbox.calls("POST", "/token") == 1
    assert TokenSet.objects.get().refresh_token != before


def test_an_operation_whose_requester_must_sign_in_stays_running(clone, sandbox):
    TokenSet.objects.update(expires_at=timezone.now())
    sandbox.revoke("mara")

    assert (polled(clone).state, clone.wait_reason) == (State.RUNNING, WaitReason.SIGN_IN)


def test_an_ended_operation_is_not_asked_about(clone, sandbox):
    sandbox.finish(clone.imodel_id)
    polled(clone)
    asked = sandbox.calls("GET", "/operations/create")

    poll(clone.pk)

    assert sandbox.calls("GET", "/operations/create") == asked


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 408},
        {"status": 500},
        {"status": 403},
        {"status": 200, "body": "<html>Welcome</html>"},
        {"status": 200, "body": "{}"},
        {"lost_answer": True},
    ],
)
def test_after_a_bad_poll_the_next_comes_soon_whatever_was_bad(clone, sandbox, fault):
    sandbox.fault("GET", r"/operations/create$", **fault, times=30)

    pauses_s = []
    for _ in range(5):
        CircuitBreaker.objects.all().delete()
        began = clock.now()
        pauses_s.append((polled(clone).due_at - began).total_seconds())

    assert pauses_s == [pytest.approx(pause_s, abs=0.9) for pause_s in (1, 2, 5, 15, 15)]
    sandbox.clear_faults()
    assert (polled(clone).wait_reason, clone.bad_polls) == (WaitReason.NONE, None)


def test_a_503_that_says_when_to_come_back_is_obeyed(clone, sandbox):
    sandbox.fault("GET", r"/operations/create$", status=503, retry_after=40, times=9)

    began = clock.now()

    assert (polled(clone).due_at - began).total_seconds() == pytest.approx(40, abs=1)


def test_what_is_young_is_looked_at_each_second_and_what_is_old_as_its_hazard_asks(clone):
    now = timezone.now()
    pauses_s = []
    for age_s in (0, 59, 600, 7200):
        clone.accepted_at = now - timedelta(seconds=age_s)
        pauses_s.append((next_poll(clone, now) - now).total_seconds())

    assert pauses_s[:2] == [1, 1]
    assert 1 < pauses_s[2] < pauses_s[3] <= 120


def test_each_look_is_announced_for_its_time(clone, sandbox, redis_url):
    """Not rounded up to the sweep after it."""
    due_at = clock.now() + timedelta(seconds=0.7)
    Operation.objects.update(due_at=due_at)
    app.control.purge()

    tasks.sweep_running()

    with app.connection_for_read() as connection, connection.SimpleQueue("polls") as queue:
        eta = parse_datetime(queue.get_nowait().headers["eta"])
    assert abs(eta - due_at) < timedelta(seconds=0.2)


def test_over_the_budget_the_next_looks_go_where_most_lag_is_expected(clone, mara, spec_for, sandbox, settings):
    settings.ITWIN_TIER = "trial"
    now = clock.now()
    row = Operation.objects.filter(pk=clone.pk).values().get() | {"due_at": now}
    for age_s, since_s in ((30, 5), (30, 20), (5000, 20)):
        times = {"accepted_at": now - timedelta(seconds=age_s), "polled_at": now - timedelta(seconds=since_s)}
        its_own = {"id": uuid4(), "imodel_id": str(uuid4()), "itwin_id": str(uuid4()), "name": f"{age_s} {since_s}"}
        Operation.objects.create(**row | times | its_own)
    Operation.objects.filter(pk=clone.pk).update(due_at=None, state=State.SUCCEEDED, finished_at=now)
    app.control.purge()
    # One now, and one that drips until the next sweep.
    tokens = RESERVE * Limit(500, 5000).holds + 1.2
    Bucket.objects.filter(name="calls").update(tokens=tokens, dripped_at=now + timedelta(minutes=1))

    tasks.sweep_running()

    with app.connection_for_read() as connection, connection.SimpleQueue("polls") as queue:
        announced = [queue.get_nowait().payload[0][0] for _ in range(queue.qsize())]
    assert [Operation.objects.get(pk=pk).name for pk in announced] == ["30 20", "30 5"]
