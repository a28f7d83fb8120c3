"""The rule and the decision, row by row: who, how many, until when, bound to what, and who is told."""

import re
from datetime import timedelta
from itertools import product
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts import permissions, rights, tokens
from imodels_app.approvals.plan import Conditions, Facts, Need, Requirement, Rule, are_enough, plan_for
from imodels_app.models import (
    ApprovalRule,
    Decision,
    Event,
    Membership,
    Notification,
    Operation,
    Team,
    TeamITwin,
    User,
)
from imodels_app.requesting.spec import ITwinRef
from imodels_app.runtime import clock
from imodels_app.states import Asks, Kind, NotificationKind, Outcome, State, Verdict, WaitReason, Who
from imodels_app.workers import sweeps
from imodels_app.workers.submit import submit
from tests.exports import table
from tests.people import HARBOUR, MAIN_BRIDGE

pytestmark = pytest.mark.django_db
ONE_LEAD = {"who": Who.LEADS, "count": 1}


def fresh(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


def rule(*levels, by=None, **fields) -> ApprovalRule:
    """A rule in the place of the default one."""
    ApprovalRule.objects.filter(name="Forks need a lead").delete()
    made = ApprovalRule(**{"name": "Our rule", "kinds": [Kind.FORK], "levels": list(levels)} | fields)
    rights.save(made, by=by)
    return made


def heard(kind: NotificationKind) -> set[str]:
    return set(Notification.objects.filter(kind=kind).values_list("to__first_name", flat=True))


def verbs(operation: Operation) -> list[str]:
    return list(operation.events.values_list("verb", flat=True))


# Which rules hold


RULES = {
    "kind": (Rule(id=1, version=1, name="", kinds=(Kind.CLONE,)), Facts(kind=Kind.CLONE), Facts(kind=Kind.FORK)),
    **{
        name: (
            Rule(id=1, version=1, name="", conditions=Conditions(**{name: True})),
            Facts(kind=Kind.FORK, **{name: True}),
            Facts(kind=Kind.FORK, **{name: False}),
        )
        for name in ("outside_team", "elsewhere", "squashed", "own_permissions")
    },
    "more_changesets_than": (
        Rule(id=1, version=1, name="", conditions=Conditions(more_changesets_than=100)),
        Facts(kind=Kind.FORK, changesets=101),
        Facts(kind=Kind.FORK, changesets=100),
    ),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.same_on_both
def test_a_rule_matches_what_its_conditions_say(name):
    one, inside, outside = RULES[name]

    assert one.why_it_matches(inside)
    assert not one.why_it_matches(outside)


@pytest.mark.parametrize("unknown", ["elsewhere", "own_permissions", "changesets"])
@pytest.mark.same_on_both
def test_what_is_not_known_is_taken_for_the_worst(unknown):
    asked = {"more_changesets_than": 100} if unknown == "changesets" else {unknown: True}
    one = Rule(id=1, version=1, name="", conditions=Conditions(**asked))

    assert "perhaps" in one.why_it_matches(Facts(kind=Kind.FORK, **{unknown: None}))


@pytest.mark.same_on_both
def test_refuse_beats_people_and_people_beat_let_through():
    through, people, refuse = (
        Rule(id=1, version=1, name="", asks=asks, levels=(Requirement(who=Who.LEADS),) if asks == Asks.PEOPLE else ())
        for asks in (Asks.LET_THROUGH, Asks.PEOPLE, Asks.REFUSE)
    )
    facts = Facts(kind=Kind.FORK)

    assert plan_for(facts, []).asks == Asks.LET_THROUGH
    assert plan_for(facts, [through]).asks == Asks.LET_THROUGH
    assert plan_for(facts, [people, through]).asks == Asks.PEOPLE
    assert plan_for(facts, [people, refuse, through]).asks == Asks.REFUSE


def test_the_team_s_rules_and_those_of_all_hold_together(bridge_team, ida, mara, spec_for):
    """Each rule's levels have to be met: one lead for all forks, two for those of this team."""
    rule({"who": Who.LEADS, "count": 2}, team=bridge_team, name="Ours need two")
    ApprovalRule.objects.create(name="All need one", kinds=[Kind.FORK], levels=[ONE_LEAD])
    ApprovalRule.objects.create(name="Others", team=Team.objects.get(is_default=True), asks=Asks.REFUSE)

    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)

    assert [match.rule.name for match in fork.plan.matches] == ["Ours need two", "All need one"]
    lifecycle.approve(fork, by=ida)
    assert fork.state == State.AWAITING_APPROVAL


def test_a_clone_that_a_rule_asks_about_waits_for_the_team_of_its_source(bridge_team, otto, mara, spec_for, tomas):
    TeamITwin.objects.create(
        team=Team.objects.get(name="Transit team"), itwin_id="b2b00000-0000-4000-8000-0000000000ff"
    )
    rule(ONE_LEAD, kinds=[Kind.CLONE], outside_team=True)
    away = ITwinRef(id="b2b00000-0000-4000-8000-0000000000ff", name="Transit")

    clone = lifecycle.request(spec_for(Kind.CLONE, itwin=away), by=mara)
    at_home = lifecycle.request(spec_for(Kind.CLONE), by=mara)

    assert (clone.state, clone.team) == (State.AWAITING_APPROVAL, bridge_team)
    assert at_home.state == State.QUEUED
    lifecycle.approve(clone, by=tomas)
    assert clone.state == State.QUEUED


def test_a_clone_that_only_the_team_of_its_target_asks_about_waits_for_that_team(
    bridge_team, otto, mara, spec_for, tomas
):
    transit = Team.objects.get(name="Transit team")
    away = ITwinRef(id="b2b00000-0000-4000-8000-0000000000ff", name="Transit")
    TeamITwin.objects.create(team=transit, itwin_id=away.id)
    rule(ONE_LEAD, kinds=[Kind.CLONE], team=transit)

    clone = lifecycle.request(spec_for(Kind.CLONE, itwin=away), by=mara)
    lifecycle.follow_rights()

    assert (fresh(clone).state, fresh(clone).team) == (State.AWAITING_APPROVAL, transit)
    with pytest.raises(permissions.Denied):
        lifecycle.approve(fresh(clone), by=tomas)
    lifecycle.approve(fresh(clone), by=otto)
    assert fresh(clone).state == State.QUEUED


def test_a_rule_that_refuses_says_its_name_and_why(bridge_team, mara, ines, spec_for):
    rule(asks=Asks.REFUSE, squashed=True, name="Keep the history")

    with pytest.raises(
        lifecycle.NotAllowed, match=r"“Keep the history” refuses this.*history squashed\. Ask Ines Duarte"
    ):
        lifecycle.request(spec_for(Kind.FORK, preserve_history=False), by=mara)
    assert not Operation.objects.exists()


def test_a_change_of_a_rule_is_a_version_and_an_event_and_leaves_what_waits_alone(waiting_fork, ida, tomas):
    one = ApprovalRule.objects.get()
    one.levels = [{"who": Who.LEADS, "count": 2}]

    rights.save(one, by=None)

    assert (one.version, Event.objects.filter(verb="rule_changed").count()) == (2, 1)
    assert set(Notification.objects.filter(kind="rule_changed").values_list("to__first_name", flat=True)) == {
        "Tomas",
        "Ida",
    }
    lifecycle.approve(fresh(waiting_fork), by=tomas)
    assert fresh(waiting_fork).state == State.QUEUED
    assert fresh(waiting_fork).plan.matches[0].rule.version == 1


UNMEETABLE = {
    "more leads than there are": [{"who": Who.LEADS, "count": 3}],
    "nobody named": [{"who": Who.PEOPLE, "count": 1, "people": []}],
    "no administrators": [{"who": Who.ADMINS, "count": 1}],
    "the same two on both levels": [{"who": Who.LEADS, "count": 1}, {"who": Who.LEADS, "count": 2}],
    "two accounts of one person": [{"who": Who.PEOPLE, "count": 3, "people": "twins"}],
    "no level": [],
}


@pytest.mark.parametrize("levels", UNMEETABLE.values(), ids=UNMEETABLE)
def test_a_rule_that_nobody_could_meet_is_not_saved(ida, bridge_team, levels):
    everybody = list(User.objects.values_list("pk", flat=True))
    levels = [level | {"people": everybody} if level.get("people") == "twins" else level for level in levels]
    User.objects.filter(pk=ida.pk).update(email="Tomas.Novak@harbour.example")
    with pytest.raises(rights.Unmeetable):
        rule(*levels, team=bridge_team)
    assert not ApprovalRule.objects.filter(name="Our rule").exists()


@pytest.mark.parametrize("whose", ["all teams", "another team"])
def test_a_lead_changes_the_rules_of_their_team_only(bridge_team, otto, tomas, whose):
    with pytest.raises(permissions.Denied):
        rule(ONE_LEAD, team=None if whose == "all teams" else Team.objects.get(name="Transit team"), by=tomas)

    assert rule(ONE_LEAD, team=bridge_team, by=tomas).pk


@pytest.mark.same_on_both
def test_whether_people_suffice_is_what_trying_every_way_finds():
    """Each of five people answers on the first level, on the second, or nowhere."""
    random = Random(7)

    def some() -> list[Need]:
        people = [frozenset(random.sample(range(5), random.randint(0, 4))) for _ in range(random.randint(1, 2))]
        return [Need(random.randint(1, 2), able) for able in people]

    def is_met(level: list[Need], places: Any, at: int) -> bool:
        return all(sum(places[person] == at for person in one.able) >= one.needed for one in level)

    ways = list(product(range(3), repeat=5))
    for first, then in [(some(), some()) for _ in range(200)]:
        found = any(is_met(first, places, 1) and is_met(then, places, 2) for places in ways)
        assert are_enough(first, then) is found, (first, then)


# Row 1: who


def test_1_named_people_and_administrators_decide_where_a_rule_says_so(bridge_team, otto, ines, mara, tomas, spec_for):
    """And are shown it; leads are not asked then."""
    rule({"who": Who.PEOPLE, "people": [otto.pk]}, {"who": Who.ADMINS})
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    assert list(Operation.objects.waiting_for(otto)) == list(Operation.objects.visible_to(otto)) == [fork]
    assert not Operation.objects.waiting_for(tomas).exists()
    with pytest.raises(permissions.Denied, match="Only Otto Brandt can decide this"):
        lifecycle.approve(fresh(fork), by=tomas)

    lifecycle.approve(fork, by=otto)
    assert list(Operation.objects.waiting_for(ines)) == [fork]
    lifecycle.approve(fork, by=ines)

    assert fork.state == State.QUEUED


def test_1_what_old_leads_agreed_to_is_void_when_the_request_moves(bridge_team, ida, otto, mara, tomas, spec_for, ines):
    rule({"who": Who.LEADS, "count": 2})
    transit = Team.objects.get(name="Transit team")
    Membership.objects.create(team=transit, email=ines.email, user=ines, role=Membership.Role.LEAD)
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    lifecycle.approve(fork, by=tomas)
    itwin = TeamITwin.objects.get(itwin_id=HARBOUR)
    itwin.team = transit

    rights.save(itwin, by=None)
    lifecycle.approve(fresh(fork), by=otto)

    assert fresh(fork).state == State.AWAITING_APPROVAL
    assert [one.by for one in fresh(fork).answers] == [otto]
    lifecycle.approve(fresh(fork), by=ines)
    assert fresh(fork).state == State.QUEUED


@pytest.mark.parametrize("giver", ["self", "requester"])
def test_1_nobody_decides_as_an_administrator_whom_they_or_the_requester_made(waiting_fork, otto, mara, giver):
    otto.is_staff = True
    rights.save(otto, by=otto if giver == "self" else mara)

    with pytest.raises(permissions.Denied, match="this right"):
        lifecycle.bypass(waiting_fork, by=otto, reason="I made myself one.")


# Row 2: the requester never decides, by no route


@pytest.fixture
def own_fork(ida, tomas, spec_for, confirmed_leads):
    """Tomas', who leads the team and is a superuser besides."""
    User.objects.filter(pk=tomas.pk).update(is_staff=True, is_superuser=True)
    tomas.refresh_from_db()
    return lifecycle.request(spec_for(Kind.FORK), by=tomas)


@pytest.mark.parametrize("act", ["approve", "reject", "request-changes", "bypass"])
def test_2_the_requester_does_not_decide_on_the_page(client, own_fork, tomas, act):
    client.force_login(tomas)

    answer = client.post(
        reverse(f"imodels:{act}", args=[own_fork.pk]), {"comment": "Mine.", "reason": "It is mine, so there."}
    )

    assert answer.status_code == 403
    assert "You requested this yourself" in answer.text
    assert fresh(own_fork).state == State.AWAITING_APPROVAL
    assert Event.objects.filter(verb="decision_refused", operation=own_fork).exists()


def test_2_nor_does_a_page_or_a_link_of_a_mail_offer_it(client, own_fork, tomas):
    client.force_login(tomas)

    card = client.get(reverse("imodels:approval-detail", args=[own_fork.pk])).text

    assert "You requested this yourself" in card
    for act in ("approve", "reject", "request-changes", "bypass"):
        assert reverse(f"imodels:{act}", args=[own_fork.pk]) not in card


def test_2_nor_in_the_admin(client, own_fork, tomas):
    client.force_login(tomas)

    for model in ("operation", "decision"):
        assert client.post(reverse(f"admin:imodels_app_{model}_add"), {}).status_code == 403


def test_2_nor_from_a_second_account(own_fork, tomas, bridge_team):
    twin = User.objects.create(username="twin", issuer=tomas.issuer, subject="another", email=tomas.email.upper())
    Membership.objects.create(team=bridge_team, email="twin@harbour.example", user=twin, role=Membership.Role.LEAD)

    for act in (lifecycle.approve, lifecycle.reject):
        with pytest.raises(permissions.Denied, match="another account"):
            act(fresh(own_fork), by=twin)


def test_2_nor_by_plain_rows(own_fork, tomas):
    with pytest.raises(IntegrityError), transaction.atomic():
        Decision.objects.create(
            operation=own_fork,
            verdict=Verdict.BYPASSED,
            by=tomas,
            by_key="somebody else",
            requested_by=tomas,
            requester_key=own_fork.requester_key,
            request_hash=own_fork.request_hash,
            decided_at=clock.now(),
        )


# Row 3: N of M, levels


def test_1_nobody_decides_as_one_whom_the_requester_named_before_an_edit(bridge_team, ida, otto, tomas, spec_for):
    """A change of a rule does not reach what waits; an edit makes it hold."""
    named = rule({"who": Who.PEOPLE, "count": 1, "people": [ida.pk]}, team=bridge_team, by=tomas)
    fork = lifecycle.request(spec_for(Kind.FORK), by=tomas)
    named.levels = [{"who": Who.PEOPLE, "count": 1, "people": [ida.pk, otto.pk]}]
    rights.save(named, by=tomas)

    lifecycle.edit(fork, spec_for(Kind.FORK, name="Another name"), by=tomas)

    assert f" {otto.pk} " in fork.asked
    with pytest.raises(permissions.Denied, match="The requester gave you this right"):
        lifecycle.approve(fork, by=otto)
    lifecycle.approve(fork, by=ida)


def test_3_so_many_different_people_have_to_agree(bridge_team, ida, mara, tomas, spec_for):
    rule({"who": Who.LEADS, "count": 2})
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)

    lifecycle.approve(fork, by=tomas)
    with pytest.raises(permissions.Denied, match="decided about this already"):
        lifecycle.approve(fork, by=tomas)
    assert (fork.state, verbs(fork)[-1]) == (State.AWAITING_APPROVAL, "agreed")
    assert not Operation.objects.waiting_for(tomas).exists()
    lifecycle.approve(fork, by=ida)

    assert (fork.state, verbs(fork)[-1]) == (State.QUEUED, "approved")


