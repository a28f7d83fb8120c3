"""The card of a request: who, what and whose right at one look; live; and what was typed is never lost."""

import re
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.urls import reverse
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.accounts import rights
from imodels_app.models import Absence, ApprovalRule, Event, Membership, Operation
from imodels_app.requesting.spec import ITwinRef
from imodels_app.states import Kind, State, Who
from tests.display.test_live import enter  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("confirmed_leads")

LIST = "/approvals/"
OTHER_HARBOUR = "b2b00000-0000-4000-8000-0000000000ff"


def url(act: str, operation: Operation) -> str:
    return reverse(f"imodels:{act}", args=[operation.pk])


def text_of(answer) -> str:
    """What the page says, without tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


@pytest.fixture
def second_lead(bridge_team, tomas, ines):
    """Ines, a lead since before the request; by Tomas."""
    given = {"given_at": timezone.now() - timedelta(days=3), "given_by": tomas}
    Membership.objects.create(team=bridge_team, email=ines.email, user=ines, role=Membership.Role.LEAD, **given)
    return ines


@pytest.fixture
def in_line(second_lead, mara, spec_for) -> list[Operation]:
    """Three requests, the one with the soonest deadline made last."""
    forks = [lifecycle.request(spec_for(Kind.FORK, name=f"Pier {n}"), by=mara) for n in (3, 2, 1)]
    for days, fork in zip((3, 2, 1), forks, strict=True):
        Operation.objects.filter(pk=fork.pk).update(expires_at=timezone.now() + timedelta(days=days))
    return forks[::-1]


def test_the_card_says_who_can_decide_since_when_and_by_whom(client, tomas, second_lead, waiting_fork):
    client.force_login(tomas)

    page = text_of(client.get(url("approval-detail", waiting_fork)))

    assert "Ines Duarte can decide ines.duarte@harbour.example" in page
    since = timezone.now() - timedelta(days=3)
    assert re.search(
        rf"lead of Bridge team since {since:%a} {since.day} {since:%b %H:}\d\d , given by Tomas Novak", page
    )


def test_row_17_a_target_that_is_called_like_the_own_one_is_told_apart(client, tomas, bridge_team, mara, spec_for):
    namesake = ITwinRef(id=OTHER_HARBOUR, name="Harbour Bridge", number="HB-9", account_id="a2", region="UK South")
    fork = lifecycle.request(spec_for(Kind.FORK, itwin=namesake), by=mara)
    client.force_login(tomas)

    page = text_of(client.get(url("approval-detail", fork)))

    assert "It goes to another iTwin." in page
    assert "Default team looks after it, not Bridge team." in page
    assert "number HB-9, id b2b00000…00ff," in page


def test_other_forks_of_the_main_imodel_are_links_and_hidden_ones_are_counted(
    client, tomas, otto, waiting_fork, mara, spec_for
):
    done = lifecycle.request(spec_for(Kind.FORK, name="Deck drainage"), by=mara)
    lifecycle.reject(done, by=tomas, comment="Use Pier 7.")
    strangers = lifecycle.request(spec_for(Kind.FORK, name="Of strangers"), by=otto)
    Operation.objects.filter(pk=strangers.pk).update(team=otto.membership_set.get().team)
    client.force_login(tomas)

    answer = client.get(url("approval-detail", waiting_fork))

    assert f'href="{url("operation-detail", done)}">Deck drainage</a>' in answer.text
    assert "Other open forks none that you can see 1 that you cannot see" in text_of(answer)
    assert "Of strangers" not in answer.text


def test_after_a_decision_comes_the_request_whose_time_ends_next(client, tomas, in_line):
    client.force_login(tomas)
    assert [row.operation for row in client.get(LIST).context["waiting"]] == in_line

    for fork, following in zip(in_line, [*in_line[1:], None], strict=True):
        answer = client.post(url("approve", fork))
        assert answer.headers["Location"] == (url("approval-detail", following) if following else LIST)


def test_a_late_click_gets_the_card_as_it_is_now_by_whom_when_and_with_what_was_typed(
    client, tomas, second_lead, waiting_fork
):
    lifecycle.approve(Operation.objects.get(pk=waiting_fork.pk), by=tomas)
    decided = waiting_fork.decisions.get()
    client.force_login(second_lead)

    answer = client.post(url("reject", waiting_fork), {"comment": "Wait for June."})

    assert answer.status_code == 409
    assert "Tomas Novak approved while you were reading." in answer.text
    assert f'<time datetime="{decided.decided_at:%Y-%m-%dT%H:%M:%SZ}">' in answer.text
    assert "Wait for June.</textarea>" in answer.text


def _level_1_is_decided(fork, people):
    """Tomas' page shows the first level; administrators decide the second."""
    lifecycle.approve(fork, by=people.ida)


