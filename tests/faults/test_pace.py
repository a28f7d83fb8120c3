"""Real workers at the platform's limit for ten real minutes: no answer of 429, and nearly all of the rate is used."""

import itertools
import os
import time

import pytest

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.states import Kind

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
