"""How soon a page of 25 rows answers on a computer four times slower, by two measures of each click and key.

What a person feels, from the click or key to the picture (Event Timing), with the CPU slowed. Whatever else the machine
does only adds to it, so the best counts, and where one is not good enough yet, more are made. And what the page's own
thread computes for it, times four, which does not depend on the machine's other work: the median counts.
"""

from collections.abc import Callable, Iterable
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import pytest

from imodels_app import lifecycle
from imodels_app.states import Kind
from tests.journeys.test_every_day import desk  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.measure, pytest.mark.django_db(transaction=True), pytest.mark.browser]

SLOWER, AT_MOST_MS, ROUNDS, MOST_ROUNDS = 4, 100, 5, 20
# In this order one round; what is clicked begins with "#" or ".", anything else is a key.
ACTS = {
    "tick all": "#pick-all",
    "untick all": "#pick-all",
    "tick one": ".c-check [name=pick]",
    "untick it": ".c-check [name=pick]",
    "a row's menu": ".c-menu summary",
    "close it": "Escape",
    "a filter": ".chip summary",
    "close the filter": "Escape",
    "the account's menu": "#person",
    "close that": "Escape",
    "next row": "j",
    "the palette": "Control+k",
    "a letter": "p",
    "close the palette": "Escape",
    "the keys": "?",
    "close the keys": "Escape",
    "to the search": "/",
    "a letter in it": "x",
}
WATCH = """
    window.felt = [];
    new PerformanceObserver((list) => {
      for (const one of list.getEntries()) if (one.interactionId) window.felt.push(one.duration);
    }).observe({ type: "event", durationThreshold: 16, buffered: true });
"""
NEXT_PICTURE = "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))"
UNTIL_REPORTED = "new Promise((done) => setTimeout(done, 300))"


@pytest.fixture
def full_table(desk, bridge_team, mara, spec_for):  # noqa: F811
    for number in range(25):
        lifecycle.request(spec_for(Kind.CLONE, name=f"Pier {number}"), by=mara)
    page = desk()
    page.add_init_script(WATCH)
    page.goto("/operations/")
    page.wait_for_load_state("networkidle")
    return page


def acts_of_a_round(page: "Page") -> Iterable[tuple[str, Callable[[], None]]]:
    """Each act, ready to be done: where to click is found before."""
    for what, on in ACTS.items():
        if on[0] in "#.":
            box = page.locator(on).first.bounding_box()
            assert box
            yield what, partial(page.mouse.click, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        else:
            yield what, partial(page.keyboard.press, on)


def in_words(times: dict[str, list[float]], of: Callable[[list[float]], float]) -> str:
    return ", ".join(f"{what} {of(ms):.0f}" for what, ms in times.items())


def test_every_interaction_is_answered_within_100_ms_on_a_slow_computer(full_table, record_property):
    full_table.context.new_cdp_session(full_table).send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    felt: dict[str, list[float]] = {what: [] for what in ACTS}

    for done in range(MOST_ROUNDS):
        if done >= ROUNDS and max(map(min, felt.values())) <= AT_MOST_MS:
            break
        for what, act in acts_of_a_round(full_table):
            full_table.evaluate("window.felt = []")
            act()
            full_table.evaluate(UNTIL_REPORTED)
            felt[what].append(full_table.evaluate("Math.max(0, ...window.felt)"))

    record_property(
        "figure", f"felt, CPU slowed {SLOWER} times, ms, best of {len(felt['a letter'])}: {in_words(felt, min)}"
    )
    assert max(map(min, felt.values())) <= AT_MOST_MS


def test_no_interaction_computes_more_than_100_ms_on_a_slow_computer(full_table, record_property):
    devtools = full_table.context.new_cdp_session(full_table)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    busy: dict[str, list[float]] = {what: [] for what in ACTS}

    def computed_s():
        metrics = devtools.send("Performance.getMetrics")["metrics"]
        return next(one["value"] for one in metrics if one["name"] == "TaskDuration")

    for _ in range(ROUNDS):
        for what, act in acts_of_a_round(full_table):
            before = computed_s()
            act()
            full_table.evaluate(NEXT_PICTURE)
            busy[what].append((computed_s() - before) * 1000 * SLOWER)
            full_table.evaluate(UNTIL_REPORTED)

    record_property("figure", f"computed, CPU {SLOWER} times slower, ms, median of {ROUNDS}: {in_words(busy, median)}")
    assert max(map(median, busy.values())) <= AT_MOST_MS
