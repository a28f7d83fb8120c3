"""One queued operation to the platform: sent once, or waiting with a reason, or failed with the platform's words."""

import json
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.models import Attempt, Bucket, Operation, TokenSet
from imodels_app.runtime import clock, foreign_text
from imodels_app.states import Kind, Outcome, State, WaitReason
from imodels_app.workers.reconcile import reconcile
from imodels_app.workers.submit import submit
from tests.people import HARBOUR
from tests.triggers import triggers_off

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("signed_in_mara")]


def after(operation: Operation) -> Operation:
    submit(operation.pk)
    operation.refresh_from_db()
    return operation


@pytest.mark.parametrize(("kind", "status"), [(Kind.EMPTY, 201), (Kind.TEMPLATE, 201), (Kind.CLONE, 202)])
def test_a_queued_operation_is_sent_and_runs(bridge_team, mara, spec_for, sandbox, kind, status):
    operation = after(lifecycle.request(spec_for(kind, name="Pier 7"), by=mara))

    assert operation.state == State.RUNNING
    assert [one.id for one in sandbox.imodels_named("Pier 7", HARBOUR)] == [operation.imodel_id]
    attempt = operation.attempts.get()
    assert (attempt.outcome, attempt.status) == (Outcome.ACCEPTED, status)
    assert attempt.bucket == ("clone" if kind == Kind.CLONE else "create")


def test_an_approved_fork_is_sent_with_the_requesters_rights(waiting_fork, tomas, sandbox):
    lifecycle.approve(waiting_fork, by=tomas)

    operation = after(waiting_fork)

    assert operation.state == State.RUNNING
    assert [call.person for call in sandbox.journal if call.method == "POST"] == [operation.requested_by.subject]


def test_what_is_sent_is_what_was_stored_byte_for_byte(queued_clone, sandbox):
    operation = after(queued_clone)

    sent = next(call for call in sandbox.journal if call.method == "POST")
    assert sent.path == operation.request_path
    assert sent.body == json.loads(operation.request_body)


def test_two_workers_send_one_clone(queued_clone, sandbox):
    submit(queued_clone.pk)
    submit(queued_clone.pk)

    assert sandbox.calls("POST", "/clone") == 1


def test_a_cancelled_operation_is_not_sent(queued_clone, mara, sandbox):
    lifecycle.cancel(queued_clone, by=mara)

    submit(queued_clone.pk)

    assert sandbox.calls("POST", "/clone") == 0


def test_a_fork_nobody_approved_is_not_sent(waiting_fork, sandbox):
    submit(waiting_fork.pk)

    assert sandbox.calls("POST", "/fork") == 0


def test_a_fork_that_changed_after_its_approval_is_not_sent(waiting_fork, tomas, sandbox):
    lifecycle.approve(waiting_fork, by=tomas)
    with triggers_off():
        Operation.objects.filter(pk=waiting_fork.pk).update(request_body='{"name": "Something else"}')

    operation = after(waiting_fork)

    assert (operation.state, operation.failure_code) == (State.FAILED, "approvalVoid")
    assert sandbox.calls("POST", "/fork") == 0


def test_a_429_is_obeyed_and_the_row_says_why_and_until_when(queued_clone, sandbox):
    sandbox.fault("POST", r"/clone$", status=429, retry_after=1700, times=1)

    operation = after(queued_clone)

    assert (operation.state, operation.wait_reason) == (State.QUEUED, WaitReason.RATE_LIMIT)
    assert timedelta(minutes=27) < operation.wait_until - timezone.now() < timedelta(minutes=29)
    submit(operation.pk)
    assert sandbox.calls("POST", "/clone") == 1


def test_a_429_holds_back_other_operations_of_its_kind_too(queued_clone, mara, spec_for, sandbox):
    sandbox.fault("POST", r"/clone$", status=429, retry_after=17, times=1)
    submit(queued_clone.pk)

    other = after(lifecycle.request(spec_for(Kind.CLONE), by=mara))

    assert (other.state, other.wait_reason) == (State.QUEUED, WaitReason.RATE_LIMIT)
    assert sandbox.calls("POST", "/clone") == 1