def test_3_two_accounts_with_one_address_are_one_person(bridge_team, ida, mara, tomas, spec_for, ines):
    rule({"who": Who.LEADS, "count": 2})
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    lifecycle.approve(fork, by=ida)
    User.objects.filter(pk=tomas.pk).update(email=ida.email.upper())
    twin = User.objects.get(pk=tomas.pk)

    assert not Operation.objects.waiting_for(twin).exists()
    with pytest.raises(permissions.Denied, match="decided about this already"):
        lifecycle.approve(fork, by=twin)
    rights.signed_in(twin, name=("Tomas", "Novak"), email="tomas.new@harbour.example", is_admin=False)
    with pytest.raises(permissions.Denied, match="decided about this already"):
        lifecycle.approve(fork, by=twin)
    row = Decision.objects.get()
    row.pk, row.by, row.by_key, row.by_email = None, tomas, tomas.lasting_key, ida.email.upper()
    with pytest.raises(IntegrityError, match=r"UNIQUE|decision_once_per_address"), transaction.atomic():
        row.save()


def test_3_nobody_counts_on_both_levels(bridge_team, ida, mara, tomas, spec_for):
    rule(ONE_LEAD, ONE_LEAD)
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)

    lifecycle.approve(fork, by=tomas)
    assert fork.open_level == 2
    with pytest.raises(permissions.Denied, match="decided about this already"):
        lifecycle.approve(fork, by=tomas)
    lifecycle.approve(fork, by=ida)

    assert [one.level for one in fork.decisions.all()] == [1, 2]
    assert fork.state == State.QUEUED


