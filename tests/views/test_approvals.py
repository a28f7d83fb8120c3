"""Deciding: who may, who may not, who may not even see, and who comes too late."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.models import Event, Membership, Operation, TokenSet
from imodels_app.states import Kind, State, Verb, Verdict
from tests.accounts.test_sessions import grow_old
from tests.views.test_sign_in import sign_in_as, signed_in

pytestmark = pytest.mark.usefixtures("confirmed_leads")

LIST = "/approvals/"


def address(act: str, operation) -> str:
    return reverse(f"imodels:{act}", args=[operation.pk])


def decided(operation) -> list[tuple]:
    return [(one.by, one.verdict, one.comment) for one in operation.decisions.all()]


@pytest.fixture
def fork_by_tomas(ida, tomas, spec_for):
    return lifecycle.request(spec_for(Kind.FORK, name="Tomas’s own"), by=tomas)


@pytest.fixture
def second_lead(bridge_team, ines):
    """Ines as a second lead of the team."""
    Membership.objects.create(team=bridge_team, email=ines.email, user=ines, role=Membership.Role.LEAD)
    return ines


def test_a_lead_finds_what_waits_and_the_requester_what_they_asked(client, mara, tomas, waiting_fork):
    client.force_login(tomas)
    answer = client.get(LIST)
    assert [row.operation for row in answer.context["waiting"]] == [waiting_fork]
    assert answer.context["waiting_for_me"] == 1

    client.force_login(mara)
    answer = client.get(LIST)
    assert answer.context["waiting"] == []
    assert [row.operation for row in answer.context["requested"]] == [waiting_fork]


def test_a_lead_is_not_asked_about_their_own(client, tomas, fork_by_tomas):
    client.force_login(tomas)

    answer = client.get(LIST)

    assert answer.context["waiting"] == []
    assert [row.operation for row in answer.context["requested"]] == [fork_by_tomas]


def test_a_lead_approves_with_the_facts_in_view(client, tomas, waiting_fork):
    client.force_login(tomas)

    card = client.get(address("approval-detail", waiting_fork)).content.decode()
    answer = client.post(address("approve", waiting_fork), {"comment": "Fine."})

    assert "Try the seismic retrofit of pier 7." in card
    assert "Changeset 120" in card
    assert answer.headers["Location"] == LIST
    waiting_fork.refresh_from_db()
    assert waiting_fork.state == State.QUEUED
    assert decided(waiting_fork) == [(tomas, Verdict.APPROVED, "Fine.")]


@pytest.fixture
def tomas_signed_in(client, sandbox, waiting_fork):
    """Tomas, just signed in at the provider's page: his grant was not confirmed since."""
    TokenSet.objects.all().delete()
    sign_in_as(client, "tomas")
    return client


ACTS = pytest.mark.parametrize("act", ["approve", "reject"])


@ACTS
def test_a_decision_has_the_grant_confirmed_and_the_next_ones_rest_on_that(
    tomas_signed_in, waiting_fork, sandbox, mara, spec_for, act
):
    for fork in (waiting_fork, lifecycle.request(spec_for(Kind.FORK), by=mara)):
        tomas_signed_in.post(address(act, fork), {"comment": "Because."})
        fork.refresh_from_db()
        assert fork.state != State.AWAITING_APPROVAL

    assert sandbox.calls("POST", "/token") == 2  # the sign-in and one refresh