def _own_second_click(fork, people):
    ApprovalRule.objects.update(levels=[{"who": Who.LEADS, "count": 2}])
    lifecycle.edit(fork, people.spec_for(Kind.FORK, name="Two leads"), by=people.mara)
    lifecycle.approve(fork, by=people.tomas)


def _lead_no_more(fork, people):
    place = Membership.objects.get(user=people.tomas)
    place.role = Membership.Role.MEMBER
    rights.save(place, by=None)


def _lead_answered(fork, people):
    """The page is of Ida’s deputy then."""
    lead, deputy, now = people.ida, people.tomas, timezone.now()
    _lead_no_more(fork, people)
    days = {"starts_at": now - timedelta(hours=1), "ends_at": now + timedelta(days=1)}
    rights.save(Absence(team=fork.team, lead=lead, deputy=deputy, **days), by=lead)
    lifecycle.approve(fork, by=lead)


@pytest.mark.parametrize("meanwhile", [_level_1_is_decided, _own_second_click, _lead_no_more, _lead_answered])
@pytest.mark.parametrize("way", ["card", "several"])
def test_whoever_was_asked_and_is_not_any_more_comes_late_and_is_no_intruder(
    client, bridge_team, ida, ines, tomas, mara, spec_for, way, meanwhile
):
    """409 and the card as it is now, with what was typed; the audit calls it no attempt."""
    ApprovalRule.objects.update(levels=[{"who": Who.LEADS, "count": 1}, {"who": Who.ADMINS, "count": 1}])
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    meanwhile(fork, SimpleNamespace(ida=ida, tomas=tomas, mara=mara, spec_for=spec_for))
    before = fork.decisions.count()
    client.force_login(tomas)

    shown = f"{fork.plan.number}.1"
    if way == "card":
        answer = client.post(url("reject", fork), {"comment": "My long words.", "round": shown})
        assert answer.status_code == 409
    else:
        form = {"answer": "reject", "comment": "My long words.", "chosen": f"{fork.pk}:{shown}"}
        answer = client.post(reverse("imodels:decide-several"), form)
        assert [one.why_not for one in answer.context["outcomes"]] != [""]

    assert "My long words." in answer.text
    assert fork.decisions.count() == before
    assert not Event.objects.filter(verb="decision_refused").exists()


@pytest.mark.parametrize("act", ["approve", "bypass"])
def test_a_click_for_one_level_does_not_count_on_another(client, second_lead, tomas, mara, spec_for, act):
    """Ines leads the team and administers the desk, so she could decide on either."""
    ApprovalRule.objects.update(levels=[{"who": Who.LEADS, "count": 1}, {"who": Who.ADMINS, "count": 1}])
    fork = lifecycle.request(spec_for(Kind.FORK), by=mara)
    client.force_login(second_lead)
    lifecycle.approve(fork, by=tomas)
    typed = {"comment": "Fine.", "reason": "Nobody is there today.", "round": "1.1"}

    late = client.post(url(act, fork), typed)
    assert (late.status_code, fork.decisions.count()) == (409, 1)
    assert "Another level is decided now." in late.text
    assert client.post(url(act, fork), typed | {"round": "1.2"}).status_code == 302


def test_approvals_that_were_bypassed_are_not_asked_for_any_more(client, ines, waiting_fork):
    client.force_login(ines)
    assert "1 lead of Bridge team must approve" in text_of(client.get(url("approval-detail", waiting_fork)))

    lifecycle.bypass(waiting_fork, by=ines, reason="Nobody is there today.")

    card = text_of(client.get(url("approval-detail", waiting_fork)))
    assert "1 lead of Bridge team had to approve 0 of 1, bypassed" in card


def test_what_comes_back_to_be_corrected_is_about_what_was_read_and_says_that_it_has_changed(
    client, tomas, mara, waiting_fork, spec_for
):
    client.force_login(tomas)
    lifecycle.edit(waiting_fork, spec_for(Kind.FORK, name="Pier 8"), by=mara)
    card = client.post(url("comment", waiting_fork), {"text": "", "round": "1.1"})

    assert card.status_code == 422
    assert "It has changed since you opened this page." in card.text
    assert 'name="round" value="1.1" form="decision"' in card.text
    assert client.post(url("approve", waiting_fork), {"round": "1.1"}).status_code == 409


def test_whether_a_rule_asks_for_a_new_sign_in_is_looked_at_with_the_decision(waiting_fork, tomas, mara, spec_for):
    """The page asked before; what it asked may have changed since."""
    ApprovalRule.objects.update(levels=[{"who": Who.LEADS, "count": 1, "sign_in": True}])
    lifecycle.edit(waiting_fork, spec_for(Kind.FORK, name="Pier 8"), by=mara)

    with pytest.raises(lifecycle.Conflict, match="sign in again"):
        lifecycle.approve(waiting_fork, by=tomas, is_fresh=False)


