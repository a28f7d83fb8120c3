"""Who is told of what becomes of a request, and who is asked: the people who may decide it, and nobody else."""

from datetime import datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from imodels_app import eligibility, lifecycle
from imodels_app.accounts import permissions, rights
from imodels_app.models import (
    Absence,
    ApprovalRule,
    ChatMessage,
    Membership,
    Notification,
    Operation,
    Team,
    TeamITwin,
    TokenSet,
    User,
    Webhook,
)
from imodels_app.notifications import cards, outbox, recipients, texts
from imodels_app.runtime import clock
from imodels_app.states import Kind, State, Who
from imodels_app.workers import sweeps

pytestmark = pytest.mark.django_db
ONE_LEAD = {"who": Who.LEADS, "count": 1}
ONE_ADMIN = {"who": Who.ADMINS, "count": 1}


@pytest.fixture
def ben(bridge_team):
    """In the Bridge team."""
    names = {"first_name": "Ben", "last_name": "Okafor", "email": "ben.okafor@harbour.example"}
    person = User.objects.create(username="ben", issuer="https://sign-in.example", subject="ben", **names)
    Membership.objects.create(team=bridge_team, email=person.email, user=person)
    return person


@pytest.fixture
def two_levels(bridge_team, ida, tomas, ines, mara, spec_for) -> Operation:
    """Asked of one lead, then of one administrator; all who are asked have read it."""
    ApprovalRule.objects.update(levels=[ONE_LEAD, ONE_ADMIN])
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    read_all()
    return fork


def read_all() -> None:
    Notification.objects.update(sent_at=clock.now(), due_at=None)


def fresh(operation: Operation) -> Operation:
    return Operation.objects.get(pk=operation.pk)


def read_by(operation: Operation, person: User) -> list[str]:
    """What this person will still read of it."""
    rows = Notification.objects.filter(operation=operation, to=person, sent_at=None).order_by("pk")
    return [one.kind for one in rows if outbox.is_current(one)]


def some_days() -> dict[str, datetime]:
    now = clock.now()
    return {"starts_at": now - timedelta(days=2), "ends_at": now + timedelta(days=3)}


def away(lead: User, deputy: User, team: Team) -> Absence:
    absence = Absence(team=team, lead=lead, deputy=deputy, **some_days())
    rights.save(absence, by=lead)
    return absence


def sweep_twice() -> None:
    for _ in range(2):
        sweeps.submitting()
        sweeps.approvals()


def told_of(operation: Operation, person: User) -> list[str]:
    """The events of it that this person was told of."""
    events = operation.events.order_by("pk")
    return [one.verb for one in events if person.pk in {told["person"] for told in one.data.get("told", ())}]


def set_account(person: User, *, is_open: bool, by: User) -> None:
    person = User.objects.get(pk=person.pk)
    person.is_active = is_open
    rights.save(person, by=by)


def make_lead(person: User, team: Team, by: User | None = None) -> None:
    place = Membership.objects.filter(user=person, team=team).first() or Membership(team=team, email=person.email)
    place.role = Membership.Role.LEAD
    rights.save(place, by=by)


# Who hears of a decision


def test_whoever_was_asked_on_a_level_hears_that_it_is_decided_and_once_only(two_levels, ida, tomas, ines):
    lifecycle.approve(two_levels, by=tomas)
    assert (read_by(two_levels, ida), read_by(two_levels, ines)) == (["decided"], ["requested"])
    lifecycle.approve(two_levels, by=ines)

    assert read_by(two_levels, ida) == ["decided"]


@pytest.mark.parametrize("verb", ["approve", "reject", "request_changes"])
def test_whoever_approved_on_an_earlier_level_hears_what_came_of_it(two_levels, tomas, ines, verb):
    lifecycle.approve(two_levels, by=tomas)
    getattr(lifecycle, verb)(two_levels, by=ines, comment="Because.")

    assert read_by(two_levels, tomas) == ["decided"]


