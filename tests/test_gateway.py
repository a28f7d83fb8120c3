"""Every call to the platform passes one place: it is let through, counted, and its answer told to all who must know."""

import ast
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from imodels_app import gateway, lifecycle
from imodels_app.itwin import errors
from imodels_app.limits import circuit_breaker, rate_limits
from imodels_app.models import Bucket, Operation, TokenSet, Upload
from imodels_app.requesting.catalog import Catalog, CatalogUnavailable
from imodels_app.runtime import clock
from imodels_app.states import Kind, Outcome, State, WaitReason
from imodels_app.workers.cleanup import delete
from imodels_app.workers.poll import poll
from imodels_app.workers.reconcile import reconcile
from imodels_app.workers.submit import submit
from imodels_app.workers.upload import upload
from tests.people import HARBOUR
from tests.settings import BASE_DIR

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("signed_in_mara")]

API = ("/imodels", "/itwins", "/accesscontrol", "/users")


def calls(sandbox) -> int:
    return sum(entry.path.startswith(API) for entry in sandbox.journal)


def counted() -> int:
    return Bucket.objects.get(name=rate_limits.CALLS).counted


def make_due() -> None:
    Operation.objects.exclude(due_at=None).update(due_at=clock.now())


def test_one_place_makes_clients_of_the_platform():
    makers = [
        path.name
        for path in (BASE_DIR / "imodels_app").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
        if (node.func.id if isinstance(node.func, ast.Name) else node.func.attr) == "Platform"
    ]

    assert makers == ["gateway.py"]


@pytest.fixture
def at_each_step(mara, spec_for, baseline_of, failed_fork, signed_in_mara, sandbox):
    """Work for each step that speaks to the platform, due now."""
    sandbox.fault("POST", r"/clone$", lost_answer=True, times=1)
    lost = lifecycle.request(spec_for(Kind.CLONE), by=mara)
    submit(lost.pk)
    running = lifecycle.request(spec_for(Kind.EMPTY), by=mara)
    submit(running.pk)
    sandbox.switch(upload_link=False)
    Operation.objects.get(pk=running.pk).attempts.update(sent_at=timezone.now() - timedelta(minutes=5))
    uploading = baseline_of(b"SQLite format 3\0" + bytes(100))
    submit(uploading.pk)
    lifecycle.delete_orphan(failed_fork, by=mara)
    queued = lifecycle.request(spec_for(Kind.CLONE), by=mara)
    Operation.objects.get(pk=lost.pk).attempts.update(sent_at=timezone.now() - timedelta(minutes=5))
    make_due()
    return {submit: queued, poll: running, reconcile: lost, upload: uploading, delete: failed_fork}


@pytest.mark.parametrize("step", [submit, poll, reconcile, upload, delete], ids=lambda step: step.__name__)
def test_each_step_calls_when_nothing_is_in_the_way(at_each_step, sandbox, step):
    before = calls(sandbox)

    step(at_each_step[step].pk)

    assert calls(sandbox) > before


@pytest.mark.parametrize("step", [submit, poll, reconcile, upload, delete], ids=lambda step: step.__name__)
def test_67_each_call_of_a_step_carries_the_guid_of_its_operation(at_each_step, sandbox, step):
    operation, before = at_each_step[step], len(sandbox.journal)
    sandbox.switch(new_upload_link=True)

    for _ in range(3):
        step(operation.pk)
        make_due()
        Upload.objects.exclude(due_at=None).update(due_at=clock.now())

    made = [entry for entry in sandbox.journal[before:] if entry.path.startswith(API)]
    assert {entry.correlation_id for entry in made} == {str(operation.pk)}
    assert step is not upload or any(entry.path.endswith("/baselinefile") for entry in made)


def test_67_so_do_the_questions_about_a_fork_that_was_refused(waiting_fork, signed_in_mara, tomas, sandbox):
    lifecycle.approve(waiting_fork, by=tomas)
    sandbox.fault("POST", r"/fork$", status=403, body={"error": {"code": "InsufficientPermissions", "message": "No."}})
    before = len(sandbox.journal)

    submit(waiting_fork.pk)

    asked = [entry for entry in sandbox.journal[before:] if entry.path.startswith(API)]
    assert len(asked) == 3
    assert {entry.correlation_id for entry in asked} == {str(waiting_fork.pk)}


@pytest.mark.parametrize("step", [submit, poll, reconcile, upload, delete], ids=lambda step: step.__name__)
def test_while_every_call_is_frozen_no_step_makes_one(at_each_step, sandbox, step):
    until = clock.now() + timedelta(seconds=30)
    rate_limits.freeze(rate_limits.CALLS, until, clock.now())
    before = calls(sandbox)

    step(at_each_step[step].pk)

    assert calls(sandbox) == before


