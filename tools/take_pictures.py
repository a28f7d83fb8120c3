"""Take pictures of the pages of a running demo: all of them to look at, or those of README and docs anew.

    make demo                                                      # in another terminal
    make pictures                                                  # docs/pictures; DESK= names another address
    python -m tools.take_pictures http://localhost:8000 OUT        # every page, light and dark, wide and on a phone

It signs in as the sandbox's people and asks for some iModels, so that there is something to see.
Needs Chromium (CHROMIUM names it) and Playwright, which the tests have, too.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import quote

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

DOCS = Path(__file__).resolve().parent.parent / "docs/pictures"
REQUESTS = [
    ("empty", "", "Site camp"),
    ("clone", "Main Bridge", "Main Bridge as built"),
    ("template", "Main Bridge", "Pier 9"),
    ("clone", "Main Bridge", "Pier 7 copy"),
    ("fork", "Main Bridge", "Pier 7 retrofit"),
]
# Who has which pages.
PAGES = {
    "mara": ["/operations/", "/new/", "/new/clone/", "/new/empty/", "/preferences/", "/help/", "/teams/", "/sessions/"],
    "tomas": ["/approvals/", "/approvals/away/", "/approvals/rules/", "/approvals/rules/new", "/teams/"],
    "ines": [
        *("/operations/", "/teams/", "/teams/new", "/people/", "/first-steps/", "/help/new/"),
        *("/audit/", "/audit/operations/", "/audit/numbers/", "/operating/", "/orphans/", "/approvals/chats/"),
    ],
}
# Pages whose address is found by a link on another one.
LINKED = {
    "mara": [("/operations/", "tbody .c-name a")],
    "tomas": [("/approvals/", "a[href^='/approvals/'][id^='ask-']")],
    "ines": [("/teams/", "tbody .c-name a"), ("/people/", "tbody .c-name a")],
}


class Look(NamedTuple):
    """How a page is seen."""

    name: str
    width: int
    height: int
    scheme: Literal["light", "dark"]


LOOKS = [
    Look("light", 1280, 800, "light"),
    Look("dark", 1280, 800, "dark"),
    Look("phone", 390, 844, "dark"),
    Look("narrow", 320, 640, "light"),
]


def open_as(browser: "Browser", base: str, person: str, look: Look) -> "Page":
    """A tab in which this person has signed in."""
    size: ViewportSize = {"width": look.width, "height": look.height}
    context = browser.new_context(base_url=base, viewport=size, color_scheme=look.scheme)
    page = context.new_page()
    page.goto("/sign-in/start")
    page.locator(f"#person-{person}").click()
    page.wait_for_url(re.compile(re.escape(base)))
    return page


def ask_for_something(page: "Page") -> None:
    """As Mara: what succeeds, what runs, and what waits for a lead. What the demo has already is refused, and stays."""
    for kind, source, name in REQUESTS:
        page.goto(f"/new/{kind}/?source={quote(source)}&itwin=Harbour+Bridge&name={quote(name)}&up_to=latest")
        if kind == "fork":
            page.locator("#reason").fill("Try the seismic retrofit of pier 7 before the review.")
        page.locator("#request button[type=submit]").first.click()
        page.wait_for_load_state("networkidle")


def addresses(page: "Page", person: str) -> Iterator[str]:
    yield from PAGES[person]
    for address, link in LINKED[person]:
        page.goto(address)
        if (found := page.locator(link)).count():
            yield str(found.first.get_attribute("href"))


def take_all(browser: "Browser", base: str, into: Path) -> None:
    for look in LOOKS:
        for person in PAGES:
            page = open_as(browser, base, person, look)
            for address in [*addresses(page, person)]:
                page.goto(address)
                page.wait_for_load_state("networkidle")
                name = re.sub(r"[0-9a-f-]{36}|\d+", "one", address).strip("/").replace("/", "-")
                page.screenshot(path=into / f"{person}-{name}-{look.name}.png", full_page=True)
            page.context.close()


def take_docs(browser: "Browser", base: str) -> None:
    shots = [("mara", "/operations/", "operations"), ("ines", "/approvals/rules/", "approval-rules")]
    for person, address, name in shots:
        page = open_as(browser, base, person, LOOKS[0])
        page.goto(address)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=DOCS / f"{name}.png", full_page=name != "operations")
    page = open_as(browser, base, "tomas", LOOKS[0])
    page.goto([*addresses(page, "tomas")][-1])
    page.wait_for_load_state("networkidle")
    page.screenshot(path=DOCS / "approval-card.png", full_page=True)


def main(base: str, into: str) -> None:
    path = next(filter(None, map(shutil.which, [os.environ.get("CHROMIUM", ""), "chromium", "google-chrome"])), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        ask_for_something(open_as(browser, base, "mara", LOOKS[0]))
        if into == "--docs":
            take_docs(browser, base)
        else:
            Path(into).mkdir(parents=True, exist_ok=True)
            take_all(browser, base, Path(into))


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), sys.argv[2])
