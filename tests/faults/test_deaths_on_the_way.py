"""Lines 1 to 8 of docs/reliability.md: a process dies, or an answer is lost, at each step of a request's way."""

import pytest

from imodels_app import lifecycle, tasks
from imodels_app.accounts import tokens
from imodels_app.models import Attempt, Operation, TokenSet, User
from imodels_app.runtime import clock, timing
from imodels_app.states import Kind, Outcome, State, WaitReason
from imodels_app.workers.reconcile import reconcile
from imodels_app.workers.submit import submit
from tests.people import HARBOUR
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

ASK = """
from imodels_app import lifecycle
from imodels_app.models import User
from imodels_app.states import Kind, ChangesetSelection
from imodels_app.requesting.spec import IModelRef, CreationSpec, ITwinRef
harbour = ITwinRef(id="b2b00000-0000-4000-8000-000000000001", name="Harbour Bridge")
bridge = IModelRef(id="c3c00000-0000-4000-8000-000000000001", name="Main Bridge", itwin=harbour)
what = {"name": "Pier 7", "source": bridge, "up_to": ChangesetSelection.LATEST, "changeset_index": 120}
spec = CreationSpec(kind=Kind.CLONE, itwin=harbour, **what)
lifecycle.request(spec, by=User.objects.get(first_name="Mara"))
"""
APPROVE = """
from imodels_app import lifecycle
from imodels_app.models import Operation, User
lifecycle.approve(Operation.objects.get(), by=User.objects.get(first_name="Tomas"))
"""
# A pool process alone, as the kernel's out-of-memory killer does; and the whole worker, as a machine that dies.
DEATHS = pytest.mark.parametrize("death", ["kill", pytest.param("kill all", marks=pytest.mark.soak)])


@pytest.fixture
def desk(processes, sandbox, bridge_team, signed_in_mara):
    """A worker and a beat at work; an operation ends at the first look."""
    sandbox.advance_by_polls(0)
    processes.desk()
    return processes


def start_again(processes, death: str) -> None:
    """A dead worker is started again by whoever keeps it running; a dead pool process by its worker."""
    if death == "kill all":
        processes.worker()


def made(sandbox, name: str = "Pier 7") -> int:
    return len(sandbox.imodels_named(name, HARBOUR))


def test_01_killed_before_the_intent_commit_nothing_is_left_and_nothing_sent(desk, sandbox):
    desk.arm("request.written", "kill")

    asked = desk.shell(ASK)

    assert asked.wait(20) == -9, desk.log(asked)
    assert not Operation.objects.exists()
    assert sandbox.calls("POST", "/clone") == 0


def test_02_killed_after_the_commit_and_before_the_wake_up_a_sweep_finds_it(desk, sandbox, reached):
    desk.arm("wake.committed", "kill")

    asked = desk.shell(ASK)

    assert asked.wait(20) == -9, desk.log(asked)
    reached(Operation.objects.get(), State.SUCCEEDED)
    assert made(sandbox) == 1


def test_02_an_approval_whose_web_process_is_killed_after_its_commit_still_leads_to_a_fork(
    desk, waiting_fork, tomas, sandbox, reached
):
    desk.arm("wake.committed", "kill")

    decided = desk.shell(APPROVE)

    assert decided.wait(20) == -9, desk.log(decided)
    reached(waiting_fork, State.SUCCEEDED)
    assert sandbox.calls("POST", "/fork") == 1


def test_02_an_approval_killed_before_its_commit_is_none(desk, waiting_fork, tomas, sandbox):
    desk.arm("approve.allowed", "kill")

    assert desk.shell(APPROVE).wait(20) == -9

    waiting_fork.refresh_from_db()
    assert waiting_fork.state == State.AWAITING_APPROVAL
    assert sandbox.calls("POST", "/fork") == 0


@DEATHS
def test_03_killed_after_the_wake_up_and_before_submitting_it_is_delivered_again(
    desk, spec_for, mara, sandbox, reached, death
):
    desk.arm("submit.begin", death)
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)

    desk.struck("submit.begin")
    start_again(desk, death)

    reached(clone, State.SUCCEEDED)
    assert sandbox.calls("POST", "/clone") == 1