def test_a_spent_rate_limit_is_waited_for_before_anything_is_sent(queued_clone, mara, spec_for, sandbox):
    Bucket.objects.create(name="clone", no_bursts_until=clock.now() + timedelta(hours=1))
    submit(queued_clone.pk)

    other = after(lifecycle.request(spec_for(Kind.CLONE), by=mara))

    assert other.wait_reason == WaitReason.SPACED
    assert not other.attempts.exists()


@pytest.mark.parametrize(
    "fault", [{"lost_answer": True}, {"status": 503, "body": "<html>Bad gateway</html>"}, {"status": 504}]
)
def test_a_lost_answer_is_looked_for_and_not_sent_again(queued_clone, sandbox, fault):
    sandbox.fault("POST", r"/clone$", times=1, **fault)

    operation = after(queued_clone)

    assert (operation.state, operation.wait_reason) == (State.SUBMITTING, WaitReason.LOST_ANSWER)
    assert operation.attempts.get().outcome == Outcome.UNKNOWN
    submit(operation.pk)
    assert sandbox.calls("POST", "/clone") == 1


def test_a_platform_that_cannot_be_reached_is_waited_for(queued_clone, settings):
    settings.ITWIN_API_URL = "http://127.0.0.1:9"

    operation = after(queued_clone)

    assert (operation.state, operation.wait_reason) == (State.QUEUED, WaitReason.PLATFORM_DOWN)
    assert operation.attempts.get().outcome == Outcome.NOT_SENT


def test_a_refused_token_is_refreshed_and_the_operation_goes_on(queued_clone, sandbox):
    TokenSet.objects.update(obtained_at=timezone.now() - timedelta(minutes=30))
    sandbox.expire_tokens()
    submit(queued_clone.pk)
    Attempt.objects.update(sent_at=timezone.now() - timedelta(minutes=5))

    operation = after(queued_clone)

    assert operation.state == State.RUNNING
    assert sandbox.calls("POST", "/token") == 1


def test_whoever_has_to_sign_in_again_loses_nothing(queued_clone, sandbox):
    TokenSet.objects.update(expires_at=timezone.now())
    sandbox.revoke("mara")

    operation = after(queued_clone)

    assert (operation.state, operation.wait_reason) == (State.QUEUED, WaitReason.SIGN_IN)
    assert operation.wait_until - timezone.now() > timedelta(days=4)


@pytest.mark.parametrize(
    ("status", "code"), [(403, "InsufficientPermissions"), (404, "iModelNotFound"), (409, "iModelExists")]
)
def test_a_refusal_is_final_and_keeps_the_platforms_words(queued_clone, sandbox, status, code):
    body = {"error": {"code": code, "message": "The platform's own words."}}
    sandbox.fault("POST", r"/clone$", status=status, body=json.dumps(body), times=1)

    operation = after(queued_clone)

    assert (operation.state, operation.failure_code) == (State.FAILED, code)
    assert operation.failure_message == "The platform's own words."


def test_each_detail_of_a_422_is_kept(queued_clone, sandbox):
    details = [{"code": "InvalidValue", "message": "Too long.", "target": name} for name in ("name", "description")]
    body = {"error": {"code": "InvalidiModelsRequest", "message": "Cannot clone iModel.", "details": details}}
    sandbox.fault("POST", r"/clone$", status=422, body=json.dumps(body), times=1)

    operation = after(queued_clone)

    assert operation.state == State.FAILED
    assert operation.failure_details == details


@pytest.mark.parametrize("location", ["missing", "relative", "foreign"])
def test_odd_locations_never_lead_elsewhere(queued_clone, sandbox, location):
    sandbox.fault("POST", r"/clone$", times=1, location=location)

    operation = after(queued_clone)

    made = sandbox.imodels_named(operation.name, HARBOUR)
    assert len(made) == 1
    assert operation.imodel_id in ("", made[0].id)
    assert operation.state == (State.SUBMITTING if location == "missing" else State.RUNNING)


def test_no_token_is_in_what_is_kept(queued_clone, sandbox, mara):
    secret = sandbox.tokens_for("mara")["access_token"]

    operation = after(queued_clone)

    kept = json.dumps(
        [list(operation.events.values()), list(operation.attempts.values()), Operation.objects.values().get()],
        default=str,
    )
    assert secret[:40] not in kept
    assert "Bearer" not in kept