def test_while_every_call_is_frozen_no_picker_makes_one(mara, sandbox):
    rate_limits.freeze(rate_limits.CALLS, clock.now() + timedelta(seconds=30), clock.now())

    for ask in (lambda it: it.itwins("bridge"), lambda it: it.imodels("road"), lambda it: it.source(HARBOUR)):
        with pytest.raises(CatalogUnavailable, match="rate limit is used up for another"):
            ask(Catalog(mara))

    assert calls(sandbox) == 0


@pytest.mark.django_db(transaction=True)
def test_a_wake_up_a_sweep_and_a_redelivered_message_at_once_are_one_poll(running_clone, sandbox):
    sandbox.fault("GET", r"/operations/create$", slow_s=0.5, times=10)
    together = threading.Barrier(6)

    def worker() -> None:
        together.wait()
        try:
            poll(running_clone.pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=worker) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sandbox.calls("GET", "/operations/create") == 1


def test_a_429_to_the_request_queues_it_again_and_a_429_to_the_look_for_it_does_not(queued_clone, sandbox):
    sandbox.fault("POST", r"/clone$", status=429, retry_after=1, times=1)
    submit(queued_clone.pk)
    queued_clone.refresh_from_db()
    assert (queued_clone.state, queued_clone.attempts.get().outcome) == (State.QUEUED, Outcome.NOT_SENT)

    Bucket.objects.all().delete()
    queued_clone.attempts.update(sent_at=clock.now() - timedelta(minutes=5), answered_at=clock.now())
    make_due()
    sandbox.fault("POST", r"/clone$", lost_answer=True, times=1)
    Operation.objects.update(due_at=clock.now())
    queued_clone.attempts.update(answered_at=clock.now() - timedelta(minutes=5))
    submit(queued_clone.pk)
    sandbox.fault("GET", r"^/imodels", status=429, retry_after=7, times=1)
    make_due()
    reconcile(queued_clone.pk)

    queued_clone.refresh_from_db()
    assert (queued_clone.state, queued_clone.wait_reason) == (State.SUBMITTING, WaitReason.RATE_LIMIT)
    assert [call.status for call in sandbox.journal if call.method == "POST"] == [429, None]


def test_what_may_have_been_sent_is_never_queued_again(running_clone):
    Operation.objects.update(state=State.SUBMITTING)
    running_clone.refresh_from_db()

    with pytest.raises(lifecycle.Conflict):
        lifecycle.requeue(
            running_clone, running_clone.attempts.get(), reason=WaitReason.RATE_LIMIT, until=clock.now(), note=""
        )


def test_a_token_that_the_platform_refuses_is_refreshed_before_the_next_use(mara, sandbox):
    TokenSet.objects.update(obtained_at=timezone.now() - timedelta(minutes=30))
    sandbox.expire_tokens()

    with pytest.raises(gateway.MustWait) as told:
        gateway.for_person(mara).itwins()

    assert (told.value.reason, told.value.status) == (WaitReason.TOKEN, 401)
    assert gateway.for_person(mara).itwins()


def test_a_get_that_the_client_repeats_is_counted_each_time(mara, sandbox):
    sandbox.fault("GET", r"^/itwins", status=503, times=2)

    gateway.for_person(mara).itwins()

    assert counted() == calls(sandbox) == 3


def test_a_repeat_does_not_leave_once_the_calls_are_frozen(mara, sandbox):
    sandbox.fault("GET", r"^/itwins", status=503, times=2)
    platform = gateway.for_person(mara)

    def freeze_amid(execute, sql, params, many, context):
        answer = execute(sql, params, many, context)
        if "counted" in sql and sql.startswith("UPDATE"):
            Bucket.objects.update(frozen_until=clock.now() + timedelta(minutes=1))
        return answer

    with connection.execute_wrapper(freeze_amid), pytest.raises(gateway.MustWait):
        platform.itwins()

    assert calls(sandbox) == 1


def test_a_person_who_waits_three_seconds_learns_nothing_about_the_platform(mara, sandbox):
    sandbox.fault("GET", r"^/itwins", slow_s=1.0, times=circuit_breaker.FAILURES_TO_OPEN)

    for _ in range(circuit_breaker.FAILURES_TO_OPEN):
        with pytest.raises(gateway.MustWait):
            gateway.for_person(mara, read_timeout_s=0.05).itwins()

    assert circuit_breaker.outage(clock.now()) is None


def test_a_refusal_closes_the_circuit_and_passes_untouched(mara, sandbox):
    for _ in range(circuit_breaker.FAILURES_TO_OPEN):
        circuit_breaker.record_failure(clock.now() - timedelta(minutes=1))

    with pytest.raises(errors.NotFound):
        gateway.for_person(mara).imodel(HARBOUR)

    assert circuit_breaker.outage(clock.now()) is None
