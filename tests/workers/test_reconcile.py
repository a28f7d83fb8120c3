"""What became of a request whose answer was lost. Never twice, never a stranger's, never forgotten."""

from datetime import timedelta

import pytest
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.models import Attempt, Operation
from imodels_app.runtime import clock
from imodels_app.states import ChangesetSelection, Kind, State, WaitReason
from imodels_app.workers.reconcile import reconcile
from imodels_app.workers.submit import submit
from tests.people import HARBOUR

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("signed_in_mara")]


def make_due(operation: Operation, *, sent_ago_s: float = 10) -> None:
    """As if the request had left some time ago and the look were due now."""
    now = clock.now()
    operation.attempts.update(sent_at=now - timedelta(seconds=sent_ago_s))
    Operation.objects.filter(pk=operation.pk).update(due_at=now)


def settled(operation: Operation) -> Operation:
    reconcile(operation.pk)
    operation.refresh_from_db()
    return operation


@pytest.fixture
def lost_clone(queued_clone, sandbox):
    """A clone that the platform has started, and whose answer never came."""
    sandbox.fault("POST", r"/clone$", lost_answer=True, times=1)
    submit(queued_clone.pk)
    make_due(queued_clone)
    queued_clone.refresh_from_db()
    return queued_clone


@pytest.fixture
def unsent_clone(queued_clone, sandbox):
    """A clone whose request was cut before the platform handled it."""
    sandbox.fault("POST", r"/clone$", cut=True, times=1)
    submit(queued_clone.pk)
    make_due(queued_clone)
    queued_clone.refresh_from_db()
    return queued_clone


def test_what_a_lost_request_made_is_adopted(lost_clone, sandbox):
    operation = settled(lost_clone)

    assert operation.state == State.RUNNING
    assert operation.imodel_id == sandbox.imodels_named(operation.name, HARBOUR)[0].id
    assert sandbox.calls("POST", "/clone") == 1


def test_what_never_arrived_is_sent_again_under_the_same_name_after_the_reconcile_time(unsent_clone, sandbox):
    early = settled(unsent_clone)
    assert (early.state, early.wait_reason) == (State.SUBMITTING, WaitReason.LOST_ANSWER)

    make_due(unsent_clone, sent_ago_s=120)
    assert settled(unsent_clone).state == State.QUEUED
    submit(unsent_clone.pk)

    unsent_clone.refresh_from_db()
    assert unsent_clone.state == State.RUNNING
    assert len(sandbox.imodels_named(unsent_clone.name, HARBOUR)) == 1


def test_a_stranger_who_took_the_name_meanwhile_keeps_their_imodel(unsent_clone, sandbox, platform_of):
    platform_of("tomas").start("/imodels", f'{{"iTwinId": "{HARBOUR}", "name": "{unsent_clone.name}"}}')

    operation = settled(unsent_clone)

    assert (operation.state, operation.failure_code) == (State.FAILED, "iModelExists")
    assert operation.imodel_id == ""


def test_ones_own_imodel_of_another_origin_is_a_strangers_too(unsent_clone, platform_of):
    platform_of("mara").start("/imodels", f'{{"iTwinId": "{HARBOUR}", "name": "{unsent_clone.name}"}}')

    operation = settled(unsent_clone)

    assert (operation.state, operation.failure_code) == (State.FAILED, "iModelExists")


@pytest.fixture
def lost_template(bridge_team, mara, spec_for, sandbox):
    """An iModel from a template that the platform has started, and whose answer never came."""
    operation = lifecycle.request(
        spec_for(Kind.TEMPLATE, up_to=ChangesetSelection.BASELINE, changeset_index=None), by=mara
    )
    sandbox.fault("POST", r"^/imodels$", lost_answer=True, times=1)
    submit(operation.pk)
    make_due(operation)
    operation.refresh_from_db()
    return operation


def test_what_a_lost_request_made_from_a_template_is_adopted(lost_template, sandbox):
    operation = settled(lost_template)

    assert operation.state == State.RUNNING
    assert operation.imodel_id == sandbox.imodels_named(operation.name, HARBOUR)[0].id
    assert sandbox.calls("POST", "/imodels") == 1


def test_ones_own_clone_is_never_taken_for_one_from_a_template(bridge_team, mara, spec_for, sandbox, platform_of):
    operation = lifecycle.request(
        spec_for(Kind.TEMPLATE, up_to=ChangesetSelection.BASELINE, changeset_index=None), by=mara
    )
    sandbox.fault("POST", r"^/imodels$", cut=True, times=1)
    submit(operation.pk)
    make_due(operation)
    platform_of("mara").start(
        f"/imodels/{operation.source_id}/clone", f'{{"iTwinId": "{HARBOUR}", "name": "{operation.name}"}}'
    )

    operation = settled(operation)

    assert (operation.state, operation.failure_code) == (State.FAILED, "iModelExists")


def test_an_imodel_from_before_the_request_is_not_adopted(lost_clone):
    lost_clone.attempts.update(sent_at=timezone.now() + timedelta(hours=1))

    assert settled(lost_clone).failure_code == "iModelExists"


def test_a_name_that_is_taken_at_the_second_try_may_be_our_own(lost_clone, sandbox):
    """The list was late: nothing was found, the same name was sent again, and the platform says it is taken."""
    Operation.objects.filter(pk=lost_clone.pk).update(state=State.QUEUED)
    Attempt.objects.update(sent_at=timezone.now() - timedelta(minutes=2), answered_at=timezone.now())
    submit(lost_clone.pk)
    lost_clone.refresh_from_db()
    assert lost_clone.state == State.SUBMITTING

    operation = settled(lost_clone)

    assert operation.state == State.RUNNING
    assert len(sandbox.imodels_named(operation.name, HARBOUR)) == 1


def test_a_platform_that_does_not_answer_decides_nothing(lost_clone, sandbox):
    sandbox.fault("GET", r"/imodels", status=503, times=10)

    operation = settled(lost_clone)

    assert operation.state == State.SUBMITTING
    assert operation.due_at > timezone.now()


def test_a_requester_who_must_sign_in_is_waited_for(lost_clone, mara, sandbox):
    mara.tokens.sign_in_needed = True
    mara.tokens.save()

    operation = settled(lost_clone)

    assert (operation.state, operation.wait_reason) == (State.SUBMITTING, WaitReason.SIGN_IN)


def test_reconciling_twice_adopts_once(lost_clone):
    reconcile(lost_clone.pk)
    reconcile(lost_clone.pk)

    lost_clone.refresh_from_db()
    assert lost_clone.events.filter(verb="accepted").count() == 1
