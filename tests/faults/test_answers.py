"""What the platform answers, and what it should not: lines 9 to 12, 15 and 17 to 20."""

import json
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.models import Bucket, Operation
from imodels_app.runtime import clock
from imodels_app.states import Kind, Outcome, State, WaitReason
from imodels_app.workers.poll import poll
from imodels_app.workers.reconcile import reconcile
from imodels_app.workers.submit import submit
from tests.people import HARBOUR, OLD_QUAY
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.same_on_both,
    pytest.mark.usefixtures("signed_in_mara"),
]


@pytest.fixture
def clone(queued_clone, sandbox):
    """A clone that runs and moves only when told to."""
    sandbox.advance_manually()
    submit(queued_clone.pk)
    queued_clone.refresh_from_db()
    return queued_clone


def after(step, operation: Operation) -> Operation:
    """After this step, whenever it was due."""
    Operation.objects.filter(pk=operation.pk).exclude(due_at=None).update(due_at=clock.now())
    step(operation.pk)
    operation.refresh_from_db()
    return operation


def page_of(client, person, operation) -> str:
    client.force_login(person)
    return client.get(reverse("imodels:operation-detail", args=[operation.pk])).text


# ---------- 9: name taken by somebody else meanwhile ----------


@pytest.mark.parametrize("kind", [Kind.EMPTY, Kind.CLONE])
def test_09_a_name_that_somebody_else_took_meanwhile_is_final_and_a_new_one_is_offered(
    bridge_team, mara, spec_for, sandbox, platform_of, client, kind
):
    operation = lifecycle.request(spec_for(kind, name="Pier 7"), by=mara)
    taken = platform_of("tomas").start("/imodels", json.dumps({"iTwinId": HARBOUR, "name": "PIER 7"}))

    assert after(submit, operation).failure_code == "iModelExists"

    assert (operation.state, operation.imodel_id) == (State.FAILED, "")
    assert [one.id for one in sandbox.imodels_named("PIER 7", HARBOUR)] == [taken]
    page = page_of(client, mara, operation)
    assert "Change and send again" in page
    assert f"?from={operation.pk}" in page


def test_09_a_name_taken_by_an_earlier_operation_of_the_same_person_is_not_adopted(
    bridge_team, mara, spec_for, sandbox
):
    first = after(submit, lifecycle.request(spec_for(Kind.EMPTY, name="Pier 7"), by=mara))
    sandbox.finish(first.imodel_id)
    poll(first.pk)
    second = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)

    assert after(submit, second).failure_code == "iModelExists"
    assert second.imodel_id == ""


# ---------- 10: odd Location ----------


@pytest.mark.parametrize("location", ["missing", "relative", "foreign"])
def test_10_a_location_that_is_missing_relative_or_foreign_leads_to_the_right_imodel(
    queued_clone, sandbox, goes_by, location
):
    sandbox.fault("POST", r"/clone$", times=1, location=location)

    after(submit, queued_clone)
    if queued_clone.state == State.SUBMITTING:  # nothing told the id: the name is looked up
        goes_by(5)
        after(reconcile, queued_clone)

    (made,) = sandbox.imodels_named(queued_clone.name, HARBOUR)
    assert (queued_clone.state, queued_clone.imodel_id) == (State.RUNNING, made.id)
    assert sandbox.calls("POST", "/clone") == 1


@pytest.mark.parametrize(
    "location",
    ["javascript:alert(1)", "//elsewhere.example/", "/imodels/../../etc/passwd", "/imodels/not-a-guid", "x" * 4000],
)
def test_10_a_location_that_makes_no_sense_is_no_id_and_the_name_decides(queued_clone, sandbox, goes_by, location):
    sandbox.fault("POST", r"/clone$", times=1, status=202, headers={"Location": location})

    after(submit, queued_clone)
    assert (queued_clone.state, queued_clone.wait_reason) == (State.SUBMITTING, WaitReason.LOST_ANSWER)
    goes_by(100)
    after(reconcile, queued_clone)
    after(submit, queued_clone)

    (made,) = sandbox.imodels_named(queued_clone.name, HARBOUR)
    assert (queued_clone.state, queued_clone.imodel_id) == (State.RUNNING, made.id)


def test_10_a_created_imodel_is_taken_from_the_body_when_no_header_tells_it(bridge_team, mara, spec_for, sandbox):
    sandbox.fault("POST", r"/imodels$", times=1, location="missing")

    operation = after(submit, lifecycle.request(spec_for(Kind.EMPTY, name="Pier 7"), by=mara))

    assert operation.imodel_id == sandbox.imodels_named("Pier 7", HARBOUR)[0].id


# ---------- 11 and 12: 429 ----------


