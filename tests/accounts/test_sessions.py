"""Sessions end: after so long without use, after so long at all, by their person, by an admin, and with the grant."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from imodels_app import tasks
from imodels_app.accounts import session_keys, sessions, tokens
from imodels_app.models import Decision, Event, Operation, Session, TokenSet
from imodels_app.runtime.timing import SIGN_IN_IS_FRESH
from imodels_app.states import State
from tests.views.test_sign_in import sign_in_as, signed_in

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
LIST, START = reverse("imodels:operation-list"), reverse("imodels:sign-in-start")
POLL = {"HX-Request": "true"}


@pytest.fixture
def mara_in(client, sandbox) -> Client:
    sign_in_as(client)
    return client


@pytest.fixture
def tomas_in(sandbox) -> Client:
    browser = Client()
    sign_in_as(browser, "tomas")
    return browser


def grow_old(client: Client, *, used: timedelta, signed_in: timedelta) -> None:
    """As if its last use, and its sign-in, had been so long ago."""
    session, now = client.session, timezone.now()
    session["used_at"], session["signed_in_at"] = (now - used).timestamp(), (now - signed_in).timestamp()
    session.save()


def of_one(page: str) -> str:
    return reverse(f"imodels:{page}", args=[Operation.objects.get().pk])


def end_of(client: Client):
    return Session.objects.get(pk=session_keys.stored(client.session.session_key)).expire_date


@pytest.mark.parametrize(
    ("used", "began", "is_in"),
    [
        (timedelta(hours=7, minutes=59), timedelta(hours=8), True),
        (timedelta(hours=8, seconds=1), timedelta(hours=9), False),
        (timedelta(0), timedelta(hours=23, minutes=59), True),
        (timedelta(0), timedelta(hours=24, seconds=1), False),
    ],
)
def test_a_session_ends_without_use_and_after_a_day(mara_in, used, began, is_in):
    grow_old(mara_in, used=used, signed_in=began)

    assert mara_in.get(LIST).status_code == (200 if is_in else 302)


def test_the_limits_are_settings(mara_in, settings):
    settings.SESSION_IDLE_HOURS = 1
    grow_old(mara_in, used=timedelta(minutes=61), signed_in=timedelta(minutes=62))

    assert mara_in.get(LIST).status_code == 302


@pytest.mark.parametrize(
    "use",
    [
        lambda client: client.get(LIST),
        lambda client: client.get(LIST, headers=POLL),  # a filter, a link: htmx, but no poll
        lambda client: client.post(reverse("imodels:act-on-several")),
        lambda client: client.get(reverse("imodels:session-list")),
        lambda client: client.get("/admin/"),
    ],
)
def test_a_click_or_a_form_puts_the_end_off(mara_in, use):
    grow_old(mara_in, used=timedelta(hours=7, minutes=59), signed_in=timedelta(hours=8))

    use(mara_in)

    assert end_of(mara_in) > timezone.now() + timedelta(hours=7, minutes=59)


@pytest.mark.parametrize(
    "no_use",
    [
        lambda client: client.get(START),
        lambda client: client.get(reverse("imodels:sign-in")),
        lambda client: client.get(LIST, {"seen": "x"}, headers=POLL),
        lambda client: client.get(reverse("imodels:approval-list"), {"seen": "x"}, headers=POLL),
        lambda client: client.get(reverse("imodels:orphan-list"), {"seen": "x"}, headers=POLL),
        lambda client: client.get(of_one("approval-detail"), {"seen": "x"}, headers=POLL),
        lambda client: client.get(of_one("approval-facts"), {"seen": ""}, headers=POLL),
        lambda client: client.get(of_one("operation-detail"), {"seen": "x"}, headers=POLL),
        lambda client: client.get(reverse("imodels:healthz")),
    ],
)
def test_what_no_person_did_puts_nothing_off(waiting_fork, mara_in, no_use: Callable):
    grow_old(mara_in, used=timedelta(hours=7, minutes=59), signed_in=timedelta(hours=8))
    before = end_of(mara_in)

    assert no_use(mara_in).status_code < 400

    assert end_of(mara_in) == before


def test_a_start_that_fails_puts_nothing_off_either(mara_in, sandbox, monkeypatch):
    from imodels_app.accounts import oidc

    monkeypatch.setattr(oidc.oauth.itwin, "server_metadata", {})
    sandbox.fault("GET", r"openid-configuration$", status=503)
    grow_old(mara_in, used=timedelta(hours=7, minutes=59), signed_in=timedelta(hours=8))
    before = end_of(mara_in)

    assert mara_in.get(START).status_code == 503
    assert end_of(mara_in) == before


def test_use_never_goes_past_the_absolute_end(mara_in):
    grow_old(mara_in, used=timedelta(hours=1), signed_in=timedelta(hours=23))

    mara_in.get(LIST)

    assert end_of(mara_in) < timezone.now() + timedelta(hours=1, seconds=1)


def test_strangers_leave_no_session(client, sandbox):
    for _ in range(200):
        client.get(START)
    client.get(reverse("imodels:sign-in"))
    client.get(LIST)

    assert not Session.objects.exists()


def test_sessions_that_have_ended_are_removed(mara_in, tomas_in):
    Session.objects.filter(person__first_name="Mara").update(expire_date=timezone.now() - timedelta(seconds=1))

    tasks.clear_sessions()

    assert [one.person.first_name for one in Session.objects.all()] == ["Tomas"]


def test_signing_in_again_leaves_no_other_session_of_that_browser(mara_in):
    sign_in_as(mara_in)

    assert Session.objects.count() == 1


# ---------- "Your sessions" ----------


def test_a_person_sees_where_they_are_signed_in_and_nobody_elses(mara_in, tomas_in, sandbox):
    elsewhere = Client(headers={"User-Agent": FIREFOX})
    sign_in_as(elsewhere)

    page = mara_in.get(reverse("imodels:session-list"))

    assert [one.client for one in page.context["sessions"]] == [FIREFOX, ""]
    assert "Firefox on Linux" in page.text
    assert "127.0.0.1" in page.text
    assert page.text.count("This browser") == 1
    for browser in (mara_in, tomas_in, elsewhere):
        assert browser.session.session_key not in page.text


def test_one_is_ended_and_the_others_go_on(mara_in, tomas_in, sandbox):
    elsewhere = Client()
    sign_in_as(elsewhere)
    other = Session.objects.get(pk=session_keys.stored(elsewhere.session.session_key))

    mara_in.post(reverse("imodels:end-session"), {"session": other.public_id})

    assert [signed_in(one) for one in (mara_in, elsewhere, tomas_in)] == [True, False, True]
    assert Event.objects.filter(verb="sessions_ended", actor__first_name="Mara").count() == 1


def test_nobody_ends_somebody_elses(mara_in, tomas_in):
    of_tomas = Session.objects.get(person__first_name="Tomas")

    mara_in.post(reverse("imodels:end-session"), {"session": of_tomas.public_id})
    mara_in.post(reverse("imodels:end-session"), {"session": tomas_in.session.session_key})

    assert signed_in(tomas_in)
    assert not Event.objects.filter(verb="sessions_ended").exists()


def test_all_are_ended_this_one_too(mara_in, tomas_in, sandbox):
    elsewhere = Client()
    sign_in_as(elsewhere)

    mara_in.post(reverse("imodels:end-all-sessions"))

    assert [signed_in(one) for one in (mara_in, elsewhere, tomas_in)] == [False, False, True]


@pytest.mark.parametrize("way", ["end-session", "end-all-sessions"])
def test_whoever_ends_sessions_has_signed_in_a_moment_ago(mara_in, sandbox, way):
    other = Client()
    sign_in_as(other)
    row = Session.objects.get(pk=session_keys.stored(other.session.session_key))
    grow_old(mara_in, used=timedelta(0), signed_in=SIGN_IN_IS_FRESH)

    page = mara_in.post(reverse(f"imodels:{way}"), {"session": row.public_id}, follow=True)

    assert [signed_in(one) for one in (mara_in, other)] == [True, True]
    assert "No session was ended. Sign in again first." in page.text
    assert f"{START}?again=yes" in page.text
    assert 'method="post" action="/sessions/' not in " ".join(page.text.split())

    assert "prompt=login" in mara_in.get(START, {"again": "yes"})["Location"]
    sign_in_as(mara_in)
    mara_in.post(reverse(f"imodels:{way}"), {"session": row.public_id})
    assert not signed_in(other)


def test_a_key_from_the_table_opens_no_session(mara_in):
    stranger = Client()
    stranger.cookies[settings.SESSION_COOKIE_NAME] = Session.objects.get().session_key

    assert stranger.get(LIST).status_code == 302
    assert mara_in.get(LIST).status_code == 200


def test_a_session_is_not_ended_by_a_link(mara_in):
    assert mara_in.get(reverse("imodels:end-all-sessions")).status_code == 405
    assert signed_in(mara_in)


def test_an_admin_ends_anybodys(mara_in, tomas_in, sandbox):
    admin = Client()
    sign_in_as(admin, "ines")
    mara = mara_in.session[SESSION_KEY]

    tomas = tomas_in.session[SESSION_KEY]
    page = admin.get(reverse("imodels:person-detail", args=[tomas]))
    one = page.context["sessions"][0].public_id

    admin.post(reverse("imodels:end-sessions", args=[mara]))
    assert [signed_in(one) for one in (mara_in, tomas_in, admin)] == [False, True, True]
    admin.post(reverse("imodels:end-sessions", args=[tomas]), {"session": one})
    assert [signed_in(one) for one in (tomas_in, admin)] == [False, True]

    assert {event.actor.first_name for event in Event.objects.filter(verb="sessions_ended")} == {"Ines"}


def test_a_revoked_grant_ends_its_persons_sessions(mara_in, tomas_in, sandbox):
    mara = Session.objects.get(person__first_name="Mara").person
    TokenSet.objects.update(expires_at=timezone.now())
    sandbox.revoke("mara")

    with pytest.raises(tokens.SignInNeeded):
        tokens.access_token(mara)

    assert [signed_in(one) for one in (mara_in, tomas_in)] == [False, True]


CLONE = {"itwin": "Harbour Bridge", "source": "Main Bridge", "name": "Pier 7 copy", "up_to": "latest"}
MINUTES = timedelta(minutes=2)


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (lambda client: client.post(reverse("imodels:request-clone"), CLONE), "You are signed out."),
        (lambda client: client.post(reverse("imodels:save-preset", args=["clone"]), CLONE), "Save as preset"),
        (lambda client: client.get(reverse("imodels:request-clone"), CLONE), "Clone an iModel"),
    ],
    ids=["sent", "kept", "filled in"],
)
def test_whoever_finds_their_grant_revoked_is_signed_out_and_keeps_what_they_typed(mara_in, sandbox, use, told):
    """Long enough after the last use for it to be written down, in a session that is gone by then."""
    TokenSet.objects.update(expires_at=timezone.now())
    grow_old(mara_in, used=MINUTES, signed_in=MINUTES)
    sandbox.revoke("mara")

    page = use(mara_in)

    assert [text for text in (told, "Pier 7 copy") if text not in page.text] == []
    assert not signed_in(mara_in)
    assert not Operation.objects.exists()


def test_what_was_done_is_told_though_an_admin_ended_the_session_meanwhile(waiting_fork, tomas_in, ines):
    """By another request, right before the decision is written."""
    grow_old(tomas_in, used=MINUTES, signed_in=MINUTES)
    tomas = Session.objects.get().person

    def end_amid(execute, sql, *rest):
        if sql.startswith("INSERT") and Decision._meta.db_table in sql:
            sessions.end(tomas, by=ines)
        return execute(sql, *rest)

    with connection.execute_wrapper(end_amid):
        answer = tomas_in.post(of_one("approve"))

    assert (answer.status_code, Operation.objects.get().state) == (302, State.QUEUED)
    assert not signed_in(tomas_in)


@pytest.mark.parametrize("fault", [{"status": 503}, {"cut": True}, {"status": 400, "body": {"error": "server_error"}}])
def test_a_provider_that_is_away_ends_none(mara_in, sandbox, fault):
    TokenSet.objects.update(expires_at=timezone.now())
    sandbox.fault("POST", r"/token$", **fault)

    with pytest.raises(tokens.TokenUnavailable):
        tokens.access_token(Session.objects.get().person)

    assert signed_in(mara_in)


@pytest.mark.parametrize(
    ("client_says", "told"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on iOS"),
        ("curl/8.0", "Another browser"),
        ("", "Another browser"),
    ],
)
def test_a_browser_is_told_as_people_call_it(client_says, told):
    from imodels_app.display import formats

    assert formats.browser(client_says) == told


def test_what_a_browser_says_of_itself_fits_the_row(client, sandbox, mara):
    client.force_login(mara)
    session = client.session
    sessions.describe(session, address="127.0.0.1", client="x\x00\n" * 1000)
    session.save()

    assert len(Session.objects.get().client) == 255
