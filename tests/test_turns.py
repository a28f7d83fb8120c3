"""People are served in turn, not in the order of who queued a thousand."""

from datetime import timedelta

import pytest
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.models import Attempt
from imodels_app.states import Kind
from imodels_app.submit import submit
from imodels_app.turns import first_in_turn

pytestmark = pytest.mark.django_db


@pytest.fixture
def ask(bridge_team, wish_for):
    """ask(mara) queues a clone."""
    return lambda person, kind=Kind.CLONE: lifecycle.request(wish_for(kind), by=person)


def serve(now) -> str:
    """Send whatever is next, and return whose it was."""
    operation = first_in_turn("clone", now)
    lifecycle.claim(operation, bucket="clone", now=now)
    return operation.requested_by.first_name


def test_who_queued_ten_and_who_queued_two_take_turns(ask, mara, tomas, otto):
    for person in [mara] * 10 + [tomas] * 2 + [otto]:
        ask(person)
    now = timezone.now()

    served = [serve(now + timedelta(seconds=3 * turn)) for turn in range(8)]

    assert served == ["Mara", "Tomas", "Otto", "Mara", "Tomas", "Mara", "Mara", "Mara"]


def test_ones_own_requests_go_in_the_order_they_were_asked(ask, mara):
    first = ask(mara)
    ask(mara)

    assert first_in_turn("clone", timezone.now()) == first


def test_each_budget_has_its_own_queue(ask, mara):
    ask(mara)

    assert first_in_turn("create", timezone.now()) is None


def test_what_waits_for_a_reason_of_its_own_holds_nobody_up(ask, mara, tomas):
    lifecycle.postpone(ask(mara), reason="sign_in", until=timezone.now() + timedelta(days=1))
    other = ask(tomas)

    assert first_in_turn("clone", timezone.now()) == other


def test_a_worker_that_comes_out_of_turn_sends_nothing(ask, signed_in_mara, tomas, sandbox):
    first, second = ask(signed_in_mara), ask(signed_in_mara)

    submit(second.pk)
    assert not Attempt.objects.exists()

    submit(first.pk)
    assert sandbox.calls("POST", "/clone") == 1