@pytest.mark.parametrize(
    ("act", "person"),
    [*((act, "tomas") for act in ("approve", "reject", "request-changes", "decide-several")), ("bypass", "ines")],
)
def test_who_has_no_grant_any_more_decides_nothing_and_is_signed_out(
    tomas_signed_in, waiting_fork, sandbox, mara, spec_for, act, person
):
    here, elsewhere, forks, where = tomas_signed_in, Client(), [waiting_fork], f"/approvals/{waiting_fork.pk}/{act}"
    sent: dict[str, Any] = {"reason" if act == "bypass" else "comment": "Both are away."}
    if act == "decide-several":
        forks, where = [*forks, lifecycle.request(spec_for(Kind.FORK), by=mara)], reverse("imodels:decide-several")
        sent |= {"answer": "approve", "chosen": [f"{fork.pk}:1" for fork in forks]}
    for browser in (here, elsewhere):
        sign_in_as(browser, person)
    grow_old(here, used=timedelta(minutes=2), signed_in=timedelta(minutes=2))
    sandbox.revoke(person)

    answer = here.post(where, sent)

    refused = Event.objects.filter(verb=Verb.DECISION_REFUSED, note="Has to sign in again first.")
    assert sorted(event.operation.name for event in refused) == sorted(fork.name for fork in forks)
    for fork in forks:
        fork.refresh_from_db()
        assert (fork.state, decided(fork)) == (State.AWAITING_APPROVAL, [])
    assert (answer.status_code, signed_in(here), signed_in(elsewhere)) == (422, False, False)
    assert "You are signed out." in answer.text
    assert [text for text in ["Both are away.", *sent.get("chosen", [])] if text not in answer.text] == []
    assert f'name="{next(iter(sent))}"' in answer.text
    back = re.search(r'method="post" action="(/approvals/[^"]*)"', answer.text)[1]
    sign_in_as(here, person)
    assert "Both are away.</textarea>" in here.post(back, sent).text


@pytest.mark.parametrize("act", ["approve", "reject", "decide-several"])
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"cut": True},
        *({"status": status, "headers": {"Location": "/followed"}} for status in (302, 307, 308)),
    ],
    ids=str,
)
def test_while_the_provider_does_not_answer_nothing_is_decided_and_the_comment_stays(
    tomas_signed_in, waiting_fork, sandbox, act, fault
):
    sandbox.fault("POST", r"/connect/token$", **fault)

    where = reverse("imodels:decide-several") if act == "decide-several" else address(act, waiting_fork)
    sent = {"comment": "Fine by me.", "answer": "approve", "chosen": f"{waiting_fork.pk}:1"}
    answer = tomas_signed_in.post(where, sent)

    waiting_fork.refresh_from_db()
    assert (waiting_fork.state, answer.status_code) == (State.AWAITING_APPROVAL, 503)
    assert ("checked" in answer.text) == (act == "decide-several")
    assert "the sign-in service has to confirm who you are" in answer.text
    assert "Fine by me." in answer.text
    assert signed_in(tomas_signed_in)
    assert sandbox.calls("GET", "/followed") + sandbox.calls("POST", "/followed") == 0


def test_a_grant_confirmed_more_than_five_minutes_ago_is_confirmed_again(tomas_signed_in, waiting_fork, sandbox):
    TokenSet.objects.update(refreshed_at=timezone.now() - timedelta(minutes=5, seconds=1))
    sandbox.revoke("tomas")

    assert tomas_signed_in.post(address("approve", waiting_fork)).status_code == 422


@pytest.mark.parametrize(("ago", "status"), [(timedelta(minutes=4), 302), (timedelta(minutes=6), 422)])
def test_without_a_refresh_token_only_a_new_sign_in_confirms(tomas_signed_in, waiting_fork, ago, status):
    TokenSet.objects.update(refresh_token="", obtained_at=timezone.now() - ago)

    assert tomas_signed_in.post(address("approve", waiting_fork)).status_code == status
    assert not TokenSet.objects.get().sign_in_needed


def test_a_lead_rejects_and_says_why(client, tomas, waiting_fork):
    client.force_login(tomas)

    client.post(address("reject", waiting_fork), {"comment": "Use the other one"})

    waiting_fork.refresh_from_db()
    assert waiting_fork.state == State.REJECTED
    assert decided(waiting_fork) == [(tomas, Verdict.REJECTED, "Use the other one")]


@pytest.mark.parametrize("comment", ["", "   "])
def test_a_rejection_without_a_word_is_the_form_again(client, tomas, waiting_fork, comment):
    client.force_login(tomas)

    answer = client.post(address("reject", waiting_fork), {"comment": comment})

    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.content.decode()
    waiting_fork.refresh_from_db()
    assert waiting_fork.state == State.AWAITING_APPROVAL


