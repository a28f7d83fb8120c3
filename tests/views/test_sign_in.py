"""Signing in through the provider's page and out again, with the requests a browser would send."""

import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
import requests
from django.core.management import call_command
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts import pending, sessions, sign_in, tokens
from imodels_app.models import Event, Membership, RefusedAccess, Team, TokenSet, User
from imodels_app.states import Verb, WaitReason
from tests.people import SUBJECTS
from tests.settings import SANDBOX_URL
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]

OTHER_ISSUERS = [(name, False) for name in ("", "https://elsewhere.example", "OURS/other", "null")]


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


@pytest.mark.parametrize(("issuer", "is_in"), [("OURS", True), ("OURS/", True), *OTHER_ISSUERS])
def test_an_answer_in_the_name_of_another_provider_is_refused(client, sandbox, issuer, is_in):
    start = client.get(reverse("imodels:sign-in-start"))

    named = issuer.replace("OURS", SANDBOX_URL)  # its port is another one in each process of a run
    come_back(client, f"{choose(start['Location'], 'mara')}&{urlencode({'iss': named})}")

    assert signed_in(client) is is_in


def test_a_person_who_refuses_is_told_and_can_try_again(client, sandbox):
    answer = sign_in_as(client, "nobody")

    assert answer.status_code == 400
    assert "Sign in again" in answer.text


def test_a_refusal_that_anybody_can_make_up_is_logged_in_short(client, sandbox, caplog):
    client.get(reverse("imodels:sign-in-callback"), {"error": "x", "error_description": "no " * 10_000})

    assert "A sign-in failed: no no" in caplog.text
    assert len(caplog.text) < 1000


def test_a_provider_that_is_down_is_told_and_so_is_the_record(client, sandbox):
    start = client.get(reverse("imodels:sign-in-start"))
    back = choose(start["Location"], "mara")
    sandbox.fault("POST", r"/token$", status=503, times=1)

    assert come_back(client, back).status_code == 503
    assert RefusedAccess.objects.get().verb == "sign_in_failed"


def test_only_the_listed_addresses_become_admins(client, sandbox):
    sign_in_as(client, "ines")
    assert User.objects.get().is_admin

    client.logout()
    sign_in_as(client, "mara")
    assert not User.objects.get(first_name="Mara").is_admin


@pytest.mark.parametrize(
    ("admins", "said", "verbs"),
    [
        ([], {}, [Verb.ADMIN_REMOVED]),
        (None, {"email": "ines.novak@harbour.example"}, [Verb.ADDRESS_CHANGED, Verb.ADMIN_REMOVED]),
        (None, {"email_verified": False}, [Verb.ADDRESS_CHANGED, Verb.ADMIN_REMOVED]),
    ],
    ids=["no longer listed", "another address", "no longer confirmed"],
)
def test_whom_the_list_does_not_name_any_more_is_no_admin_after_the_next_sign_in(
    client, sandbox, settings, admins, said, verbs
):
    sign_in_as(client, "ines")
    assert client.get(reverse("imodels:audit")).status_code == 200
    client.post(reverse("imodels:sign-out"))
    before = list(Event.objects.values_list("pk", flat=True))
    settings.DASHBOARD_ADMINS = settings.DASHBOARD_ADMINS if admins is None else admins
    for name, value in said.items():
        setattr(sandbox.person("ines"), name, value)

    sign_in_as(client, "ines")

    new = Event.objects.exclude(pk__in=before).exclude(verb=Verb.SIGNED_IN).order_by("pk")
    assert [event.verb for event in new] == verbs
    assert not User.objects.get().is_admin
    assert client.get(reverse("imodels:audit")).status_code == 404


def test_a_place_in_a_team_is_bound_at_the_first_sign_in(client, sandbox):
    team = Team.objects.create(name="Bridge team")
    Membership.objects.create(team=team, email="Mara.Lindqvist@harbour.example")

    sign_in_as(client)

    assert Membership.objects.get().user == User.objects.get()


