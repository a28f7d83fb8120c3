"""The smallest tier for ten real minutes: real workers follow by lists, and are as quick as the simulation of the same.

BENCH_MINUTES says how many minutes.
"""

import os
import random
import time
from datetime import UTC, datetime

import pytest

from imodels_app import lifecycle
from imodels_app.limits import allowance
from imodels_app.limits.durations import log_normal
from imodels_app.models import Bucket, Operation
from imodels_app.requesting.spec import ITwinRef
from imodels_app.states import Kind
from sandbox import seed
from tests.limits.test_many_by_list import ITWINS, START, ZIPF, Come, Followed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.measure, pytest.mark.long]

MINUTES = int(os.environ.get("BENCH_MINUTES", "10"))
A_MINUTE, TRIAL = 5, allowance.Limit(500, 5000)
# The bucket is half full above its reserve, and the hour before was used evenly.
TOKENS, USED_A_SLOT = 0.75 * TRIAL.holds, 40
SLOWER_BY = 0.15


@pytest.fixture
def ends(sandbox, monkeypatch) -> dict[int, float]:
    """When each ends, by the id() of its creation; a list shows it until then."""
    schedule, chance, ends = sandbox.world.schedule, random.Random(5), {}

    def by_chance(creation, **how):
        takes_s = log_normal().remaining(0, chance.random())
        schedule(creation, takes_s=takes_s * sandbox.world.speed, initialized_after=1.0)
        ends[id(creation)] = creation.ends_at

    monkeypatch.setattr(sandbox.world, "schedule", by_chance)
    return ends


@pytest.fixture
def trial(sandbox, settings, processes, monkeypatch):
    """The tier with the lowest limits, at both ends, in the midst of an hour that is used."""
    settings.ITWIN_TIER = processes.env["ITWIN_TIER"] = "trial"
    monkeypatch.setattr(sandbox.platform.limits, "tier", "trial")
    sandbox.platform.limits.reset()
    now = datetime.now(UTC)
    Bucket.objects.create(name="calls", tokens=TOKENS, dripped_at=now, last_hour=slots_before(now))


def slots_before(now: datetime) -> allowance.Slots:
    last = int(now.timestamp() * allowance.SLOTS / 3600)
    return [[number, USED_A_SLOT] for number in range(last - allowance.SLOTS, last)]


def test_real_workers_are_as_quick_as_the_simulation(
    bridge_team, signed_in_mara, spec_for, sandbox, processes, ends, trial, record_property
):
    seed.crowd(sandbox.world, ITWINS)
    itwins = [one for one in sandbox.world.itwins.values() if one.display_name.startswith("Section ")]
    for one in random.Random(7).choices(itwins, ZIPF, k=A_MINUTE * MINUTES):
        spec = spec_for(Kind.CLONE, itwin=ITwinRef(id=one.id, name=one.display_name))
        lifecycle.request(spec, by=signed_in_mara)
    began, first = time.time(), len(sandbox.journal)
    processes.desk()
    processes.worker(concurrency=2)
    time.sleep(began + MINUTES * 60 - time.time())
    processes.end_all()

    refused = sum(one.status == 429 for one in sandbox.journal[first:])
    sent = Operation.objects.exclude(accepted_at=None).order_by("accepted_at")
    come, lags_s = [], []
    for one in sent:
        at_s = one.accepted_at.timestamp() - began
        ends_s = ends[id(sandbox.world.imodels[one.imodel_id].creation)] - began
        come.append(Come(at_s, [itwin.id for itwin in itwins].index(one.itwin_id), ends_s - at_s))
        lags_s += [one.finished_at.timestamp() - began - ends_s] if one.finished_at else []
    played = Followed(come, TRIAL, MINUTES / 60, tokens=TOKENS, slots=slots_before(START))

    assert lags_s, f"{len(come)} were sent, and none has ended"
    lag_s, calls = sum(lags_s) / len(lags_s), len(sandbox.journal) - first
    record_property(
        "figure",
        f"by lists, {MINUTES} min of real workers, {len(come)} sent: mean lag {lag_s:.2f} s of {len(lags_s)} and "
        f"{calls} calls, {refused} answers of 429; played {played.lag_s:.2f} s of {len(played.lags_s)} and "
        f"{len(played.calls_at_s)} calls",
    )
    assert refused == 0
    assert lag_s <= (1 + SLOWER_BY) * played.lag_s
