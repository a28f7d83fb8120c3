"""The sandbox these tests ask, and people who ask it. ``-m live`` is for a real platform (see ``platform``)."""

import os
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from sandbox.server import Sandbox

V1 = "application/vnd.bentley.itwin-platform.v1+json"
V2 = "application/vnd.bentley.itwin-platform.v2+json"


def pytest_configure(config):
    config.addinivalue_line("markers", "live: asks the real platform; needs ITWIN_API_URL and ITWIN_TOKEN")


@dataclass
class Caller:
    """Speaks to the platform as one person. ``ask`` answers with requests' response."""

    url: str
    token: str | None
    session: requests.Session = field(default_factory=requests.Session)

    def ask(self, method: str, path: str, *, headers: dict[str, Any] | None = None, **how: Any) -> requests.Response:
        version = V2 if path.startswith(("/imodels", "/accesscontrol")) else V1
        sent = {"Accept": version, "Authorization": f"Bearer {self.token}"} | (headers or {})
        sent = {name: value for name, value in sent.items() if value is not None}
        url = path if path.startswith("http") else self.url + path
        return self.session.request(method, url, headers=sent, timeout=10, allow_redirects=False, **how)

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


@pytest.fixture
def platform():
    """The real platform, for tests marked ``live``: its root and a token from the environment."""
    if not os.environ.get("ITWIN_TOKEN"):
        pytest.skip("no ITWIN_TOKEN")
    return Caller(os.environ.get("ITWIN_API_URL", "https://api.bentley.com"), os.environ["ITWIN_TOKEN"])


def error_of(answer: requests.Response) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] and error["message"]
    return error


def details_of(answer: requests.Response) -> list[tuple[str, str | None]]:
    """(code, target) of every detail of a 422."""
    assert answer.status_code == 422
    return [(detail["code"], detail.get("target")) for detail in error_of(answer)["details"]]


def operation_state(caller: Caller, imodel_id: str) -> str:
    return caller.get(f"/imodels/{imodel_id}/operations/create").json()["createOperation"]["state"]


def new_id_in(answer: requests.Response) -> str:
    return answer.headers["Location"].rsplit("/", 1)[1]