def test_3_who_is_needed_on_the_next_level_does_not_approve_before_it(
    client, bridge_team, ida, ines, mara, tomas, spec_for, confirmed_leads
):
    rule(ONE_LEAD, {"who": Who.PEOPLE, "people": [tomas.pk]})
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    client.force_login(tomas)

    card = client.get(reverse("imodels:approval-detail", args=[fork.pk])).text
    assert "You are needed on level 2. Somebody else has to approve now." in card
    with pytest.raises(permissions.Denied, match="You are needed on level 2"):
        lifecycle.approve(fork, by=tomas)
    lifecycle.approve(fresh(fork), by=ida)
    lifecycle.approve(fork, by=tomas)

    assert fresh(fork).state == State.QUEUED


def test_3_nor_does_who_is_needed_there_because_the_others_are_asked_now(bridge_team, ida, mara, tomas, spec_for):
    """Two rules: Ida is named by one, so of the two leads of the other it is her who answers first."""
    rule({"who": Who.PEOPLE, "people": [ida.pk]})
    rights.save(ApprovalRule(name="Twice", kinds=[Kind.FORK], levels=[ONE_LEAD, ONE_LEAD]), by=None)
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)

    with pytest.raises(permissions.Denied, match="You are needed on level 2"):
        lifecycle.approve(fork, by=tomas)
    lifecycle.approve(fresh(fork), by=ida)
    lifecycle.approve(fork, by=tomas)

    assert fresh(fork).state == State.QUEUED