def test_11_a_storm_of_429_freezes_its_bucket_while_others_run_and_the_page_shows_the_wait(
    bridge_team, mara, spec_for, sandbox, tick, goes_by, client
):
    sandbox.advance_by_polls(1)
    sandbox.limits_off()  # its clock does not jump
    sandbox.fault("POST", r"/clone$", retry_after=30, times=100)
    clones = [lifecycle.request(spec_for(Kind.CLONE), by=mara) for _ in range(3)]

    for refused in range(1, 101):
        tick()
        assert sandbox.calls("POST", "/clone") == refused  # one request for each Retry-After, never a second
        if refused == 50:
            other = lifecycle.request(spec_for(Kind.EMPTY), by=mara)
            tick()
            tick()
            other.refresh_from_db()
            assert other.state == State.SUCCEEDED
            assert "1st in the queue, about " in page_of(client, mara, clones[0])
        goes_by(31)
    for _ in range(12):
        tick()
        goes_by(70)

    for clone in clones:
        clone.refresh_from_db()
        assert clone.state == State.SUCCEEDED
    sent = [entry.correlation_id for entry in sandbox.journal if entry.path.endswith("/clone")]
    assert len(sent) == 103
    assert {pk: sent.count(pk) for pk in sent} == {str(clone.pk): clone.attempts.count() for clone in clones}


@pytest.mark.parametrize(
    ("retry_after", "least_s", "most_s"),
    [
        (None, 60, 60),
        ("date:90", 88, 90),
        ("date:-3600", 60, 60),
        ("soon", 60, 60),
        ("-5", 60, 60),
        ("nan", 60, 60),
        ("1e400", 60, 60),
        ("99999999", 3600, 3600),
        ("0", 0, 1),
        ("Fri, 99 Nov 2026 99:99:99 GMT", 0, 3600),
    ],
)
def test_12_a_429_without_with_a_date_or_with_an_absurd_retry_after_waits_a_bounded_time(
    queued_clone, sandbox, retry_after, least_s, most_s
):
    sandbox.fault("POST", r"/clone$", status=429, retry_after=retry_after, times=1)
    asked_at = timezone.now()

    after(submit, queued_clone)

    assert (queued_clone.state, queued_clone.wait_reason) == (State.QUEUED, WaitReason.RATE_LIMIT)
    earliest, latest = asked_at + timedelta(seconds=least_s - 1), timezone.now() + timedelta(seconds=most_s + 1)
    assert earliest <= queued_clone.wait_until <= latest
    assert queued_clone.attempts.get().outcome == Outcome.NOT_SENT


def test_12_a_429_of_the_whole_application_holds_every_kind(queued_clone, bridge_team, mara, spec_for, sandbox):
    named = {"ITwinPlatform-RateLimited-Operation": "all"}
    sandbox.fault("POST", r"/clone$", status=429, retry_after=40, headers=named, times=1)
    submit(queued_clone.pk)

    empty = after(submit, lifecycle.request(spec_for(Kind.EMPTY), by=mara))

    assert (empty.state, empty.wait_reason) == (State.QUEUED, WaitReason.RATE_LIMIT)
    assert sandbox.calls("POST", "/imodels") == 0
    assert Bucket.objects.get(name="calls").frozen_until


# ---------- 15: 403 after approval ----------


def test_15_rights_lost_after_the_approval_are_final_and_the_approval_is_not_used_again(
    waiting_fork, mara, tomas, spec_for, sandbox, client
):
    lifecycle.approve(waiting_fork, by=tomas, comment="Fine.")
    sandbox.allow(HARBOUR, "mara", ["imodels_read"])

    after(submit, waiting_fork)

    assert (waiting_fork.state, waiting_fork.failure_code) == (State.FAILED, "InsufficientPermissions")
    assert "may not do this in Harbour Bridge" in page_of(client, mara, waiting_fork)
    sandbox.allow(HARBOUR, "mara", ["imodels_read", "imodels_write", "imodels_manage"])
    submit(waiting_fork.pk)
    again = lifecycle.request(spec_for(Kind.FORK, name=waiting_fork.name), by=mara, again_of=waiting_fork)
    submit(again.pk)
    assert again.state == State.AWAITING_APPROVAL
    assert not again.decisions.exists()
    assert sandbox.calls("POST", "/fork") == 1


# ---------- 17: answers that make no sense ----------


@pytest.mark.parametrize("what", ["html", "cut", "empty", "list"])
def test_17_an_answer_to_a_post_that_makes_no_sense_is_a_lost_answer(
    bridge_team, mara, spec_for, sandbox, goes_by, what
):
    operation = lifecycle.request(spec_for(Kind.EMPTY, name="Pier 7"), by=mara)
    bodies = {"html": "<html>Welcome to the airport</html>", "empty": "", "list": "[]"}
    how = {"truncated": True, "location": "missing"} if what == "cut" else {"status": 201, "body": bodies[what]}
    sandbox.fault("POST", r"/imodels$", times=1, **how)

    after(submit, operation)
    assert (operation.state, operation.wait_reason) == (State.SUBMITTING, WaitReason.LOST_ANSWER)
    goes_by(100)
    after(reconcile, operation)
    if operation.state == State.QUEUED:
        after(submit, operation)

    assert operation.state == State.RUNNING
    assert [one.id for one in sandbox.imodels_named("Pier 7", HARBOUR)] == [operation.imodel_id]


