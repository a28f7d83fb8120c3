"""Three people, a real browser and no mouse: from the request to the run."""

import pytest

from imodels_app.accounts import rights
from imodels_app.models import ApprovalRule
from tests.journeys.test_four_people import desk, enter, expect_state  # noqa: F401 - fixtures
from tests.people import MAIN_BRIDGE

pytestmark = pytest.mark.django_db(transaction=True)

APPROVED_WITHIN = 8
FARTHEST = 60


class Keyboard:
    """What one person presses on one page. keys: each key that is no text."""

    def __init__(self, tab) -> None:
        self.tab = tab
        self.keys: list[str] = []

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tab.keyboard.press(key)
            self.keys.append(key)

    def go_to(self, name: str, key: str = "Tab") -> None:
        """Press Tab until the thing of this name has the focus."""
        for _ in range(FARTHEST):
            self.press(key)
            if self.focused().startswith(name):
                return
        raise AssertionError(f"{name} is not reached by {key}; the focus is on {self.focused()}")

    def focused(self) -> str:
        """The focused thing's label or words."""
        return self.tab.evaluate(
            """() => {
                const at = document.activeElement;
                const words = at.labels?.length ? at.labels[0].textContent : at.textContent;
                return words.replace(/\\s+/g, " ").trim();
            }"""
        )

    def fill(self, name: str, text: str) -> None:
        self.go_to(name)
        self.tab.keyboard.press("Control+a")
        self.tab.keyboard.type(text)


def ask_for_fork(tab, name: str) -> None:
    """From the form that a link opened: pick an iTwin, name it, say why, send."""
    tab.goto(f"/new/fork/?source={MAIN_BRIDGE}")
    keyboard = Keyboard(tab)
    keyboard.fill("Into iTwin", "harb")
    tab.locator("[role=option][aria-selected=true]", has_text="Harbour Bridge").wait_for()
    keyboard.press("Enter")
    keyboard.fill("Name", name)
    keyboard.fill("Reason", "Try the retrofit of pier 7.")
    keyboard.go_to("Request approval")
    keyboard.press("Enter")
    tab.wait_for_url("**/operations/*/")


def approve(tab) -> list[str]:
    """From the inbox to the decision, by the links that skip to what matters; the keys it took."""
    tab.goto("/approvals/")
    keyboard = Keyboard(tab)
    keyboard.press("Tab", "Enter", "Enter")
    tab.wait_for_url("**/approvals/*/")
    tab.get_by_role("button", name="Approve").wait_for()
    keyboard.press("Tab", "Enter", "Tab", "Enter")
    tab.get_by_text("You approved").wait_for()
    return keyboard.keys


@pytest.fixture
def lead_and_admin(ines, bridge_team):
    """A rule: after a lead an administrator has to approve each fork."""
    levels = [{"who": "leads", "count": 1}, {"who": "admins", "count": 1}]
    rights.save(ApprovalRule(name="Lead and admin", kinds=["fork"], levels=levels), by=ines)


@pytest.mark.usefixtures("lead_and_admin")
def test_a_fork_is_asked_for_approved_twice_in_eight_keys_each_and_run_without_a_mouse(
    enter,  # noqa: F811
    desk,  # noqa: F811
    record_property,
):
    mara, tomas, ines = enter("mara"), enter("tomas"), enter("ines")
    ask_for_fork(mara, "Pier 7 retrofit")

    for approver in (tomas, ines):
        assert desk.calls("POST", "/fork") == 0
        keys = approve(approver)
        record_property("figure", f"from the inbox to the decision: {len(keys)} keys ({' '.join(keys)})")
        assert len(keys) <= APPROVED_WITHIN

    mara.goto("/operations/")
    expect_state(mara, "Pier 7 retrofit", "Succeeded")
    assert desk.calls("POST", "/fork") == 1
