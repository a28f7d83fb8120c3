"""Mara clears up after a failure, by keyboard: from the operation's page over the question to a name that is free."""

import json

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

from imodels_app import lifecycle
from imodels_app.accounts.sessions import SessionStore
from imodels_app.models import Operation
from imodels_app.requesting.spec import IModelRef, ITwinRef
from imodels_app.states import Kind, OrphanState
from imodels_app.workers import cleanup
from imodels_app.workers.poll import poll
from imodels_app.workers.submit import submit
from tests.people import HARBOUR, MAIN_BRIDGE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def mara_at(live_server, transactional_db, open_page, signed_in_mara):
    """mara_at("/orphans/", width=390): Mara's tab."""

    def go(address: str, *, width: int = 1280):
        page = open_page(viewport={"width": width, "height": 900})
        session = SessionStore()
        session[SESSION_KEY] = str(signed_in_mara.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = signed_in_mara.get_session_auth_hash()
        session.save()
        cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session.session_key, "url": live_server.url}
        page.context.add_cookies([cookie])
        page.goto(address)
        return page

    return go


@pytest.fixture
def failed_clone(bridge_team, signed_in_mara, spec_for, sandbox, platform_of):
    """A clone, that came to nothing, of a clone that somebody made beside the desk."""
    sandbox.advance_manually()
    body = {"iTwinId": HARBOUR, "name": "Made with curl", "changesetIndex": 40}
    outside = platform_of("tomas").start(f"/imodels/{MAIN_BRIDGE}/clone", json.dumps(body))
    sandbox.finish(outside)
    source = IModelRef(id=outside, name="Made with curl", itwin=ITwinRef(id=HARBOUR, name="Harbour Bridge"))
    spec = spec_for(Kind.CLONE, name="Pier 7", source=source, changeset_index=40)
    operation = lifecycle.request(spec, by=signed_in_mara)
    submit(operation.pk)
    operation.refresh_from_db()
    sandbox.finish(operation.imodel_id, state="failed")
    poll(operation.pk)
    return Operation.objects.get(pk=operation.pk)


def test_a_failure_is_cleared_up_by_keyboard_and_its_name_used_again(mara_at, failed_clone, axe):
    page = mara_at(f"/operations/{failed_clone.pk}/")
    page.wait_for_selector("#tree >> text=Main Bridge")  # the platform's part came by itself
    assert page.locator("#lineage-more").count() == 0
    axe(page)

    page.focus("#delete-orphan")
    page.keyboard.press("Enter")
    page.wait_for_selector("#sure")
    axe(page)
    page.focus("#sure")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    page.wait_for_selector("text=The orphaned iModel is being deleted.")
    cleanup.delete(failed_clone.pk)
    page.wait_for_selector("text=so the name “Pier 7” is free.")
    page.click("#try-again")
    page.wait_for_selector("#name")
    assert page.input_value("#name") == "Pier 7"


def test_the_list_fits_a_phone_and_shows_what_happens_meanwhile(mara_at, failed_clone, axe, signed_in_mara):
    page = mara_at("/orphans/", width=390)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    axe(page)

    lifecycle.delete_orphan(failed_clone, by=signed_in_mara)
    cleanup.delete(failed_clone.pk)

    failed_clone.refresh_from_db()
    assert failed_clone.orphan.state == OrphanState.DELETED
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector("#ended-part >> text=by Mara, the name “Pier 7” is free")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