def test_3_without_whom_no_level_could_be_met_anyway_may_approve(bridge_team, ida, ines, mara, tomas, spec_for):
    """Ida has left: somebody has to begin, and an administrator decides on the second level in the place of Tomas."""
    rule(ONE_LEAD, {"who": Who.PEOPLE, "people": [tomas.pk]})
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    rights.delete(Membership.objects.get(user=ida), by=None)

    lifecycle.approve(fresh(fork), by=tomas)
    lifecycle.approve(fresh(fork), by=ines)

    assert fresh(fork).state == State.QUEUED


# Row 4: decide by


def test_4_who_decides_is_reminded_at_half_time_and_a_day_before_and_then_it_expires(
    bridge_team, mara, tomas, spec_for
):
    rule(ONE_LEAD, decide_days=4)
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    assert fork.expires_at - fork.created_at == timedelta(days=4)
    for days in (2, 1, 1):
        gone = timedelta(days=days)
        Operation.objects.update(expires_at=F("expires_at") - gone, remind_at=F("remind_at") - gone)
        for _ in range(2):
            sweeps.approvals()
            sweeps.submitting()

    assert verbs(fork) == ["requested", "reminded", "reminded", "expired"]
    kinds = Notification.objects.filter(to=tomas, operation=fork).order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["requested", "half_way", "last_day", "ended"]


# Row 5: use by


def late(operation: Operation) -> None:
    Operation.objects.filter(pk=operation.pk).update(use_by=clock.now())


