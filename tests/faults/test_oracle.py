"""The oracle names each kind of violation when one is planted: a check that cannot fail proves nothing."""

import json
from datetime import timedelta

import pytest
import requests
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.accounts import encryption, oidc, tokens
from imodels_app.audit import events
from imodels_app.itwin import errors
from imodels_app.models import Attempt, Decision, Event, Operation, Orphan, TokenSet, Upload
from imodels_app.runtime import clock
from imodels_app.states import Kind, State, WaitReason
from imodels_app.workers.poll import poll
from imodels_app.workers.submit import submit
from imodels_app.workers.upload import upload
from tests.faults import oracle
from tests.files import a_file
from tests.people import HARBOUR, MAIN_BRIDGE
from tests.triggers import triggers_off
from tests.waiting import PATIENCE_S

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.no_oracle,
    pytest.mark.usefixtures("signed_in_mara"),
]


@pytest.fixture
def done_clone(queued_clone, sandbox):
    """A clone that was made as it should be."""
    sandbox.advance_by_polls(0)
    submit(queued_clone.pk)
    poll(queued_clone.pk)
    queued_clone.refresh_from_db()
    return queued_clone


@pytest.fixture
def send(sandbox, platform_of):
    """send(path, body, correlation_id): a request past our own code."""

    def post(path, body, correlation_id=""):
        return platform_of("mara", correlation_id=str(correlation_id)).start(path, json.dumps(body))

    return post


def violations(sandbox, **more) -> str:
    return "\n".join(oracle.violations(sandbox, **more))


def test_it_says_nothing_when_all_is_well(done_clone, sandbox, redis_url):
    assert done_clone.state == State.SUCCEEDED
    assert violations(sandbox, redis_url=redis_url, logs={"worker": "Task imodels_app.submit succeeded"}) == ""


def test_it_sees_a_second_imodel(done_clone, sandbox, send):
    send(f"/imodels/{MAIN_BRIDGE}/clone", {"iTwinId": HARBOUR, "name": "Another"}, done_clone.pk)

    assert f"{done_clone.pk} made 2 iModels" in violations(sandbox)


def test_it_sees_a_request_that_was_not_written_down(queued_clone, sandbox, send):
    send(queued_clone.request_path, json.loads(queued_clone.request_body), queued_clone.pk)

    assert "sent 1 requests and recorded 0" in violations(sandbox)


@pytest.mark.parametrize("due", [None, timezone.now() + timedelta(hours=2)])
def test_it_sees_an_operation_that_nothing_will_look_at(queued_clone, sandbox, due):
    Operation.objects.update(due_at=due)

    assert "look" in violations(sandbox)


def test_it_lets_a_person_be_waited_for(queued_clone, sandbox):
    until = timezone.now() + timedelta(days=5)
    lifecycle.wait(queued_clone, WaitReason.SIGN_IN, until)

    assert violations(sandbox) == ""


def test_it_sees_an_imodel_that_its_ended_operation_does_not_know(done_clone, sandbox):
    Operation.objects.update(imodel_id="")

    assert "ended without knowing" in violations(sandbox)


def test_it_sees_a_failure_that_was_none(done_clone, sandbox):
    Operation.objects.update(state=State.FAILED)
    with triggers_off():
        Event.objects.filter(verb="succeeded").update(to=State.FAILED)

    assert "the platform says otherwise" in violations(sandbox)


def test_it_sees_an_orphan_that_no_row_tells_of(running_clone, sandbox):
    lifecycle.failed(running_clone, code="failed")
    Orphan.objects.all().delete()

    assert "left an iModel, and no row says so" in violations(sandbox)


def test_it_sees_a_stranger_adopted(done_clone, sandbox, platform_of):
    theirs = platform_of("tomas").start("/imodels", json.dumps({"iTwinId": HARBOUR, "name": "Theirs"}))
    Operation.objects.update(imodel_id=theirs)

    assert "did not make" in violations(sandbox)
    assert "made\n" in violations(sandbox) + "\n"


def test_it_sees_a_limit_exceeded(done_clone, sandbox, send):
    sandbox.limit("clone", 1)
    with pytest.raises(errors.TooMany):
        send(f"/imodels/{MAIN_BRIDGE}/clone", {"iTwinId": HARBOUR, "name": "One too many"})

    assert "went beyond a limit" in violations(sandbox)


def test_it_lets_a_429_pass_that_a_fault_told(queued_clone, sandbox):
    sandbox.fault("POST", r"/clone$", status=429, retry_after=7)
    submit(queued_clone.pk)

    assert violations(sandbox) == ""


@pytest.mark.parametrize("what", ["missing", "twice", "disconnected"])
def test_it_sees_a_history_that_does_not_hang_together(done_clone, sandbox, what):
    event = Event.objects.filter(verb="claimed")
    with triggers_off():
        if what == "missing":
            event._raw_delete("default")
        elif what == "twice":
            events.record(
                "claimed", at=timezone.now(), operation=done_clone, came_from=State.QUEUED, to=State.SUBMITTING
            )
        else:
            event.update(came_from=State.RUNNING)

    assert "history" in violations(sandbox) or "comes from" in violations(sandbox)


def test_it_sees_a_claim_without_an_attempt(done_clone, sandbox):
    Attempt.objects.all()._raw_delete("default")

    assert "1 claims in its history and 0 attempts" in violations(sandbox)


