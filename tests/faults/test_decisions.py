"""Two decisions at once, and what was approved but is not what would be sent: lines 35 and 36."""

import os
import threading

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.models import Decision, Membership, Operation
from imodels_app.states import Kind, State, Verdict
from imodels_app.workers.submit import submit
from tests.people import HARBOUR
from tests.triggers import triggers_off

pytestmark = pytest.mark.django_db(transaction=True)
# As for schedules of faults: 1000 in `make soak` are 200 rounds.
ROUNDS = int(os.environ.get("SOAK_SCHEDULES") or 1000) // 5


@pytest.mark.parametrize("rounds", [25, pytest.param(ROUNDS, marks=pytest.mark.soak, id="many")])
def test_35_approve_and_reject_at_once_many_times_is_one_decision_and_the_loser_is_told(
    bridge_team, mara, tomas, ines, confirmed_leads, spec_for, rounds
):
    """Two leads with a page each press their button in the same moment."""
    Membership.objects.create(team=bridge_team, email=ines.email, user=ines, role=Membership.Role.LEAD)
    forks = [lifecycle.request(spec_for(Kind.FORK), by=mara) for _ in range(rounds)]
    together = threading.Barrier(2, action=cache.clear)  # nobody decides as fast: their throttles start anew
    answers: dict[str, list[int]] = {"approve": [], "reject": []}

    def decide(person, act: str) -> None:
        browser = Client()
        browser.force_login(person)
        for fork in forks:
            address = reverse(f"imodels:{act}", args=[fork.pk])
            together.wait()
            answers[act].append(browser.post(address, {"comment": "Because."}).status_code)
        connection.close()

    threads = [threading.Thread(target=decide, args=pair) for pair in ((tomas, "approve"), (ines, "reject"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for fork, approved, rejected in zip(forks, answers["approve"], answers["reject"], strict=True):
        fork.refresh_from_db()
        decisions = list(fork.events.filter(verb__in=["approved", "rejected"]).values_list("verb", flat=True))
        won = (302, 409) if fork.state == State.QUEUED else (409, 302)
        assert fork.state in (State.QUEUED, State.REJECTED)
        assert decisions == ["approved" if fork.state == State.QUEUED else "rejected"]
        assert (approved, rejected) == won
        assert fork.messages.exclude(to=tomas).exclude(to=ines).count() == 1


@pytest.mark.parametrize(
    ("model", "edited"),
    [
        (Operation, {"request_body": '{"iTwinId": "b2b00000-0000-4000-8000-000000000001", "name": "Something else"}'}),
        (Operation, {"request_path": "/imodels/c3c00000-0000-4000-8000-000000000002/fork"}),
        (Operation, {"requested_by": "ines"}),
        (Operation, {"request_hash": "0" * 64}),
        (Decision, {"request_hash": "0" * 64}),
        (Decision, {"verdict": Verdict.REJECTED}),
    ],
    ids=["request_body", "request_path", "requested_by", "request_hash", "the decision's hash", "the decision"],
)
def test_36_whatever_was_edited_after_the_approval_voids_it_and_is_not_sent(
    waiting_fork, signed_in_mara, tomas, ines, sandbox, client, model, edited
):
    """Past the database's own guards, by whoever may take them away."""
    lifecycle.approve(waiting_fork, by=tomas)
    columns = {name: ines if value == "ines" else value for name, value in edited.items()}
    with triggers_off():
        model.objects.update(**columns)
    from imodels_app.accounts import tokens

    tokens.store(ines, sandbox.tokens_for("ines"))

    submit(waiting_fork.pk)

    waiting_fork.refresh_from_db()
    assert (waiting_fork.state, waiting_fork.failure_code) == (State.FAILED, "approvalVoid")
    assert sandbox.calls("POST", "/fork") == 0
    client.force_login(ines)
    page = client.get(reverse("imodels:operation-detail", args=[waiting_fork.pk])).text
    assert "The request differs from what was approved, so it was not sent." in page


def test_36_what_was_not_edited_is_sent_as_it_was_approved(waiting_fork, signed_in_mara, tomas, sandbox):
    lifecycle.approve(waiting_fork, by=tomas)

    submit(waiting_fork.pk)

    assert sandbox.calls("POST", "/fork") == 1
    assert len(sandbox.imodels_named(waiting_fork.name, HARBOUR)) == 1
