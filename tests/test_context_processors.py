"""What stands above every page while the platform does not answer, or while somebody has to sign in again."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.urls import reverse
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.accounts.sessions import SessionStore
from imodels_app.limits import circuit_breaker
from imodels_app.states import WaitReason

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]

OUTAGE = "The platform has not answered since"
HTMX = {"HX-Request": "true"}


def platform_fails() -> None:
    for _ in range(circuit_breaker.FAILURES_TO_OPEN):
        circuit_breaker.record_failure(timezone.now())


@pytest.mark.parametrize("page", ["operation-list", "approval-list", "new", "request-clone", "audit"])
def test_every_page_says_once_that_the_platform_does_not_answer(client, ines, page):
    client.force_login(ines)
    assert OUTAGE not in client.get(reverse(f"imodels:{page}")).text

    platform_fails()

    assert client.get(reverse(f"imodels:{page}")).text.count(OUTAGE) == 1


def test_the_page_of_one_operation_says_so_too_and_stops_when_it_answers(client, mara, queued_clone):
    client.force_login(mara)
    page = reverse("imodels:operation-detail", args=[queued_clone.pk])
    platform_fails()
    assert client.get(page).text.count(OUTAGE) == 1

    circuit_breaker.record_success()

    assert OUTAGE not in client.get(page).text


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("page", ["operation-list", "approval-list"])
def test_a_poll_brings_the_banner_and_takes_it_away(client, mara, bridge_team, page):
    client.force_login(mara)
    address = reverse(f"imodels:{page}")
    seen = client.get(address).context["seen"]
    assert client.get(address, {"seen": seen}, headers=HTMX).status_code == 204

    platform_fails()
    poll = client.get(address, {"seen": seen}, headers=HTMX)
    assert poll.text.count(OUTAGE) == 1

    circuit_breaker.record_success()
    poll = client.get(address, {"seen": poll.context["seen"]}, headers=HTMX)
    assert poll.status_code == 200
    assert OUTAGE not in poll.text


def test_whoever_must_sign_in_again_is_told_on_every_page_and_nobody_else(client, mara, tomas, queued_clone):
    lifecycle.wait(queued_clone, WaitReason.SIGN_IN, timezone.now() + timedelta(days=5))

    client.force_login(mara)
    assert "one of your operations is waiting for it" in client.get(reverse("imodels:approval-list")).text

    client.force_login(tomas)
    assert "Sign in again" not in client.get(reverse("imodels:approval-list")).text


def test_an_open_page_shows_the_banner_and_drops_it_without_a_reload(page, live_server, mara, queued_clone, axe):
    session = SessionStore()
    session[SESSION_KEY] = str(mara.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = mara.get_session_auth_hash()
    session.save()
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session.session_key, "url": live_server.url}
    page.context.add_cookies([cookie])
    page.goto("/operations/")
    page.locator("h1", has_text="Operations").wait_for()

    platform_fails()
    page.locator("#outage").wait_for()
    axe(page)
    circuit_breaker.record_success()

    page.locator("#outage").wait_for(state="detached")
