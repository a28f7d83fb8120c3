"""Real workers and beat, killed and held up: each request still makes one iModel, and nobody has to help."""

from datetime import timedelta

import pytest
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.models import Attempt, Operation, TokenSet
from imodels_app.runtime import clock
from imodels_app.states import Kind, Outcome, State, WaitReason
from tests.people import HARBOUR
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def reached(operation: Operation, state: State) -> Operation:
    """The operation, once it is in this state."""

    def there() -> bool:
        operation.refresh_from_db()
        return operation.state == state

    wait_until(there, what=f"{operation.name} in {state}")
    return operation


@pytest.fixture
def team_at_work(processes, sandbox, bridge_team, signed_in_mara):
    """A worker and a beat on the sandbox, which ends an operation at the fifth look."""
    sandbox.advance_by_polls(5)
    worker = processes.worker()
    processes.beat()
    return worker


def test_a_clone_goes_from_row_to_imodel_by_itself(team_at_work, spec_for, mara, sandbox):
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)

    reached(clone, State.SUCCEEDED)

    assert list(clone.events.values_list("verb", flat=True))[:4] == ["requested", "claimed", "called", "accepted"]
    assert len(sandbox.imodels_named("Pier 7", HARBOUR)) == 1


@pytest.mark.soak
def test_a_worker_killed_after_the_post_left_and_before_its_answer_was_stored_makes_one_imodel(
    team_at_work, processes, spec_for, mara, sandbox
):
    sandbox.fault("POST", r"/clone$", held=True)
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)
    wait_until(lambda: bool(sandbox.imodels_named("Pier 7", HARBOUR)), what="the iModel at the platform")

    processes.kill(team_at_work)
    assert reached(clone, State.SUBMITTING).attempts.get().outcome == Outcome.PENDING
    # Two minutes later, when no living worker could still be sending.
    long_ago = timezone.now() - timedelta(seconds=125)
    Attempt.objects.update(sent_at=long_ago)
    Operation.objects.update(due_at=clock.now())
    processes.worker()

    reached(clone, State.SUCCEEDED)
    assert len(sandbox.imodels_named("Pier 7", HARBOUR)) == 1
    assert sandbox.calls("POST", "/clone") == 1


def test_the_access_token_runs_out_during_a_long_clone_and_is_refreshed_once(team_at_work, spec_for, mara, sandbox):
    sandbox.advance_manually()
    clone = reached(lifecycle.request(spec_for(Kind.CLONE), by=mara), State.RUNNING)
    before = TokenSet.objects.get().refresh_token
    TokenSet.objects.update(obtained_at=timezone.now() - timedelta(hours=1))

    sandbox.expire_tokens()
    wait_until(lambda: TokenSet.objects.get().refresh_token != before, what="the rotated token")
    sandbox.finish(clone.imodel_id)

    reached(clone, State.SUCCEEDED)
    assert sandbox.calls("POST", "/token") == 1


def test_a_429_at_submit_and_one_while_following_only_delay_it(team_at_work, spec_for, mara, sandbox):
    sandbox.fault("POST", r"/clone$", status=429, retry_after=1, times=1)
    sandbox.fault("GET", r"/operations/create$", status=429, retry_after=1, times=1)
    clone = lifecycle.request(spec_for(Kind.CLONE), by=mara)

    reached(clone, State.SUCCEEDED)

    waits = [event.data.get("wait") for event in clone.events.filter(verb="postponed")]
    assert [wait for wait in waits if wait != WaitReason.SPACED] == [WaitReason.RATE_LIMIT, WaitReason.RATE_LIMIT]
    assert sandbox.calls("POST", "/clone") == 2


@pytest.mark.soak
def test_a_flushed_redis_loses_nothing(team_at_work, spec_for, mara, redis_url, sandbox):
    import redis

    sandbox.advance_by_polls(1)  # three in one iTwin are followed by a list, and each by itself now and then
    clones = [lifecycle.request(spec_for(Kind.CLONE), by=mara) for _ in range(3)]
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()

    for clone in clones:
        reached(clone, State.SUCCEEDED)
    assert sandbox.calls("POST", "/clone") == 3