@pytest.mark.parametrize("act", ["approve", "reject"])
def test_a_lead_cannot_decide_about_their_own_fork(client, tomas, fork_by_tomas, act):
    client.force_login(tomas)

    answer = client.post(address(act, fork_by_tomas), {"comment": "Mine"})

    assert answer.status_code == 403
    assert "You requested this yourself." in answer.content.decode()
    fork_by_tomas.refresh_from_db()
    assert fork_by_tomas.state == State.AWAITING_APPROVAL


@pytest.mark.parametrize("act", ["approve", "reject"])
def test_neither_a_superuser_nor_an_admin_decides_without_being_a_lead(client, ines, waiting_fork, act):
    ines.is_superuser = True
    ines.save()
    client.force_login(ines)

    assert client.post(address(act, waiting_fork), {"comment": "Because"}).status_code == 403


def test_the_requester_sees_the_card_without_buttons_and_is_told_why(client, mara, waiting_fork):
    client.force_login(mara)

    answer = client.get(address("approval-detail", waiting_fork)).content.decode()

    assert "Somebody else has to decide." in answer
    assert address("approve", waiting_fork) not in answer
    assert "Tomas Novak" in answer


@pytest.mark.parametrize("act", ["approve", "reject"])
def test_the_signed_out_decide_nothing_and_keep_their_comment(client, waiting_fork, act):
    answer = client.post(address(act, waiting_fork), {"comment": "Wait for <b>June</b>."})

    page = " ".join(answer.content.decode().split())
    assert answer.status_code == 422
    assert "You are signed out.</strong> Nothing was decided, and your comment is still here." in page
    assert "Wait for &lt;b&gt;June&lt;/b&gt;.</textarea>" in page
    card = address("approval-detail", waiting_fork)
    assert f'href="/sign-in/?next={card}"' in page
    assert f'action="{card}"' in page
    waiting_fork.refresh_from_db()
    assert waiting_fork.state == State.AWAITING_APPROVAL


def test_the_signed_out_are_told_nothing_but_what_they_sent(client, waiting_fork):
    known, unknown = waiting_fork.pk, uuid4()
    pages = [
        client.post(reverse("imodels:reject", args=[pk]), {"comment": "No."}).content.decode()
        for pk in (known, unknown)
    ]

    assert waiting_fork.name not in pages[0]
    without_tokens = [re.sub(r"\b\w{64}\b", "", page) for page in pages]
    assert without_tokens[0].replace(str(known), "") == without_tokens[1].replace(str(unknown), "")


def test_a_comment_comes_back_to_the_card_and_decides_nothing(client, tomas, waiting_fork):
    client.force_login(tomas)

    answer = client.post(address("approval-detail", waiting_fork), {"comment": "Wait for June."})

    assert answer.status_code == 200
    assert "Wait for June.</textarea>" in answer.content.decode()
    waiting_fork.refresh_from_db()
    assert waiting_fork.state == State.AWAITING_APPROVAL


@pytest.mark.parametrize("act", ["approve", "reject", "approval-detail"])
def test_a_card_older_than_the_sign_in_decides_nothing_and_keeps_the_comment(tomas, waiting_fork, act):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(tomas)
    browser.get(address("approval-detail", waiting_fork))

    old = {"comment": "Wait for June.", "csrfmiddlewaretoken": "x" * 64}
    page = browser.post(address(act, waiting_fork), old)

    assert page.status_code == 422
    assert "Nothing was decided.</strong> This page is older than your sign-in." in page.content.decode()
    assert "Wait for June.</textarea>" in page.content.decode()
    waiting_fork.refresh_from_db()
    assert waiting_fork.state == State.AWAITING_APPROVAL

    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.content.decode())[1]
    browser.post(address("reject", waiting_fork), {"comment": "Wait for June.", "csrfmiddlewaretoken": token})
    waiting_fork.refresh_from_db()
    assert waiting_fork.state == State.REJECTED