def test_whoever_approved_on_a_later_level_hears_that_it_changed(bridge_team, ida, otto, tomas, ines, mara, spec_for):
    User.objects.filter(pk=otto.pk).update(is_staff=True)
    ApprovalRule.objects.update(levels=[ONE_LEAD, ONE_ADMIN | {"count": 2}])
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    lifecycle.approve(fork, by=tomas)
    lifecycle.approve(fork, by=ines)
    read_all()

    lifecycle.edit(fork, spec_for(Kind.FORK, name="Other"), by=mara)

    assert (read_by(fork, ines), read_by(fork, tomas)) == (["edited"], ["edited"])
    mail = texts.mail([Notification.objects.get(to=ines, kind="edited")])
    assert "You get this because you may decide about this, or have decided." in mail.text
    assert "Review and decide" not in mail.text


def test_whoever_approved_on_an_earlier_level_hears_of_a_bypass(bridge_team, otto, ines, mara, spec_for):
    ApprovalRule.objects.update(levels=[{"who": Who.PEOPLE, "count": 1, "people": [otto.pk]}, ONE_LEAD])
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    read_all()
    lifecycle.approve(fork, by=otto)

    lifecycle.bypass(fork, by=ines, reason="The leads are away.")

    assert read_by(fork, otto) == ["bypassed"]


def test_a_deputy_who_was_asked_hears_that_the_lead_decided(bridge_team, tomas, ben, mara, spec_for):
    away(tomas, ben, bridge_team)
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    read_all()

    lifecycle.approve(fork, by=tomas)

    assert read_by(fork, ben) == ["decided"]


def test_the_requester_hears_that_somebody_else_cancelled_it(waiting_fork, ines, mara):
    lifecycle.cancel(waiting_fork, by=ines)

    assert read_by(waiting_fork, mara) == ["ended"]
    mail = texts.mail([Notification.objects.get(to=mara)])
    assert mail.subject == f"Ines cancelled {waiting_fork.name}"
    assert "You get this because you requested" in mail.text


def test_what_an_approver_puts_off_the_requester_and_who_had_approved_hear(bridge_team, ida, tomas, mara, spec_for):
    ApprovalRule.objects.update(levels=[ONE_LEAD | {"count": 2}])
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    lifecycle.approve(fork, by=ida)
    read_all()

    lifecycle.start_at(fork, clock.now() + timedelta(days=80), by=tomas)

    assert (read_by(fork, mara), read_by(fork, ida), read_by(fork, tomas)) == (["start_set"], ["start_set"], [])


def test_only_who_may_still_see_it_reads_what_is_written(waiting_fork, ida, tomas, mara):
    Notification.objects.all().delete()
    lifecycle.comment(waiting_fork, "Hm.", by=ida)
    lifecycle.comment(waiting_fork, "Not for strangers.", by=mara)
    assert read_by(waiting_fork, ida) == ["commented"]

    rights.delete(Membership.objects.get(user=ida), by=None)

    assert read_by(waiting_fork, ida) == []


def test_a_message_tells_of_its_own_event_whatever_came_later(bridge_team, ida, tomas, mara, waiting_fork, spec_for):
    webhook = Webhook.objects.create(team=bridge_team, chat="slack", url="x", host="h", fingerprint="f")
    lifecycle.request_changes(waiting_fork, by=tomas, comment="Older please.")
    lifecycle.edit(waiting_fork, spec_for(Kind.FORK, name="Other"), by=mara)
    lifecycle.reject(waiting_fork, by=ida, comment="No way.")

    mail = texts.mail([Notification.objects.get(to=mara, kind="changes_requested")])
    assert mail.subject.startswith("Tomas asks you to change")
    assert "Older please." in mail.text
    assert "No way." not in mail.text
    asked = ChatMessage.objects.get(webhook=webhook, event__verb="changes_requested")
    assert "Tomas" in cards.payload(asked).decode()


