"""Each fence alone: somebody is held up at the worst moment, others go on, and then the sleeper wakes.

A fence that is taken away must make the oracle speak: tests/faults/test_broken_fences.py takes each away, and plays
these tests.
"""

import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from django.db import IntegrityError, connection

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.lifecycle import _transition
from imodels_app.models import Decision, Membership, Operation, Orphan, TokenSet, User
from imodels_app.runtime import dispatch, failpoints
from imodels_app.states import FINISHED, Kind, State, Verdict
from imodels_app.workers import cleanup
from imodels_app.workers.poll import poll
from imodels_app.workers.reconcile import reconcile
from imodels_app.workers.submit import submit
from imodels_app.workers.upload import upload
from tests.faults import oracle
from tests.faults.schedules import Died
from tests.files import KIB, a_file
from tests.people import HARBOUR, OLD_QUAY
from tests.triggers import triggers_off

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.no_oracle]


@pytest.fixture
def at(monkeypatch) -> Callable[[str, Callable[[], object]], None]:
    """at(place, does): whoever comes to this failpoint next is held up there while does() happens."""
    plans: dict[str, Callable[[], object]] = {}
    monkeypatch.setattr(failpoints, "reach", lambda name: plans.pop(name, lambda: None)())
    monkeypatch.setattr(dispatch, "send", lambda *hint, **how: None)
    return plans.__setitem__


def edit(fork: Operation) -> None:
    """Change what was approved, past the database's own guards."""
    with triggers_off():
        Operation.objects.update(request_body=fork.request_body.replace("true", "false"))


def die() -> None:
    raise Died


@pytest.fixture
def clone(queued_clone, signed_in_mara, sandbox, virtual_clock) -> Operation:
    sandbox.advance_by_polls(0)
    _transition.note(queued_clone, "resumed", due_at=virtual_clock.now())
    return queued_clone


@pytest.fixture
def goes_its_way(virtual_clock, sandbox) -> Callable[[Operation], Operation]:
    """goes_its_way(operation): workers do what is due, for ten minutes or to its end; then the oracle is asked."""

    def go(operation: Operation) -> Operation:
        for _ in range(120):
            for does in (submit, reconcile, poll):
                does(operation.pk)
            operation.refresh_from_db()
            if operation.state in FINISHED:
                break
            virtual_clock.passes(5)
        wrong = oracle.violations(sandbox, pages=False)
        assert not wrong, "the oracle says:\n" + "\n".join(wrong)
        return operation

    return go


# The row: state and version


def test_who_slept_over_the_next_attempt_does_not_take_it_back(clone, at, virtual_clock, sandbox, goes_its_way):
    sandbox.fault("POST", r"/clone$", retry_after=3)

    def meanwhile() -> None:
        virtual_clock.passes(100)
        reconcile(clone.pk)  # it never arrived: the same request is queued again
        at("submit.answered", die)
        with suppress(Died):
            submit(clone.pk)  # and made an iModel whose answer nobody has written down

    at("attempt.answered", meanwhile)
    submit(clone.pk)  # had been told to wait, and would queue it a third time

    assert goes_its_way(clone).state == State.SUCCEEDED


def test_two_workers_that_read_the_same_row_send_one_request(clone, at, sandbox, goes_its_way):
    at("submit.claiming", lambda: submit(clone.pk))

    submit(clone.pk)

    assert goes_its_way(clone).state == State.SUCCEEDED


def test_who_slept_through_the_lease_of_an_upload_writes_nothing_more(
    baseline_of, signed_in_mara, at, virtual_clock, sandbox, settings
):
    settings.UPLOAD_SINGLE_PUT, settings.UPLOAD_BLOCK = KIB, KIB
    operation = baseline_of(a_file(6 * KIB))
    submit(operation.pk)

    def meanwhile() -> None:
        virtual_clock.passes(25)
        upload(operation.pk)

    at("upload.block_sent", meanwhile)
    upload(operation.pk)

    wrong = oracle.violations(sandbox, pages=False)
    assert not wrong, wrong


