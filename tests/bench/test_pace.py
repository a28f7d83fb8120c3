"""Real workers at the platform's limit for ten real minutes: no answer of 429, and nearly all of the rate is used."""

import itertools
import os
import time

import pytest

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.models import Operation
from imodels_app.states import Kind
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

MINUTES = float(os.environ.get("BENCH_MINUTES", "10"))
A_MINUTE = 20


@pytest.mark.measure
def test_ten_minutes_of_real_workers_at_20_a_minute_meet_no_429_and_use_95_percent(
    bridge_team, signed_in_mara, tomas, spec_for, sandbox, processes, record_property
):
    tokens.store(tomas, sandbox.tokens_for("tomas"))
    sandbox.advance_by_polls(2)
    processes.desk()
    processes.worker(concurrency=2)
    for number in range(int(A_MINUTE * (MINUTES + 1))):
        lifecycle.request(spec_for(Kind.CLONE), by=(signed_in_mara, tomas)[number % 3 == 0])

    began = time.time()
    time.sleep(MINUTES * 60)

    journal = list(sandbox.journal)
    sent = [entry.at for entry in journal if entry.method == "POST" and entry.path.endswith("/clone")]
    refused = [entry.path for entry in journal if entry.status == 429]
    used = sum(at <= began + MINUTES * 60 for at in sent) / (A_MINUTE * MINUTES)
    gaps = sorted(later - earlier for earlier, later in itertools.pairwise(sent))
    record_property(
        "figure",
        f"{MINUTES:g} minutes: {len(sent)} clones sent, {used:.1%} of the allowed rate, {len(journal)} calls in all, "
        f"{len(refused)} answers of 429, between two clones {gaps[0]:.2f} to {gaps[-1]:.2f} s",
    )
    assert refused == []
    assert used >= 0.95


@pytest.mark.measure
@pytest.mark.parametrize("takes_s", [10, 60])
def test_twenty_clones_at_once_leave_at_once_and_their_ends_are_noticed_within_a_second(
    bridge_team, signed_in_mara, spec_for, sandbox, processes, record_property, monkeypatch, takes_s
):
    """Nobody else is there. A client that waits for each by itself, once a second, makes twenty times takes_s calls."""
    ends: dict[str, float] = {}
    schedule = sandbox.world.schedule

    def all_take_as_long(creation, **how):
        schedule(creation, **how | {"takes_s": takes_s * sandbox.world.speed})
        ends[creation.cloned_from["iModelId"] + str(len(ends))] = creation.ends_at

    monkeypatch.setattr(sandbox.world, "schedule", all_take_as_long)
    processes.desk()
    processes.worker(concurrency=4)
    asked_at = time.time()
    clones = [lifecycle.request(spec_for(Kind.CLONE), by=signed_in_mara) for _ in range(20)]

    def all_done() -> bool:
        return not any(
            clone.finished_at is None for clone in Operation.objects.filter(pk__in=[one.pk for one in clones])
        )

    wait_until(all_done, what="twenty clones")

    journal = list(sandbox.journal)
    sent = [entry.at for entry in journal if entry.method == "POST" and entry.path.endswith("/clone")]
    noticed = sorted(one.finished_at.timestamp() for one in Operation.objects.filter(pk__in=[one.pk for one in clones]))
    lags_s = [at - end for at, end in zip(noticed, sorted(ends.values()), strict=True)]
    looks = sum(entry.method == "GET" for entry in journal)
    record_property(
        "figure",
        f"20 clones of {takes_s} s at once: the last left after {max(sent) - asked_at:.1f} s, all noticed after "
        f"{noticed[-1] - asked_at:.1f} s, mean lag {sum(lags_s) / 20:.2f} s, {looks} looks (one each second: "
        f"{20 * takes_s}), {sum(entry.status == 429 for entry in journal)} answers of 429",
    )
    assert len(sent) == 20
    assert looks <= 20 * takes_s