@pytest.mark.parametrize("act", ["approval-detail", "approve", "reject"])
def test_another_team_sees_nothing(client, otto, waiting_fork, act):
    client.force_login(otto)
    ask = client.get if act == "approval-detail" else client.post

    assert ask(address(act, waiting_fork)).status_code == 404


def test_a_clone_has_no_card(client, tomas, queued_clone):
    client.force_login(tomas)

    assert client.get(address("approval-detail", queued_clone)).status_code == 404


@pytest.mark.parametrize("act", ["approve", "reject"])
def test_who_comes_late_sees_the_decision_and_changes_nothing(client, tomas, second_lead, waiting_fork, act):
    lifecycle.approve(Operation.objects.get(pk=waiting_fork.pk), by=tomas, comment="Pinned is fine.")
    client.force_login(second_lead)

    answer = client.post(address(act, waiting_fork), {"comment": "Too late"})

    assert answer.status_code == 409
    assert "Tomas Novak approved while you were reading." in answer.content.decode()
    assert "Pinned is fine." in answer.content.decode()
    waiting_fork.refresh_from_db()
    assert waiting_fork.state == State.QUEUED
    assert decided(waiting_fork) == [(tomas, Verdict.APPROVED, "Pinned is fine.")]


def test_a_withdrawn_request_cannot_be_approved(client, tomas, mara, waiting_fork):
    lifecycle.cancel(Operation.objects.get(pk=waiting_fork.pk), by=mara)
    client.force_login(tomas)

    answer = client.post(address("approve", waiting_fork))

    assert answer.status_code == 409
    assert "by Mara before it was sent" in answer.content.decode()


def test_when_the_time_has_passed_nobody_decides(client, tomas, waiting_fork):
    Operation.objects.filter(pk=waiting_fork.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    client.force_login(tomas)

    answer = client.post(address("approve", waiting_fork))

    assert answer.status_code == 409
    assert "The time to decide has passed" in answer.content.decode()


def test_decisions_stay_to_be_read(client, tomas, mara, failed_fork):
    for person, queue in ((tomas, "decided_by_me"), (mara, "decided")):
        client.force_login(person)
        assert [row.operation for row in client.get(LIST).context[queue]] == [failed_fork]


def test_a_list_of_decisions_costs_no_query_for_each(
    client, tomas, mara, bridge_team, spec_for, django_assert_max_num_queries
):
    for _ in range(15):
        lifecycle.approve(lifecycle.request(spec_for(Kind.FORK), by=mara), by=tomas)
    client.force_login(tomas)

    with django_assert_max_num_queries(19):
        page = client.get(LIST)

    assert " ".join(page.text.split()).count("by you, now queued") == 15


@pytest.mark.django_db(transaction=True)
def test_the_lists_are_polled_for_nothing_when_nothing_changed(client, tomas, waiting_fork):
    client.force_login(tomas)
    token = client.get(LIST).context["seen"]

    assert client.get(LIST, {"seen": token}, headers={"HX-Request": "true"}).status_code == 204
    lifecycle.approve(waiting_fork, by=tomas)
    answer = client.get(LIST, {"seen": token}, headers={"HX-Request": "true"})

    assert answer.status_code == 200
    assert b"<html" not in answer.content


@pytest.mark.parametrize("act", ["approve", "reject"])
@pytest.mark.parametrize("comment", ["x" * 2001, "x" * 2_000_000, "👍" * 1001, "turned \u202e round", "a\0b", "\u200b"])
def test_a_comment_that_is_too_long_or_cannot_be_read_is_refused_at_its_field(
    client, tomas, waiting_fork, act, comment
):
    client.force_login(tomas)

    answer = client.post(address(act, waiting_fork), {"comment": comment})

    assert answer.status_code == 422
    assert 'id="comment-bad"' in answer.content.decode()
    assert decided(waiting_fork) == []


def test_line_breaks_of_a_comment_count_one_each(client, tomas, waiting_fork):
    client.force_login(tomas)

    client.post(address("approve", waiting_fork), {"comment": "x" * 1900 + "\r\n" * 50 + "x" * 50})

    assert len(decided(waiting_fork)[0][2]) == 2000