def test_a_name_taken_by_a_request_whose_answer_was_heard_and_not_kept_is_looked_up(queued_clone, sandbox):
    submit(queued_clone.pk)
    # Its worker died between the two; a list that lagged for long hid the clone; the same request was queued again.
    now = clock.now()
    Operation.objects.update(state=State.QUEUED, imodel_id="", due_at=now)
    queued_clone.attempts.update(sent_at=now - timedelta(minutes=5))

    with pytest.raises(lifecycle.Conflict):
        lifecycle.cancel(Operation.objects.get(), by=queued_clone.requested_by)
    submit(queued_clone.pk)

    queued_clone.refresh_from_db()
    assert (queued_clone.state, queued_clone.wait_reason) == (State.SUBMITTING, WaitReason.LOST_ANSWER)


ODD_WORDS = [
    "a\0b",
    "\0",
    "x\ud83d",
    "\udc00",
    "c" * 90,
    "long " * 5000,
    "\u202eturned",
    "two\r\nlines",
    7,
    None,
    [],
    {"a": "\0"},
]


@pytest.mark.parametrize("part", ["code", "message", "details", "target", "detail code", "no envelope"])
@pytest.mark.parametrize("odd", ODD_WORDS)
def test_a_refusal_in_odd_text_is_a_refusal(queued_clone, sandbox, part, odd):
    detail = {"code": "InvalidValue", "message": "m", "target": "name"} | {
        {"details": "message", "target": "target", "detail code": "code"}.get(part, "innerError"): odd
    }
    error = {"code": "InvalidiModelsRequest", "message": "No.", "details": [detail]}
    body = {"message": odd} if part == "no envelope" else {"error": error | ({part: odd} if part in error else {})}
    sandbox.fault("POST", r"/clone$", status=422, body=body)

    operation = after(queued_clone)

    assert (operation.state, operation.attempts.get().outcome) == (State.FAILED, Outcome.REJECTED)
    assert operation.failure_code
    if part in ("message", "no envelope"):  # what can be read of it; without any, the page says what the code means
        readable = foreign_text.cleaned(odd, most=foreign_text.PARAGRAPH, is_line=False)
        assert operation.failure_message == readable
    else:
        assert operation.failure_message == "No."
    assert sandbox.calls("POST", "/clone") == 1


def refuse_writes(table: str, condition: str) -> str:
    """SQL of a trigger that refuses an UPDATE."""
    if connection.vendor == "sqlite":
        return f"""CREATE TRIGGER refuse_it BEFORE UPDATE ON {table} WHEN {condition}
            BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"""
    return f"""CREATE FUNCTION refuse_it() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN IF {condition} THEN RAISE EXCEPTION 'refused by the test'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER refuse_it BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_it()"""


REFUSED_WRITES = [
    ("imodels_app_attempt", "NEW.outcome IN ('rejected', 'accepted', 'unknown')"),
    ("imodels_app_operation", "NEW.state IN ('failed', 'running') OR NEW.wait_reason = 'lost_answer'"),
]


@pytest.mark.parametrize(("table", "condition"), REFUSED_WRITES)
@pytest.mark.parametrize("fault", [{"status": 422, "body": {"error": {"code": "No"}}}, None, {"lost_answer": True}])
def test_an_answer_that_the_database_refuses_is_looked_up_and_never_sent_again(
    queued_clone, sandbox, table, condition, fault
):
    if fault:
        sandbox.fault("POST", r"/clone$", **fault)
    with connection.cursor() as cursor:
        cursor.execute(refuse_writes(table, condition))
    with pytest.raises(DatabaseError, match="refused by the test"):
        submit(queued_clone.pk)
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER refuse_it" + ("" if connection.vendor == "sqlite" else f" ON {table}"))

    for _ in range(4):
        Attempt.objects.update(sent_at=timezone.now() - timedelta(minutes=16))
        Operation.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        reconcile(queued_clone.pk)
        submit(queued_clone.pk)

    queued_clone.refresh_from_db()
    was_made = bool(sandbox.imodels_named(queued_clone.name))
    assert sandbox.calls("POST", "/clone") == 1
    assert queued_clone.state == (State.RUNNING if was_made else State.FAILED)
    assert was_made or queued_clone.failure_code == "answerUnrecorded"
