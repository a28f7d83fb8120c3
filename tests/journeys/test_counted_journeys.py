"""The core journeys, each by mouse and by keyboard alone: clicks and keys are counted, and few."""

import re
from contextlib import nullcontext
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from imodels_app.accounts import tokens
from imodels_app.models import Event, Operation
from imodels_app.requesting import staging
from imodels_app.states import Kind, State, Verb
from tests.journeys.test_every_day import desk  # noqa: F401 - a fixture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser, pytest.mark.same_on_both]

FARTHEST = 30
REASON = "Retrofit of pier 7"


@dataclass
class Hand:
    """Clicks and presses on a page, and counts. typed: letters of names and reasons, which nobody can do without."""

    page: Page
    clicks: int = 0
    keys: int = 0
    typed: int = 0

    def __post_init__(self):
        # A browser is asked to hand over the choice of a file only once somebody listens: too late at the click itself.
        self.page.on("filechooser", lambda chooser: None)

    def click(self, role, name):
        """A link leads to a page, which is waited for: what is typed before would go to the one that is left."""
        with self.page.expect_navigation() if role == "link" else nullcontext():
            self.page.get_by_role(role, name=name).first.click()
        self.clicks += 1

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
            self.keys += 1

    def type(self, text):
        self.page.keyboard.type(text)
        self.typed += len(text)

    def skip_to_content(self):
        self.press("Tab", "Enter")

    def tab_to(self, control):
        """As somebody who looks where the focus is."""
        for _ in range(FARTHEST):
            if control.evaluate("it => it === document.activeElement"):
                return
            self.press("Tab")
        raise AssertionError(f"{control} is not reached by Tab.")

    def go_to(self, page_name):
        """By the palette."""
        self.press("Control+k")
        expect(self.page.locator("#palette-text")).to_be_focused()
        self.type(page_name)
        found = self.page.locator("#palette-found").get_by_role("link").first
        expect(found).to_contain_text(re.compile(page_name, re.IGNORECASE))
        self.press("Enter")


@pytest.fixture
def counted(record_property):
    """counted("a clone by mouse", hand, clicks=4): its figure; not more clicks, and not more keys."""

    def tell(what, *hands, clicks=0, keys=0):
        sums = [sum(getattr(hand, name) for hand in hands) for name in ("clicks", "keys", "typed")]
        record_property("figure", f"{what}: {sums[0]} clicks, {sums[1]} keys and {sums[2]} letters")
        assert sums[0] <= clicks
        assert sums[1] <= keys

    return tell


def is_sent(page):
    page.wait_for_url(re.compile("/operations/.+"))


def test_a_clone_by_mouse_takes_four_clicks(desk, counted):  # noqa: F811
    page = desk()
    page.goto("/operations/")
    hand = Hand(page)

    hand.click("link", "New iModel")
    hand.click("link", "Clone")
    seek(hand, "main", "Main Bridge")
    hand.click("option", re.compile("^Main Bridge"))
    expect(page.locator("#itwin")).to_have_value("Harbour Bridge")
    expect(page.locator("#name")).to_have_value("Main Bridge 2")
    hand.click("button", "Clone")
    is_sent(page)

    counted("a clone by mouse", hand, clicks=4)
    clone = Operation.objects.get()
    assert (clone.source_name, clone.itwin_name, clone.name) == ("Main Bridge", "Harbour Bridge", "Main Bridge 2")


def test_a_clone_by_keyboard_takes_twelve_keys_from_the_opened_form(desk, counted):  # noqa: F811
    page = desk()
    page.goto("/new/clone/")
    hand = Hand(page)

    seek(hand, "main", "Main Bridge")
    hand.press("Enter")
    expect(page.locator("#name")).to_have_value("Main Bridge 2")
    hand.press("Control+Enter")
    is_sent(page)

    counted("a clone by keyboard, from the opened form", hand, keys=12 - hand.typed)
    assert Operation.objects.get().kind == Kind.CLONE


def test_what_something_was_made_from_is_cloned_again_in_four_clicks(desk, succeeded_clone, counted):  # noqa: F811
    page = desk()
    page.goto("/operations/")
    hand = Hand(page)

    hand.click("link", succeeded_clone.name)
    hand.click("link", "Main Bridge")
    expect(page.get_by_role("heading", name="Main Bridge", exact=True)).to_be_visible()
    hand.click("link", "Clone this")
    expect(page.locator("#itwin")).to_have_value("Harbour Bridge")
    expect(page.locator("#name")).to_have_value("Main Bridge 2")
    hand.click("button", "Clone")
    is_sent(page)

    counted("from the facts of an operation to a clone of its source", hand, clicks=4)
    assert Operation.objects.latest("created_at").source_id == succeeded_clone.source_id


def test_the_palette_leads_to_an_imodel_by_its_name(desk, succeeded_clone, counted):  # noqa: F811
    page = desk()
    page.goto("/operations/")
    hand = Hand(page)

    hand.press("Control+k")
    expect(page.locator("#palette-text")).to_be_focused()
    hand.type("main bridge")
    expect(page.locator("#palette-found").get_by_role("link")).to_have_count(2)  # what is made from it, and itself
    hand.press("ArrowDown", "ArrowDown", "Enter")

    expect(page.get_by_role("heading", name="Main Bridge", exact=True)).to_be_visible()
    counted("to an iModel by the palette", hand, keys=4)


