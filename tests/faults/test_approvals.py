"""Approvals under everything at once: whoever may decide exists, and nothing is sent that violates its rules."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from imodels_app import lifecycle
from imodels_app.accounts import rights
from imodels_app.models import ApprovalRule, Membership, Operation, Team, TeamITwin, User
from imodels_app.states import UNDECIDED, Kind, State, Who
from imodels_app.workers.submit import submit
from tests.faults.approvals import ACTIONS, REFUSALS, World, violations
from tests.people import HARBOUR
from tests.waiting import PATIENCE_S

FIRST_SEED = int(os.environ["SOAK_SEED"])
# As for schedules of faults: 1000 in `make soak` are 10,000 worlds, 10,000 acts in a row and 200 rounds.
COUNT = int(os.environ.get("SOAK_SCHEDULES") or 20)
# In several tests, so that processes can share them.
SOAK_PARTS = [pytest.param(range(at, at + 250), marks=pytest.mark.soak) for at in range(20, 10 * COUNT, 250)]
SOAK_TENTHS = range(1, 1 + -(-COUNT // 100))
STEPS = 7


@pytest.mark.django_db
@pytest.mark.same_on_both
@pytest.mark.parametrize("part", [range(20), *SOAK_PARTS], ids=lambda part: f"{part[0]}-{part[-1]}")
def test_whatever_people_do_somebody_may_decide_and_nothing_violates_its_rules(part):
    """SOAK_SEED=… plays a failure again."""
    for seed in (FIRST_SEED + number for number in part):
        with transaction.atomic():
            world = World(Random(seed))
            for _ in range(STEPS):
                assert not world.step(), f"seed {seed}: {world.done}"
            assert not world.end(), f"seed {seed}: {world.done}"
            transaction.set_rollback(True)


class Approvals(RuleBasedStateMachine):
    """The same world, one act after another, which Hypothesis chooses and shortens."""

    def __init__(self) -> None:
        super().__init__()
        self._undone = transaction.atomic()
        self._undone.__enter__()
        self._world = World(Random(0))

    # One draw for each act: how many an act needs may depend on rows that have random keys.
    @rule(action=st.sampled_from(ACTIONS), seed=st.integers(0, 2**32))
    def act(self, action: str, seed: int) -> None:
        self._world.random = Random(seed)
        assert not self._world.step(action), self._world.done

    def teardown(self) -> None:
        try:
            assert not self._world.end(), self._world.done
        finally:
            transaction.set_rollback(True)
            self._undone.__exit__(None, None, None)


@pytest.mark.django_db
@pytest.mark.same_on_both
@pytest.mark.parametrize(
    ("part", "runs", "steps"), [(0, 2, 20), *(pytest.param(at, 10, 100, marks=pytest.mark.soak) for at in SOAK_TENTHS)]
)
def test_no_order_of_acts_breaks_what_holds_about_approvals(part, runs, steps):
    how = settings(
        max_examples=runs,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    run_state_machine_as_test(seeded(FIRST_SEED + part)(Approvals), settings=how)


@pytest.mark.on_postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rounds", [10, pytest.param(1 + COUNT // 5, marks=pytest.mark.soak)])
def test_eight_who_act_at_once_many_times_leave_one_outcome_and_its_events(
    bridge_team, ida, otto, ines, mara, tomas, signed_in_mara, sandbox, spec_for, record_property, rounds
):
    """Approve three times, reject, ask for changes, edit, cancel and move the iTwin, each by its own connection.

    Some of the eight are missing from a round and each hesitates, or the quickest act would win them all.
    """
    ApprovalRule.objects.update(levels=[{"who": Who.LEADS, "count": 2}])
    transit, third = Team.objects.get(name="Transit team"), User.objects.create(username="third", subject="third")
    for team, person in ((bridge_team, third), (transit, ines), (transit, tomas)):
        email = person.email or "third@harbour.example"
        Membership.objects.create(team=team, email=email, user=person, role=Membership.Role.LEAD)
    asked, odd, outcomes, together = list[UUID](), list[str](), Counter[str](), threading.Barrier(9)

    def move(_: Operation) -> None:
        itwin = TeamITwin.objects.get(itwin_id=HARBOUR)
        itwin.team = transit if itwin.team == bridge_team else bridge_team
        rights.save(itwin, by=None)

    acts: list[Callable[[Operation], None]] = [
        lambda fork: lifecycle.approve(fork, by=tomas),
        lambda fork: lifecycle.approve(fork, by=otto),
        lambda fork: lifecycle.approve(fork, by=ines),
        lambda fork: lifecycle.reject(fork, by=ida, comment="No."),
        lambda fork: lifecycle.request_changes(fork, by=third, comment="Older."),
        lambda fork: lifecycle.edit(fork, spec_for(Kind.FORK), by=mara),
        lambda fork: lifecycle.cancel(fork, by=mara),
        move,
    ]

    def act(number: int) -> None:
        random = Random(FIRST_SEED + number)
        for _ in range(rounds):
            together.wait(PATIENCE_S)
            is_here, hesitates_s = random.random() < 0.6, random.random() * 0.1
            try:
                fork = Operation.objects.select_related("team", "requested_by").get(pk=asked[-1])
                time.sleep(hesitates_s)
                if is_here:
                    acts[number](fork)
            except REFUSALS:
                pass
            except DatabaseError as error:
                odd.append(repr(error))
            together.wait(PATIENCE_S)
        connection.close()

    threads = [threading.Thread(target=act, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        asked.append(lifecycle.request(spec_for(Kind.FORK), by=mara).pk)
        together.wait(PATIENCE_S)
        together.wait(PATIENCE_S)
        fork = Operation.objects.get(pk=asked[-1])
        outcomes[fork.state] += 1
        if fork.state in UNDECIDED:
            # Each move would tell anew of all that still wait.
            lifecycle.cancel(fork, by=mara)
    for thread in threads:
        thread.join(PATIENCE_S)

    record_property("figure", f"{rounds} rounds of eight: {dict(outcomes)}")
    assert not odd
    assert not list(violations(Operation.objects.select_related("team", "requested_by")))
    assert {State.QUEUED, State.REJECTED, State.CANCELLED} <= outcomes.keys() or rounds < 20, outcomes
    for fork in Operation.objects.filter(state=State.QUEUED):
        submit(fork.pk)