def test_who_read_an_orphan_before_another_worker_took_it_leaves_it_alone(clone, at, mara, sandbox):
    sandbox.next_outcome("failed")
    submit(clone.pk)
    poll(clone.pk)
    lifecycle.delete_orphan(Operation.objects.get(pk=clone.pk), by=mara)
    at("cleanup.sending", die)
    waiting = [lambda: cleanup.delete(clone.pk)]

    def held_up(execute, sql, params, many, context):
        if waiting and sql.startswith("UPDATE") and Orphan._meta.db_table in sql:
            with suppress(Died):
                waiting.pop()()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(held_up):
        cleanup.delete(clone.pk)

    assert not [call for call in sandbox.journal if call.method == "DELETE"], "two workers were at one orphan"


# The claim, right before the socket


@pytest.mark.parametrize("clock_goes_back_s", [0, 3600], ids=["", "the database's clock goes back"])
def test_a_claim_that_was_reconciled_meanwhile_sends_nothing(
    clone, at, virtual_clock, sandbox, goes_its_way, clock_goes_back_s
):
    def meanwhile() -> None:
        virtual_clock.passes(120)
        reconcile(clone.pk)
        submit(clone.pk)
        virtual_clock.jumps(-clock_goes_back_s)

    at("submit.claimed", meanwhile)
    submit(clone.pk)

    virtual_clock.jumps(clock_goes_back_s)
    found = list(oracle.sent_in_vain(sandbox))
    assert not found, found
    assert goes_its_way(clone).state == State.SUCCEEDED


def test_a_claim_that_is_old_sends_nothing_though_nobody_has_reconciled_it(clone, at, virtual_clock, sandbox):
    at("submit.claimed", lambda: virtual_clock.passes(15))

    submit(clone.pk)

    assert sandbox.calls("POST", "/clone") == 0, "an old claim was sent, on the budget of a minute that is over"


# A lost answer


def test_a_lost_answer_is_waited_for_until_the_platform_must_list_what_came_of_it(
    clone, at, virtual_clock, sandbox, goes_its_way
):
    sandbox.switch(list_lag_s=40)
    sandbox.fault("POST", r"/clone$", lost_answer=True)

    done = goes_its_way(clone)

    found = list(oracle.sent_in_vain(sandbox))
    assert not found, found
    assert done.state == State.SUCCEEDED


@pytest.mark.parametrize("answer", ["lost", "never written down"])
def test_a_name_taken_by_our_own_lost_request_is_ours(clone, at, virtual_clock, sandbox, goes_its_way, answer):
    """The platform lists it later than we wait."""
    sandbox.switch(list_lag_s=400)
    if answer == "lost":
        sandbox.fault("POST", r"/clone$", lost_answer=True)
        submit(clone.pk)
    else:
        at("submit.answered", die)
        with suppress(Died):
            submit(clone.pk)

    assert goes_its_way(clone).state == State.SUCCEEDED


def test_what_was_sent_once_is_not_called_off(clone, at, mara, virtual_clock, sandbox, goes_its_way):
    sandbox.switch(list_lag_s=400)
    sandbox.fault("POST", r"/clone$", lost_answer=True)
    submit(clone.pk)
    virtual_clock.passes(100)
    reconcile(clone.pk)
    clone.refresh_from_db()
    assert clone.state == State.QUEUED

    with suppress(lifecycle.Conflict):
        lifecycle.cancel(clone, by=mara)

    goes_its_way(clone)


