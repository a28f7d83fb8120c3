"""What holds on every page, however one looks at it: nothing for axe to find, nothing too wide, nothing that jumps."""

import gzip
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import expect

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.models import Preset
from imodels_app.runtime import clock
from imodels_app.states import Kind
from tests.pages import every_page
from tests.people import HARBOUR, MAIN_BRIDGE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser, pytest.mark.same_on_both]

WIDE, PHONE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}, {"width": 320, "height": 640}
LOOKS: dict[str, dict[str, Any]] = {
    "wide": {"viewport": WIDE},
    "wide, dark": {"viewport": WIDE, "color_scheme": "dark"},
    "phone, dark": {"viewport": PHONE, "color_scheme": "dark"},
    "narrow": {"viewport": NARROW},
    "forced colours": {"viewport": WIDE, "forced_colors": "active"},
    "less motion": {"viewport": PHONE, "reduced_motion": "reduce"},
}
MOST_BYTES = 120_000
# What moved, without anybody having clicked.
WATCH_SHIFTS = """
    window.shifts = 0;
    window.moved = [];
    new PerformanceObserver((list) => {
      for (const shift of list.getEntries().filter((one) => !one.hadRecentInput)) {
        window.shifts += shift.value;
        const looks = ({ node }) => (node?.outerHTML ?? node?.textContent ?? "").slice(0, 90);
        window.moved.push(...shift.sources.map(looks));
      }
    }).observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture
def open_as(open_page, client, live_server, settings, sandbox, troubles):
    """open_as("mara", mara, **look): a tab in which this person is signed in."""
    troubles.expect("inline style")  # axe's own, while it measures
    troubles.expect("^htmx:(sendAbort|afterRequest)")  # a page that is left while it asks

    def make(name, person, **look):
        tokens.store(person, sandbox.tokens_for(name))
        client.force_login(person)
        page = open_page(**look)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": live_server.url}])
        return page

    return make


@pytest.fixture
def pages(succeeded_clone, failed_fork, spec_for, bridge_team, mara, tomas, ines):
    """Name and person -> their pages."""
    waiting = lifecycle.request(spec_for(Kind.FORK, name="Pier 8 retrofit"), by=mara)
    values = {"source_id": MAIN_BRIDGE, "itwin_id": HARBOUR}
    Preset.objects.create(
        owner=mara, team=bridge_team, name="Monthly", kind="clone", values=values, created_at=clock.now()
    )
    more = {mara: ["operation-detail", succeeded_clone, failed_fork, waiting], tomas: ["approval-detail", waiting]}
    clients = {one: Client() for one in (mara, tomas, ines)}
    for one, client in clients.items():
        client.force_login(one)
    walked = every_page(clients)
    for one, (name, *operations) in more.items():
        walked[one] += [reverse(f"imodels:{name}", args=[operation.pk]) for operation in operations]
    walked[tomas] += ["/operations/", "/approvals/"]
    walked[ines] += [
        "/operations/",
        "/approvals/",
        *(f"/{of}/" for of in (f"imodels/{MAIN_BRIDGE}", f"itwins/{HARBOUR}")),
    ]
    return [(name, person, walked[person]) for name, person in (("mara", mara), ("tomas", tomas), ("ines", ines))]


@pytest.mark.soak
@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_on_any_page_and_none_is_wider_than_the_screen(open_as, pages, axe, look):
    for name, person, addresses in pages:
        page = open_as(name, person, **LOOKS[look])
        for address in addresses:
            page.goto(address)
            page.wait_for_load_state("networkidle")
            axe(page)
            width = LOOKS[look]["viewport"]["width"]
            assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        page.context.clear_cookies()
    page.goto("/sign-in/")
    axe(page)


def test_axe_finds_nothing_where_teams_and_people_are_set_up(open_as, bridge_team, mara, ines, axe):
    page = open_as("ines", ines, viewport=PHONE)
    for address in ("/teams/", f"/teams/{bridge_team.pk}/", "/people/", f"/people/{mara.pk}/", "/first-steps/"):
        page.goto(address)
        axe(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], address


def test_an_itwin_is_given_to_a_team_by_its_name(open_as, bridge_team, ines):
    page = open_as("ines", ines)
    page.goto(f"/teams/{bridge_team.pk}/")

    page.get_by_label("iTwin", exact=True).fill("rail")
    page.get_by_role("option", name="Rail Corridor 2027").click()
    page.locator("#itwins ~ form, form:has(#itwin)").get_by_role("button", name="Add").click()

    expect(page.get_by_text("Bridge team looks after “Rail Corridor 2027” now.")).to_be_visible()
    expect(page.get_by_role("link", name="Rail Corridor 2027")).to_be_visible()


@pytest.fixture
def shifts(record_property):
    """shifts(page, "name") is how much of it has moved by itself since it was opened, and what."""

    def moved(page, name):
        page.wait_for_load_state("networkidle")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        record_property("figure", f"layout shift, {name}: {page.evaluate('window.shifts'):.4f}")
        return page.evaluate("window.moved")

    return moved


@pytest.mark.parametrize("first", ["operations", "operation", "form", "approval", "audit"])
def test_nothing_moves_on_a_first_page(open_as, running_clone, waiting_fork, signed_in_mara, ines, shifts, first):
    address = {
        "operations": "/operations/",
        "operation": f"/operations/{running_clone.pk}/",
        "form": "/new/clone/",
        "approval": f"/approvals/{waiting_fork.pk}/",
        "audit": "/audit/",
    }[first]
    page = open_as("ines", ines, viewport=WIDE)
    page.add_init_script(WATCH_SHIFTS)

    page.goto(address)

    assert shifts(page, first) == []


def test_nothing_moves_in_a_live_table_whose_rows_change(open_as, running_clone, waiting_fork, mara, shifts):
    page = open_as("mara", mara, viewport=WIDE)
    page.add_init_script(WATCH_SHIFTS)
    page.goto("/operations/")

    lifecycle.succeeded(running_clone)
    lifecycle.cancel(waiting_fork, by=mara)
    expect(page.get_by_role("row").filter(has_text="Succeeded")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="Cancelled")).to_be_visible()

    assert shifts(page, "live table") == []


def test_the_first_page_is_small(open_as, running_clone, mara, record_property):
    page = open_as("mara", mara, viewport=WIDE)
    sizes: dict[str, Any] = {}
    page.on("response", lambda answer: sizes.setdefault(answer.url, answer))
    page.goto("/operations/")
    page.wait_for_load_state("networkidle")

    before = {url: answer.body() for url, answer in sizes.items() if answer.status == 200}
    packed = sum(len(body) if url.endswith(".woff2") else len(gzip.compress(body)) for url, body in before.items())

    record_property("figure", f"the first page, cold: {packed / 1000:.0f} kB compressed")
    assert packed <= MOST_BYTES