@pytest.mark.parametrize("way", ["sweep", "worker"])
def test_5_an_approval_that_is_not_used_in_time_is_void(waiting_fork, signed_in_mara, tomas, sandbox, way):
    lifecycle.approve(waiting_fork, by=tomas)
    assert timedelta(days=2.9) < waiting_fork.use_by - clock.now() < timedelta(days=3)
    late(waiting_fork)

    sweeps.approvals() if way == "sweep" else submit(waiting_fork.pk)

    found = fresh(waiting_fork)
    assert (found.state, found.approvals, verbs(found)[-1]) == (State.AWAITING_APPROVAL, [], "approval_lapsed")
    assert sandbox.calls("POST", "/fork") == 0
    assert found.expires_at > clock.now() + timedelta(days=6.9)
    lifecycle.approve(found, by=tomas)
    submit(found.pk)
    assert sandbox.calls("POST", "/fork") == 1


def test_5_but_never_when_an_answer_was_lost(waiting_fork, tomas):
    lifecycle.approve(waiting_fork, by=tomas)
    attempt = lifecycle.claim(waiting_fork, bucket="fork", now=clock.now())
    lifecycle.answered(attempt, Outcome.UNKNOWN)
    lifecycle.send_again(waiting_fork, note="nothing was found")
    late(waiting_fork)

    sweeps.approvals()

    assert fresh(waiting_fork).state == State.QUEUED
    lifecycle.claim(fresh(waiting_fork), bucket="fork", now=clock.now())


# Row 6: comment


def test_6_a_comment_is_asked_for_where_the_rule_says(client, bridge_team, mara, tomas, spec_for, confirmed_leads):
    rule({"who": Who.LEADS, "comment": True})
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    client.force_login(tomas)
    address = reverse("imodels:approve", args=[fork.pk])

    missing = client.post(address, {"comment": " "})
    too_long = client.post(address, {"comment": "x\r\n" * 1001})

    assert (missing.status_code, too_long.status_code) == (422, 422)
    assert "Say why" in missing.text
    assert "At most 2000 characters; this has 2001" in too_long.text.replace(",", "")
    with pytest.raises(lifecycle.Conflict, match="comment"):
        lifecycle.approve(fresh(fork), by=tomas)
    assert client.post(address, {"comment": "x\r\n" * 999}).status_code == 302


# Row 7: bound


@pytest.mark.parametrize("column", ["request_body", "request_path", "approval_plan"])
def test_7_an_approval_is_bound_to_the_bytes_and_the_rules(waiting_fork, tomas, column):
    from tests.triggers import triggers_off

    lifecycle.approve(waiting_fork, by=tomas)
    other = waiting_fork.plan.again().json if column == "approval_plan" else "/imodels"
    with triggers_off():
        Operation.objects.update(**{column: other})

    with pytest.raises(lifecycle.ApprovalVoid):
        lifecycle.claim(fresh(waiting_fork), bucket="fork", now=clock.now())


# Rows 8 and 9: edit, pin again


def test_8_an_edit_voids_approvals_and_tells_who_gave_them_what_changed(bridge_team, ida, mara, tomas, spec_for):
    rule({"who": Who.LEADS, "count": 2})
    spec = spec_for(Kind.FORK, name="Pier 7")
    fork = lifecycle.request(spec, by=mara)
    lifecycle.approve(fork, by=tomas)
    hash_before, ends_at = fork.request_hash, fork.expires_at

    lifecycle.edit(fork, spec_for(Kind.FORK, name="Pier 8", changeset_index=121, reason="Newer."), by=mara)

    assert (fork.name, fork.changeset_index, fork.reason) == ("Pier 8", 121, "Newer.")
    assert '"name": "Pier 8"' in fork.request_body
    assert (fork.request_hash != hash_before, fork.approvals, fork.expires_at) == (True, [], ends_at)
    assert heard(NotificationKind.EDITED) == {"Tomas"}
    assert fork.events.last().note.startswith("Name: Pier 7 → Pier 8; Copy up to: changeset 120 → changeset 121")
    lifecycle.edit(fork, spec, by=mara)
    assert fork.approvals == [], "an edit back revives nothing"


def test_8_a_decision_about_words_that_were_edited_meanwhile_is_not_counted(
    client, waiting_fork, tomas, mara, spec_for, confirmed_leads
):
    lifecycle.edit(waiting_fork, spec_for(Kind.FORK, name="Pier 8"), by=mara)
    client.force_login(tomas)
    address = reverse("imodels:approve", args=[waiting_fork.pk])

    late = client.post(address, {"comment": "As I read it.", "round": "1"})

    assert late.status_code == 409
    assert "It has changed since you opened it" in late.text
    assert "As I read it." in late.text
    assert client.post(address, {"comment": "", "round": "2"}).status_code == 302


FIXED = {
    "target": {"itwin": ITwinRef(id="b2b00000-0000-4000-8000-000000000002", name="Elsewhere")},
    "history": {"preserve_history": False},
    "kind": {"kind": Kind.CLONE, "preserve_history": None},
}


