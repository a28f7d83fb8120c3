"""How soon a page of 25 rows answers on a computer four times slower: ticking, opening a menu, typing."""

import pytest
from playwright.sync_api import expect

from imodels_app import lifecycle
from imodels_app.states import Kind
from tests.journeys.test_every_day import desk  # noqa: F401 - a fixture

pytestmark = [pytest.mark.measure, pytest.mark.django_db(transaction=True), pytest.mark.browser]

SLOWER = 4
AT_MOST_MS = 100
# From the key or click to the next picture, as browsers measure it. Shorter than 16 ms is not told.
WATCH = """
    window.slowest = 0;
    new PerformanceObserver((list) => {
      const felt = list.getEntries().filter((one) => one.interactionId);
      window.slowest = Math.max(window.slowest, ...felt.map((one) => one.duration));
    }).observe({ type: "event", durationThreshold: 16, buffered: true });
"""


@pytest.fixture
def full_table(desk, bridge_team, mara, spec_for):  # noqa: F811
    for number in range(25):
        lifecycle.request(spec_for(Kind.CLONE, name=f"Pier {number}"), by=mara)
    page = desk()
    page.add_init_script(WATCH)
    page.goto("/operations/")
    page.wait_for_load_state("networkidle")
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    return page


def click(control):
    """Where it is, so that no script of the driver's stands in the way of what is measured."""
    at = control.bounding_box()
    control.page.mouse.click(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)


def tick(page):
    for box in page.locator("input[name=pick]").all()[:5]:
        click(box)
    click(page.locator("#pick-all"))
    expect(page.get_by_text("25 selected")).to_be_visible()


def open_menu(page):
    click(page.locator("tbody summary").nth(3))
    expect(page.get_by_role("link", name="Same again")).to_be_visible()


def write(page):
    click(page.get_by_role("searchbox"))
    page.keyboard.type("main bridge", delay=60)
    expect(page.get_by_role("searchbox")).to_have_value("main bridge")


@pytest.mark.parametrize("do", [tick, open_menu, write])
def test_the_slowest_interaction_is_not_felt(full_table, record_property, do):
    do(full_table)

    full_table.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))")
    slowest = full_table.evaluate("window.slowest")
    record_property("figure", f"{do.__name__}, CPU {SLOWER} times slower: {slowest:.0f} ms at most")
    assert slowest <= AT_MOST_MS
