"""Twenty clones at once, asked for in the form as a person does, beside the platform's own client on one sandbox.

That client sends all at once and looks at each of them once a second until it is there.
"""

import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from django.urls import reverse

from imodels_app.models import Operation
from tests.people import HARBOUR, MAIN_BRIDGE
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.measure, pytest.mark.long]

HERE = Path(__file__).parent / "official"
COUNT = 20


@dataclass
class Round:
    """seen: when the end of each was noticed, by its name; all times in seconds since 1970."""

    began: float
    seen: dict[str, float]
    lag_s: float
    sent: list[float]
    looks: int
    refused: int

    @property
    def all_done_s(self) -> float:
        return max(self.seen.values()) - self.began

    def __str__(self) -> str:
        return (
            f"mean lag {self.lag_s:.2f} s, {self.looks} looks, last sent after {max(self.sent) - self.began:.1f} s, "
            f"all seen after {self.all_done_s:.1f} s, {self.refused} answers of 429"
        )


@pytest.fixture
def official():
    """official(sandbox): the client asks for its clones; when each was seen to be there."""
    if not shutil.which("npm"):
        pytest.fail("no Node.js on PATH: there is nothing to compare with")
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=HERE, check=True)

    def run(sandbox) -> dict[str, float]:
        token = sandbox.tokens_for("mara")["access_token"]
        command = ["node", "clones.cjs", sandbox.url, token, MAIN_BRIDGE, HARBOUR, str(COUNT)]
        return json.loads(subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE).stdout)

    return run


def asked_in_the_form(client) -> dict[str, float]:
    """When each was noticed to be there, as its page says."""
    for number in range(COUNT):
        typed = {"form_id": str(uuid4()), "itwin": HARBOUR, "source": MAIN_BRIDGE, "up_to": "everything"}
        answer = client.post(reverse("imodels:request-clone"), typed | {"name": f"Ours {number + 1}"})
        assert answer.status_code == 303
    wait_until(lambda: not Operation.objects.filter(finished_at=None).exists(), what="twenty clones")
    return {one.name: one.finished_at.timestamp() for one in Operation.objects.all()}


@pytest.fixture
def ends(sandbox, monkeypatch, takes_s) -> dict[int, float]:
    """Each clone takes as long; when each ends, by the id() of its creation."""
    schedule, ends = sandbox.world.schedule, {}

    def all_take_as_long(creation, **how):
        schedule(creation, **how | {"takes_s": takes_s * sandbox.world.speed})
        ends[id(creation)] = creation.ends_at

    monkeypatch.setattr(sandbox.world, "schedule", all_take_as_long)
    return ends


def a_round(sandbox, ends: dict[int, float], clones) -> Round:
    began, calls_before = time.time(), len(sandbox.journal)
    seen = clones()
    journal = sandbox.journal[calls_before:]
    ended = {one.name: ends[id(one.creation)] for one in sandbox.world.imodels.values() if one.name in seen}
    return Round(
        began,
        seen,
        lag_s=sum(at - ended[name] for name, at in seen.items()) / COUNT,
        sent=[entry.at for entry in journal if entry.method == "POST" and entry.path.endswith("/clone")],
        looks=sum(entry.method == "GET" for entry in journal),
        refused=sum(entry.status == 429 for entry in journal),
    )


@pytest.mark.parametrize(("takes_s", "share_of_looks"), [(10, 1.0), (60, 0.5)])
def test_its_ends_are_noticed_as_soon_with_fewer_looks(
    client, vera, signed_in_mara, sandbox, processes, official, ends, record_property, takes_s, share_of_looks
):
    theirs = a_round(sandbox, ends, lambda: official(sandbox))
    sandbox.platform.limits.reset()
    client.force_login(signed_in_mara)
    processes.desk()
    processes.worker(concurrency=4)

    ours = a_round(sandbox, ends, lambda: asked_in_the_form(client))

    record_property("figure", f"{COUNT} clones of {takes_s} s: ours {ours}; the official client {theirs}")
    assert (len(ours.sent), ours.refused, theirs.refused) == (COUNT, 0, 0)
    assert ours.looks <= theirs.looks * share_of_looks
    assert ours.lag_s <= theirs.lag_s + 0.2
    assert ours.all_done_s <= theirs.all_done_s + 2