@pytest.mark.parametrize("other", FIXED.values(), ids=FIXED)
def test_8_nothing_else_can_be_edited(waiting_fork, mara, spec_for, other):
    with pytest.raises(lifecycle.NotAllowed, match="Only the name"):
        lifecycle.edit(waiting_fork, spec_for(**{"kind": Kind.FORK} | other), by=mara)


def test_8_an_edit_meets_today_s_rules_but_is_never_let_through_by_them(waiting_fork, mara, tomas, spec_for, ines):
    ApprovalRule.objects.update(is_active=False)
    lifecycle.edit(waiting_fork, spec_for(Kind.FORK, name="Pier 8"), by=mara)
    assert waiting_fork.state == State.AWAITING_APPROVAL
    rule({"who": Who.ADMINS}, more_changesets_than=200)

    lifecycle.edit(waiting_fork, spec_for(Kind.FORK, name="Pier 8", changeset_index=201), by=mara)

    with pytest.raises(permissions.Denied, match="Only administrators"):
        lifecycle.approve(waiting_fork, by=tomas)


@pytest.mark.parametrize("person", ["tomas", "ines"])
def test_8_nobody_edits_for_the_requester(waiting_fork, spec_for, person, request):
    with pytest.raises(permissions.Denied, match="Only Mara Lindqvist"):
        lifecycle.edit(waiting_fork, spec_for(Kind.FORK), by=request.getfixturevalue(person))


def test_8_what_is_decided_is_not_edited(waiting_fork, tomas, mara, spec_for):
    lifecycle.approve(waiting_fork, by=tomas)

    with pytest.raises(lifecycle.Conflict):
        lifecycle.edit(waiting_fork, spec_for(Kind.FORK), by=mara)


def test_9_pin_again_is_an_edit_to_the_newest_changeset(client, signed_in_mara, waiting_fork, tomas, sandbox):
    """And changing a name alone pins nothing anew."""
    client.force_login(signed_in_mara)
    address = reverse("imodels:edit-request", args=[waiting_fork.pk])

    renamed = client.post(address, {"name": "Pier 8", "round": "1"})
    assert (renamed.status_code, fresh(waiting_fork).changeset_index) == (302, 120)
    pushed = sandbox.push_changeset(MAIN_BRIDGE)
    pinned = client.post(address, {"up_to": "latest", "round": "2"})

    assert (pinned.status_code, fresh(waiting_fork).plan.number) == (302, 3)
    assert fresh(waiting_fork).changeset_index == pushed.index
    page = client.get(address)
    assert (page.status_code, "Pier 8" in page.text) == (200, True)
    assert "A request under way will use this name" not in page.text, "it stands in its own way"


# Row 10: changes requested


def test_row_10_changes_are_asked_for_and_the_request_is_sent_again(
    client, waiting_fork, tomas, ida, mara, spec_for, confirmed_leads
):
    client.force_login(tomas)
    address = reverse("imodels:request-changes", args=[waiting_fork.pk])
    assert client.post(address, {"comment": ""}).status_code == 422

    assert client.post(address, {"comment": "Take 119."}).status_code == 302

    asked = fresh(waiting_fork)
    assert (asked.state, asked.expires_at) == (State.CHANGES_REQUESTED, waiting_fork.expires_at)
    assert (heard(NotificationKind.CHANGES_REQUESTED), heard(NotificationKind.DECIDED)) == ({"Mara"}, {"Ida"})
    with pytest.raises(lifecycle.Conflict):
        lifecycle.approve(asked, by=ida)
    client.force_login(mara)
    page = client.get(reverse("imodels:operation-detail", args=[asked.pk])).text
    assert f'id="next-edit" href="{reverse("imodels:edit-request", args=[asked.pk])}"' in page
    lifecycle.edit(asked, spec_for(Kind.FORK, name=asked.name, changeset_index=119), by=mara)
    assert asked.state == State.AWAITING_APPROVAL
    assert heard(NotificationKind.EDITED) == {"Tomas", "Ida"}
    lifecycle.approve(asked, by=tomas)
    assert asked.state == State.QUEUED


@pytest.mark.parametrize("end", [State.CANCELLED, State.EXPIRED])
def test_row_10_what_is_to_be_changed_can_be_withdrawn_and_expires(waiting_fork, tomas, mara, end):
    lifecycle.request_changes(waiting_fork, by=tomas, comment="Why?")
    if end == State.CANCELLED:
        lifecycle.cancel(waiting_fork, by=mara)
    else:
        Operation.objects.update(expires_at=clock.now())
        sweeps.submitting()

    assert fresh(waiting_fork).state == end


# Row 13: bypass


def test_row_13_an_administrator_bypasses_with_a_reason_that_all_leads_read(
    client, waiting_fork, ida, ines, tomas, mara, confirmed_leads
):
    client.force_login(ines)
    address = reverse("imodels:bypass", args=[waiting_fork.pk])
    short = client.post(address, {"reason": "Because"})
    assert (short.status_code, "at least 10 characters" in short.text) == (422, True)

    assert client.post(address, {"reason": "Both leads are away until Monday."}).status_code == 302

    found = fresh(waiting_fork)
    assert (found.state, found.last_decision.verdict) == (State.QUEUED, Verdict.BYPASSED)
    assert heard(NotificationKind.BYPASSED) == {"Tomas", "Ida", "Mara"}
    lifecycle.claim(found, bucket="fork", now=clock.now())
    page = client.get(reverse("imodels:operation-detail", args=[found.pk])).text
    (exported,) = (row for row in table(client.get(reverse("imodels:audit-export"))) if row["verb"] == "bypassed")
    assert "bypassed the approval as an administrator" in page
    assert "Both leads are away until Monday." in page
    assert exported["note"] == "Both leads are away until Monday."
    assert re.search(r"</svg>\s*Bypassed", client.get(reverse("imodels:approval-list")).text)