@DEATHS
def test_04_killed_after_submitting_and_before_the_socket_it_is_sent_after_the_reconcile_time(
    desk, spec_for, mara, sandbox, reached, time_passes, death
):
    desk.arm("submit.claimed", death)
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)
    desk.struck("submit.claimed")

    time_passes(30)
    start_again(desk, death)
    wait_until(lambda: clone.events.filter(note="not found yet").exists(), what="a first look")
    assert sandbox.calls("POST", "/clone") == 0
    time_passes(100)

    reached(clone, State.SUCCEEDED)
    assert [attempt.outcome for attempt in clone.attempts.all()] == [Outcome.UNKNOWN, Outcome.ACCEPTED]
    assert sandbox.calls("POST", "/clone") == 1


def test_05_killed_after_the_post_left_and_before_its_answer_the_imodel_is_adopted(
    processes, sandbox, bridge_team, signed_in_mara, spec_for, reached, time_passes
):
    sandbox.advance_by_polls(0)
    worker = processes.desk()
    sandbox.fault("POST", r"/clone$", held=True)
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=signed_in_mara)
    wait_until(lambda: made(sandbox) == 1, what="the iModel at the platform")

    processes.kill(worker)
    assert reached(clone, State.SUBMITTING).attempts.get().outcome == Outcome.PENDING
    time_passes(30)
    processes.worker()

    reached(clone, State.SUCCEEDED)
    assert made(sandbox) == sandbox.calls("POST", "/clone") == 1


@DEATHS
def test_06_killed_after_the_answer_and_before_its_commit_the_imodel_is_adopted(
    desk, spec_for, mara, sandbox, reached, time_passes, death
):
    desk.arm("submit.answered", death)
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)
    desk.struck("submit.answered")

    time_passes(30)
    start_again(desk, death)

    reached(clone, State.SUCCEEDED)
    assert made(sandbox) == sandbox.calls("POST", "/clone") == 1


@pytest.mark.parametrize(
    "kind",
    [pytest.param(Kind.EMPTY, marks=pytest.mark.soak), Kind.CLONE, pytest.param(Kind.FORK, marks=pytest.mark.soak)],
)
def test_07_an_answer_lost_by_a_reset_is_looked_up(desk, spec_for, mara, tomas, sandbox, reached, kind):
    sandbox.fault("POST", r"/imodels", lost_answer=True, times=1)

    spec = lifecycle.request(spec_for(kind, name="Pier 7"), by=mara)
    if kind == Kind.FORK:
        lifecycle.approve(spec, by=tomas)

    reached(spec, State.SUCCEEDED)
    assert made(sandbox) == 1
    assert spec.events.filter(verb="postponed", data__wait="lost_answer").count() == 1


def test_07_a_request_cut_before_it_arrived_is_sent_again_under_its_name(
    desk, spec_for, mara, sandbox, reached, time_passes
):
    sandbox.fault("POST", r"/clone$", cut=True, times=1)
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)
    wait_until(lambda: clone.attempts.filter(outcome=Outcome.UNKNOWN).exists(), what="the lost answer")

    time_passes(100)

    reached(clone, State.SUCCEEDED)
    assert made(sandbox) == 1


@pytest.mark.soak
def test_07_an_answer_later_than_the_read_time_out_is_looked_up(desk, spec_for, mara, sandbox, reached):
    sandbox.fault("POST", r"/clone$", held=True)

    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)

    reached(clone, State.SUCCEEDED)
    assert made(sandbox) == sandbox.calls("POST", "/clone") == 1


def test_08_while_an_answer_is_slower_than_the_reconcile_time_somebody_else_reconciles_and_the_late_one_changes_nothing(
    desk, spec_for, mara, sandbox, reached, time_passes
):
    held = sandbox.fault("POST", r"/clone$", held=True)
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)
    wait_until(lambda: held.holding, what="the iModel at the platform")

    time_passes(30)

    version = reached(clone, State.SUCCEEDED).version
    held.release()
    desk.finish("submit")
    clone.refresh_from_db()
    assert (clone.state, clone.version) == (State.SUCCEEDED, version)
    assert made(sandbox) == sandbox.calls("POST", "/clone") == 1


