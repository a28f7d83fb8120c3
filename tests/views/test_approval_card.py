"""The card of a request: who, what and whose right at one look; live; and what was typed is never lost."""

import re
import time
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.models import Membership, Operation
from imodels_app.requesting.spec import ITwinRef
from imodels_app.states import Kind, State
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
    assert opened.text.count('name="round" value="1"') == 2

    lifecycle.edit(waiting_fork, spec_for(Kind.FORK, name="Pier 8"), by=mara)
    live = client.get(card, {"seen": opened.context["seen"], "round": "1"}, headers=htmx)
    late = client.post(url("approve", waiting_fork), {"comment": "Fine.", "round": "1"})

    assert "It has changed since you opened this page." in live.text
    assert 'name="round"' not in live.text
    assert late.status_code == 409
    assert "Fine.</textarea>" in late.text
    assert 'name="round" value="2"' in late.text
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
    assert page.inner_text("#waiting-for-me") == ""
    assert "Ines Duarte approved" in page.inner_text("#approval-status")


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
