"""Real workers at the full rate for ten real minutes, beside Celery's own limit: no 429, and nearly all is used."""

import importlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.states import Kind
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.measure, pytest.mark.long]

MINUTES = int(os.environ.get("BENCH_MINUTES", "10"))
PEER_MINUTES = min(MINUTES, 3)
A_MINUTE = 20


@dataclass
class Pace:
    sent: list[float]
    refused: int
    share: float

    def __str__(self) -> str:
        gaps = sorted(later - earlier for earlier, later in itertools.pairwise(self.sent))
        return (
            f"{len(self.sent)} clones made, {self.share:.1%} of the rate, {self.refused} answers of 429, "
            f"between two {gaps[0]:.2f} to {gaps[-1]:.2f} s"
        )


def pace(sandbox, minutes: float, start: Callable[[], object]) -> Pace:
    """What the platform sees in whole minutes from the first clone on. All that is to be sent waits already."""
    first = len(sandbox.journal)
    start()
    wait_until(lambda: made(sandbox.journal[first:]), what="the first clone")
    began = made(sandbox.journal[first:])[0].at
    time.sleep(began + minutes * 60 + 1 - time.time())
    journal = [one for one in sandbox.journal[first:] if one.at < began + minutes * 60]
    sent = [one.at for one in made(journal)]
    return Pace(sent, sum(one.status == 429 for one in journal), len(sent) / (A_MINUTE * minutes))


def made(journal) -> list:
    return [one for one in journal if one.path.endswith("/clone") and one.status == 202]


@pytest.fixture
def celery_workers(sandbox, redis_url, monkeypatch):
    """Starts two workers of plain Celery, which have more to do than they may."""
    peer = {"PEER_BROKER": redis_url, "PEER_URL": sandbox.url}
    peer["PEER_TOKEN"] = sandbox.tokens_for("mara")["access_token"]
    for name, value in peer.items():
        monkeypatch.setenv(name, value)
    worker = [sys.executable, "-m", "celery", "-A", "tests.bench.celery_peer", "worker", "--concurrency", "2"]
    quietly = ["--without-gossip", "--without-mingle", "--loglevel", "ERROR"]
    celery_peer = importlib.import_module("tests.bench.celery_peer")
    for number in range(int(A_MINUTE * (PEER_MINUTES + 2) * 2)):
        celery_peer.clone.delay(number)
    with ExitStack() as running:

        def start() -> None:
            for number in (1, 2):
                process = subprocess.Popen([*worker, *quietly, "--hostname", f"peer{number}@test"])
                running.callback(process.wait)
                running.callback(process.terminate)

        yield start
        celery_peer.app.control.purge()


def test_ten_minutes_of_real_workers_at_20_a_minute_meet_no_429_and_use_98_percent(
    bridge_team, signed_in_mara, tomas, spec_for, sandbox, processes, request, record_property
):
    tokens.store(tomas, sandbox.tokens_for("tomas"))
    sandbox.advance_by_polls(2)
    for number in range(int(A_MINUTE * (MINUTES + 1))):
        lifecycle.request(spec_for(Kind.CLONE), by=(signed_in_mara, tomas)[number % 3 == 0])
    processes.desk()
    ours = pace(sandbox, MINUTES, lambda: processes.worker(concurrency=2))
    processes.end_all()
    sandbox.platform.limits.reset()

    theirs = pace(sandbox, PEER_MINUTES, request.getfixturevalue("celery_workers"))

    record_property("figure", f"ours, {MINUTES:g} min: {ours}; Celery's rate_limit, {PEER_MINUTES:g} min: {theirs}")
    assert (ours.refused, ours.share >= 0.98) == (0, True)
