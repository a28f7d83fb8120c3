"""What became of a request whose answer was lost. Never twice, never a stranger's, never forgotten."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.models import Attempt, Operation
from imodels_app.runtime import clock
from imodels_app.states import ChangesetSelection, Kind, Outcome, State, WaitReason
from imodels_app.workers.reconcile import reconcile
from imodels_app.workers.submit import submit
from tests.people import HARBOUR, OLD_QUAY

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


# ---------- the platform's clock ----------

CLOCKS_APART = pytest.mark.parametrize("ahead_s", [-7 * 86400, -3600, -400, 0, 400, 3600])


def lost(kind: Kind, make, sandbox) -> Operation:
    """An operation of this kind that the platform has accepted, and whose answer never came."""
    sandbox.fault("POST", r"^/imodels(/.*/(clone|fork))?$", lost_answer=True)
    operation = make[kind]()
    submit(operation.pk)
    make_due(operation, sent_ago_s=0)
    operation.refresh_from_db()
    assert operation.state == State.SUBMITTING
    return operation


@pytest.fixture
def make(bridge_team, mara, tomas, spec_for, baseline_of):
    """make[kind](**fields) is what Mara asks for, queued."""

    def request(kind: Kind, **fields) -> Operation:
        if kind == Kind.TEMPLATE:
            fields |= {"up_to": ChangesetSelection.BASELINE, "changeset_index": None}
        operation = lifecycle.request(spec_for(kind, **fields), by=mara)
        if kind == Kind.FORK:
            lifecycle.approve(operation, by=tomas)
        return operation

    made = {kind: partial(request, kind) for kind in Kind}
    return made | {Kind.BASELINE: partial(baseline_of, b"SQLite format 3\0" + bytes(100))}


@pytest.mark.parametrize(
    ("kind", "path", "told"),
    [
        (Kind.EMPTY, r"^/imodels$", {"createdDateTime": "\0"}),
        (Kind.EMPTY, r"^/imodels$", {"_links": {"creator": {"href": "soon"}}}),
        (Kind.EMPTY, r"/operations/create$", {"state": "scheduled", "clonedFrom": "\u3164"}),
        (Kind.CLONE, r"/operations/create$", {"state": "scheduled", "clonedFrom": {"iModelId": "\u202e"}}),
        (Kind.FORK, r"/operations/create$", {"state": "scheduled", "forkedFrom": []}),
        (Kind.BASELINE, r"/baselinefile$", {"state": "waitingForFile", "fileSize": "large"}),
        (Kind.BASELINE, r"/baselinefile$", {"state": "x", "fileSize": 116}),
        (Kind.BASELINE, r"/baselinefile$", None),
        (Kind.CLONE, r"/operations/create$", None),
    ],
)
def test_one_answer_that_leaves_out_what_would_tell_decides_nothing(make, sandbox, kind, path, told):
    operation = lost(kind, make, sandbox)
    [made] = sandbox.imodels_named(operation.name)
    whole = platform_json(sandbox, made)
    bodies = {"createOperation": told, "baselineFile": told, "iModels": [whole | (told or {})]}
    sandbox.fault("GET", path, status=200 if told else 404, body=bodies)

    assert settled(operation).state == State.SUBMITTING
    make_due(operation)

    assert settled(operation).imodel_id == made.id


def platform_json(sandbox, imodel) -> dict[str, object]:
    """What tells of an iModel whose it is."""
    creator = {"href": f"{sandbox.url}/imodels/{imodel.id}/users/{imodel.creator_id}"}
    made_at = datetime.fromtimestamp(imodel.created_at, UTC).isoformat()
    about = {"id": imodel.id, "name": imodel.name, "createdDateTime": made_at, "_links": {"creator": creator}}
    return about | {"iTwinId": imodel.itwin_id, "description": imodel.description}


@CLOCKS_APART
@pytest.mark.parametrize("kind", Kind)
def test_59_ones_own_imodel_is_adopted_however_far_the_platforms_clock_is_from_ours(make, sandbox, kind, ahead_s):
    sandbox.set_clock(ahead_s=ahead_s)

    operation = settled(lost(kind, make, sandbox))

    assert operation.state == (State.UPLOADING if kind == Kind.BASELINE else State.RUNNING)
    assert operation.imodel_id == sandbox.imodels_named(operation.name, HARBOUR)[0].id


@CLOCKS_APART
def test_59_an_imodel_from_before_the_request_is_not_adopted_and_nobody_else_is_blamed(lost_clone, sandbox, ahead_s):
    sandbox.set_clock(ahead_s=ahead_s)
    sandbox.imodels_named(lost_clone.name, HARBOUR)[0].created_at = sandbox.platform.time() - 60

    operation = settled(lost_clone)

    assert operation.failure_code == "iModelExists"
    assert operation.events.last().note == "Mara Lindqvist had made “Pier 7 copy” before this request was sent."


@CLOCKS_APART
def test_59_somebody_else_is_named_only_when_the_platform_names_them(unsent_clone, sandbox, platform_of, ahead_s):
    sandbox.set_clock(ahead_s=ahead_s)
    platform_of("tomas").start("/imodels", f'{{"iTwinId": "{HARBOUR}", "name": "{unsent_clone.name}"}}')

    assert settled(unsent_clone).events.last().note == "“Pier 7 copy” was made by somebody else."


@pytest.mark.parametrize("date", ["", "yesterday", "Sat, 99 Nov 2026 12:00:00 GMT"])
def test_59_without_a_date_that_can_be_read_clocks_may_differ_by_minutes(lost_clone, sandbox, date):
    sandbox.fault("GET", r"^/imodels", location="relative", headers={"Date": date}, times=9)
    sandbox.imodels_named(lost_clone.name, HARBOUR)[0].created_at -= 200

    assert settled(lost_clone).state == State.RUNNING


def test_after_an_answer_a_list_that_lags_is_waited_for(lost_clone, sandbox):
    """The worker died between the answer and what it said: the platform has made it, whatever its list shows."""
    Attempt.objects.update(outcome=Outcome.ACCEPTED)
    make_due(lost_clone, sent_ago_s=360)
    sandbox.switch(list_lag_s=3600)
    assert settled(lost_clone).state == State.SUBMITTING
    sandbox.switch(list_lag_s=0)
    make_due(lost_clone, sent_ago_s=420)
    (imodel,) = sandbox.imodels_named(lost_clone.name)
    imodel.created_at -= 400

    assert settled(lost_clone).imodel_id == imodel.id
    assert sandbox.calls("POST", "/clone") == 1


# ---------- what somebody renamed ----------


def renamed(operation: Operation, sandbox, name: str = "Pier 7, final") -> str:
    """Two minutes have passed, and what the lost request made has another name; its id."""
    (imodel,) = sandbox.imodels_named(operation.name, HARBOUR)
    imodel.name = name
    imodel.created_at -= 120
    make_due(operation, sent_ago_s=120)
    return imodel.id


@pytest.mark.parametrize("ahead_s", [-3600, 0, 400])
@pytest.mark.parametrize("kind", Kind)
def test_61_what_somebody_renamed_meanwhile_is_adopted_and_not_made_twice(make, sandbox, kind, ahead_s):
    sandbox.set_clock(ahead_s=ahead_s)
    operation = lost(kind, make, sandbox)
    imodel_id = renamed(operation, sandbox)

    settled(operation)

    assert operation.state == (State.UPLOADING if kind == Kind.BASELINE else State.RUNNING)
    assert operation.imodel_id == imodel_id
    assert "“Pier 7, final”" in operation.events.get(verb="accepted").note


def test_61_it_is_adopted_though_somebody_else_has_taken_its_name_since(make, sandbox, platform_of):
    operation = lost(Kind.CLONE, make, sandbox)
    imodel_id = renamed(operation, sandbox)
    platform_of("tomas").start("/imodels", f'{{"iTwinId": "{HARBOUR}", "name": "{operation.name}"}}')

    assert (settled(operation).state, operation.imodel_id) == (State.RUNNING, imodel_id)


def test_61_it_is_found_among_many_older_ones(make, sandbox):
    operation = lost(Kind.CLONE, make, sandbox)
    imodel_id = renamed(operation, sandbox)
    newest = sandbox.world.imodels[imodel_id]
    for number in range(250):
        older = replace(newest, id=str(uuid4()), name=f"A {number}", created_at=newest.created_at - 1000 - number)
        sandbox.world.add_imodel(older)

    assert settled(operation).imodel_id == imodel_id


NOT_OURS = {
    "made by somebody else": lambda imodel, sandbox: setattr(imodel, "creator_id", sandbox.person("tomas").id),
    "made before": lambda imodel, sandbox: setattr(imodel, "created_at", imodel.created_at - 10),
    "made long after": lambda imodel, sandbox: setattr(imodel, "created_at", imodel.created_at + 60),
    "made from something else": lambda imodel, sandbox: setattr(imodel.creation, "cloned_from", {"iModelId": OLD_QUAY}),
    "made from nothing": lambda imodel, sandbox: setattr(imodel.creation, "cloned_from", None),
}


@pytest.mark.parametrize("how", NOT_OURS)
def test_61_what_does_not_fit_is_not_adopted(make, sandbox, how):
    operation = lost(Kind.CLONE, make, sandbox)
    NOT_OURS[how](sandbox.world.imodels[renamed(operation, sandbox)], sandbox)

    assert (settled(operation).state, operation.imodel_id) == (State.QUEUED, "")


def test_61_an_empty_imodel_with_another_description_is_not_adopted(make, sandbox):
    operation = lost(Kind.EMPTY, make, sandbox)
    sandbox.world.imodels[renamed(operation, sandbox)].description = "Something else"

    assert settled(operation).state == State.QUEUED


@pytest.mark.parametrize("kind", [Kind.CLONE, Kind.FORK, Kind.EMPTY])
@pytest.mark.parametrize("settled_first", [0, 1])
def test_61_of_two_lost_requests_each_gets_its_own_though_both_were_renamed(make, sandbox, kind, settled_first):
    both = [lost(kind, make, sandbox)]
    Attempt.objects.update(sent_at=clock.now() - timedelta(minutes=2), answered_at=clock.now() - timedelta(minutes=2))
    both.append(lost(kind, make, sandbox))
    ids = [renamed(operation, sandbox, f"Pier {number}") for number, operation in enumerate(both)]
    both[0].attempts.update(sent_at=clock.now() - timedelta(seconds=126))
    sandbox.world.imodels[ids[0]].created_at -= 6

    for number in (settled_first, 1 - settled_first):
        settled(both[number])

    assert [operation.imodel_id for operation in both] == ids


@pytest.mark.parametrize("ended", ["", State.CANCELLED, State.FAILED])
@pytest.mark.parametrize(("kind", "other"), [(Kind.CLONE, Kind.CLONE), (Kind.EMPTY, Kind.TEMPLATE)])
def test_61_what_another_lost_request_made_is_left_to_it(make, sandbox, kind, other, ended):
    arrived, never_arrived = lost(kind, make, sandbox), make[other]()
    (imodel,) = sandbox.imodels_named(arrived.name, HARBOUR)
    sandbox.fault("POST", r"/(clone|imodels)$", cut=True)
    Attempt.objects.update(sent_at=clock.now() - timedelta(minutes=2), answered_at=clock.now() - timedelta(minutes=2))
    submit(never_arrived.pk)
    imodel.created_at -= 120
    for operation in (arrived, never_arrived):
        make_due(operation, sent_ago_s=121)

    if ended:
        Operation.objects.filter(pk=arrived.pk).update(state=ended, due_at=None)

    assert settled(never_arrived).state == State.QUEUED
    if not ended:
        assert settled(arrived).imodel_id == imodel.id


def test_61_what_the_requester_made_by_hand_under_a_name_they_had_asked_for_is_left_alone(make, sandbox, platform_of):
    other, never_arrived = make[Kind.FORK](name="Pier 5"), make[Kind.EMPTY](name="Pier 8")
    Operation.objects.filter(pk=other.pk).update(state=State.FAILED, due_at=None)
    sandbox.fault("POST", r"^/imodels$", cut=True)
    submit(never_arrived.pk)
    platform_of("mara").start("/imodels", f'{{"iTwinId": "{HARBOUR}", "name": "Pier 5"}}')
    Attempt.objects.update(sent_at=clock.now() - timedelta(minutes=2), answered_at=clock.now() - timedelta(minutes=2))
    sandbox.imodels_named("Pier 5", HARBOUR)[0].created_at -= 119
    make_due(never_arrived, sent_ago_s=121)

    assert settled(never_arrived).state == State.QUEUED


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
