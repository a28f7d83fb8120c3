"""The sandbox these tests ask, and people who ask it; with ``-m live`` the real platform (README.md)."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.server import Sandbox
from tests.settings import free_port
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
LIVE_URL = os.environ.get("LIVE_ITWIN_API_URL", "https://api.bentley.com").rstrip("/")
LIVE_TOKEN = os.environ.get("LIVE_ACCESS_TOKEN", "")
LIVE_ITWIN_ID = os.environ.get("LIVE_ITWIN_ID", "")
EVERY_API = ["/imodels", "/itwins", "/users/me", "/accesscontrol/itwins/permissions"]
V1 = "application/vnd.bentley.itwin-platform.v1+json"
V2 = "application/vnd.bentley.itwin-platform.v2+json"


NOT_ASKED = pytest.StashKey[list[pytest.Item]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the real platform alone, unless it is meant by name and there are credentials for what is asked."""
    left_out = [item for item in items if item.get_closest_marker("live")]
    if config.getoption("markexpr") == "live":
        # A traceback that shows arguments would show the token.
        config.option.tbstyle, config.option.showlocals = "short", False
        left_out = config.stash[NOT_ASKED] = [item for item in left_out if _missing(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Without credentials nothing was run, and nothing went wrong."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.config.stash.get(NOT_ASKED, []):
        session.exitstatus = pytest.ExitCode.OK


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The questions that were not asked, and what they need."""
    questions: dict[str, list[str]] = {}
    for item in config.stash.get(NOT_ASKED, []):
        question = item.name.partition("[")[0].removeprefix("test_").replace("_", " ")
        questions.setdefault(_missing(item), []).append(question)
    for missing, asked in questions.items():
        terminalreporter.section(f"not run: set {missing}")
        terminalreporter.write_line(f"{LIVE_URL} would be asked whether:")
        for question in dict.fromkeys(asked):
            terminalreporter.write_line(f"  {question}")


def _missing(item: pytest.Item) -> str:
    """The environment variables that a live test still needs, by name; "" when it can run."""
    needs = {"LIVE_ACCESS_TOKEN": LIVE_TOKEN}
    if "workshop" in getattr(item, "fixturenames", ()):
        needs["LIVE_ITWIN_ID"] = LIVE_ITWIN_ID
    return ", ".join(name for name, value in needs.items() if not value)


@dataclass
class Caller:
    """Speaks to the platform as one person. ``ask`` answers with requests' response."""

    url: str
    token: str | None = field(repr=False)
    session: requests.Session = field(default_factory=requests.Session)

    def ask(self, method: str, path: str, *, headers: dict[str, Any] | None = None, **how: Any) -> requests.Response:
        path = path.removeprefix(self.url)
        version = V2 if path.startswith(("/imodels", "/accesscontrol")) else V1
        sent = {"Accept": version, "Authorization": f"Bearer {self.token}"} | (headers or {})
        sent = {name: value for name, value in sent.items() if value is not None}
        how = {"timeout": PATIENCE_S, "allow_redirects": False} | how
        return self.session.request(method, self.url + path, headers=sent, **how)

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.ask("GET", path, params=query)

    def full(self, path: str, **query: Any) -> requests.Response:
        return self.ask("GET", path, params=query, headers={"Prefer": "return=representation"})

    def post(self, path: str, body: Any = None) -> requests.Response:
        return self.ask("POST", path, json=body)


@pytest.fixture(scope="session")
def _running():
    with Sandbox.start() as running:
        yield running


@pytest.fixture
def sandbox(_running):
    _running.reset()
    return _running


@pytest.fixture
def as_person(sandbox):
    """as_person("mara") -> a Caller with her token."""
    callers = []

    def become(key: str) -> Caller:
        callers.append(Caller(sandbox.url, sandbox.tokens_for(key)["access_token"]))
        return callers[-1]

    yield become
    for caller in callers:
        caller.session.close()


@pytest.fixture
def mara(as_person):
    return as_person("mara")


@pytest.fixture
def otto(as_person):
    return as_person("otto")


@pytest.fixture
def ids(sandbox):
    return sandbox.ids


@pytest.fixture(params=["sandbox", pytest.param("live", marks=pytest.mark.live)])
def platform(request: pytest.FixtureRequest) -> Iterator[Caller]:
    """Whom a question is put to: the sandbox, as Mara; with ``-m live`` the real platform, as the token's owner."""
    if request.param == "sandbox":
        yield request.getfixturevalue("mara")
        return
    caller = Caller(LIVE_URL, LIVE_TOKEN)
    yield caller
    caller.session.close()


class Program(subprocess.Popen[str]):
    """A sandbox in a process of its own, and its address."""

    url: str


@pytest.fixture
def program():
    """Starts ``python -m sandbox`` and waits until it says that it is ready."""
    running = []

    def start(*options):
        command = [sys.executable, "-m", "sandbox", "--port", str(free_port()), *options]
        one = Program(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        running.append(one)
        one.url = one.stdout.readline().split()[1]
        return one

    yield start
    for one in running:
        one.kill()
        one.wait()
        one.stdout.close()


def error_of(answer: requests.Response) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"]
    assert error["message"]
    return error


def details_of(answer: requests.Response) -> list[tuple[str, str | None]]:
    """(code, target) of every detail of a 422."""
    assert answer.status_code == 422
    return [(detail["code"], detail.get("target")) for detail in error_of(answer)["details"]]


def operation_state(caller: Caller, imodel_id: str) -> str:
    return caller.get(f"/imodels/{imodel_id}/operations/create").json()["createOperation"]["state"]


def new_id_in(answer: requests.Response) -> str:
    return answer.headers["Location"].rsplit("/", 1)[1]


def walk(caller, answer, plural):
    """Every item of every page, by following ``next``."""
    while True:
        page = answer.json()
        yield from page[plural]
        if not page["_links"]["next"]:
            return
        answer = caller.get(page["_links"]["next"]["href"])
