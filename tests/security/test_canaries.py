"""Secrets on their way through everything: none of them is where somebody could read it."""

import html
import io
import json
import re
import smtplib
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import redis
import requests
from django.apps import apps
from django.conf import settings

from imodels_app.accounts import pending
from imodels_app.audit import events
from imodels_app.models import ChatMessage, Destination, Event, Notification, Operation, Session, User, Webhook
from imodels_app.runtime import clock
from imodels_app.states import Chat, Kind, State
from tests.faults.oracle import everything_in
from tests.files import a_file
from tests.people import HARBOUR, MAIN_BRIDGE
from tests.views.test_sign_in import choose
from tests.waiting import PATIENCE_S, wait_until
from tests.webhook_server import WebhookServer

CHAT = "/workflows/1/very-secret"
STREAM = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
pytestmark = pytest.mark.django_db(transaction=True)


class Browser:
    """A browser of one person. heard: (where, text) of all that pages, their headers and addresses, and downloaded
    files told it, but for what is its own."""

    def __init__(self, url: str) -> None:
        self._url, self._jar = url, requests.Session()
        self.heard: list[tuple[str, str]] = []

    def sign_in(self, person: str) -> dict[str, str]:
        """In, by the provider's page; the secrets that this takes."""
        to_provider = self.get("/sign-in/start").headers["Location"]
        [begun] = pending.read(self._jar.cookies["desk-sign-in"])
        back = urlsplit(choose(to_provider, person))
        code = parse_qs(back.query)["code"][0]
        self.get(f"{back.path}?{back.query}")
        asked = {"state": begun.state, "nonce": begun.nonce, "verifier": begun.code_verifier}
        # By the protocol state, nonce and code travel in the addresses of the redirects.
        self.heard = [(at, text.replace(to_provider, "").replace(back.query, "")) for at, text in self.heard]
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
        self.heard.append(("headers", f"{answer.url}\n{headers}"))
        self.heard.extend(read(answer))
        return answer


def read(answer: requests.Response) -> Iterator[tuple[str, str]]:
    """An answer's text; of an archive that of each file in it."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if kind != "application/zip":
        yield kind, answer.text
        return
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        yield from ((name, archive.read(name).decode()) for name in archive.namelist())


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
    processes.env["WEBHOOK_HOSTS"] = "127.0.0.1"
    processes.desk()
    return processes.web()


@pytest.fixture
def receiver() -> Iterator[WebhookServer]:
    server = WebhookServer()
    yield server
    server.stop()


def sent(receiver: WebhookServer) -> str:
    return "\n".join(f"{one.headers}\n{one.body.decode()}" for one in receiver.heard)


def ended(kind: Kind, state: State) -> Operation:
    wait_until(lambda: Operation.objects.filter(kind=kind, state=state).exists(), what=f"a {kind} that {state}")
    return Operation.objects.get(kind=kind, state=state)


def ask_for(browser: Browser, kind: str, **fields: Any) -> None:
    form = {"itwin": "Harbour Bridge", "itwin_id": HARBOUR, "name": f"Pier {kind}"} | fields
    files = {"file": ("pier.bim", form.pop("file"))} if "file" in form else None
    answer = browser.send(f"/new/{kind}/", form, files=files)
    assert answer.status_code == 303, answer.text


def listen(ines: Browser, to: str, team: int) -> None:
    """A chat hears of the team's requests, and a receiver of the events."""
    ines.send("/approvals/chats/", {"team": team, "chat": Chat.TEAMS, "url": f"{to}{CHAT}"})
    ines.send("/audit/streams/", {"name": "SIEM", "url": f"{to}/in", "secret": STREAM})
    assert (Webhook.objects.count(), Destination.objects.count()) == (1, 1)


def live_through(browsers: dict[str, Browser], sandbox: Any) -> None:
    """What people do: a clone, a file, its link renewed, a fork with its approval, a failure in odd words, exports."""
    mara, tomas, ines = (browsers[name] for name in ("mara", "tomas", "ines"))
    copied = {"source": "Main Bridge", "source_id": MAIN_BRIDGE, "up_to": "latest"}
    ask_for(mara, "clone", **copied)
    ended(Kind.CLONE, State.SUCCEEDED)
    sandbox.fault("PUT", r"^/storage/", status=403)
    ask_for(mara, "baseline", file=a_file(1024 * 1024))
    ended(Kind.BASELINE, State.SUCCEEDED)
    ask_for(mara, "fork", **copied, reason="Try it.", preserve_history="yes")
    card = f"/approvals/{ended(Kind.FORK, State.AWAITING_APPROVAL).pk}/"
    wait_until(lambda: ChatMessage.objects.exclude(sent_at=None).exists(), what="the message to the chat")
    assert tomas.send(card, {"comment": "Fine."}, to=f"{card}approve").is_redirect
    ended(Kind.FORK, State.SUCCEEDED)
    sandbox.fault("POST", r"/imodels$", status=422, body={"error": {"code": "\0odd", "message": ["?"]}})
    ask_for(mara, "empty")
    ended(Kind.EMPTY, State.FAILED)
    wait_until(lambda: not Notification.objects.filter(sent_at=None).exclude(due_at=None).exists(), what="the mail")
    assert ines.get("/audit/export").status_code == 200
    exported = {"act": "export", "pick": list(Operation.objects.values_list("pk", flat=True))}
    assert mara.send("/operations/", exported, to="/operations/several").headers["Content-Type"].startswith("text/csv")
    for operation in Operation.objects.all():
        for page in (f"/operations/{operation.pk}/", f"/operations/{operation.pk}/lineage"):
            assert mara.get(page).status_code == 200
    for page in ("/operations/", "/approvals/", "/sessions/", "/orphans/"):
        assert mara.get(page).status_code == 200
    about = Operation.objects.exclude(imodel_id="")[:1].get()
    audit = [f"/itwins/{HARBOUR}/", f"/imodels/{about.imodel_id}/", f"/audit/people/{about.requested_by_id}/"]
    audit += ["/audit/operations/", "/audit/streams/"]
    audit += [f"/audit/operations/{pk}/" for pk in Operation.objects.values_list("pk", flat=True)]
    assert [page for page in audit if ines.get(page).status_code != 200] == []
    for page in ("/audit/", *(f"/admin/imodels_app/{name}/" for name in ("event", "operation", "user", "attempt"))):
        assert ines.get(page).status_code == 200
    Destination.objects.update(events=5)  # what its page cannot read: an error, with all that the log tells of one
    assert ines.get("/audit/streams/").status_code == 500
    Destination.objects.update(events=[])
    assert "connect/endsession" in tomas.send("/operations/", {}, to="/sign-out").text


