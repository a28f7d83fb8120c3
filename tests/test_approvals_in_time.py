"""Approvals in a team whose people are away, sit in a chat and decide several at once: row by row."""

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.accounts import permissions, rights, sessions, tokens
from imodels_app.models import Absence, ApprovalRule, Decision, Event, Look, Membership, Notification, Operation
from imodels_app.notifications import recipients
from imodels_app.runtime import clock
from imodels_app.runtime.timing import LOOK_LASTS, SIGN_IN_IS_FRESH
from imodels_app.states import Kind, NotificationKind, State, Verb, WaitReason, Who
from imodels_app.workers import sweeps
from imodels_app.workers.submit import submit
from tests.views.test_sign_in import sign_in_as

pytestmark = pytest.mark.django_db
LIST = "/approvals/"


def address(act: str, operation: Operation) -> str:
    return reverse(f"imodels:{act}", args=[operation.pk])


def fresh(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


def verbs(operation: Operation) -> list[str]:
    return list(operation.events.values_list("verb", flat=True))


def heard(kind: NotificationKind) -> set[str]:
    return set(Notification.objects.filter(kind=kind).values_list("to__first_name", flat=True))


def away(team, lead, deputy, *, since=timedelta(hours=-1), until=timedelta(days=3), by=None) -> Absence:
    now = clock.now()
    absence = Absence(team=team, lead=lead, deputy=deputy, starts_at=now + since, ends_at=now + until)
    rights.save(absence, by=by or lead)
    return absence


@pytest.fixture
def ben(bridge_team, ben_person):
    """In the Bridge team, and no lead."""
    Membership.objects.create(team=bridge_team, email=ben_person.email, user=ben_person)
    return ben_person


@pytest.fixture
def ben_person(db):
    from imodels_app.models import User

    names = {"first_name": "Ben", "last_name": "Okafor", "email": "ben.okafor@harbour.example"}
    return User.objects.create(username="ben", issuer="https://sign-in.example", subject="ben", **names)


# Row 11: comments


def test_row_11_a_comment_decides_nothing_and_its_thread_is_told(client, waiting_fork, ines, tomas, mara):
    lifecycle.comment(waiting_fork, "Why not a clone?", by=ines)
    assert heard(NotificationKind.COMMENTED) == {"Mara"}
    client.force_login(mara)

    answer = client.post(address("comment", waiting_fork), {"text": "It has to be merged back."})

    assert answer.status_code == 302
    assert Notification.objects.filter(kind=NotificationKind.COMMENTED, to=ines).count() == 1
    assert not Notification.objects.filter(kind=NotificationKind.COMMENTED, to=tomas).exists()
    page = client.get(address("approval-detail", waiting_fork)).text
    assert page.index("Why not a clone?") < page.index("It has to be merged back.")
    assert (fresh(waiting_fork).state, fresh(waiting_fork).version) == (State.AWAITING_APPROVAL, waiting_fork.version)


@pytest.mark.same_on_both
def test_row_11_an_empty_comment_is_told_at_its_field_and_one_too_long_comes_back(client, waiting_fork, mara):
    client.force_login(mara)

    empty = client.post(address("comment", waiting_fork), {"text": "  "})
    long = client.post(address("comment", waiting_fork), {"text": "x" * 2001})

    assert (empty.status_code, long.status_code) == (422, 422)
    assert "x" * 2001 in long.text
    assert not Event.objects.filter(verb=Verb.COMMENTED).exists()


# Row 12: sign in again


@pytest.mark.parametrize("act", ["approve", "decide-several"])
def test_row_12_where_a_rule_asks_the_provider_asks_again_and_says_when(
    client, bridge_team, mara, sandbox, spec_for, confirmed_leads, act
):
    ApprovalRule.objects.update(levels=[{"who": Who.LEADS, "sign_in": True}])
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    sign_in_as(client, "tomas")
    session = client.session
    sessions.note_authentication(session, clock.now().timestamp() - SIGN_IN_IS_FRESH.total_seconds())
    session.save()

    where = address(act, fork) if act == "approve" else reverse("imodels:decide-several")
    sent = {"comment": "Fine.", "answer": "approve", "chosen": f"{fork.pk}:1"}
    refused = client.post(where, sent)

    assert (refused.status_code, fresh(fork).state) == (422, State.AWAITING_APPROVAL)
    assert "A rule asks you to sign in again" in refused.text
    start = reverse("imodels:sign-in-start")
    assert f"{start}?again=yes&amp;next=" in refused.text
    asked = parse_qs(urlsplit(client.get(start, {"again": "yes"})["Location"]).query)
    assert (asked["prompt"], asked["max_age"]) == (["login"], [str(int(SIGN_IN_IS_FRESH.total_seconds()))])
    sign_in_as(client, "tomas", again="yes")
    client.post(where, sent)
    assert fresh(fork).state == State.QUEUED


@pytest.mark.same_on_both
def test_row_12_nor_does_an_administrator_pass_by_the_new_sign_in_or_the_comment(
    client, bridge_team, ines, mara, tomas, spec_for
):
    """Neither by a bypass, nor in the place of leads who have left."""
    ApprovalRule.objects.update(levels=[{"who": Who.LEADS, "sign_in": True, "comment": True}])
    fork, other = (lifecycle.request(spec_for(Kind.FORK), by=mara) for _ in range(2))
    client.force_login(ines)
    assert "sign in again" in client.post(address("bypass", fork), {"reason": "It cannot wait any longer."}).text
    rights.delete(Membership.objects.get(user=tomas), by=None)
    client.force_login(ines)

    assert client.post(address("approve", other), {"comment": ""}).status_code == 422
    assert "sign in again" in client.post(address("approve", other), {"comment": "Fine."}).text
    assert not Decision.objects.exists()


def test_row_12_a_provider_that_does_not_say_when_it_asked_is_not_believed(client, tomas):
    client.force_login(tomas)
    session = client.session

    sessions.note_authentication(session, 0)

    assert sessions.is_fresh(session)
    assert not sessions.has_just_authenticated(session)


@pytest.mark.parametrize(("ago", "is_fresh"), [(timedelta(seconds=1), True), (SIGN_IN_IS_FRESH * 2, False)])
def test_a_person_whom_the_provider_only_remembered_has_not_just_signed_in(client, tomas, ago, is_fresh):
    client.force_login(tomas)
    session = client.session

    sessions.note_authentication(session, (clock.now() - ago).timestamp())

    assert sessions.is_fresh(session) is is_fresh


# Row 14: absence


def test_row_14_what_already_waits_moves_to_the_deputy_and_counts_as_the_lead(
    client, waiting_fork, bridge_team, tomas, ben
):
    away(bridge_team, tomas, ben)

    assert Operation.objects.waiting_for(ben).get() == waiting_fork
    assert list(recipients.asked(waiting_fork)) == [ben]
    assert Notification.objects.filter(kind=NotificationKind.REQUESTED, to=ben).count() == 1
    sweeps.submitting()
    assert verbs(waiting_fork).count("deputy_asked") == 1
    client.force_login(ben)
    assert "in the place of" in client.get(address("approval-detail", waiting_fork)).text
    lifecycle.approve(waiting_fork, by=ben)
    decision = waiting_fork.decisions.get()
    assert (decision.by, decision.stands_for, decision.capacity) == (ben, tomas, "leads")
    assert fresh(waiting_fork).state == State.QUEUED


def test_row_14_a_lead_and_their_deputy_are_one_in_n_of_m(bridge_team, ida, tomas, ben, mara, spec_for):
    ApprovalRule.objects.update(levels=[{"who": Who.LEADS, "count": 2}])
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    away(bridge_team, tomas, ben)

    lifecycle.approve(fork, by=ben)

    with pytest.raises(permissions.Denied, match="decided about this already"):
        lifecycle.approve(fork, by=tomas)
    assert not Operation.objects.waiting_for(tomas).exists()
    assert fresh(fork).state == State.AWAITING_APPROVAL
    lifecycle.approve(fork, by=ida)
    assert fresh(fork).state == State.QUEUED


def test_row_14_once_the_lead_has_answered_the_deputy_cannot(bridge_team, ida, tomas, ben, mara, spec_for):
    ApprovalRule.objects.update(levels=[{"who": Who.LEADS, "count": 2}])
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    away(bridge_team, tomas, ben)

    lifecycle.approve(fork, by=tomas)

    assert not Operation.objects.waiting_for(ben).exists()
    with pytest.raises(permissions.Denied):
        lifecycle.approve(fork, by=ben)


def test_row_14_a_deputy_never_decides_what_the_absent_lead_asked_for(bridge_team, ida, tomas, ben, spec_for):
    fork = lifecycle.request(spec_for(Kind.FORK), by=tomas)
    away(bridge_team, tomas, ben)

    assert not Operation.objects.waiting_for(ben).exists()
    assert ben not in recipients.asked(fork)
    with pytest.raises(permissions.Denied):
        lifecycle.approve(fork, by=ben)
    row = Decision(
        operation=fork,
        verdict="approved",
        by=ben,
        by_name=ben.name,
        by_key=ben.lasting_key,
        by_email=ben.email,
        requested_by=tomas,
        requester_key=tomas.lasting_key,
        request_hash=fork.request_hash,
        stands_for=tomas,
        decided_at=clock.now(),
    )
    with pytest.raises(IntegrityError, match="Only who is asked decides"), transaction.atomic():
        row.save()


def test_row_14_a_deputy_cannot_pass_on_and_only_for_the_named_days(bridge_team, tomas, ben, mara, waiting_fork):
    later = away(bridge_team, tomas, ben, since=timedelta(days=1))

    assert not Operation.objects.waiting_for(ben).exists()
    with pytest.raises(permissions.Denied):
        away(bridge_team, ben, mara, by=ben)
    with pytest.raises(permissions.Denied):
        away(bridge_team, tomas, mara, by=ben)
    rights.delete(later, by=tomas)
    ended = away(bridge_team, tomas, ben)
    rights.delete(ended, by=tomas)
    with pytest.raises(permissions.Denied):
        lifecycle.approve(waiting_fork, by=ben)
    named = Event.objects.filter(verb__in=[Verb.DEPUTY_NAMED, Verb.DEPUTY_REMOVED]).values_list("verb", flat=True)
    assert list(named) == ["deputy_named", "deputy_removed"] * 2


def test_row_14_a_lead_names_a_deputy_and_ends_it(client, bridge_team, tomas, ben, waiting_fork):
    client.force_login(tomas)
    today = timezone.localdate()
    place = Membership.objects.get(user=ben)
    form = {"deputy": place.pk, "since": today, "until": today + timedelta(days=2)}

    assert client.post("/approvals/away/", form | {"until": today - timedelta(days=1)}).status_code == 422
    assert client.post("/approvals/away/", form).status_code == 302

    absence = Absence.objects.get()
    assert (absence.lead, absence.deputy, absence.given_by) == (tomas, ben, tomas)
    assert Operation.objects.waiting_for(ben).exists()
    other = Client()
    other.force_login(ben)
    assert other.post(reverse("imodels:end-absence", args=[absence.pk])).status_code == 404
    assert client.post(reverse("imodels:end-absence", args=[absence.pk])).status_code == 302
    assert not Absence.objects.exists()


# Row 15: escalation


def test_row_15_at_half_time_without_an_answer_the_administrators_are_told_once(waiting_fork, ines):
    for _ in range(2):
        Operation.objects.update(remind_at=clock.now())
        sweeps.approvals()

    assert heard(NotificationKind.ESCALATED) == {"Ines"}
    assert verbs(waiting_fork).count("escalated") == 1
    with pytest.raises(permissions.Denied):
        lifecycle.approve(waiting_fork, by=ines)


def test_row_15_where_somebody_has_answered_and_nothing_is_decided_they_are_told_too(
    bridge_team, ida, ines, mara, tomas, spec_for
):
    ApprovalRule.objects.update(levels=[{"who": Who.LEADS, "count": 2}])
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    lifecycle.approve(fork, by=tomas)

    Operation.objects.update(remind_at=clock.now())
    sweeps.approvals()

    assert heard(NotificationKind.ESCALATED) == {"Ines"}


# Row 18: queues


def test_row_18_each_has_queues_of_their_own_filtered_as_everywhere(
    client, bridge_team, ida, mara, tomas, waiting_fork, spec_for
):
    mine = lifecycle.request(spec_for(Kind.FORK, name="Of the lead"), by=tomas)
    decided = lifecycle.request(spec_for(Kind.FORK, name="Decided"), by=mara)
    lifecycle.approve(decided, by=tomas)
    by_ida = lifecycle.request(spec_for(Kind.FORK, name="By another lead"), by=mara)
    lifecycle.reject(by_ida, by=ida, comment="No.")
    client.force_login(tomas)

    def names_in_lists(**query: str) -> list[list[str]]:
        context = client.get(LIST, query).context
        queues = ("waiting", "requested", "decided_by_me", "decided")
        return [[row.operation.name for row in context[queue]] for queue in queues]

    assert names_in_lists() == [[waiting_fork.name], [mine.name], [decided.name], [by_ida.name]]
    assert names_in_lists(q="Of the") == [[], [mine.name], [], []]
    assert names_in_lists(person=str(mara.pk)) == [[waiting_fork.name], [], [decided.name], [by_ida.name]]
    assert 'data-count="1"' in client.get("/operations/").text


# Row 19: I am looking at it


def test_row_19_that_somebody_looks_at_it_is_shown_ends_by_itself_and_keeps_nobody_from_deciding(
    client, waiting_fork, ida, tomas
):
    client.force_login(ida)
    assert client.post(address("look", waiting_fork)).status_code == 302
    client.force_login(tomas)

    assert "is looking at it" in client.get(address("approval-detail", waiting_fork)).text
    assert "is looking at it" in client.get(LIST).text
    Look.objects.update(until=F("until") - LOOK_LASTS)
    assert "is looking at it" not in client.get(address("approval-detail", waiting_fork)).text
    lifecycle.look(waiting_fork, by=ida)
    lifecycle.look(waiting_fork, by=tomas)
    lifecycle.approve(waiting_fork, by=tomas)
    assert [one.person for one in Look.objects.all()] == [ida], "whoever decides has looked"


# Row 20: several at once


def test_row_20_of_25_with_five_that_changed_20_are_decided_and_five_shown_as_they_are(
    client, bridge_team, ida, mara, tomas, spec_for, confirmed_leads
):
    forks = [lifecycle.request(spec_for(Kind.FORK, name=f"Pier {number}"), by=mara) for number in range(25)]
    client.force_login(tomas)
    page = client.get(LIST)
    form = {"answer": "approve", "comment": "", "chosen": [row.tick for row in page.context["waiting"]]}
    lifecycle.edit(forks[0], spec_for(Kind.FORK, name="Another name"), by=mara)
    lifecycle.edit(forks[1], spec_for(Kind.FORK, name="Yet another"), by=mara)
    lifecycle.cancel(forks[2], by=mara)
    lifecycle.reject(forks[3], by=ida, comment="No.")
    lifecycle.approve(forks[4], by=ida)

    answer = client.post(reverse("imodels:decide-several"), form)

    assert answer.context["count"] == 20
    assert Operation.objects.filter(decisions__by=tomas, state=State.QUEUED).count() == 20
    told = {one.operation.pk: one for one in answer.context["outcomes"] if one.why_not}
    assert set(told) == {fork.pk for fork in forks[:5]}
    assert "changed since you opened it" in told[forks[0].pk].why_not
    assert told[forks[3].pk].status_text.badge == "Rejected"


@pytest.mark.same_on_both
def test_row_20_each_reject_needs_the_comment_and_nobody_decides_their_own(
    client, bridge_team, ida, mara, tomas, spec_for, confirmed_leads
):
    own = lifecycle.request(spec_for(Kind.FORK, name="Own"), by=tomas)
    other = lifecycle.request(spec_for(Kind.FORK, name="Other"), by=mara)
    client.force_login(tomas)
    form = {"answer": "reject", "chosen": [f"{own.pk}:1", f"{other.pk}:1", "nonsense"]}

    client.post(reverse("imodels:decide-several"), form)
    assert not Decision.objects.exists()
    client.post(reverse("imodels:decide-several"), form | {"comment": "Use a clone."})

    assert [(one.operation, one.comment) for one in Decision.objects.all()] == [(other, "Use a clone.")]
    assert Event.objects.filter(verb=Verb.DECISION_REFUSED, operation=own).exists()


def test_row_20_the_signed_out_decide_nothing_and_keep_ticks_and_comment(
    client, ida, mara, tomas, waiting_fork, spec_for
):
    edited = lifecycle.request(spec_for(Kind.FORK, name="Edited"), by=mara)
    sent = {"answer": "reject", "comment": "Wait for June.", "chosen": [f"{waiting_fork.pk}:1.1", f"{edited.pk}:1.1"]}
    lifecycle.edit(edited, spec_for(Kind.FORK, name="Edited since"), by=mara)

    signed_out = client.post(reverse("imodels:decide-several"), sent)

    assert (signed_out.status_code, waiting_fork.name in signed_out.text) == (422, False)
    kept = dict.fromkeys(re.findall(r'name="chosen" value="([^"]+)"', signed_out.text))
    assert list(kept) == sent["chosen"]
    client.force_login(tomas)
    page = client.post(LIST, {"chosen": list(kept), "comment": "Wait for June."})
    assert "Wait for June.</textarea>" in page.text
    ticked = re.findall(r'name="chosen"\s+value="([^"]+)"\s+form="several"\s+checked', page.text)
    assert ticked == [f"{waiting_fork.pk}:1.1"]
    assert not Decision.objects.exists()


@pytest.mark.same_on_both
def test_row_20_a_list_older_than_the_sign_in_decides_nothing_and_keeps_ticks_and_comment(tomas, waiting_fork):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(tomas)
    browser.get(LIST)
    old = {"answer": "approve", "chosen": f"{waiting_fork.pk}:1", "comment": "Fine.", "csrfmiddlewaretoken": "x" * 64}

    page = browser.post(reverse("imodels:decide-several"), old)

    assert (page.status_code, "Fine.</textarea>" in page.text, "checked" in page.text) == (422, True, True)
    assert "older than your sign-in" in page.text
    assert not Decision.objects.exists()


# Row 21: not before


def test_row_21_it_is_queued_until_its_start_and_its_use_by_counts_from_there(
    client, waiting_fork, mara, tomas, sandbox, signed_in_mara
):
    at = (timezone.localtime() + timedelta(days=2)).replace(second=0, microsecond=0)
    client.force_login(mara)
    assert client.post(address("start", waiting_fork), {"not_before": f"{at:%Y-%m-%dT%H:%M}"}).status_code == 302

    fork = fresh(waiting_fork)
    lifecycle.approve(fork, by=tomas)

    assert (fork.state, fork.wait_reason, fork.due_at) == (State.QUEUED, WaitReason.NOT_BEFORE, at)
    assert fork.use_by == at + timedelta(days=fork.plan.use_days)
    Operation.objects.update(due_at=clock.now())  # whatever made it due
    submit(fork.pk)
    assert (fresh(fork).state, fresh(fork).due_at) == (State.QUEUED, at)
    assert not fork.attempts.exists()
    Operation.objects.update(not_before=clock.now(), due_at=clock.now())
    submit(fork.pk)
    assert fork.attempts.count() == 1


def test_row_21_who_may_decide_sets_it_others_cannot_and_a_decided_one_is_not_put_off(
    bridge_team, ben, mara, tomas, waiting_fork
):
    at = clock.now() + timedelta(days=1)

    with pytest.raises(permissions.Denied):
        lifecycle.start_at(waiting_fork, at, by=ben)
    lifecycle.start_at(waiting_fork, at, by=tomas)
    lifecycle.approve(waiting_fork, by=tomas)

    with pytest.raises(lifecycle.Conflict):
        lifecycle.start_at(waiting_fork, at + timedelta(days=30), by=mara)
    lifecycle.start_at(waiting_fork, None, by=mara)
    assert waiting_fork.due_at <= clock.now()
    assert waiting_fork.wait_reason == WaitReason.NONE


def test_row_21_set_by_the_requester_it_is_an_edit_and_a_card_of_before_decides_nothing(
    client, bridge_team, ida, mara, tomas, spec_for, confirmed_leads
):
    ApprovalRule.objects.update(levels=[{"who": Who.LEADS, "count": 2}])
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    lifecycle.approve(fork, by=ida)

    lifecycle.start_at(fork, clock.now() + timedelta(days=80), by=mara)

    assert fork.answers == []
    assert heard(NotificationKind.EDITED) == {"Ida"}
    client.force_login(tomas)
    assert client.post(address("approve", fork), {"round": "1"}).status_code == 409


@pytest.mark.same_on_both
def test_row_21_a_start_that_makes_no_sense_is_told_at_its_field(client, waiting_fork, mara):
    client.force_login(mara)

    for typed in ("soon", "2999-01-01T00:00"):
        assert client.post(address("start", waiting_fork), {"not_before": typed}).status_code == 422

    assert fresh(waiting_fork).not_before is None


@pytest.mark.parametrize("kind", ["clone", "fork"])
def test_row_21_the_form_sets_it_folded_away_until_wanted(client, bridge_team, mara, tomas, sandbox, kind):
    tokens.store(mara, sandbox.tokens_for("mara"))
    client.force_login(mara)
    at = (timezone.localtime() + timedelta(days=2)).replace(second=0, microsecond=0)
    asked = {"itwin": "Harbour Bridge", "source": "Main Bridge", "up_to": "latest", "name": "Pier 7", "reason": "Why."}
    form = reverse(f"imodels:request-{kind}")
    refused = client.post(form, asked | {"not_before": "2999-01-01T00:00"})

    answer = client.post(form, asked | {"not_before": f"{at:%Y-%m-%dT%H:%M}"})

    assert (refused.status_code, 'value="2999-01-01T00:00"' in refused.text) == (422, True)
    made = Operation.objects.get()
    if kind == "fork":
        lifecycle.approve(made, by=tomas)
    assert (made.state, made.wait_reason, made.due_at) == (State.QUEUED, WaitReason.NOT_BEFORE, at)
    assert "start_set" in verbs(made)
    assert "Let it start now" in client.get(answer["Location"]).text
    assert client.post(address("start-now", made)).status_code == 302
    assert (fresh(made).not_before, fresh(made).wait_reason) == (None, WaitReason.NONE)