@pytest.mark.parametrize(
    "how",
    [
        {"status": 200, "body": "<html>Welcome</html>"},
        {"truncated": True},
        {"status": 200, "body": "[]"},
        {"status": 200, "body": '{"createOperation": null}'},
        {"status": 302, "headers": {"Location": "https://elsewhere.example/"}},
        {"status": 200, "body": '{"createOperation": {"state": "paused by operator"}}'},
        {"status": 200, "body": '{"createOperation": {"state": "' + "x" * 10_000 + '"}}'},
    ],
)
def test_17_an_answer_to_a_look_that_makes_no_sense_ends_nothing(clone, sandbox, goes_by, how):
    sandbox.fault("GET", r"/operations/create$", times=1, **how)

    assert after(poll, clone).state == State.RUNNING

    sandbox.finish(clone.imodel_id)
    goes_by(130)
    assert after(poll, clone).state == State.SUCCEEDED


def test_17_a_state_that_we_do_not_know_is_in_the_history_and_the_log(clone, sandbox, caplog):
    sandbox.finish(clone.imodel_id, state="somethingNew")

    after(poll, clone)

    assert clone.events.filter(verb="unknown_state", note="somethingNew").exists()
    assert "somethingNew" in caplog.text


# ---------- 18: 404 ----------


def test_18_an_operation_that_is_not_found_for_the_first_seconds_goes_on(queued_clone, sandbox, tick, goes_by):
    sandbox.advance_by_polls(1)
    sandbox.fault("GET", r"/operations/create$", status=404, times=3)

    for _ in range(8):
        tick()
        goes_by(5)

    queued_clone.refresh_from_db()
    assert queued_clone.state == State.SUCCEEDED


def test_18_an_imodel_that_is_gone_for_good_vanished_after_a_minute_and_not_before(clone, sandbox, goes_by, client):
    sandbox.fault("GET", rf"/imodels/{clone.imodel_id}", status=404, times=1000)
    looks = 0
    while after(poll, clone).state == State.RUNNING:
        looks += 1
        assert looks < 60
        goes_by(5)

    assert clone.failure_code == "vanished"
    assert looks >= 12
    assert "Failed: vanished" in page_of(client, clone.requested_by, clone)
    sandbox.finish(clone.imodel_id, state="failed")


# ---------- 19: state going back ----------


def test_19_what_has_ended_stays_ended_whatever_the_platform_says_later(clone, sandbox, tick, goes_by):
    sandbox.finish(clone.imodel_id)
    after(poll, clone)
    sandbox.finish(clone.imodel_id, state="scheduled")

    poll(clone.pk)
    for _ in range(3):
        tick()
        goes_by(60)

    clone.refresh_from_db()
    assert (clone.state, clone.platform_state) == (State.SUCCEEDED, "successful")
    sandbox.finish(clone.imodel_id)


def test_19_an_older_answer_that_comes_late_changes_nothing_and_is_logged(clone, sandbox, caplog):
    caplog.set_level("INFO")
    held = sandbox.fault("GET", r"/operations/create$", held=True)

    def slow_look() -> None:
        poll(clone.pk)
        connection.close()

    late = threading.Thread(target=slow_look)
    late.start()
    wait_until(lambda: held.holding, what="the look")
    sandbox.finish(clone.imodel_id)
    assert after(poll, clone).state == State.SUCCEEDED
    held.release()
    late.join()

    clone.refresh_from_db()
    assert clone.state == State.SUCCEEDED
    assert clone.events.last().verb == "succeeded"
    assert "a poll came after a newer one" in caplog.text


def test_19_going_back_while_it_runs_is_in_the_history(clone, sandbox):
    after(poll, clone)
    sandbox.finish(clone.imodel_id, state="almostThere")
    after(poll, clone)
    sandbox.finish(clone.imodel_id, state="scheduled")

    after(poll, clone)

    said = (
        clone.events.filter(verb__in=["platform_state", "unknown_state"]).order_by("pk").values_list("note", flat=True)
    )
    assert list(said) == ["scheduled", "almostThere", "scheduled"]


# ---------- 20: missing FederationGuids ----------


def test_20_a_main_imodel_without_federation_guids_fails_by_its_name_with_the_remedy(
    bridge_team, mara, tomas, spec_for, sandbox, tick, goes_by, client
):
    from imodels_app.requesting.spec import IModelRef, ITwinRef

    quay = IModelRef(id=OLD_QUAY, name="Old Quay", itwin=ITwinRef(id=HARBOUR, name="Harbour Bridge"))
    sandbox.advance_by_polls(2)
    fork = lifecycle.request(spec_for(Kind.FORK, source=quay, up_to="", changeset_index=None), by=mara)
    lifecycle.approve(fork, by=tomas)

    for _ in range(6):
        tick()
        goes_by(5)

    fork.refresh_from_db()
    assert (fork.state, fork.failure_code) == (State.FAILED, "mainIModelIsMissingFederationGuids")
    page = page_of(client, mara, fork)
    assert "Failed: FederationGuids missing" in page
    assert "Try again" in page or "Fork again" in page or "Same again" in page
