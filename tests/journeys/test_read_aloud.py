"""What a screen reader finds, kept as text beside this file and read through by people: names, roles, what is told.

A change that is meant: run with SNAPSHOTS=write, and read the difference aloud before it is committed.
"""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from imodels_app import lifecycle
from imodels_app.states import Kind
from tests.journeys.test_every_day import desk  # noqa: F401 - a fixture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser, pytest.mark.same_on_both]

SNAPSHOTS = Path(__file__).with_name("read_aloud")
# What differs each time.
VARIES = re.compile(
    r"\b\d+ (?:s|min)\b|\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d+ \w{3} \d\d:\d\d|\d\d:\d\d:\d\d|\d{4}-\d\d-\d\d"
    r"|[0-9a-f-]{36}|\d+(?= of \d+ (?:creations|clones|forks))|(?<=left\": )\"\d+\""
)


def compare(locator, name):
    found = VARIES.sub("…", locator.aria_snapshot()) + "\n"
    kept = SNAPSHOTS / f"{name}.yaml"
    if os.environ.get("SNAPSHOTS") == "write":
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(found)
    assert found == kept.read_text()


@pytest.fixture
def table(desk, failed_fork, bridge_team, mara, spec_for):  # noqa: F811
    """The table of a failure with an orphan, a request that waits for a lead, and a queued one."""
    lifecycle.request(spec_for(Kind.FORK, name="Pier 8 retrofit"), by=mara)
    lifecycle.request(spec_for(Kind.EMPTY, name="Site camp"), by=mara)
    page = desk()
    page.goto("/operations/")
    page.wait_for_load_state("networkidle")
    return page


def test_the_table_of_operations(table):
    compare(table.locator("main"), "operations")


def test_the_bar_of_what_is_selected_and_the_menu_of_a_row(table):
    table.get_by_label("Select all on this page").check()
    compare(table.locator("#bulk"), "selected")
    table.locator("summary", has_text="Actions for Pier 8 retrofit").click()
    compare(table.get_by_role("row").filter(has_text="Pier 8 retrofit"), "row with its menu")


def test_axe_finds_nothing_in_the_question_and_the_outcomes_of_several(table, axe, troubles):
    troubles.expect("inline style")  # axe's own, while it measures
    table.get_by_label("Select all on this page").check()
    axe(table)
    table.get_by_role("button", name="Cancel 2").click()
    expect(table.get_by_role("heading", name="Cancel 2 operations?")).to_be_visible()
    axe(table)
    table.get_by_role("button", name="Cancel 2").click()
    expect(table.get_by_role("heading", name="You cancelled 2 of 2")).to_be_visible()
    axe(table)


def test_what_changes_is_announced_once_in_words(table, mara):
    from imodels_app.models import Operation

    lifecycle.cancel(Operation.objects.get(name="Site camp"), by=mara)
    expect(table.locator("#operations-status")).not_to_be_empty()

    compare(table.get_by_role("status").and_(table.locator("#operations-status")), "announced")


def test_orphaned_imodels(table):
    table.goto("/orphans/")
    table.wait_for_load_state("networkidle")
    compare(table.locator("main"), "orphans")
