"""An auditor's pages in a real browser: each answer within three clicks, for everybody who reads differently, too."""

import base64
import os
from functools import partial
from pathlib import Path

import pytest

from imodels_app import lifecycle
from imodels_app.accounts import streams
from imodels_app.audit import figures, log
from imodels_app.models import Destination
from imodels_app.states import Kind
from tests.people import HARBOUR, MAIN_BRIDGE

pytestmark = pytest.mark.django_db(transaction=True)
# Where to keep pictures of the pages; nowhere by default.
PICTURES = os.environ.get("AUDIT_PICTURES")


@pytest.fixture
def come(settings, open_page, live_server, client):
    """come(person, address, **options) is their tab there."""

    def at(person, address: str, **options):
        client.force_login(person)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        page = open_page(**options)
        page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
        page.goto(address)
        return page

    return at


@pytest.fixture
def at_the_audit(come, ines, failed_fork, succeeded_clone, mara, spec_for):
    """at_the_audit(**options) is Ines at the audit, after a failed fork, a clone and an empty iModel.

    Events go to a SIEM, which does not take them.
    """
    secret = f"whsec_{base64.b64encode(bytes(24)).decode()}"
    streams.make(by=ines, name="SIEM", url="https://siem.example/in", secret=secret, groups=["approvals", "rights"])
    Destination.objects.update(failures=3, note="siem.example answered 503.")
    lifecycle.request(spec_for(Kind.EMPTY, name="Quay wall, east"), by=mara)
    figures.sum_up()
    log.add_events()
    return partial(come, ines, "/audit/")


def picture(page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def wide_enough(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


LOOKS: dict[str, dict] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}},
}
ADDRESSES = {
    "events": "/audit/?event=approvals&kind=fork",
    "operations": "/audit/operations/?sort=-duration&state=failed",
    "numbers": "/audit/numbers/",
    "outside": "/audit/?event=outside",
    "streams": "/audit/streams/",
    "itwin": f"/itwins/{HARBOUR}/",
    "imodel": f"/imodels/{MAIN_BRIDGE}/",
}


@pytest.mark.parametrize("look", ["dark", *(pytest.param(one, marks=pytest.mark.soak) for one in ("light", "phone"))])
def test_each_page_is_readable_in_each_look(at_the_audit, axe, look, failed_fork, tomas):
    page = at_the_audit(**LOOKS[look])
    more = {"case": f"/audit/operations/{failed_fork.pk}/", "person": f"/audit/people/{tomas.pk}/"}
    for name, address in (ADDRESSES | more).items():
        page.goto(address)
        picture(page, f"{name}-{look}")
        assert wide_enough(page), address
        axe(page)


def test_an_auditor_finds_who_allowed_it_and_keeps_the_question(at_the_audit):
    page = at_the_audit()

    page.get_by_label("Event", exact=True).select_option(label="Approvals")
    page.get_by_role("button", name="Show").click()
    page.get_by_text("Save this filter").click()
    page.get_by_label("Name").fill("Who allowed what")
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto("/audit/")
    page.get_by_role("link", name="Who allowed what").click()
    page.get_by_role("link", name="Pier 7 retrofit").click()

    decisions = page.get_by_role("region", name="Decisions")
    assert "Tomas Novak" in decisions.inner_text()
    assert "Leads of Bridge team now: Tomas Novak" in decisions.inner_text()


def test_a_bar_leads_to_the_operations_behind_it(at_the_audit):
    page = at_the_audit()

    page.get_by_role("navigation", name="Audit").get_by_role("link", name="Numbers").click()
    page.locator("svg a[aria-label$='1 failed']").click()

    assert page.locator("tbody .c-name").all_inner_texts() == ["Pier 7 retrofit"]


def test_the_case_of_an_operation_is_whole_on_paper(at_the_audit, failed_fork):
    page = at_the_audit()
    page.goto(f"/audit/operations/{failed_fork.pk}/")

    page.emulate_media(media="print")

    for part in ("Facts", "Decisions", "What the platform was sent, and said", "What happened", "Who was told"):
        assert page.get_by_role("heading", name=part).is_visible()
    assert not page.get_by_role("navigation", name="Main").is_visible()
    picture(page, "case-print")


def test_a_lead_reads_what_their_token_is_used_for_and_switches_it_off(come, tomas, bridge_team, axe):
    for look, options in LOOKS.items():
        page = come(tomas, "/sessions/", **options)
        page.get_by_role("button", name="Switch on for Bridge team").click()
        page.get_by_text("On for Bridge team, with your token").wait_for()
        assert wide_enough(page)
        axe(page)
        picture(page, f"sessions-{look}")
        page.get_by_role("button", name="Switch off for Bridge team").click()
        page.get_by_text("Off for Bridge team: your token is not used").wait_for()