NO_YES = [
    False,
    "false",
    None,
    "no",
    0,
    "0",
    "",
    "False ",
    [],
    {},
    "unverified",
    1,
    "1",
    "yes",
    "True",
    [True],
    "true ",
]


@pytest.mark.parametrize("unverified", NO_YES)
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
    claims = {"sub": "somebody", "email": "somebody@harbour.example", "email_verified": True}

    assert sign_in.sign_in(claims, sandbox.tokens_for("mara")).email == "somebody@harbour.example"
    assert sign_in.sign_in(claims | {"email_verified": False}, sandbox.tokens_for("mara")).email == ""


# ---------- where the provider does not say whether the address is confirmed ----------


@pytest.fixture
def silent(client, sandbox) -> Callable:
    """silent() signs Ines in at a provider that tells an address, and not whether it is confirmed."""
    sandbox.person("ines").email_verified = None
    return lambda: sign_in_as(client, "ines")


def test_then_the_platform_names_the_address_and_admins_are_admins(silent, sandbox):
    silent()

    ines = User.objects.get()
    assert (ines.email, ines.is_admin) == ("ines.duarte@harbour.example", True)
    assert sandbox.calls("GET", "/users/me") == 1


def test_what_the_platform_names_counts_and_not_what_is_claimed(silent, sandbox):
    sandbox.fault(
        "GET", r"/users/me$", status=200, body={"user": {"id": SUBJECTS["ines"], "email": "I.D@Other.example"}}
    )

    silent()

    ines = User.objects.get()
    assert (ines.email, ines.is_admin) == ("i.d@other.example", False)


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 200, "body": {"user": {"id": SUBJECTS["tomas"], "email": "ines.duarte@harbour.example"}}},
        {"status": 200, "body": {"user": {"email": "ines.duarte@harbour.example"}}},
        {"status": 200, "body": {"user": {"id": SUBJECTS["ines"], "email": None}}},
        {"status": 200, "body": {"user": {"id": SUBJECTS["ines"], "email": ["a"]}}},
        {"status": 200, "body": {"user": {"id": SUBJECTS["ines"], "email": "no address"}}},
        {"status": 200, "body": {"user": None}},
        {"status": 200, "body": "<html>"},
        {"status": 302, "headers": {"Location": "/followed"}},
        {"status": 307, "headers": {"Location": "/followed"}},
        {"status": 401},
        {"status": 403},
        {"status": 404},
        {"status": 429},
        {"status": 503, "times": 3},
        {"cut": True, "times": 3},
    ],
    ids=str,
)
def test_an_address_that_nobody_confirms_is_not_kept_and_its_person_is_told(silent, client, sandbox, answer):
    sandbox.fault("GET", r"/users/me$", **answer)

    page = client.get(silent()["Location"])

    ines = User.objects.get()
    assert (ines.email, ines.is_admin, signed_in(client)) == ("", False, True)
    assert sandbox.calls("GET", "/followed") == 0
    assert "Your e-mail address is not confirmed." in page.text
    assert "no rights as an admin" in client.get(reverse("imodels:session-list")).text


def test_while_the_platform_is_away_an_address_confirmed_before_is_still_right(silent, sandbox):
    silent()
    sandbox.fault("GET", r"/users/me$", status=503, times=3)

    silent()

    assert User.objects.get().email == "ines.duarte@harbour.example"


def test_a_provider_that_a_setting_trusts_need_not_say_so(silent, sandbox, settings):
    settings.VERIFIED_EMAIL_ISSUERS = [settings.OIDC_ISSUER]

    silent()

    assert User.objects.get().is_admin
    assert sandbox.calls("GET", "/users/me") == 0


@pytest.mark.parametrize("unverified", NO_YES)
def test_a_trusted_provider_that_says_no_is_believed(sandbox, settings, unverified):
    settings.VERIFIED_EMAIL_ISSUERS = [settings.OIDC_ISSUER]
    claims = {"sub": "somebody", "email": "ines.duarte@harbour.example", "email_verified": unverified}

    person = sign_in.sign_in(claims, sandbox.tokens_for("mara"), at_platform=lambda: "ines.duarte@harbour.example")

    assert (person.email, person.is_admin) == ("", False)


