"""The only writer of state: what people and workers may do, in which order, and what history it leaves."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.accounts import permissions
from imodels_app.models import Event, Membership, Operation
from imodels_app.states import FINISHED, MOVES, Kind, State, Verdict, WaitReason
from tests.triggers import triggers_off


def verbs(operation) -> list[str]:
    return list(operation.events.values_list("verb", flat=True))


def test_a_clone_is_queued_at_once(queued_clone):
    assert queued_clone.state == State.QUEUED
    assert verbs(queued_clone) == ["requested"]


def test_a_fork_waits_for_the_team_that_looks_after_its_main_imodel(waiting_fork, bridge_team):
    assert waiting_fork.state == State.AWAITING_APPROVAL
    assert waiting_fork.team == bridge_team
    assert waiting_fork.expires_at - waiting_fork.created_at == timedelta(days=7)


def test_an_itwin_that_nobody_looks_after_belongs_to_the_default_team(mara, spec_for):
    first = lifecycle.request(spec_for(Kind.EMPTY), by=mara)
    second = lifecycle.request(spec_for(Kind.EMPTY), by=mara)

    assert first.team == second.team
    assert first.team.is_default


def test_a_lead_lets_a_fork_proceed(waiting_fork, tomas):
    lifecycle.approve(waiting_fork, by=tomas, comment="Fine.")

    assert waiting_fork.state == State.QUEUED
    decision = waiting_fork.decisions.get()
    assert (decision.verdict, decision.by, decision.comment) == (Verdict.APPROVED, tomas, "Fine.")
    assert verbs(waiting_fork) == ["requested", "approved"]


def test_a_lead_refuses_a_fork(waiting_fork, tomas):
    lifecycle.reject(waiting_fork, by=tomas, comment="Use Pier 7.")

    assert waiting_fork.state == State.REJECTED
    assert waiting_fork.finished_at
    assert waiting_fork.decisions.get().verdict == Verdict.REJECTED


@pytest.mark.parametrize("person", ["mara", "otto", "ines"])
def test_nobody_but_a_lead_of_the_team_decides(waiting_fork, person, request):
    by = request.getfixturevalue(person)

    with pytest.raises(permissions.Denied):
        lifecycle.approve(waiting_fork, by=by)

    waiting_fork.refresh_from_db()
    assert waiting_fork.state == State.AWAITING_APPROVAL


def test_a_lead_who_is_superuser_too_cannot_approve_their_own_fork(ida, tomas, spec_for):
    tomas.is_staff = tomas.is_superuser = True
    tomas.save()
    own = lifecycle.request(spec_for(Kind.FORK), by=tomas)

    with pytest.raises(permissions.Denied, match="requested this yourself"):
        lifecycle.approve(own, by=tomas)


def test_a_requester_who_comes_back_as_another_account_does_not_decide(waiting_fork, bridge_team, mara, ines):
    Membership.objects.create(team=bridge_team, email=ines.email, user=ines, role=Membership.Role.LEAD)
    subject, mara.subject = mara.subject, "somebody else now"
    mara.save()
    ines.subject = subject
    ines.save()

    with pytest.raises(permissions.Denied, match="requested this yourself"):
        lifecycle.approve(waiting_fork, by=ines)


def test_a_second_decision_meets_a_conflict(waiting_fork, tomas):
    late = Operation.objects.get(pk=waiting_fork.pk)
    lifecycle.approve(waiting_fork, by=tomas)

    with pytest.raises(lifecycle.Conflict):
        lifecycle.reject(late, by=tomas)

    assert verbs(waiting_fork) == ["requested", "approved"]


def test_a_decision_after_the_time_has_passed_meets_a_conflict(waiting_fork, tomas):
    Operation.objects.filter(pk=waiting_fork.pk).update(expires_at=timezone.now())
    waiting_fork.refresh_from_db()

    with pytest.raises(lifecycle.Conflict, match="passed"):
        lifecycle.approve(waiting_fork, by=tomas)


def test_what_was_not_approved_in_these_words_is_not_claimed(waiting_fork, tomas):
    lifecycle.approve(waiting_fork, by=tomas)
    with triggers_off():
        Operation.objects.filter(pk=waiting_fork.pk).update(request_body='{"name": "Something else"}')
    waiting_fork.refresh_from_db()

    with pytest.raises(lifecycle.ApprovalVoid):
        lifecycle.claim(waiting_fork, bucket="fork", now=timezone.now())


def test_the_requester_calls_off_what_has_not_been_sent(queued_clone, mara):
    lifecycle.cancel(queued_clone, by=mara)

    assert queued_clone.state == State.CANCELLED


def test_nobody_calls_off_what_is_running(running_clone, mara):
    with pytest.raises(permissions.Denied, match="The platform cannot stop a clone"):
        lifecycle.cancel(running_clone, by=mara)


def test_a_second_claim_meets_a_conflict(queued_clone):
    late = Operation.objects.get(pk=queued_clone.pk)
    lifecycle.claim(queued_clone, bucket="clone", now=timezone.now())

    with pytest.raises(lifecycle.Conflict):
        lifecycle.claim(late, bucket="clone", now=timezone.now())

    assert queued_clone.attempts.count() == 1


def test_two_operations_with_one_name_are_not_under_way_at_once(bridge_team, mara, otto, spec_for):
    first = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=mara)
    second = lifecycle.request(spec_for(Kind.EMPTY, name="PIER 7"), by=otto)
    lifecycle.claim(first, bucket="clone", now=timezone.now())

    with pytest.raises(lifecycle.NameInFlight):
        lifecycle.claim(second, bucket="create", now=timezone.now())

    second.refresh_from_db()
    assert second.state == State.QUEUED


def test_a_writer_that_slept_through_anothers_work_changes_nothing(running_clone):
    sleeper = Operation.objects.get(pk=running_clone.pk)
    lifecycle.usable(running_clone)

    with pytest.raises(lifecycle.Conflict):
        lifecycle.failed(sleeper, code="failed")

    running_clone.refresh_from_db()
    assert running_clone.state == State.RUNNING


def test_a_state_that_ends_it_leads_nowhere():
    assert not FINISHED & set(MOVES)


def test_waiting_says_why_and_until_when(queued_clone):
    until = timezone.now() + timedelta(seconds=40)

    lifecycle.wait(queued_clone, WaitReason.RATE_LIMIT, until)

    assert (queued_clone.wait_reason, queued_clone.wait_until) == (WaitReason.RATE_LIMIT, until)
    assert queued_clone not in Operation.objects.ready(timezone.now())


def test_waiting_longer_for_the_same_reason_is_one_line_of_history(queued_clone):
    for seconds in (10, 20, 30):
        lifecycle.wait(queued_clone, WaitReason.RATE_LIMIT, timezone.now() + timedelta(seconds=seconds))

    assert verbs(queued_clone) == ["requested", "postponed"]


def test_signing_in_again_wakes_what_waited_for_it(queued_clone, mara):
    lifecycle.wait(queued_clone, WaitReason.SIGN_IN, timezone.now() + timedelta(days=5))

    lifecycle.wake_after_sign_in(mara)

    assert queued_clone in Operation.objects.ready(timezone.now())
    queued_clone.refresh_from_db()
    assert queued_clone.wait_reason == WaitReason.NONE
    assert queued_clone.expires_at is None


def test_what_waits_for_a_person_who_never_comes_expires(queued_clone, waiting_fork):
    lifecycle.wait(queued_clone, WaitReason.SIGN_IN, timezone.now() + timedelta(days=5))
    after = timezone.now() + timedelta(days=8)

    for operation in Operation.objects.overdue(after):
        lifecycle.expire(operation)

    assert set(Operation.objects.values_list("state", flat=True)) == {State.EXPIRED}


def test_the_wait_of_one_fork_for_its_lead_is_not_the_wait_for_a_sign_in(waiting_fork, tomas):
    lifecycle.approve(waiting_fork, by=tomas)

    assert not Operation.objects.overdue(timezone.now() + timedelta(days=30)).exists()


def test_history_reads_after_its_people_have_changed_their_names(waiting_fork, mara):
    mara.first_name = "M."
    mara.save()

    assert waiting_fork.events.get().actor_name == "Mara Lindqvist"


@pytest.mark.django_db(transaction=True)
def test_of_twenty_leads_at_once_one_decides(waiting_fork, tomas):
    outcomes: list[str] = []
    together = threading.Barrier(20)

    def decide(number: int) -> None:
        mine = Operation.objects.select_related("team").get(pk=waiting_fork.pk)
        together.wait()
        try:
            (lifecycle.approve if number % 2 else lifecycle.reject)(mine, by=tomas)
            outcomes.append("decided")
        except lifecycle.Conflict:
            outcomes.append("too late")
        finally:
            connection.close()

    threads = [threading.Thread(target=decide, args=[number]) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["decided"] + ["too late"] * 19
    assert Event.objects.filter(operation=waiting_fork, verb__in=["approved", "rejected"]).count() == 1
    assert waiting_fork.decisions.count() == 1
