"""Secrets on their way through everything: none of them is where somebody could read it."""

import html
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests
from django.apps import apps
from django.conf import settings

from imodels_app.accounts import pending
from imodels_app.models import Event, Notification, Operation, Session, User
from imodels_app.states import Kind, State
from tests.faults.oracle import everything_in
from tests.files import a_file
from tests.people import HARBOUR, MAIN_BRIDGE
from tests.views.test_sign_in import choose
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


class Browser:
    """A browser of one person. heard: all that pages, their headers and addresses told it, but for what is its own."""

    def __init__(self, url: str) -> None:
        self._url, self._jar = url, requests.Session()
        self.heard: list[str] = []

    def sign_in(self, person: str) -> dict[str, str]:
        """In, by the provider's page; the secrets that this takes."""
        to_provider = self.get("/sign-in/start").headers["Location"]
        [begun] = pending.read(self._jar.cookies["desk-sign-in"])
        back = urlsplit(choose(to_provider, person))
        code = parse_qs(back.query)["code"][0]
        self.get(f"{back.path}?{back.query}")
        asked = {"state": begun.state, "nonce": begun.nonce, "verifier": begun.code_verifier}
        # By the protocol state, nonce and code travel in the addresses of the redirects.
        self.heard = [text.replace(to_provider, "").replace(back.query, "") for text in self.heard]
        return asked | {"code": code, "session": self._jar.cookies["desk-session"]}

    def get(self, path: str) -> requests.Response:
        return self._listen(self._jar.get(self._url + path, allow_redirects=False, timeout=PATIENCE_S))

    def send(self, page: str, form: dict[str, Any], *, to: str = "", files: Any = None) -> requests.Response:
        """Fill in a form of a page, whose hidden fields come along."""
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', self.get(page).text))
        url, sent = self._url + (to or page), hidden | form
        return self._listen(self._jar.post(url, sent, files=files, allow_redirects=False, timeout=PATIENCE_S))

    def _listen(self, answer: requests.Response) -> requests.Response:
        headers = {name: value for name, value in answer.headers.items() if name != "Set-Cookie"}
        self.heard.append(f"{answer.url}\n{headers}\n{answer.text}")
        return answer


@pytest.fixture
def issued(sandbox, monkeypatch) -> list[str]:
    """Every token and signature that the stand-in gives out."""
    given: list[str] = []
    grants, blobs = sandbox.platform.grants, sandbox.platform.blobs
    tokens_of, signature_of = grants._tokens, blobs.signature

    def tokens(*about: Any, **more: Any) -> dict[str, Any]:
        answer = tokens_of(*about, **more)
        given.extend(value for name, value in answer.items() if name.endswith("_token"))
        return answer

    def signature(*about: Any) -> str:
        given.append(signature_of(*about))
        return given[-1]

    monkeypatch.setattr(grants, "_tokens", tokens)
    monkeypatch.setattr(blobs, "signature", signature)
    return given


@pytest.fixture
def desk(processes, sandbox, bridge_team, mail_server) -> str:
    """The desk as it is served, its log as talkative as it gets; its address."""
    sandbox.advance_by_polls(2)
    processes.env |= {"EMAIL_URL": f"smtp://127.0.0.1:{mail_server.port}", "LOG_LEVEL": "DEBUG"}
    processes.desk()
    return processes.web()


def ended(kind: Kind, state: State) -> Operation:
    wait_until(lambda: Operation.objects.filter(kind=kind, state=state).exists(), what=f"a {kind} that {state}")
    return Operation.objects.get(kind=kind, state=state)


def ask_for(browser: Browser, kind: str, **fields: Any) -> None:
    form = {"itwin": "Harbour Bridge", "itwin_id": HARBOUR, "name": f"Pier {kind}"} | fields
    files = {"file": ("pier.bim", form.pop("file"))} if "file" in form else None
    answer = browser.send(f"/new/{kind}/", form, files=files)
    assert answer.status_code == 303, answer.text