def test_08_an_imodel_listed_only_after_the_reconcile_time_is_met_as_a_name_taken_and_adopted(
    desk, spec_for, mara, sandbox, reached, time_passes
):
    sandbox.switch(list_lag_s=600)
    sandbox.fault("POST", r"/clone$", lost_answer=True, times=1)
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)
    wait_until(lambda: clone.attempts.filter(outcome=Outcome.UNKNOWN).exists(), what="the lost answer")

    time_passes(100)
    wait_until(lambda: sandbox.calls("POST", "/clone") == 2, what="the second request")
    wait_until(lambda: Operation.objects.filter(wait_reason=WaitReason.LOST_ANSWER).exists(), what="the wait")
    sandbox.switch(list_lag_s=0)

    reached(clone, State.SUCCEEDED)
    assert made(sandbox) == 1
    assert Attempt.objects.filter(outcome=Outcome.REJECTED, status=409).count() == 1


def test_08_a_name_taken_whose_answer_comes_cut_off_is_looked_up_too(
    queued_clone, signed_in_mara, sandbox, time_passes
):
    sandbox.switch(list_lag_s=600)
    sandbox.fault("POST", r"/clone$", lost_answer=True, times=1)
    sandbox.fault("POST", r"/clone$", truncated=True, times=1)
    submit(queued_clone.pk)
    for step in (reconcile, submit):
        time_passes(100)
        step(queued_clone.pk)
    queued_clone.refresh_from_db()
    assert (queued_clone.state, queued_clone.wait_reason) == (State.SUBMITTING, WaitReason.LOST_ANSWER)

    sandbox.switch(list_lag_s=0)
    reconcile(queued_clone.pk)

    queued_clone.refresh_from_db()
    assert queued_clone.imodel_id == sandbox.imodels_named(queued_clone.name, HARBOUR)[0].id


def test_a_sign_in_whose_process_dies_before_it_woke_anything_is_noticed_by_a_sweep(
    queued_clone, signed_in_mara, sandbox, reached
):
    until = clock.now() + timing.SIGN_IN_PATIENCE
    TokenSet.objects.update(sign_in_needed=True)
    lifecycle.wait(queued_clone, WaitReason.SIGN_IN, until)
    tasks.sweep_submitting()
    assert reached(queued_clone, State.QUEUED).wait_reason == WaitReason.SIGN_IN

    tokens.store(signed_in_mara, sandbox.tokens_for("mara"))
    tasks.sweep_submitting()
    tasks.sweep_submitting()

    queued_clone.refresh_from_db()
    assert queued_clone.wait_reason == WaitReason.NONE
    assert queued_clone.events.filter(verb="resumed").count() == 1


def test_01_a_form_sent_to_a_web_process_that_dies_is_simply_sent_again(
    processes, sandbox, signed_in_mara, bridge_team
):
    """A person's view of line 1: the connection breaks, the form sent again makes one operation."""
    import requests
    from django.contrib.auth import SESSION_KEY
    from django.test import Client

    address = processes.web()
    browser = Client()
    browser.force_login(signed_in_mara)
    assert SESSION_KEY in browser.session
    person = requests.Session()
    person.cookies.set("desk-session", browser.cookies["desk-session"].value)
    person.headers["Host"] = "localhost"
    page = person.get(f"{address}/new/empty/", timeout=PATIENCE_S)
    fields = dict(_fields(page.text)) | {
        "itwin": "Harbour Bridge",
        "itwin_id": HARBOUR,
        "name": "Pier 7",
    }
    processes.arm("request.written", "kill")

    with pytest.raises(requests.RequestException):
        person.post(f"{address}/new/empty/", data=fields, timeout=PATIENCE_S)
    assert not Operation.objects.exists()
    wait_until(lambda: _answers(person, address), what="the web process that was started again")
    for _ in range(2):
        answer = person.post(f"{address}/new/empty/", data=fields, timeout=PATIENCE_S, allow_redirects=False)
        assert answer.status_code == 303, answer.text[:3000]

    assert Operation.objects.get().name == "Pier 7"
    assert User.objects.get(pk=signed_in_mara.pk).operations.count() == 1


def _fields(html: str):
    import re

    return re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', html)


def _answers(person, address: str) -> bool:
    import requests

    try:
        return person.get(f"{address}/healthz", timeout=PATIENCE_S).status_code == 200
    except requests.RequestException:
        return False