def places(
    browsers: dict[str, Browser],
    processes: Any,
    mail_server: Any,
    redis_url: str,
    receiver: WebhookServer,
    sandbox: Any,
) -> Iterator[tuple[str, str]]:
    """All that somebody can read: (where, text)."""
    for person, browser in browsers.items():
        yield from ((f"{person}: {at}", text) for at, text in browser.heard)
    yield from (("a log", text) for text in processes.logs().values())
    yield "mail", "\n".join(map(str, mail_server.inbox))
    yield "chat and stream", sent(receiver)
    # Without the signature of an upload link, which belongs there: the journal leaves it out.
    yield from (("calls to the platform", f"{one.path}?{one.query}\n{one.text}") for one in sandbox.journal)
    yield "Redis", everything_in(redis_url)
    for model in apps.get_models():
        yield model.__name__, json.dumps(list(model._default_manager.values()), default=str, ensure_ascii=False)


def found(secrets: dict[str, str], texts: Iterator[tuple[str, str]]) -> set[tuple[str, str]]:
    """(secret, where) for each that is there, as it is or as addresses and pages write it."""
    written = {name: {secret, quote(secret, safe=""), html.escape(secret)} for name, secret in secrets.items()}
    return {
        (name, where) for where, text in texts for name, ways in written.items() if any(way in text for way in ways)
    }


def plant(secrets: dict[str, str], ines: Browser, mail_server: Any, redis_url: str, receiver: WebhookServer) -> None:
    """Put a secret where each place gets what it tells from."""
    Session.objects.update(client=secrets["session of mara"])
    ines.get(f"/{secrets['nonce of mara']}/")
    with smtplib.SMTP("127.0.0.1", mail_server.port) as smtp:
        smtp.sendmail("a@desk.example", ["b@desk.example"], f"Subject: {secrets['state of mara']}\n\n")
    with redis.Redis.from_url(redis_url) as client:
        client.set("planted", secrets["verifier of mara"])
    events.record("signed_in", at=clock.now(), note=secrets["code of tomas"])
    wait_until(lambda: secrets["code of tomas"] in sent(receiver), what="the event at its receiver")
    assert ines.get("/audit/export").status_code == 200
    User.objects.filter(is_staff=True).update(last_name=secrets["code of mara"])
    ines.get("/audit/numbers/")


def test_no_secret_is_where_somebody_could_read_it(
    desk, bridge_team, issued, sandbox, processes, mail_server, redis_url, receiver
):
    browsers = {name: Browser(desk) for name in ("mara", "tomas", "ines")}
    secrets = {f"{kind} of {name}": text for name, one in browsers.items() for kind, text in one.sign_in(name).items()}
    listen(browsers["ines"], receiver.url, bridge_team.pk)
    live_through(browsers, sandbox)
    secrets |= {f"issued {number}": text for number, text in enumerate(issued)}
    secrets |= {"client secret": settings.OIDC_CLIENT_SECRET, "SECRET_KEY": settings.SECRET_KEY}
    secrets |= {f"key {number}": key for number, key in enumerate(settings.TOKEN_KEYS)}
    secrets |= {"the chat's address": CHAT, "the stream's key": STREAM}
    assert len(issued) >= 10
    assert {event.verb for event in Event.objects.all()} >= {"signed_in", "approved", "failed", "exported", "file_sent"}
    assert mail_server.inbox
    assert {one.path for one in receiver.heard} == {CHAT, "/in"}
    searched = (browsers, processes, mail_server, redis_url, receiver, sandbox)

    assert found(secrets, places(*searched)) == set()

    # And those that are planted are found.
    plant(secrets, browsers["ines"], mail_server, redis_url, receiver)
    assert found(secrets, places(*searched)) == {
        ("session of mara", "Session"),
        ("nonce of mara", "a log"),
        ("nonce of mara", "ines: headers"),
        ("nonce of mara", "ines: text/html"),
        ("state of mara", "mail"),
        ("verifier of mara", "Redis"),
        ("code of tomas", "Event"),
        ("code of tomas", "chat and stream"),
        ("code of tomas", "ines: events.csv"),
        ("code of tomas", "ines: events.jsonl"),
        ("code of mara", "User"),
        ("code of mara", "ines: text/html"),
    }
