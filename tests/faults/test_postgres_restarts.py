"""Line 24 of docs/reliability.md: the database server crashes and comes back while workers are at work. DB=pg only."""

import os
import signal

import pytest

from imodels_app import lifecycle
from imodels_app.models import Operation
from imodels_app.states import Kind, State
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def desk(restart_postgres, processes, sandbox, bridge_team, signed_in_mara):
    """A worker and a beat at work."""
    processes.desk()
    return processes


def test_24_postgres_restarted_during_submit_the_imodel_is_adopted(
    desk, restart_postgres, spec_for, mara, sandbox, reached, time_passes
):
    sandbox.advance_by_polls(0)
    held = sandbox.fault("POST", r"/clone$", held=True)
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)
    wait_until(lambda: held.holding, what="the iModel at the platform")

    restart_postgres()
    held.release()
    time_passes(30)

    reached(clone, State.SUCCEEDED)
    assert sandbox.calls("POST", "/clone") == 1


@pytest.mark.soak
def test_24_postgres_restarted_before_the_claim_only_delays_it(
    desk, restart_postgres, spec_for, mara, sandbox, reached
):
    sandbox.advance_by_polls(0)
    desk.arm("submit.claiming", "stop")
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)
    stopped = desk.struck("submit.claiming")

    restart_postgres()
    os.kill(stopped, signal.SIGCONT)

    reached(clone, State.SUCCEEDED)
    assert sandbox.calls("POST", "/clone") == 1


def test_24_postgres_restarted_while_following_only_delays_the_next_look(
    desk, restart_postgres, spec_for, mara, sandbox, reached
):
    sandbox.advance_manually()
    clone = reached(lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara), State.RUNNING)
    desk.arm("poll.answered", "stop")
    stopped = desk.struck("poll.answered")

    restart_postgres()
    os.kill(stopped, signal.SIGCONT)
    sandbox.finish(clone.imodel_id)

    reached(clone, State.SUCCEEDED)


def test_24_postgres_restarted_under_sweeps_strands_no_lease(desk, restart_postgres, spec_for, mara, sandbox, reached):
    sandbox.advance_manually()
    operations = [lifecycle.request(spec_for(Kind.EMPTY), by=mara) for _ in range(2)]

    for _ in range(2):
        restart_postgres()
    for imodel in list(sandbox.world.imodels.values()):
        sandbox.finish(imodel.id)
    sandbox.advance_by_polls(0)

    for spec in operations:
        wait_until(Operation.objects.filter(pk=spec.pk).exclude(imodel_id="").exists)
        spec.refresh_from_db()
        if spec.state == State.RUNNING:
            sandbox.finish(spec.imodel_id)
        reached(spec, State.SUCCEEDED)
