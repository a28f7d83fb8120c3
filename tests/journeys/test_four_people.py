"""The first minute, in a real browser: a clone, a fork that a lead approves, an audit, and one who sees none of it."""

import re

import pytest

from tests.people import MAIN_BRIDGE, OLD_QUAY

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def desk(processes, sandbox, bridge_team, otto):
    """Worker and beat on the sandbox; Mara and Tomas in one team, Otto in another."""
    sandbox.advance_by_polls(4)
    processes.worker()
    processes.beat()
    return sandbox


@pytest.fixture
def enter(open_page, desk, troubles):
    """enter("mara") is a tab in which this person signed in through the provider's page."""
    troubles.expect("^htmx:(sendAbort|afterRequest)")  # checks and searches that newer ones replace

    def sign_in(person: str):
        tab = open_page()
        tab.goto("/")
        tab.get_by_role("link", name="Sign in", exact=True).click()
        tab.locator(f"#person-{person}").click()
        tab.wait_for_url("**/operations/**")
        return tab

    return sign_in


def pick(tab, label: str, typed: str, whole: str) -> None:
    """Type into a picker and take one of what it lists."""
    tab.get_by_role("combobox", name=label).fill(typed)
    tab.get_by_role("option", name=re.compile(f"^{re.escape(whole)}")).first.click()


def ask_for_clone(tab, name: str) -> None:
    tab.goto("/new/clone/")
    pick(tab, "Source iModel", "main br", "Main Bridge")
    pick(tab, "Into iTwin", "harb", "Harbour Bridge")
    tab.get_by_label("Name", exact=True).fill(name)
    tab.get_by_role("button", name="Clone").click()
    tab.wait_for_url("**/operations/*/")


def ask_for_fork(tab, name: str, *, source: str = MAIN_BRIDGE) -> None:
    tab.goto(f"/new/fork/?source={source}")
    pick(tab, "Into iTwin", "harb", "Harbour Bridge")
    tab.get_by_label("Name", exact=True).fill(name)
    tab.get_by_label("Reason").fill("Try the seismic retrofit of pier 7.")
    tab.get_by_role("button", name="Request approval").click()
    tab.wait_for_url("**/operations/*/")


def row(tab, name: str):
    return tab.get_by_role("row").filter(has_text=name)


def expect_state(tab, name: str, state: str) -> None:
    """The row comes to this state by itself: nothing reloads the page."""
    row(tab, name).get_by_text(state, exact=True).wait_for()


def test_a_clone_and_an_approved_fork_go_through_and_only_those_concerned_see_them(enter, desk):
    mara = enter("mara")
    ask_for_clone(mara, "Pier 7 copy")
    mara.goto("/operations/")
    mara.evaluate("window.stillHere = true")
    expect_state(mara, "Pier 7 copy", "Succeeded")
    assert mara.evaluate("window.stillHere")

    ask_for_fork(mara, "Pier 7 retrofit")
    operation = mara.url.rstrip("/").rsplit("/", 1)[1]
    mara.goto(f"/approvals/{operation}/")
    assert mara.get_by_role("button", name="Approve").count() == 0
    assert desk.calls("POST", "/fork") == 0

    tomas = enter("tomas")
    tomas.goto("/approvals/")
    tomas.get_by_role("link", name="Decide on Pier 7 retrofit").click()
    tomas.locator("#comment").fill("Fine. Merge back before the 60 % review.")
    tomas.get_by_role("button", name="Approve").click()
    tomas.get_by_text("You approved Pier 7 retrofit.").wait_for()

    mara.goto("/operations/")
    expect_state(mara, "Pier 7 retrofit", "Succeeded")
    assert desk.calls("POST", "/fork") == 1

    ines = enter("ines")
    ines.goto("/audit/")
    for name in ("Pier 7 copy", "Pier 7 retrofit"):
        assert ines.get_by_text(name).first.is_visible()
    ines.goto(f"/operations/{operation}/")
    ines.get_by_text("Fine. Merge back before the 60 % review.").wait_for()

    otto = enter("otto")
    assert otto.get_by_text("Pier 7").count() == 0
    otto.goto("/operations/?whose=team")
    assert otto.get_by_text("Pier 7").count() == 0


def test_a_fork_without_federation_guids_says_what_to_do(enter, desk):
    mara, tomas = enter("mara"), enter("tomas")
    ask_for_fork(mara, "Quay study", source=OLD_QUAY)
    tomas.goto(mara.url.replace("/operations/", "/approvals/"))
    tomas.get_by_role("button", name="Approve").click()

    mara.goto("/operations/")
    expect_state(mara, "Quay study", "Failed: FederationGuids missing")
    mara.get_by_role("link", name="Quay study").first.click()
    mara.get_by_text("Add the missing FederationGuids to Old Quay.").wait_for()


def test_a_sign_out_elsewhere_leads_a_waiting_page_to_the_door(enter, troubles):
    mara = enter("mara")
    mara.goto("/operations/")

    mara.context.clear_cookies()
    mara.evaluate("window.dispatchEvent(new Event('focus')); document.dispatchEvent(new Event('visibilitychange'))")

    mara.wait_for_url("**/sign-in/**")
    mara.get_by_role("link", name="Sign in", exact=True).wait_for()