def test_the_chat_of_the_team_that_was_asked_first_hears_the_end_after_a_move(bridge_team, otto, waiting_fork):
    webhook = Webhook.objects.create(team=bridge_team, chat="slack", url="x", host="h", fingerprint="f")
    ChatMessage.objects.create(
        webhook=webhook, operation=waiting_fork, event=waiting_fork.events.first(), written_at=clock.now()
    )
    itwin = TeamITwin.objects.get()
    itwin.team = Team.objects.get(name="Transit team")
    rights.save(itwin, by=None)

    lifecycle.approve(fresh(waiting_fork), by=otto)

    assert list(webhook.messages.order_by("event").values_list("event__verb", flat=True)) == ["requested", "approved"]


# Who is asked


def test_no_deputy_is_asked_whose_own_approval_a_later_level_may_need(bridge_team, tomas, ines, ben, mara, spec_for):
    User.objects.filter(pk=ben.pk).update(is_staff=True)
    ApprovalRule.objects.update(levels=[ONE_LEAD, ONE_ADMIN])
    away(tomas, ben, bridge_team)
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)

    assert list(recipients.asked(fork)) == [tomas]
    assert read_by(fork, tomas) == ["requested"]
    assert not eligibility.waiting_for(User.objects.get(pk=ben.pk)).exists()


def test_what_one_may_not_decide_waits_for_others(client, waiting_fork, bridge_team, ines, spec_for, mara):
    """An admin who makes herself a lead after the request: not in the list, nor counted, nor next, nor told."""
    make_lead(ines, bridge_team, by=ines)
    client.force_login(ines)

    page = client.get("/approvals/")
    assert (page.context["waiting"], page.context["waiting_for_me"]) == ([], 0)
    assert ines not in recipients.asked(waiting_fork)
    later = lifecycle.request(spec_for(Kind.FORK), by=mara)
    assert list(eligibility.waiting_for(ines)) == [later]


@pytest.mark.parametrize("way", ["ended", "over"])
def test_a_lead_who_is_back_is_asked_about_what_still_waits_and_once(bridge_team, tomas, ben, mara, spec_for, way):
    absence = away(tomas, ben, bridge_team)
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    assert read_by(fork, tomas) == []

    if way == "ended":
        rights.delete(absence, by=tomas)
    else:
        Absence.objects.update(ends_at=clock.now())
    for _ in range(2):
        sweeps.submitting()

    assert read_by(fork, tomas) == ["requested"]
    assert list(fork.events.values_list("verb", flat=True)) == ["requested", "also_asked"]


@pytest.mark.parametrize("after", ["beside a lead", "administrators were asked instead", "taken with a first sign-in"])
def test_45_a_new_lead_is_told_of_what_waits(bridge_team, ben, ines, tomas, waiting_fork, after):
    if after == "administrators were asked instead":
        rights.delete(Membership.objects.get(user=tomas), by=None)
    if after == "taken with a first sign-in":
        Membership.objects.filter(user=ben).update(user=None, role=Membership.Role.LEAD, email=ben.email)
        rights.signed_in(ben, name=("Ben", "Okafor"), email=ben.email, is_admin=False)
    else:
        make_lead(ben, bridge_team, by=ines)

    assert read_by(waiting_fork, ben) == ["requested"]
    assert fresh(waiting_fork).asked == " leads "


@pytest.mark.parametrize("way", ["by another one", "by the settings", "in the place of leads"])
def test_45_a_new_administrator_is_told_of_what_waits_for_administrators_and_once(
    bridge_team, ben, ines, tomas, mara, spec_for, way
):
    ApprovalRule.objects.update(levels=[ONE_LEAD if way == "in the place of leads" else ONE_ADMIN])
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    if way == "in the place of leads":
        rights.delete(Membership.objects.get(user=tomas), by=None)
    read_all()

    if way == "by the settings":
        rights.signed_in(ben, name=("Ben", "Okafor"), email=ben.email, is_admin=True)
    else:
        ben.is_staff = True
        rights.save(ben, by=ines)
    sweep_twice()

    assert (read_by(fork, ben), read_by(fork, ines)) == (["requested"], [])
    assert told_of(fork, ben) == ["also_asked"]
    assert "Ben Okafor is an administrator" in fork.events.get(verb="also_asked").note


def test_a_new_administrator_hears_nothing_of_what_waits_for_others(waiting_fork, ben, ines):
    ben.is_staff = True
    rights.save(ben, by=ines)
    sweep_twice()

    assert told_of(waiting_fork, ben) == []


