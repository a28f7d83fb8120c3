"""Signing in through the provider's page and out again, with the requests a browser would send."""

from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import requests
from django.core.management import call_command
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts import sign_in, tokens
from imodels_app.models import Event, Membership, Team, TokenSet, User
from imodels_app.states import WaitReason
from tests.people import SUBJECTS
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.django_db


def choose(location: str, person: str) -> str:
    """Choose a person on the provider's page and return where the browser is sent."""
    page, _, query = location.partition("?")
    form = dict(parse_qsl(query)) | {"person": SUBJECTS.get(person, person)}
    return requests.post(page, data=form, allow_redirects=False, timeout=PATIENCE_S).headers["Location"]


def come_back(client, location: str):
    """Follow the provider's redirect to the dashboard."""
    parts = urlsplit(location)
    return client.get(f"{parts.path}?{parts.query}")


def sign_in_as(client, person: str = "mara", **query):
    start = client.get(reverse("imodels:sign-in-start"), query)
    return come_back(client, choose(start["Location"], person))


def signed_in(client) -> bool:
    return "_auth_user_id" in client.session


def test_a_person_signs_in_at_the_providers_page(client, sandbox):
    answer = sign_in_as(client)

    assert answer["Location"] == reverse("imodels:operation-list")
    mara = User.objects.get()
    assert (mara.name, mara.subject) == ("Mara Lindqvist", SUBJECTS["mara"])
    assert signed_in(client)
    assert tokens.access_token(mara)