@pytest.mark.django_db(transaction=True)
def test_a_poll_of_the_card_brings_what_somebody_else_decided_and_else_nothing(
    client, tomas, second_lead, waiting_fork
):
    client.force_login(second_lead)
    card, htmx = url("approval-detail", waiting_fork), {"HX-Request": "true"}
    seen = client.get(card).context["seen"]
    assert client.get(card, {"seen": seen}, headers=htmx).status_code == 204

    lifecycle.approve(Operation.objects.get(pk=waiting_fork.pk), by=tomas)
    answer = client.get(card, {"seen": seen}, headers=htmx)

    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert "Tomas Novak approved" in text_of(answer)


@pytest.mark.django_db(transaction=True)
def test_a_poll_of_the_card_that_missed_nothing_costs_as_little_as_the_table_s(
    client, tomas, waiting_fork, queued_clone, django_assert_max_num_queries
):
    client.force_login(tomas)
    card = url("approval-detail", waiting_fork)
    seen = client.get(card).context["seen"]
    Operation.objects.filter(pk=queued_clone.pk).update(version=9)

    with django_assert_max_num_queries(4):
        assert client.get(card, {"seen": seen}, headers={"HX-Request": "true"}).content == b""


@pytest.mark.django_db(transaction=True)
def test_a_poll_brings_that_somebody_lost_the_right(client, mara, tomas, second_lead, waiting_fork):
    client.force_login(mara)
    card = url("approval-detail", waiting_fork)
    seen = client.get(card).context["seen"]

    Membership.objects.filter(user=second_lead).delete()

    answer = client.get(card, {"seen": seen}, headers={"HX-Request": "true"})
    assert "Ines Duarte" not in answer.text


@pytest.mark.django_db(transaction=True)
def test_a_page_that_is_open_while_the_request_changes_decides_about_what_was_read(
    client, tomas, mara, waiting_fork, spec_for
):
    client.force_login(tomas)
    card, htmx = url("approval-detail", waiting_fork), {"HX-Request": "true"}
    opened = client.get(card)
    assert opened.text.count('name="round" value="1.1" form=') == 2

    lifecycle.edit(waiting_fork, spec_for(Kind.FORK, name="Pier 8"), by=mara)
    live = client.get(card, {"seen": opened.context["seen"], "round": "1"}, headers=htmx)
    late = client.post(url("approve", waiting_fork), {"comment": "Fine.", "round": "1"})

    assert "It has changed since you opened this page." in live.text
    assert 'name="round" value="2' not in live.text
    assert late.status_code == 409
    assert "Fine.</textarea>" in late.text
    assert 'name="round" value="2.1"' in late.text
    waiting_fork.refresh_from_db()
    assert waiting_fork.state == State.AWAITING_APPROVAL


# ---------- in a browser ----------


def test_a_decision_elsewhere_leaves_what_is_typed_and_takes_the_count_away(
    page,
    enter,  # noqa: F811
    tomas,
    second_lead,
    waiting_fork,
):
    enter(page, tomas)
    page.goto(url("approval-detail", waiting_fork))
    assert page.title().startswith("(1) Pier 7 retrofit")
    page.fill("#comment", "I think this is fine")

    lifecycle.approve(waiting_fork, by=second_lead, comment="Fine with me.")

    page.get_by_label("Your comment, not sent").wait_for()
    assert page.input_value("#comment") == "I think this is fine"
    assert page.title().startswith("Pier 7 retrofit")
    assert page.inner_text("#waiting-for-me").strip() == ""
    assert "Ines Duarte approved" in page.inner_text("#approval-status")


def test_what_was_refused_stays_at_its_field_while_the_page_is_live(page, enter, ines, waiting_fork):  # noqa: F811
    enter(page, ines)
    page.goto(url("approval-detail", waiting_fork))
    page.get_by_text("Bypass the approval").click()
    with page.expect_response(lambda answer: "round=" in answer.url and answer.ok):  # the first poll
        page.get_by_role("button", name="Bypass and send").click()

    page.get_by_text("Updated 0 s ago").wait_for()
    assert "Say why." in page.inner_text("#bypassing")
    assert page.evaluate("document.activeElement.id") == "reason"


@pytest.mark.measure
@pytest.mark.parametrize("address", ["/approvals/", "card"])
def test_a_decision_elsewhere_shows_within_two_seconds(
    page,
    enter,  # noqa: F811
    tomas,
    second_lead,
    in_line,
    record_property,
    address,
):
    fork = in_line[0]
    enter(page, tomas)
    page.goto(url("approval-detail", fork) if address == "card" else address)
    page.get_by_text(re.compile(r"Updated \d+ s ago")).wait_for()

    lifecycle.reject(fork, by=second_lead, comment="Not now.")
    begun = time.monotonic()
    page.get_by_text("Rejected").first.wait_for()

    took = time.monotonic() - begun
    record_property("figure", f"a decision elsewhere shows after {took:.2f} s on {address}")
    assert took <= 2