@pytest.mark.parametrize("who", ["lead", "administrator", "named", "deputy"])
def test_whose_account_is_opened_again_is_told_of_what_waits_and_once(
    bridge_team, ben, ines, tomas, mara, spec_for, who
):
    named = {"who": Who.PEOPLE, "count": 1, "people": [ben.pk, tomas.pk]}
    levels = {"administrator": [ONE_ADMIN], "named": [named]}.get(who, [ONE_LEAD])
    ApprovalRule.objects.update(levels=levels)
    User.objects.filter(pk=ben.pk).update(is_staff=who == "administrator", is_active=False)
    if who == "lead":
        Membership.objects.filter(user=ben).update(role=Membership.Role.LEAD)
    if who == "deputy":
        Absence.objects.create(team=bridge_team, lead=tomas, deputy=ben, given_at=clock.now(), **some_days())
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    sweep_twice()
    assert told_of(fork, ben) == []

    set_account(ben, is_open=True, by=ines)
    sweep_twice()

    assert read_by(fork, ben) == ["requested"]
    assert told_of(fork, ben) == ["deputy_asked" if who == "deputy" else "also_asked"]


def test_whose_account_is_opened_again_hears_no_second_time_of_what_they_have_read(ida, waiting_fork, ines):
    read_all()
    set_account(ida, is_open=False, by=ines)
    set_account(ida, is_open=True, by=ines)
    sweep_twice()

    assert read_by(waiting_fork, ida) == []


@pytest.mark.parametrize("how", ["leaves the team", "is closed", "is needed later"])
def test_row_14_a_lead_whose_deputy_no_longer_decides_is_asked_again(
    bridge_team, tomas, ben, ines, mara, spec_for, how
):
    ApprovalRule.objects.update(levels=[ONE_LEAD, ONE_ADMIN])
    away(tomas, ben, bridge_team)
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    assert (read_by(fork, ben), told_of(fork, tomas)) == (["requested"], [])

    if how == "leaves the team":
        rights.delete(Membership.objects.get(user=ben), by=ines)
    elif how == "is closed":
        set_account(ben, is_open=False, by=ines)
    else:
        User.objects.filter(pk=ines.pk).update(is_staff=False)
        ben.is_staff = True
        rights.save(ben, by=ines)
    sweep_twice()

    assert (read_by(fork, tomas), told_of(fork, tomas)) == (["requested"], ["also_asked"])
    assert read_by(fork, ben) == []


@pytest.mark.parametrize("what", ["account", "place"])
def test_row_14_the_deputy_of_a_lead_who_leads_again_is_asked(bridge_team, ida, tomas, ben, ines, mara, spec_for, what):
    away(tomas, ben, bridge_team)
    place = Membership.objects.get(user=tomas)
    if what == "account":
        set_account(tomas, is_open=False, by=ines)
    else:
        place.role = Membership.Role.MEMBER
        rights.save(place, by=ines)
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    assert told_of(fork, ben) == []

    if what == "account":
        set_account(tomas, is_open=True, by=ines)
    else:
        make_lead(tomas, bridge_team, by=ines)
    sweep_twice()

    assert (read_by(fork, ben), told_of(fork, ben), told_of(fork, tomas)) == (["requested"], ["deputy_asked"], [])


def test_row_14_a_deputy_who_is_asked_anyway_is_not_told_again(bridge_team, ida, tomas, waiting_fork):
    read_all()
    away(tomas, ida, bridge_team)
    sweep_twice()

    assert told_of(waiting_fork, ida) == ["requested"]


def test_row_14_an_absent_lead_is_asked_once_the_other_lead_in_their_place_has_answered(
    bridge_team, ida, tomas, mara, spec_for
):
    ApprovalRule.objects.update(levels=[ONE_LEAD | {"count": 2}])
    away(tomas, ida, bridge_team)
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    assert list(recipients.asked(fork)) == [ida]

    lifecycle.approve(fork, by=ida)

    assert (list(recipients.asked(fork)), read_by(fork, tomas)) == ([tomas], ["requested"])


