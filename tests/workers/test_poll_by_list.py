"""Many at once by a list: a hint that saves calls, confirmed by each one's own token, and nobody is skipped."""

import json
from datetime import timedelta

import pytest

from dashboard.celery import app
from imodels_app import lifecycle, tasks
from imodels_app.accounts import tokens
from imodels_app.limits import fair_queue
from imodels_app.models import ITwinList, Operation
from imodels_app.runtime import clock
from imodels_app.runtime.timing import GUARD_POLL
from imodels_app.states import Kind, State
from imodels_app.workers import poll_by_list
from imodels_app.workers.following import next_poll
from imodels_app.workers.poll import poll
from imodels_app.workers.submit import submit
from tests.people import HARBOUR

pytestmark = pytest.mark.django_db


@pytest.fixture
def many(bridge_team, signed_in_mara, tomas, spec_for, sandbox) -> list[Operation]:
    """Four clones of Mara's and one of Tomas', into one iTwin, that run until they are told to end."""
    sandbox.advance_manually()
    tokens.store(tomas, sandbox.tokens_for("tomas"))
    made = [lifecycle.request(spec_for(Kind.CLONE), by=by) for by in (*[signed_in_mara] * 4, tomas)]
    while first := fair_queue.next_in_line("clone", clock.now()):
        submit(first.operation.pk)
    app.control.purge()
    return fresh(made)


def fresh(operations) -> list[Operation]:
    return [Operation.objects.get(pk=operation.pk) for operation in operations]


def listed_now() -> None:
    """After one look at the list, whenever it was due."""
    ITwinList.objects.update_or_create(itwin_id=HARBOUR, defaults={"due_at": clock.now()})
    poll_by_list.look(HARBOUR)


def own_looks(sandbox) -> int:
    return sandbox.calls("GET", "/operations/create")


def test_what_a_list_shows_is_rarely_polled_itself(many, sandbox):
    listed_now()

    now = clock.now()
    for operation in fresh(many):
        assert operation.listed_at
        assert abs(operation.due_at - now - GUARD_POLL) < timedelta(seconds=5)
        assert next_poll(operation, now) == now + GUARD_POLL
    assert own_looks(sandbox) == 0


def test_what_has_left_the_list_is_confirmed_with_its_own_token_and_nothing_else_is_asked(many, sandbox):
    listed_now()
    sandbox.finish(many[4].imodel_id)

    listed_now()

    due = Operation.objects.due_for_poll(clock.now())
    assert [one.pk for one in due] == [many[4].pk]
    poll(many[4].pk)
    assert fresh(many)[4].state == State.SUCCEEDED
    asked = [entry for entry in sandbox.journal if entry.path.endswith("/operations/create")]
    assert [entry.person for entry in asked] == [sandbox.person("tomas").id]


def test_the_list_does_not_decide_what_is_not_confirmed_runs_on(many, sandbox):
    listed_now()
    sandbox.initialize(many[0].imodel_id)

    listed_now()
    poll(many[0].pk)

    first = fresh(many)[0]
    assert (first.state, first.listed_at) == (State.RUNNING, None)
    assert first.due_at < clock.now() + timedelta(seconds=3)


def test_what_the_list_of_somebody_else_does_not_show_is_polled_as_ever(many, sandbox):
    sandbox.secure(many[4].imodel_id, "tomas", ["imodels_webview", "imodels_read", "imodels_manage"])
    sandbox.allow(HARBOUR, "mara", ["imodels_webview", "imodels_read"])
    poll(many[4].pk)
    due_at = fresh(many)[4].due_at

    listed_now()

    assert (fresh(many)[4].listed_at, fresh(many)[4].due_at) == (None, due_at)
    assert all(one.listed_at for one in fresh(many)[:4])


def test_what_ended_before_its_first_list_is_polled_at_once(many, sandbox):
    later = clock.now() + timedelta(seconds=60)
    Operation.objects.filter(pk__in=[one.pk for one in many]).update(due_at=later)
    sandbox.finish(many[0].imodel_id)

    listed_now()

    assert [one.pk for one in Operation.objects.due_for_poll(clock.now())] == [many[0].pk]


def test_a_list_that_was_cut_says_nothing_about_what_it_does_not_show(many, sandbox):
    listed_now()
    cut = {"iModels": [], "_links": {"next": {"href": f"/imodels?iTwinId={HARBOUR}&$skip=1000"}}}
    sandbox.fault("GET", r"^/imodels$", status=200, body=json.dumps(cut), times=1)

    listed_now()

    assert all(one.listed_at for one in fresh(many))


@pytest.mark.parametrize("fault", [{"status": 403}, {"status": 500}, {"status": 200, "body": "<html>"}])
def test_without_a_list_each_is_polled_by_itself_and_the_next_list_is_somebody_elses(many, sandbox, fault):
    listed_now()
    sandbox.fault("GET", r"^/imodels$", **fault, times=1)

    listed_now()

    assert Operation.objects.due_for_poll(clock.now()).count() == 5
    listed_now()
    lists = [one for one in sandbox.journal if one.method == "GET" and one.path == "/imodels" and not one.faulty]
    assert [one.person for one in lists] == [sandbox.person(who).id for who in ("mara", "tomas")]


def test_a_list_is_asked_for_where_that_costs_fewer_calls(many, sandbox):
    tasks.sweep_running()
    assert ITwinList.objects.get().pk == HARBOUR
    listed_now()

    for operation in many[:4]:
        sandbox.finish(operation.imodel_id)
        Operation.objects.filter(pk=operation.pk).update(due_at=clock.now())
        poll(operation.pk)
    tasks.sweep_running()

    # The last one is asked by itself again, when that is worth a call.
    assert fresh(many)[4].listed_at is None
    assert fresh(many)[4].due_at <= clock.now() + timedelta(seconds=2)
