"""The core journeys by mouse and by keys alone: what each takes is counted and printed. For a clone: test_every_day."""

import re

import pytest
from playwright.sync_api import expect

from imodels_app.audit import log
from imodels_app.models import Operation
from imodels_app.requesting import staging
from imodels_app.states import State
from tests.journeys.test_every_day import Hand, desk, pick_main_bridge

__all__ = ["desk"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.browser,
    pytest.mark.same_on_both,
    pytest.mark.soak,
]
REASON = "Try the retrofit."


def tab_to(hand, selector):
    """Press Tab until this has the focus."""
    for _ in range(40):
        if hand.page.evaluate(f"document.activeElement.matches({selector!r})"):
            return
        hand.press("Tab")
    pytest.fail(f"no tab leads to {selector}")


def test_a_fork_and_its_approval_by_mouse(desk, tomas, confirmed_leads, record_property):
    page = desk()
    page.goto("/operations/")
    hand = Hand(page)
    hand.click("link", "New iModel")
    hand.click("link", "Fork")
    pick_main_bridge(page)
    hand.click("option", re.compile("^Main Bridge"))
    expect(page.locator("#name")).to_have_value(re.compile("^Main Bridge"))
    hand.click("textbox", re.compile("^Reason"))
    page.keyboard.type(REASON)
    hand.click("button", re.compile("fork|approval", re.IGNORECASE))
    page.wait_for_url(re.compile("/operations/.+"))

    tab = desk(tomas)
    tab.goto("/operations/")
    lead = Hand(tab)
    lead.click("link", re.compile("^Approvals"))
    lead.click("link", re.compile("^Main Bridge"))
    lead.click("button", "Approve")
    expect(tab.get_by_text("approved").first).to_be_visible()

    record_property(
        "figure", f"a fork by mouse: {hand.clicks} clicks, 4 letters, a reason; approved: {lead.clicks} clicks"
    )
    assert Operation.objects.get().state != State.AWAITING_APPROVAL
    assert (hand.clicks, lead.clicks) <= (5, 3)


def test_a_fork_by_keys_alone(desk, record_property):
    page = desk()
    page.goto("/new/fork/")
    hand = Hand(page)

    hand.type("main")
    expect(page.get_by_role("option").first).to_contain_text("Main Bridge")
    hand.press("Enter")
    expect(page.locator("#name")).to_have_value(re.compile("^Main Bridge"))
    tab_to(hand, "#reason")
    page.keyboard.type(REASON)
    hand.press("Control+Enter")
    page.wait_for_url(re.compile("/operations/.+"))

    record_property("figure", f"a fork by keyboard, from the opened form: {hand.keys} keys and a reason")


def test_a_baseline_file_by_mouse(desk, tmp_path, settings, record_property):
    settings.STAGING_DIR = tmp_path / "staging"
    file = tmp_path / "Quay October.bim"
    file.write_bytes(staging.HEADER + bytes(4096))
    page = desk()
    page.goto("/operations/")
    hand = Hand(page)
    hand.click("link", "New iModel")
    hand.click("link", re.compile("file"))
    with page.expect_file_chooser() as chooser:
        page.locator("[data-choose]").click()
    hand.clicks += 1
    chooser.value.set_files(file)
    page.locator("[data-upload][data-state=here]").wait_for()
    page.get_by_role("combobox", name="Into iTwin").click()
    page.keyboard.type("harb")
    hand.clicks += 1
    hand.click("option", re.compile("^Harbour Bridge"))
    page.locator("#request button[type=submit]").first.click()
    page.wait_for_url(re.compile("/operations/.+"))

    record_property("figure", f"a baseline file by mouse: {hand.clicks + 1} clicks, the file and 4 letters")
    assert Operation.objects.get().name == "Quay October"


def test_an_export_by_mouse_and_by_keys_alone(desk, ines, queued_clone, record_property):
    log.add_events()
    page = desk(ines)
    page.goto("/operations/")
    hand = Hand(page)
    hand.click("link", "Audit")
    with page.expect_download() as download:
        hand.click("button", "Export")
    assert download.value.suggested_filename.endswith(".zip")

    page.goto("/audit/")
    keys = Hand(page)
    tab_to(keys, "form[action$='/export'] button")
    with page.expect_download():
        keys.press("Enter")

    record_property("figure", f"an export: {hand.clicks} clicks, or {keys.keys} keys from the opened page")
    assert hand.clicks <= 2