def live_through(browsers: dict[str, Browser], sandbox: Any) -> None:
    """What people do: a clone, a file, a fork with its approval, a failure in odd words, an export."""
    mara, tomas, ines = (browsers[name] for name in ("mara", "tomas", "ines"))
    copied = {"source": "Main Bridge", "source_id": MAIN_BRIDGE, "up_to": "latest"}
    ask_for(mara, "clone", **copied)
    ended(Kind.CLONE, State.SUCCEEDED)
    ask_for(mara, "baseline", file=a_file(1024 * 1024))
    ended(Kind.BASELINE, State.SUCCEEDED)
    ask_for(mara, "fork", **copied, reason="Try it.", preserve_history="yes")
    card = f"/approvals/{ended(Kind.FORK, State.AWAITING_APPROVAL).pk}/"
    assert tomas.send(card, {"comment": "Fine."}, to=f"{card}approve").is_redirect
    ended(Kind.FORK, State.SUCCEEDED)
    sandbox.fault("POST", r"/imodels$", status=422, body={"error": {"code": "\0odd", "message": ["?"]}})
    ask_for(mara, "empty")
    ended(Kind.EMPTY, State.FAILED)
    wait_until(lambda: not Notification.objects.filter(sent_at=None).exclude(due_at=None).exists(), what="the mail")
    assert ines.get("/audit/export").status_code == 200
    for operation in Operation.objects.all():
        for page in (f"/operations/{operation.pk}/", f"/operations/{operation.pk}/lineage"):
            assert mara.get(page).status_code == 200
    for page in ("/operations/", "/approvals/", "/sessions/", "/orphans/"):
        assert mara.get(page).status_code == 200
    for page in ("/audit/", *(f"/admin/imodels_app/{name}/" for name in ("event", "operation", "user", "attempt"))):
        assert ines.get(page).status_code == 200


def places(browsers: dict[str, Browser], processes: Any, mail_server: Any, redis_url: str) -> Iterator[tuple[str, str]]:
    """All that somebody can read: (where, text)."""
    for person, browser in browsers.items():
        yield f"what {person}'s browser was told", "\n".join(browser.heard)
    yield from processes.logs().items()
    yield "mail", "\n".join(map(str, mail_server.inbox))
    yield "Redis", everything_in(redis_url)
    for model in apps.get_models():
        yield model.__name__, json.dumps(list(model._default_manager.values()), default=str, ensure_ascii=False)


def found(secrets: dict[str, str], texts: Iterator[tuple[str, str]]) -> set[tuple[str, str]]:
    """(secret, where) for each that is there, as it is or as addresses and pages write it."""
    written = {name: {secret, quote(secret, safe=""), html.escape(secret)} for name, secret in secrets.items()}
    return {
        (name, where) for where, text in texts for name, ways in written.items() if any(way in text for way in ways)
    }


def test_no_secret_is_where_somebody_could_read_it(desk, issued, sandbox, processes, mail_server, redis_url):
    browsers = {name: Browser(desk) for name in ("mara", "tomas", "ines")}
    secrets = {f"{kind} of {name}": text for name, one in browsers.items() for kind, text in one.sign_in(name).items()}
    live_through(browsers, sandbox)
    secrets |= {f"issued {number}": text for number, text in enumerate(issued)}
    secrets |= {"client secret": settings.OIDC_CLIENT_SECRET, "SECRET_KEY": settings.SECRET_KEY}
    secrets |= {f"key {number}": key for number, key in enumerate(settings.TOKEN_KEYS)}
    assert len(issued) >= 10
    assert {event.verb for event in Event.objects.all()} >= {"signed_in", "approved", "failed", "exported", "file_sent"}
    assert mail_server.inbox

    assert found(secrets, places(browsers, processes, mail_server, redis_url)) == set()

    # And those that are planted are found.
    Session.objects.update(client=secrets["session of mara"])
    User.objects.filter(is_staff=True).update(last_name=secrets["code of mara"])
    browsers["ines"].get("/audit/")
    assert found(secrets, places(browsers, processes, mail_server, redis_url)) == {
        ("session of mara", "Session"),
        ("code of mara", "User"),
        ("code of mara", "what ines's browser was told"),
    }