def test_the_request_to_the_provider_carries_pkce_state_and_nonce(client, sandbox):
    start = client.get(reverse("imodels:sign-in-start"))

    asked = parse_qs(urlsplit(start["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["response_type"] == ["code"]
    assert {"state", "nonce", "code_challenge"} <= set(asked)
    assert "client_secret" not in asked


def test_the_same_person_is_the_same_row_the_next_time(client, sandbox):
    sign_in_as(client)
    client.logout()
    sign_in_as(client)

    assert User.objects.count() == 1


def test_the_session_is_a_new_one_after_signing_in(client, sandbox):
    client.get(reverse("imodels:sign-in-start"))
    before = client.session.session_key

    sign_in_as(client)

    assert client.session.session_key != before


def test_a_code_is_good_once(client, sandbox):
    start = client.get(reverse("imodels:sign-in-start"))
    back = choose(start["Location"], "mara")
    come_back(client, back)
    client.logout()

    assert come_back(client, back).status_code == 400
    assert not signed_in(client)


def test_a_code_that_another_browser_asked_for_is_refused(client, sandbox):
    from django.test import Client

    start = Client().get(reverse("imodels:sign-in-start"))
    back = choose(start["Location"], "mara")

    assert come_back(client, back).status_code == 400
    assert not signed_in(client)


def test_a_person_who_refuses_is_told_and_can_try_again(client, sandbox):
    answer = sign_in_as(client, "nobody")

    assert answer.status_code == 400
    assert "Sign in again" in answer.text


def test_a_refusal_that_anybody_can_make_up_is_logged_in_short(client, sandbox, caplog):
    client.get(reverse("imodels:sign-in-callback"), {"error": "x", "error_description": "no " * 10_000})

    assert "A sign-in failed: no no" in caplog.text
    assert len(caplog.text) < 1000


def test_a_provider_that_is_down_is_told(client, sandbox):
    start = client.get(reverse("imodels:sign-in-start"))
    back = choose(start["Location"], "mara")
    sandbox.fault("POST", r"/token$", status=503, times=1)

    assert come_back(client, back).status_code == 503


def test_only_the_listed_addresses_become_admins(client, sandbox):
    sign_in_as(client, "ines")
    assert User.objects.get().is_admin

    client.logout()
    sign_in_as(client, "mara")
    assert not User.objects.get(first_name="Mara").is_admin


def test_a_place_in_a_team_is_bound_at_the_first_sign_in(client, sandbox):
    team = Team.objects.create(name="Bridge team")
    Membership.objects.create(team=team, email="Mara.Lindqvist@harbour.example")

    sign_in_as(client)

    assert Membership.objects.get().user == User.objects.get()


@pytest.mark.parametrize("unverified", [False, "false"])
def test_whoever_claims_a_leads_address_never_gets_the_place(sandbox, unverified):
    claims = {"sub": "somebody", "name": "Not Tomas", "email": "Tomas.Novak@harbour.example"}
    claimed = claims | {"email_verified": unverified}
    before = Team.objects.create(name="There before")
    Membership.objects.create(team=before, email="tomas.novak@harbour.example", role=Membership.Role.LEAD)

    person = sign_in.sign_in(claimed, sandbox.tokens_for("mara"))
    call_command("set_up_team", "Made later", lead=["tomas.novak@harbour.example"])

    assert person.email == ""
    assert not Membership.objects.exclude(user=None)

    sign_in.sign_in(claims | {"email_verified": True}, sandbox.tokens_for("mara"))

    assert Membership.objects.filter(user=person).count() == 2


def test_an_admins_address_that_is_only_claimed_makes_no_admin(sandbox):
    claims = {"sub": "somebody", "email": "ines.duarte@harbour.example", "email_verified": False}

    assert not sign_in.sign_in(claims, sandbox.tokens_for("mara")).is_admin


def test_an_address_that_is_no_longer_verified_is_kept_no_longer(sandbox):
    claims = {"sub": "somebody", "email": "somebody@harbour.example"}

    assert sign_in.sign_in(claims, sandbox.tokens_for("mara")).email == "somebody@harbour.example"
    assert sign_in.sign_in(claims | {"email_verified": False}, sandbox.tokens_for("mara")).email == ""


def test_after_signing_in_a_person_is_where_they_wanted_to_be(client, sandbox):
    assert sign_in_as(client, next="/approvals/")["Location"] == "/approvals/"


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil.example"]
)
def test_the_way_on_never_leads_elsewhere(client, sandbox, target):
    assert sign_in_as(client, next=target)["Location"] == reverse("imodels:operation-list")


def test_signing_in_wakes_what_waited_for_it(client, sandbox, queued_clone, mara):
    lifecycle.wait(queued_clone, WaitReason.SIGN_IN, queued_clone.created_at)

    sign_in_as(client)

    queued_clone.refresh_from_db()
    assert queued_clone.wait_reason == WaitReason.NONE


def test_signing_out_ends_the_session_here_and_leads_to_the_providers_end_of_session(client, sandbox):
    sign_in_as(client)

    answer = client.post(reverse("imodels:sign-out"))

    assert not signed_in(client)
    assert f"{sandbox.url}/connect/endsession?" in answer.text
    assert "id_token_hint=" in answer.text


def test_workers_can_go_on_for_somebody_who_signed_out(client, sandbox):
    sign_in_as(client)
    client.post(reverse("imodels:sign-out"))

    assert tokens.access_token(User.objects.get())


def test_signing_out_needs_a_post(client, sandbox):
    sign_in_as(client)

    assert client.get(reverse("imodels:sign-out")).status_code == 405
    assert signed_in(client)


def test_coming_and_going_is_history(client, sandbox):
    sign_in_as(client)
    client.post(reverse("imodels:sign-out"))

    assert list(Event.objects.values_list("verb", "actor_name")) == [
        ("signed_in", "Mara Lindqvist"),
        ("signed_out", "Mara Lindqvist"),
    ]


def test_abandoned_sign_ins_do_not_pile_up_in_the_session(client, sandbox):
    for _ in range(5):
        client.get(reverse("imodels:sign-in-start"))

    assert len([key for key in client.session.keys() if key.startswith("_state_")]) == 1  # noqa: SIM118


def test_a_closed_account_stays_out(client, sandbox, mara):
    mara.is_active = False
    mara.save()

    assert sign_in_as(client).status_code == 403
    assert not signed_in(client)


def test_no_token_reaches_the_browser(client, sandbox):
    answer = sign_in_as(client)

    token_set = TokenSet.objects.get()
    shown = str(answer.headers) + answer.text + str(dict(client.session)) + str(client.cookies)
    assert tokens.access_token(token_set.user)[:40] not in shown


def test_the_admin_site_is_entered_through_the_same_door(client, sandbox):
    answer = client.get("/admin/login/?next=/admin/")

    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("imodels:sign-in"))