# ---------- odd people ----------


@pytest.mark.parametrize("start", ["x" * 150, "x" * 254])
def test_two_people_whose_subjects_differ_at_their_end_are_two(sandbox, start):
    for end in "ab":
        sign_in.sign_in({"sub": start + end}, sandbox.tokens_for("mara"))

    assert User.objects.count() == 2


@pytest.mark.parametrize(
    ("sub", "name", "status"),
    [
        ("s" * 300, "Mara", 400),
        ("a\0b", "Mara", 400),
        ("\u202eabc", "Mara", 400),
        ("s" * 255, "M" * 300, 302),
        ("somebody", "Ma\0ra\u202e " + "👩‍👩‍👧" * 100, 302),
    ],
    ids=["long", "NUL", "turned", "as long as may be", "odd name"],
)
def test_whoever_the_provider_names_oddly_is_signed_in_or_told_in_a_sentence(client, sandbox, sub, name, status):
    sandbox.world.people |= dict.fromkeys(("odd", sub), replace(sandbox.person("mara"), id=sub, given_name=name))

    answer = sign_in_as(client, "odd")

    assert (answer.status_code, signed_in(client)) == (status, status == 302)
    assert status == 302 or "Sign in again" in answer.text
    assert client.get("/operations/").status_code == (200 if status == 302 else 302)


@pytest.mark.parametrize(
    "email",
    [
        f"{'x' * 300}@harbour.example",
        f"x@{'y' * 300}.example",
        "a@b.example\nBcc: c@d.example",
        "a\0@b.example",
        "\ud83d@b.example",
        "",
        "mara",
        5,
        ["mara@harbour.example"],
        {},
        None,
    ],
)
def test_an_address_that_is_none_is_not_kept(sandbox, email):
    claims = {"sub": "somebody", "email": email, "email_verified": True}

    assert sign_in.sign_in(claims, sandbox.tokens_for("mara")).email == ""


@pytest.mark.parametrize(
    ("name", "known_as"),
    [
        ("Ma\0ra", "Mara"),
        ("Mara\r\nX", "Mara X"),
        ("\ud83dMara", "Mara"),
        ("\u202eMara", "Mara"),
        ("M" * 400, "M" * 149 + "…"),
        (5, ""),
        (["Mara"], ""),
        ({"a": 1}, ""),
        ("\0", ""),
    ],
)
def test_any_name_can_be_stored(sandbox, name, known_as):
    person = sign_in.sign_in({"sub": "somebody", "given_name": name}, sandbox.tokens_for("mara"))

    person.refresh_from_db()
    assert person.first_name == known_as


# ---------- several tabs ----------


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (2, 0, 1), (4, 3, 2, 1, 0)])
def test_tabs_that_sign_in_at_once_all_come_to_where_they_wanted(client, sandbox, order):
    wanted = [f"/operations/?q={tab}" for tab in range(len(order))]
    starts = [client.get(reverse("imodels:sign-in-start"), {"next": path})["Location"] for path in wanted]

    for tab in order:
        assert come_back(client, choose(starts[tab], "mara"))["Location"] == wanted[tab]
        assert signed_in(client)


def test_five_sign_ins_are_remembered_in_a_short_encrypted_cookie(client, sandbox):
    starts = [client.get(reverse("imodels:sign-in-start"), {"next": "/operations/?q=" + "x" * 300}) for _ in range(8)]

    cookie = starts[-1].cookies["desk-sign-in"]
    assert len(cookie.value) < 4000
    assert cookie["httponly"]
    assert cookie["max-age"] == 15 * 60
    states = [parse_qs(urlsplit(start["Location"]).query)["state"][0] for start in starts]
    assert [one.state for one in pending.read(cookie.value)] == states[-5:]
    assert not any(state in cookie.value for state in states)
    assert come_back(client, choose(starts[0]["Location"], "mara")).status_code == 400
    assert come_back(client, choose(starts[-1]["Location"], "mara")).status_code == 302


