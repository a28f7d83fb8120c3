"""Random schedules of faults: nothing twice, nothing lost, nothing of a stranger's.

SOAK_SCHEDULES (10; `make soak`: 1000) says how many, SOAK_SEED which is the first. A failure prints its seed:
SOAK_SEED=… SOAK_SCHEDULES=1 plays it again.
"""

import os
import time
from collections import Counter
from datetime import UTC, datetime

import pytest

from imodels_app.models import Event, Operation
from imodels_app.runtime import dispatch, failpoints
from imodels_app.states import State
from tests.faults import schedules

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.no_oracle]

COUNT = int(os.environ.get("SOAK_SCHEDULES") or 10)
FIRST_SEED = int(os.environ["SOAK_SEED"])  # tests/settings.py throws the dice where it is not given
# In several tests, so that processes can share them.
PARTS = [range(COUNT)[first : first + 10] for first in range(0, COUNT, 10)]
FURTHER = [pytest.param(part, marks=[pytest.mark.soak, pytest.mark.same_on_both]) for part in PARTS[1:]]


@pytest.fixture
def people(mara, tomas, ines, spec_for, baseline_of, settings):
    """Who asks and who decides, and how; with files of which some are too large for one piece."""
    settings.UPLOAD_SINGLE_PUT, settings.UPLOAD_BLOCK = schedules.SINGLE_PUT_BYTES, schedules.BLOCK_BYTES
    return {"mara": mara, "tomas": tomas, "spec_for": spec_for, "baseline_of": baseline_of}


@pytest.mark.parametrize("part", [PARTS[0], *FURTHER], ids=lambda part: f"{part[0]}-{part[-1]}")
def test_no_schedule_of_faults_makes_anything_twice_or_loses_it(
    virtual_clock, sandbox, bridge_team, people, monkeypatch, record_property, part
):
    began, ends = time.monotonic(), Counter[str]()
    for seed in (FIRST_SEED + number for number in part):
        schedule = schedules.Schedule(seed, sandbox=sandbox, clock=virtual_clock, **people)
        monkeypatch.setattr(failpoints, "reach", schedule.reach)
        monkeypatch.setattr(dispatch, "send", schedule.send)
        monkeypatch.setattr(dispatch, "announce", schedule.send)
        try:
            schedule.run()
            wrong = schedule.wrong()
        except Exception as error:
            error.add_note(_story(seed, schedule))
            raise
        assert not wrong, "\n".join(wrong) + _story(seed, schedule)
        ends.update(Operation.objects.values_list("state", flat=True))
    figures = ", ".join(f"{count} {state}" for state, count in sorted(ends.items()))
    took_s = time.monotonic() - began
    record_property("figure", f"{len(part)} schedules from seed {FIRST_SEED + part[0]}: {figures}; {took_s:.0f} s")


def _story(seed: int, schedule: schedules.Schedule) -> str:
    """What happened, what we wrote down, and what reached the platform."""
    events = Event.objects.order_by("pk")
    failed = Operation.objects.filter(state=State.FAILED)
    posts = [one for one in schedule.sandbox.journal if one.method == "POST" and one.path.startswith("/imodels")]
    lines = [f"\nSOAK_SEED={seed} SOAK_SCHEDULES=1", *schedule.log[-120:]]
    lines += [
        f"{one.at:%X.%f} {str(one.operation_id)[:4]} {one.verb} {one.came_from}>{one.to} {one.note}" for one in events
    ]
    lines += [f"{str(one.pk)[:4]} {one.failure_code}: {one.failure_message}" for one in failed]
    lines += [f"{_at(one)} {one.correlation_id or '-':.4} {one.path} {one.status} {one.imodel_id}" for one in posts]
    return "\n".join(lines)


def _at(entry) -> str:
    return f"{datetime.fromtimestamp(entry.at, UTC):%X}"