@pytest.mark.parametrize("person", ["tomas", "otto", "mara"])
def test_row_13_nobody_else_bypasses(waiting_fork, otto, person, request):
    with pytest.raises(permissions.Denied):
        lifecycle.bypass(waiting_fork, by=request.getfixturevalue(person), reason="Because I can do it.")


# Row 16: somebody always can


def test_row_16_what_nobody_could_decide_is_refused_with_whom_to_ask(bridge_team, tomas, ines, spec_for):
    with pytest.raises(lifecycle.NotAllowed, match=r"1 lead of Bridge team, and nobody else can\. Ask Ines Duarte"):
        lifecycle.request(spec_for(Kind.FORK), by=tomas)


def test_row_16_the_form_that_comes_back_says_so_once_beside_the_fields_and_once_above(
    client, bridge_team, tomas, sandbox
):
    tokens.store(tomas, sandbox.tokens_for("tomas"))
    client.force_login(tomas)
    typed = {"itwin": HARBOUR, "source": MAIN_BRIDGE, "name": "His own", "up_to": "baseline", "reason": "A try."}

    answer = client.post(reverse("imodels:request-fork"), typed | {"preserve_history": "on", "form_id": str(uuid4())})

    assert answer.status_code == 422
    assert answer.text.count("nobody else can") == 2


def test_row_16_a_lead_who_has_not_signed_in_yet_is_somebody_who_can(client, bridge_team, mara, tomas, spec_for):
    Membership.objects.filter(user=tomas).update(user=None)

    waiting = lifecycle.request(spec_for(Kind.FORK), by=mara)

    assert waiting.state == State.AWAITING_APPROVAL
    client.force_login(mara)
    card = " ".join(client.get(reverse("imodels:approval-detail", args=[waiting.pk])).text.split())
    assert f'{tomas.email}</span> <span class="soft">can decide after a first sign-in' in card
    with pytest.raises(lifecycle.NotAllowed, match="nobody else can"):
        lifecycle.request(spec_for(Kind.FORK, name="His own"), by=tomas)


@pytest.mark.parametrize("how", ["removed", "closed", "past rights"])
def test_row_16_when_the_last_one_leaves_administrators_may_decide_and_it_is_marked(waiting_fork, tomas, ines, how):
    if how == "removed":
        rights.delete(Membership.objects.get(user=tomas), by=None)
    elif how == "closed":
        tomas.is_active = False
        rights.save(tomas, by=None)
    else:
        Membership.objects.filter(user=tomas).delete()
        sweeps.approvals()

    found = fresh(waiting_fork)
    assert (verbs(found)[-1], heard(NotificationKind.REQUESTED)) == ("admins_asked", {"Tomas", "Ines"})
    lifecycle.approve(found, by=ines)
    assert (found.state, found.last_decision.capacity) == (State.QUEUED, "admins instead:0")
    lifecycle.claim(found, bucket="fork", now=clock.now())


def test_row_16_an_administrator_is_not_asked_while_somebody_is_left(waiting_fork, ida, tomas, ines):
    rights.delete(Membership.objects.get(user=tomas), by=None)

    with pytest.raises(permissions.Denied, match="Only leads"):
        lifecycle.approve(fresh(waiting_fork), by=ines)


def test_row_16_an_administrator_who_removes_the_last_lead_does_not_decide_in_their_place(
    waiting_fork, tomas, ines, otto
):
    User.objects.filter(pk=otto.pk).update(is_staff=True)
    rights.delete(Membership.objects.get(user=tomas), by=ines)

    with pytest.raises(permissions.Denied, match="gave yourself this right"):
        lifecycle.approve(fresh(waiting_fork), by=ines)
    lifecycle.approve(fresh(waiting_fork), by=User.objects.get(pk=otto.pk))