def test_it_sees_a_fork_that_nobody_approved(waiting_fork, sandbox, send):
    send(waiting_fork.request_path, json.loads(waiting_fork.request_body), waiting_fork.pk)

    assert "without the approvals" in violations(sandbox)


def test_it_sees_a_fork_that_is_not_what_was_approved(waiting_fork, tomas, sandbox, send):
    lifecycle.approve(waiting_fork, by=tomas)
    send(waiting_fork.request_path, {"iTwinId": HARBOUR, "name": "Something else"}, waiting_fork.pk)

    assert "something else than its row holds" in violations(sandbox)


def test_it_sees_an_approval_of_something_else(waiting_fork, tomas, sandbox, send):
    lifecycle.approve(waiting_fork, by=tomas)
    with triggers_off():
        Decision.objects.update(request_hash="0" * 64)
    send(waiting_fork.request_path, json.loads(waiting_fork.request_body), waiting_fork.pk)

    assert "without the approvals" in violations(sandbox)


@pytest.mark.parametrize("place", ["events", "attempts", "operations", "logs", "redis"])
def test_it_sees_a_secret(done_clone, mara, sandbox, redis_url, place):
    import redis

    secret = tokens.access_token(mara)
    if place == "events":
        events.record("exported", at=timezone.now(), note=secret)
    elif place == "attempts":
        Attempt.objects.update(answer=f"Authorization: Bearer {secret[:40]}")
    elif place == "operations":
        Operation.objects.update(failure_message="https://blob.example/x?sv=1&sig=abcdefghijk%3D")
    elif place == "redis":
        with redis.Redis.from_url(redis_url) as client:
            client.lpush("celery", secret)
    logs = {"worker": f"refreshed {secret}"} if place == "logs" else {}

    assert "a secret is in" in violations(sandbox, logs=logs, redis_url=redis_url)


def test_it_sees_a_secret_in_a_page(done_clone, mara, sandbox):
    Operation.objects.update(name="https://blob.example/x?sv=1&sig=abcdefghijk%3D")

    assert f"a secret is in /operations/{done_clone.pk}/" in violations(sandbox)


def test_it_sees_two_imodels_of_one_name(done_clone, spec_for, mara, sandbox):
    other = lifecycle.request(spec_for(Kind.EMPTY), by=mara)
    Attempt.objects.update(sent_at=timezone.now() - timedelta(minutes=5))
    submit(other.pk)
    other.refresh_from_db()
    sandbox.world.imodels[other.imodel_id].name = done_clone.name.upper()

    assert "2 iModels are called" in violations(sandbox)


@pytest.fixture
def uploaded(baseline_of, sandbox):
    """A baseline file that went up as it should."""
    operation = baseline_of(a_file())
    submit(operation.pk)
    upload(operation.pk)
    operation.refresh_from_db()
    return operation


def test_it_sees_other_bytes_in_the_storage(uploaded, sandbox):
    assert violations(sandbox) == ""
    name = f"baselines/{uploaded.imodel_id}/{uploaded.imodel_id}.bim"
    sandbox.platform.blobs.write(name, [a_file()])

    assert "the storage has other bytes" in violations(sandbox)


def test_it_sees_a_file_that_is_due_though_it_is_there(uploaded, sandbox):
    Upload.objects.update(due_at=clock.now())

    assert "its file is still to be uploaded" in violations(sandbox)


def test_it_sees_an_upload_that_nobody_will_go_on_with(baseline_of, sandbox):
    submit(baseline_of(a_file()).pk)
    Upload.objects.update(due_at=None)

    assert "is uploading and nothing will ever look at it" in violations(sandbox)


def test_it_sees_a_file_that_was_completed_twice(uploaded, sandbox, platform_of):
    sandbox.world.imodels[uploaded.imodel_id].creation.baseline_state = "waitingForFile"
    platform_of("mara").complete_baseline(uploaded.imodel_id)

    assert "took effect 2 times" in violations(sandbox)


def test_it_sees_a_token_sent_to_the_storage(uploaded, sandbox):
    requests.put(f"{sandbox.url}/storage/x", data=b"x", headers={"Authorization": "Bearer x"}, timeout=PATIENCE_S)

    assert "was sent credentials" in violations(sandbox)


def test_it_sees_an_upload_link_outside(baseline_of, sandbox):
    operation = baseline_of(a_file())
    submit(operation.pk)
    operation.refresh_from_db()

    link = encryption.decrypt(operation.upload.link)

    assert "a secret is in" in violations(sandbox, logs={"worker": f"PUT {link}"})


def test_it_sees_a_request_that_left_again_in_vain(done_clone, sandbox, send):
    with pytest.raises(errors.NameTaken):
        send(done_clone.request_path, json.loads(done_clone.request_body), done_clone.pk)

    assert "was sent again after the platform had made" in "".join(oracle.sent_in_vain(sandbox))


def test_it_sees_a_refresh_token_shown_twice(mara, sandbox):
    spent = encryption.decrypt(TokenSet.objects.get(user=mara).refresh_token)
    oidc.refresh(spent)
    assert not list(oracle.asked_with_a_used_token(sandbox))

    with pytest.raises(oidc.GrantRevoked):
        oidc.refresh(spent)

    assert len(list(oracle.asked_with_a_used_token(sandbox))) == 1