@pytest.mark.parametrize("who", ["tomas", "mara"])
def test_what_is_somebody_elses_or_made_from_something_else_is_not_adopted(
    clone, at, sandbox, platform_of, goes_its_way, who
):
    """By a colleague from the same source, or by the requester from another."""
    body = json.dumps({"iTwinId": HARBOUR, "name": clone.name})
    sandbox.fault("POST", r"/clone$", cut=True)
    submit(clone.pk)
    platform_of(who).start(clone.request_path if who == "tomas" else f"/imodels/{OLD_QUAY}/clone", body)

    done = goes_its_way(clone)

    assert (done.state, done.failure_code) == (State.FAILED, "iModelExists")


def test_what_an_earlier_operation_made_is_not_adopted(clone, at, mara, spec_for, virtual_clock, sandbox, goes_its_way):
    submit(clone.pk)
    poll(clone.pk)
    second = lifecycle.request(spec_for(Kind.CLONE, name=clone.name), by=mara)
    virtual_clock.passes(70)
    sandbox.fault("POST", r"/clone$", cut=True)

    done = goes_its_way(second)

    assert (done.state, done.failure_code) == (State.FAILED, "iModelExists")


def test_what_the_requester_made_long_before_is_not_adopted(
    clone, at, platform_of, virtual_clock, sandbox, goes_its_way
):
    platform_of("mara").start(clone.request_path, clone.request_body)
    virtual_clock.passes(3000)
    sandbox.fault("POST", r"/clone$", cut=True)

    done = goes_its_way(clone)

    assert (done.state, done.failure_code) == (State.FAILED, "iModelExists")


# An approval


def test_a_fork_that_was_edited_after_its_approval_is_not_sent(waiting_fork, at, tomas, signed_in_mara, sandbox):
    lifecycle.approve(waiting_fork, by=tomas)
    edit(waiting_fork)

    submit(waiting_fork.pk)

    waiting_fork.refresh_from_db()
    assert waiting_fork.failure_code == "approvalVoid", "it was claimed without an approval"
    assert sandbox.calls("POST", "/fork") == 0


def test_a_fork_that_is_edited_while_it_is_claimed_is_not_sent(
    waiting_fork, at, tomas, signed_in_mara, virtual_clock, sandbox, goes_its_way
):
    """The claim has looked at the bytes that were approved, and reads the row anew."""
    lifecycle.approve(waiting_fork, by=tomas)
    at("submit.claiming", lambda: edit(waiting_fork))

    assert goes_its_way(waiting_fork).failure_code == "approvalVoid"


# A decision, as the database itself sees it


@pytest.fixture
def write_decision(waiting_fork, tomas) -> Callable:
    """write_decision(by=mara): a row as lifecycle would write it, but for what is given.

    Whoever decides is a lead, and known by no address: what else would refuse the row is out of the way.
    """

    def write(*, by=tomas, verdict=Verdict.APPROVED, **fields) -> Decision:
        place = {"role": Membership.Role.LEAD, "email": f"{by.pk}@lead.example", "given_at": None}
        Membership.objects.update_or_create(team=waiting_fork.team, user=by, defaults=place)
        User.objects.filter(pk=by.pk).update(email="")
        who = {"by": by, "by_name": by.name, "by_key": by.lasting_key}
        asked = {name: getattr(waiting_fork, name) for name in ("requested_by", "requester_key", "request_hash")}
        facts = {"operation": waiting_fork, "verdict": verdict, "decided_at": waiting_fork.created_at}
        return Decision.objects.create(**facts | who | asked | fields)

    return write


def test_the_requester_does_not_decide(write_decision, mara, ines):
    """Known by their account, and by what outlasts it."""
    with pytest.raises(IntegrityError):
        write_decision(by=mara, by_key=ines.lasting_key)
    with pytest.raises(IntegrityError):
        write_decision(by=ines, by_key=mara.lasting_key)


def test_nobody_decides_twice(write_decision, tomas, ines):
    write_decision(by=tomas)

    with pytest.raises(IntegrityError):
        write_decision(by=tomas, verdict=Verdict.REJECTED)
    with pytest.raises(IntegrityError):
        write_decision(by=ines, by_key=tomas.lasting_key)