def test_row_14_a_deputy_whom_the_requester_names_takes_no_leads_place(bridge_team, tomas, ben, ines, spec_for):
    fork = lifecycle.request(spec_for(Kind.FORK), by=ines)
    absence = Absence(team=bridge_team, lead=tomas, deputy=ben, **some_days())
    rights.save(absence, by=ines)

    assert (list(recipients.asked(fork)), read_by(fork, tomas)) == ([tomas], ["requested"])
    assert told_of(fork, ben) == []


def test_who_gets_no_mail_is_asked_once_all_the_same(bridge_team, ben, ines, waiting_fork):
    User.objects.filter(pk=ben.pk).update(wants_mail=False)
    make_lead(ben, bridge_team, by=ines)
    for days_to_decide in (3, 4):
        bridge_team.approval_days = days_to_decide
        rights.save(bridge_team, by=ines)
        sweep_twice()

    assert told_of(waiting_fork, ben) == ["also_asked"]


@pytest.mark.parametrize("levels", [[ONE_ADMIN], [ONE_LEAD]])
def test_who_is_no_administrator_any_more_reads_nothing_more(bridge_team, otto, ines, mara, spec_for, levels):
    User.objects.filter(pk=otto.pk).update(is_staff=True)
    ApprovalRule.objects.update(levels=levels)
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    lifecycle.remind(fork)
    assert read_by(fork, otto) == (["requested", "half_way"] if levels == [ONE_ADMIN] else ["escalated"])

    otto.is_staff = False
    rights.save(otto, by=ines)
    sweep_twice()
    lifecycle.cancel(fork, by=mara)

    assert read_by(fork, otto) == []


# What else goes with it


def test_row_21_an_approver_who_sets_a_start_is_confirmed_as_for_a_decision(
    client, tomas, waiting_fork, confirmed_leads
):
    TokenSet.objects.filter(user=tomas).delete()
    client.force_login(tomas)
    at = (clock.now() + timedelta(days=80)).strftime("%Y-%m-%dT%H:%M")

    answer = client.post(reverse("imodels:start", args=[waiting_fork.pk]), {"not_before": at})

    assert (answer.status_code, fresh(waiting_fork).not_before) == (422, None)
    assert not answer.wsgi_request.user.is_authenticated


@pytest.mark.parametrize("act", ["edit", "start later"])
def test_8_what_administrators_decide_in_the_place_of_others_can_be_changed(waiting_fork, ines, mara, spec_for, act):
    rights.delete(Membership.objects.get(user__first_name="Tomas"), by=None)
    fork = fresh(waiting_fork)
    if act == "edit":
        lifecycle.edit(fork, spec_for(Kind.FORK, name="Fixed"), by=mara)
    else:
        lifecycle.start_at(fork, clock.now() + timedelta(days=2), by=mara)

    assert (fork.plan.number, fork.is_asked_of_admins_instead) == (2, True)
    lifecycle.approve(fork, by=ines)
    assert fork.state == State.QUEUED


def test_row_14_a_deputy_is_named_once_for_a_day_and_ended_though_they_have_left(client, bridge_team, tomas, ben):
    client.force_login(tomas)
    today = timezone.localdate()
    form = {"deputy": Membership.objects.get(user=ben).pk, "since": today, "until": today + timedelta(days=2)}
    assert client.post("/approvals/away/", form).status_code == 302

    again = client.post("/approvals/away/", form | {"since": today + timedelta(days=2), "until": today + timedelta(9)})
    assert (again.status_code, Absence.objects.count()) == (422, 1)
    assert "stands in for you on some of these days already." in str(again.context["form"].errors["since"])
    rights.delete(Membership.objects.get(user=ben), by=None)
    assert client.post(reverse("imodels:end-absence", args=[Absence.objects.get().pk])).status_code == 302

    assert not Absence.objects.exists()


def test_row_14_nobody_else_ends_it(bridge_team, tomas, ben, mara):
    absence = away(tomas, ben, bridge_team)

    with pytest.raises(permissions.Denied):
        rights.delete(absence, by=mara)
