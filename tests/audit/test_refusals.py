"""What is refused is in the record, with address and client; and whoever knocks without end fills no table."""

import os
from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from imodels_app.audit import refusals
from imodels_app.models import Event, RefusedAccess
from imodels_app.runtime import clock, request_context
from imodels_app.runtime.request_context import RequestContext
from imodels_app.states import Verb

pytestmark = pytest.mark.django_db
CALLBACK = "/sign-in/callback?error=access_denied"
# As for schedules of faults: 1000 in `make soak` are 100,000 sign-ins, and 100 are 1,000.
MANY = int(os.environ.get("SOAK_SCHEDULES") or 1000) ** 2 // 10
FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Linux) Firefox/145.0"}


@pytest.fixture
def knock():
    """knock("192.0.2.7") is one refused sign-in from there."""
    request = RequestFactory().get(CALLBACK)
    request.user = AnonymousUser()

    def once(address: str, verb: Verb = Verb.SIGN_IN_FAILED) -> None:
        request_context.begin(RequestContext(address=address))
        refusals.record(verb, request, note="access_denied")

    yield once
    request_context.begin(RequestContext())


def rows() -> int:
    """Of all tables."""
    return sum(model._default_manager.count() for model in apps.get_models())


def test_failed_sign_ins_of_ten_minutes_are_one_event_with_their_number(client, sandbox):
    for _ in range(3):
        assert client.get(CALLBACK, headers=FIREFOX, REMOTE_ADDR="192.0.2.7").status_code == 400
    assert not Event.objects.exists()

    refusals.close_windows(clock.now() + timedelta(minutes=21))

    event = Event.objects.get()
    told = {name: event.data[name] for name in ("address", "client", "count")}
    assert event.verb == Verb.SIGN_IN_FAILED
    assert told == {"address": "192.0.2.7", "client": FIREFOX["User-Agent"], "count": 3}
    assert event.note == "3 in ten minutes, from 192.0.2.7: access_denied"
    assert not RefusedAccess.objects.exists()


def test_a_window_that_is_still_open_is_no_event_yet(knock):
    knock("192.0.2.7")

    refusals.close_windows(clock.now())

    assert (RefusedAccess.objects.count(), Event.objects.count()) == (1, 0)


def test_a_closed_account_that_knocks_is_counted(client, sandbox, mara):
    from tests.views.test_sign_in import sign_in_as

    mara.is_active = False
    mara.save()

    page = sign_in_as(client)

    assert RefusedAccess.objects.get().note == "The account is closed."
    assert "<h1>Account closed</h1>" in page.text
    assert "Sign in again" not in page.text


def test_what_is_refused_for_different_reasons_is_not_told_by_the_first_of_them(client, sandbox):
    for reason in ("access_denied", "server_error"):
        client.get(f"/sign-in/callback?error={reason}")

    assert (RefusedAccess.objects.get().count, RefusedAccess.objects.get().note) == (2, refusals.DIFFERENT_REASONS)


@pytest.mark.parametrize("person", ["", "mara"])
def test_a_form_from_elsewhere_is_in_the_record(person, request, db):
    browser = Client(enforce_csrf_checks=True)
    if person:
        browser.force_login(request.getfixturevalue(person))

    answer = browser.post(reverse("imodels:sign-out"), headers=FIREFOX, REMOTE_ADDR="192.0.2.7")

    assert answer.status_code == 403
    refusals.close_windows(clock.now() + timedelta(minutes=21))
    event = Event.objects.get()
    assert (event.verb, event.actor_name) == (Verb.CSRF_REFUSED, "Mara Lindqvist" if person else "")
    assert (event.data["address"], event.data["client"]) == ("192.0.2.7", FIREFOX["User-Agent"])


PAGES = ["/audit/", "/audit/export", "/people/", "/admin/imodels_app/event/"]


@pytest.mark.parametrize("page", PAGES)
def test_who_opens_a_page_of_administrators_is_in_the_record(client, mara, page):
    client.force_login(mara)

    assert client.get(page, headers=FIREFOX, REMOTE_ADDR="192.0.2.7").status_code in (302, 404)
    if page.startswith("/admin"):
        client.get("/admin/login/", {"next": page}, headers=FIREFOX, REMOTE_ADDR="192.0.2.7")

    event = Event.objects.get()
    assert (event.verb, event.actor, event.note) == (Verb.ACCESS_REFUSED, mara, page)
    assert (event.data["address"], event.data["client"]) == ("192.0.2.7", FIREFOX["User-Agent"])


@pytest.mark.parametrize("verb", [Verb.CSRF_REFUSED, Verb.ACCESS_REFUSED])
def test_what_one_person_repeats_is_counted_beyond_so_many_an_hour(mara, otto, verb):
    times = 3 * refusals.MOST_OF_A_PERSON
    for person in (mara, otto):
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(person)
        for _ in range(times if person == mara else 1):
            browser.post(reverse("imodels:sign-out")) if verb == Verb.CSRF_REFUSED else browser.get("/audit/")
    assert Event.objects.filter(actor=mara).count() == refusals.MOST_OF_A_PERSON

    refusals.close_windows(clock.now() + timedelta(minutes=21))

    of_mara = Event.objects.filter(verb=verb, actor=mara)
    assert sum(event.data.get("count", 1) for event in of_mara) == times
    assert of_mara.count() <= refusals.MOST_OF_A_PERSON + 2
    assert Event.objects.filter(verb=verb, actor=otto).count() == 1


@pytest.mark.parametrize("act", ["approve", "reject"])
def test_a_refused_decision_is_in_the_record(client, mara, waiting_fork, act):
    client.force_login(mara)

    client.post(reverse(f"imodels:{act}", args=[waiting_fork.pk]), headers=FIREFOX, REMOTE_ADDR="192.0.2.7")

    event = Event.objects.get(verb=Verb.DECISION_REFUSED)
    assert (event.actor, event.operation) == (mara, waiting_fork)
    assert (event.data["address"], event.data["client"]) == ("192.0.2.7", FIREFOX["User-Agent"])
    assert "You requested this yourself" in event.note


@pytest.mark.parametrize("times", [500, pytest.param(MANY, marks=pytest.mark.soak, id="many")])
def test_however_often_a_sign_in_fails_it_fills_no_table_and_keeps_nobody_waiting(client, sandbox, mara, times):
    person = Client()
    person.force_login(mara)
    before = rows()

    for number in range(times):
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        assert client.get(CALLBACK, headers=FIREFOX, REMOTE_ADDR=address).status_code == 400
        if number % (times // 10) == 0:
            with CaptureQueriesContext(connection) as asked:
                assert person.get(reverse("imodels:operation-list")).status_code == 200
            assert len(asked) < 30

    assert rows() <= before + 100
    assert sum(RefusedAccess.objects.values_list("count", flat=True)) == times
    refusals.close_windows(clock.now() + timedelta(minutes=21))
    assert sum(event.data["count"] for event in Event.objects.all()) == times
    assert rows() <= before + 100


def test_what_becomes_events_counts_within_the_hour(knock):
    for number in range(100):
        knock(f"198.51.100.{number}")
    refusals.close_windows(clock.now() + timedelta(minutes=21))
    for number in range(100):
        knock(f"203.0.113.{number}", Verb.CSRF_REFUSED)

    assert RefusedAccess.objects.count() + Event.objects.count() <= 100
