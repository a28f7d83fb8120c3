"""A real browser, and what it complains of."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.settings import IN_CI
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

CHROMIUM_ARGUMENTS = (
    "--no-sandbox",  # CI is root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Answers that the product gives on purpose and htmx shows; Chromium calls them errors in its console.
ANSWERS_ON_PURPOSE = re.compile(r"Failed to load resource: the server responded with a status of (409|422)\b")


def chromium() -> str | None:
    """The browser to drive: CHROMIUM, or the first of the usual names on PATH."""
    # The shell has no window, tabs or menus to compute: a quarter less work.
    names = (os.environ.get("CHROMIUM"), "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Headless Chromium, one for the run."""
    path = chromium()
    if path is None:
        why = "no Chromium on PATH (Debian: apt install chromium; or set CHROMIUM)"
        pytest.fail(why) if IN_CI else pytest.skip(why)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_S * 1000)
    # Playwright runs an event loop in this thread, and Django then takes every query for one inside async code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGUMENTS))
        yield running
        running.close()


class Troubles(list[str]):
    """What the browser complained of: script errors, refused content, missing files."""

    def expect(self, pattern: str) -> None:
        """Take this complaint for intended from now on."""
        self._expected.append(re.compile(pattern))

    def __init__(self) -> None:
        super().__init__()
        self._expected = [ANSWERS_ON_PURPOSE]

    def note(self, text: str) -> None:
        if not any(expected.search(text) for expected in self._expected):
            self.append(text)


@pytest.fixture
def troubles() -> Troubles:
    return Troubles()


@pytest.fixture
def open_page(browser: "Browser", live_server: Any, troubles: Troubles) -> Iterator[Callable[..., "Page"]]:
    """open_page(**options of a context) is a tab of a person of its own: own cookies, own size."""
    contexts = []

    def note_errors(message: "ConsoleMessage") -> None:
        if message.type == "error":
            troubles.note(f"{message.text} ({message.page.url})")

    def make(**options: Any) -> "Page":
        context = browser.new_context(**({"base_url": live_server.url} | options))
        context.set_default_timeout(PATIENCE_S * 1000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.note(f"script error: {error}"))
        page.on("console", note_errors)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not troubles, "the browser complained:\n" + "\n".join(troubles)


@pytest.fixture
def page(open_page: Callable[..., "Page"]) -> "Page":
    """A tab on the live server. The test fails if the browser complains of anything."""
    return open_page()


@pytest.fixture
def axe() -> Callable[["Page"], None]:
    """axe(page) fails with what axe-core finds wrong for people who see or type differently."""
    from axe_playwright_python.sync_playwright import Axe

    def check(page: "Page") -> None:
        # Without preload axe copies no style sheet into the page, which the content policy would refuse.
        found = Axe().run(page, options={"preload": False}).response["violations"]
        problems = [f"{rule['id']}: {rule['help']}: {node['html']}" for rule in found for node in rule["nodes"]]
        assert not found, "\n".join(problems)

    return check