def test_a_decision_is_not_about_another_request(write_decision):
    with pytest.raises(IntegrityError):
        write_decision(request_hash="0" * 64)


def test_a_decision_names_no_other_requester(write_decision, mara, ines):
    """Or the requester would pass for somebody else."""
    with pytest.raises(IntegrityError):
        write_decision(by=mara, requested_by=ines, requester_key=ines.lasting_key)


def test_a_decision_is_never_edited(write_decision):
    write_decision()

    with pytest.raises(IntegrityError):
        Decision.objects.update(comment="Never mind.")
    with pytest.raises(IntegrityError):
        Decision.objects.all().delete()


@pytest.mark.parametrize(
    "columns",
    [
        {"kind": Kind.CLONE},
        {"requested_by": "tomas"},
        {"requester_key": "|"},
        {"request_path": "/imodels"},
        {"request_body": "{}"},
        {"request_hash": "0" * 64},
        {"approval_plan": {}},
    ],
    ids=lambda columns: next(iter(columns)),
)
def test_what_is_decided_is_never_edited(waiting_fork, tomas, columns):
    lifecycle.approve(waiting_fork, by=tomas)
    columns = {name: tomas if value == "tomas" else value for name, value in columns.items()}

    with pytest.raises(IntegrityError):
        Operation.objects.update(**columns)


# The history


@pytest.mark.parametrize(
    "rewrite", [lambda events: events.update(note="It never happened."), lambda events: events.delete()]
)
def test_what_an_event_tells_stays(clone, at, rewrite):
    before = list(clone.events.values())

    with suppress(IntegrityError):
        rewrite(clone.events.all())

    assert list(clone.events.values()) == before, "its history was rewritten"


# The token


@pytest.fixture
def expired(clone, mara, virtual_clock) -> TokenSet:
    virtual_clock.passes(3600)
    return TokenSet.objects.get(user=mara)


def nobody_showed_a_used_token(sandbox) -> None:
    found = list(oracle.asked_with_a_used_token(sandbox))
    assert not found, found


def test_one_worker_refreshes_while_another_waits(clone, expired, at, sandbox, goes_its_way):
    at("tokens.rotated", lambda: submit(clone.pk))

    submit(clone.pk)

    nobody_showed_a_used_token(sandbox)
    assert goes_its_way(clone).state == State.SUCCEEDED


def test_a_worker_whose_reading_of_the_clock_is_a_little_behind_respects_the_lease(
    clone, expired, at, virtual_clock, sandbox, goes_its_way
):
    def meanwhile() -> None:
        virtual_clock.jumps(-0.5)
        submit(clone.pk)
        virtual_clock.jumps(0.5)

    at("tokens.rotated", meanwhile)

    submit(clone.pk)

    nobody_showed_a_used_token(sandbox)
    assert goes_its_way(clone).state == State.SUCCEEDED


def test_who_read_the_row_before_somebody_refreshed_does_not_refresh_again(mara, expired, at, sandbox):
    waiting = [lambda: tokens.access_token(mara)]

    def held_up(execute, sql, params, many, context):
        if waiting and sql.startswith("UPDATE") and TokenSet._meta.db_table in sql:
            waiting.pop()()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(held_up), suppress(tokens.TokenUnavailable, tokens.SignInNeeded):
        tokens.access_token(mara)

    nobody_showed_a_used_token(sandbox)


def test_a_refresh_that_comes_later_than_a_new_sign_in_changes_nothing(mara, expired, at, sandbox):
    fresh = {}

    def meanwhile() -> None:
        sandbox.revoke("mara")
        fresh.update(sandbox.tokens_for("mara"))
        tokens.store(mara, fresh)

    at("tokens.rotated", meanwhile)
    with suppress(tokens.TokenUnavailable):
        tokens.access_token(mara)

    assert tokens.access_token(mara) == fresh["access_token"], "the token of the new sign-in was overwritten"