@pytest.mark.parametrize("giver", ["ines", "mara"])
@pytest.mark.parametrize("way", ["before level 2", "before it lapses", "one after another", "by closing"])
def test_row_16_nobody_decides_in_the_place_of_whom_they_or_the_requester_took_away(
    bridge_team, ida, otto, vera, ines, mara, tomas, spec_for, request, way, giver
):
    """However long ago, and whatever change asks the administrators. History says of each that they are asked."""
    User.objects.filter(pk__in=[otto.pk, mara.pk]).update(is_staff=True)
    rule(*([{"who": Who.PEOPLE, "people": [vera.pk]}, ONE_LEAD] if way == "before level 2" else [ONE_LEAD]))
    fork, by = lifecycle.request(spec_for(Kind.FORK), by=mara), request.getfixturevalue(giver)
    if way == "before it lapses":
        lifecycle.approve(fork, by=tomas)
    if way == "by closing":
        tomas.is_active = False
        rights.save(tomas, by=by)
    else:
        rights.delete(Membership.objects.get(user=tomas), by=by)
    rights.delete(Membership.objects.get(user=ida), by=None)
    if way == "before level 2":
        lifecycle.approve(fresh(fork), by=vera)
    if way == "before it lapses":
        late(fork)
        sweeps.approvals()

    found = fresh(fork)
    if giver == "mara":
        assert (found.state, found.wait_reason) == (State.EXPIRED, WaitReason.NOBODY_DECIDES)
        return
    assert verbs(found).count("admins_asked") == 1
    with pytest.raises(permissions.Denied, match="gave yourself this right"):
        lifecycle.approve(fresh(fork), by=ines)
    lifecycle.approve(found, by=User.objects.get(pk=otto.pk))


def test_row_16_whoever_changes_something_else_of_the_team_can_still_be_asked(waiting_fork, bridge_team, ines, tomas):
    rights.delete(Membership.objects.get(user=tomas), by=None)
    rights.save(Membership(team=bridge_team, email="new@harbour.example"), by=ines)

    lifecycle.approve(fresh(waiting_fork), by=ines)


def test_row_16_with_nobody_left_it_ends_at_once_and_says_why(client, waiting_fork, tomas, mara):
    rights.delete(Membership.objects.get(user=tomas), by=None)

    found = fresh(waiting_fork)
    assert (found.state, found.wait_reason) == (State.EXPIRED, WaitReason.NOBODY_DECIDES)
    client.force_login(mara)
    assert "nobody is left who may decide" in client.get(reverse("imodels:operation-detail", args=[found.pk])).text


def test_row_16_a_place_kept_for_a_closed_account_is_nobodys(bridge_team, otto, mara, tomas, spec_for):
    User.objects.filter(pk=otto.pk).update(is_active=False)
    rights.save(Membership(team=bridge_team, email=otto.email.upper(), role=Membership.Role.LEAD), by=None)
    rights.delete(Membership.objects.get(user=tomas), by=None)

    with pytest.raises(lifecycle.NotAllowed, match="nobody"):
        lifecycle.request(spec_for(Kind.FORK), by=mara)


def test_row_16_a_place_that_was_given_while_the_account_was_closed_is_theirs_when_it_opens(
    bridge_team, otto, mara, waiting_fork
):
    otto.is_active = False
    rights.save(otto, by=None)
    rights.save(Membership(team=bridge_team, email=otto.email, role=Membership.Role.LEAD), by=None)

    otto.is_active = True
    rights.save(otto, by=None)

    assert Notification.objects.filter(to=otto, operation=waiting_fork, kind="requested").count() == 1
    assert lifecycle.approve(waiting_fork, by=otto) is None
    assert Operation.objects.get(pk=waiting_fork.pk).state == State.QUEUED


# Row 17: told


def test_row_17_the_other_leads_hear_once_who_decided_and_all_how_it_ended(waiting_fork, ida, tomas, mara):
    Notification.objects.update(sent_at=clock.now())
    lifecycle.approve(waiting_fork, by=tomas)
    lifecycle.claim(waiting_fork, bucket="fork", now=clock.now())
    lifecycle.accepted(waiting_fork, imodel_id="c3c00000-0000-4000-8000-0000000000aa")
    lifecycle.succeeded(waiting_fork)

    messages = {
        name: [*Notification.objects.filter(to__first_name=name).order_by("pk").values_list("kind", flat=True)]
        for name in ("Mara", "Tomas", "Ida")
    }
    assert messages == {
        "Mara": ["approved", "sent", "succeeded"],
        "Tomas": ["requested", "ended"],
        "Ida": ["decided"],
    }
    with pytest.raises(IntegrityError), transaction.atomic():
        Notification.objects.bulk_create(
            [Notification(to=mara, event=Event.objects.last(), kind="sent", written_at=clock.now())] * 2
        )


# Row 22: the record


def test_row_22_the_record_says_rules_reason_who_could_who_was_told_and_who_decided(
    bridge_team, ines, mara, tomas, spec_for
):
    rights.save(Membership(team=bridge_team, email="ida@harbour.example", role=Membership.Role.LEAD), by=ines)
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    lifecycle.approve(fork, by=tomas, comment="Fine.")

    asked, approved = fork.events.all()
    assert asked.note == "Try the seismic retrofit of pier 7."
    (held,) = asked.data["rules"]
    assert (held["name"], held["version"], held["why"]) == ("Forks need a lead", 1, "a fork")
    could = [(one["person"], one["as"]) for one in asked.data["could_decide"]]
    assert could == [(tomas.pk, "leads"), (None, "leads")]  # Ida has yet to sign in
    assert [(one["name"], one["of"]) for one in asked.data["told"]] == [("Tomas Novak", "requested")]
    assert (approved.actor_name, approved.actor_email, approved.note) == ("Tomas Novak", tomas.email, "Fine.")
    assert (approved.data["request_hash"], approved.data["as"]) == (fork.request_hash, "leads")
    assert fork.decisions.get().request_hash == fork.request_hash