@pytest.fixture
def desk_of_tomas(desk, tomas, sandbox, confirmed_leads):  # noqa: F811
    tokens.store(tomas, sandbox.tokens_for("tomas"))
    return lambda: desk(tomas)


def is_approved(page):
    expect(page.get_by_text("You approved")).to_be_visible()
    assert Operation.objects.get().state == State.QUEUED


def test_a_fork_is_requested_and_approved_by_mouse(desk, desk_of_tomas, counted):  # noqa: F811
    page = desk()
    page.goto("/operations/")
    asks = Hand(page)
    asks.click("link", "New iModel")
    asks.click("link", "Fork")
    seek(asks, "main", "Main Bridge")
    asks.click("option", re.compile("^Main Bridge"))
    expect(page.locator("#name")).to_have_value("Main Bridge 2")
    asks.click("textbox", re.compile("^Reason"))
    asks.type(REASON)
    asks.click("button", "Request approval")
    is_sent(page)
    page = desk_of_tomas()
    page.goto("/operations/")
    decides = Hand(page)

    decides.click("link", re.compile("^Approvals"))
    decides.click("link", "Decide on Main Bridge 2")
    decides.click("button", "Approve")

    is_approved(page)
    counted("a fork by mouse, to the request", asks, clicks=5)
    counted("a fork by mouse, to the approval", decides, clicks=3)


def test_a_fork_is_requested_and_approved_by_keyboard(desk, desk_of_tomas, counted):  # noqa: F811
    page = desk()
    page.goto("/operations/")
    asks = Hand(page)
    asks.go_to("fork")
    page.wait_for_url("**/new/fork/")
    seek(asks, "main", "Main Bridge")
    asks.press("Enter")
    expect(page.locator("#name")).to_have_value("Main Bridge 2")
    asks.tab_to(page.locator("#reason"))
    asks.type(REASON)
    asks.press("Control+Enter")
    is_sent(page)
    page = desk_of_tomas()
    page.goto("/operations/")
    decides = Hand(page)

    decides.press("g", "a")
    page.wait_for_url("**/approvals/")
    decides.press("j", "Enter")
    page.wait_for_url("**/approvals/*-*/")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    decides.press("a", "Enter")

    is_approved(page)
    counted("a fork by keyboard, to the request", asks, keys=18)
    counted("a fork by keyboard, to the approval", decides, keys=8)


@pytest.fixture
def bim(tmp_path, settings):
    """A file on Mara's disk that begins as an iModel does."""
    settings.STAGING_DIR = tmp_path / "staging"
    path = tmp_path / "Quay.bim"
    path.write_bytes(staging.HEADER + bytes(5000))
    return path


def seek(hand, letters, name):
    """Type some letters, until the list shows what bears them."""
    hand.type(letters)
    expect(hand.page.get_by_role("option").first).to_contain_text(name)


def is_uploaded(page):
    page.locator("[data-upload][data-state=arrived]").wait_for()
    expect(page.locator("#name")).to_have_value("Quay")


def test_a_baseline_by_mouse(desk, bim, counted):  # noqa: F811
    page = desk()
    page.goto("/operations/")
    hand = Hand(page)

    hand.click("link", "New iModel")
    hand.click("link", "From a baseline file")
    hand.click("combobox", "Into iTwin")
    seek(hand, "harb", "Harbour Bridge")
    hand.click("option", re.compile("^Harbour Bridge"))
    with page.expect_file_chooser() as chooser:
        page.locator("[data-choose]").click()
        hand.clicks += 1
    chooser.value.set_files(bim)
    is_uploaded(page)
    hand.click("button", "Create iModel")
    is_sent(page)

    counted("a baseline by mouse", hand, clicks=6)
    assert Operation.objects.get().kind == Kind.BASELINE


def test_a_baseline_by_keyboard(desk, bim, counted):  # noqa: F811
    page = desk()
    page.goto("/operations/")
    hand = Hand(page)

    hand.go_to("baseline")
    page.wait_for_url("**/new/baseline/")
    expect(page.locator("#itwin")).to_be_focused()
    seek(hand, "harb", "Harbour Bridge")
    hand.press("Enter")
    hand.tab_to(page.locator("#file"))
    with page.expect_file_chooser() as chooser:
        hand.press("Space")
    chooser.value.set_files(bim)
    is_uploaded(page)
    hand.press("Control+Enter")
    is_sent(page)

    counted("a baseline by keyboard", hand, keys=12)
    assert Operation.objects.get().kind == Kind.BASELINE


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_the_audit_is_exported(desk, ines, queued_clone, counted, by):  # noqa: F811
    page = desk(ines)
    page.goto("/operations/")
    hand = Hand(page)
    export = page.get_by_role("button", name="Export")

    with page.expect_download() as download:
        if by == "mouse":
            hand.click("link", "Audit")
            hand.click("button", "Export")
        else:
            hand.go_to("audit")
            page.wait_for_url("**/audit/")
            hand.skip_to_content()
            hand.tab_to(export)
            hand.press("Enter")

    assert download.value.suggested_filename.endswith(".zip")
    counted(f"the audit's export by {by}", hand, clicks=2, keys=12)
    assert Event.objects.filter(verb=Verb.EXPORTED).exists()