def test_a_page_with_a_very_long_address_loses_nobody_the_sign_in(client, sandbox):
    assert sign_in_as(client, next="/operations/?q=" + "x" * 6000)["Location"] == reverse("imodels:operation-list")


def test_a_sign_in_takes_a_quarter_of_an_hour_at_most(client, sandbox):
    start = client.get(reverse("imodels:sign-in-start"))
    back = choose(start["Location"], "mara")
    begun = pending.read(start.cookies["desk-sign-in"].value)
    assert begun[0].until - time.time() == pytest.approx(15 * 60, abs=60)
    client.cookies["desk-sign-in"] = pending.write([replace(begun[0], until=time.time() - 1)])

    assert come_back(client, back).status_code == 400


def test_after_a_failure_the_way_on_is_remembered(client, sandbox):
    assert "sign-in/start?next=/approvals/" in sign_in_as(client, "nobody", next="/approvals/").text


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
    assert f"{sandbox.url}/connect/endsession?client_id=imodel-desk-demo&amp;post_logout_redirect_uri=" in answer.text
    assert "id_token_hint" not in answer.text
    assert TokenSet.objects.get().id_token == ""


def test_a_provider_that_insists_on_it_is_shown_the_id_token(client, sandbox, settings):
    settings.OIDC_SIGN_OUT_WITH_ID_TOKEN = True
    sign_in_as(client)

    assert "id_token_hint=ey" in client.post(reverse("imodels:sign-out")).text


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


def test_a_closed_account_stays_out(client, sandbox, mara):
    mara.is_active = False
    mara.save()

    assert sign_in_as(client).status_code == 403
    assert not signed_in(client)


@pytest.mark.parametrize(
    ("issuer", "button"),
    [
        ("https://ims.bentley.com", "Sign in with Bentley"),
        ("https://login.harbour.example", "Sign in with login.harbour.example"),
        ("https://notbentley.com", "Sign in with notbentley.com"),
        ("http://127.0.0.1:8010", "Sign in"),
    ],
)
def test_the_door_says_what_this_is_and_who_signs_one_in(client, settings, issuer, button):
    settings.OIDC_ISSUER = issuer

    page = " ".join(client.get("/", follow=True).text.split())

    assert f"> {button} </a>" in page
    assert "<h1>iModel Desk</h1>" in page
    assert "creates, clones and forks iModels" in page


def test_no_token_reaches_the_browser(client, sandbox):
    answer = sign_in_as(client)

    token_set = TokenSet.objects.get()
    shown = str(answer.headers) + answer.text + str(dict(client.session)) + str(client.cookies)
    assert tokens.access_token(token_set.user)[:40] not in shown


@pytest.mark.parametrize("way", ["/sign-out", "/admin/logout/", "/sessions/end-all"])
def test_signing_out_leaves_nothing_in_the_browser_but_cookies(client, sandbox, way):
    sign_in_as(client)

    answer = client.post(way)

    assert answer["Clear-Site-Data"] == '"cache", "storage"'
    assert "no-store" in answer["Cache-Control"]
    assert not signed_in(client)


def test_a_session_that_somebody_ended_leaves_nothing_in_the_browser_and_one_that_ran_out_does(client, mara):
    client.force_login(mara)
    sessions.end(mara, by=mara)

    assert client.get("/new/empty/")["Clear-Site-Data"] == '"cache", "storage"'
    assert "Clear-Site-Data" not in client.get("/new/empty/")


def test_the_admin_site_knows_no_passwords(client, sandbox, ines):
    client.force_login(ines)

    assert client.get("/admin/password_change/").status_code == 404
    assert "password" not in client.get("/admin/").text.lower()


def test_the_admin_site_is_entered_through_the_same_door(client, sandbox):
    answer = client.get("/admin/login/?next=/admin/")

    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("imodels:sign-in"))
