"""The sandbox as a program: its Flask app, its server, and the handle that tests hold.

``Sandbox.start()`` runs it in a thread of the caller, ``RemoteSandbox(url)`` speaks to one in a process of its own;
both have the verbs of ``controls.Controls``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import threading
import time
from dataclasses import fields
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode

import requests
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from sandbox import api, errors, seed
from sandbox.controls import Controls, controls_of
from sandbox.errors import Refusal
from sandbox.faults import FOREIGN_HOST, Fault
from sandbox.identity import identity
from sandbox.identity_store import Client, Grants
from sandbox.imodels import imodels
from sandbox.itwins import access_control, itwins, users
from sandbox.journal import Entry, calls
from sandbox.limits import Limits
from sandbox.pages import pages
from sandbox.platform import Platform, current
from sandbox.storage import BlobRefused, storage
from sandbox.storage_files import BlobFiles
from sandbox.world import World
from sandbox.world_store import WorldStore

CLIENT_ID, CLIENT_SECRET = "imodel-desk-demo", "imodel-desk-demo-secret"


def build_app(platform: Platform) -> Flask:
    """All doors of one platform."""
    app = Flask("sandbox", root_path=str(Path(__file__).parent), static_folder=None)
    app.url_map.strict_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["sandbox"] = platform
    for blueprint in (imodels, itwins, users, access_control, storage, identity, pages):
        app.register_blueprint(blueprint)
    app.before_request(_arrive)
    app.after_request(_leave)
    app.register_error_handler(Refusal, _refused)
    app.register_error_handler(HTTPException, _no_such_path)
    return app


# -- the way of a request ------------------------------------------------------------------------------------------


def _arrive() -> Response | None:
    """Write the request down, let a fault strike, then check token, limits and version."""
    g.fault = None
    if request.path.startswith("/sandbox"):
        g.entry = None
        return None
    g.entry = current().journal.add(_entry())
    g.fault = current().faults.take(request.method, request.path, request.query_string.decode("latin-1"))
    if g.fault and g.fault.before_handling:
        g.entry.faulty = True
        return _strike(g.fault)
    if api.is_api(request.path):
        if (request.content_length or 0) > api.LARGEST_BODY:
            raise errors.request_too_large()
        api.admit()
    return None


def _leave(answer: Response) -> Response:
    """Let a fault spoil the answer, and write down what became of the request."""
    if g.get("entry") is None:
        return answer
    fault = g.fault
    if not answer.is_streamed and not answer.get_data():
        answer.headers.pop("Content-Type", None)  # an answer without a body has no type
    if fault and not fault.before_handling:
        answer = _spoil(fault, answer)
    g.entry.status = None if request.environ.get("sandbox.cut") else answer.status_code
    return answer


def _entry() -> Entry:
    """The request without its secrets: no headers, no signature, no form of the identity provider but its grant."""
    query = [
        (key, "..." if key in ("sig", "X-Goog-Signature") else value)
        for key, value in parse_qsl(request.query_string.decode("latin-1"))
    ]
    body: Any = None
    text = None
    if request.path.startswith("/connect"):
        query, body = [], request.form.get("grant_type")
    elif api.is_api(request.path) and 0 < (request.content_length or 0) <= api.LARGEST_BODY:
        body, text = _readable(request.get_data()), request.get_data().decode("utf-8", "replace")
    return Entry(
        at=current().world.clock(),
        method=request.method,
        path=request.path,
        query=urlencode(query, safe="$"),
        body=body,
        text=text,
        correlation_id=request.headers.get("X-Correlation-Id"),
        headers=tuple(sorted(request.headers.keys())) if request.path.startswith("/storage") else (),
    )


def _readable(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw[:2000].decode("utf-8", "replace")


def _strike(fault: Fault) -> Response:
    """A fault instead of handling."""
    fault.hold()
    if fault.hang_s:
        current().stopping.wait(fault.hang_s)
    if fault.hang_s or fault.cut:
        return _cut(Response(status=500))
    _wait(fault.slow_s)
    answer = _fault_answer(fault)
    answer.headers.update(fault.headers)
    retry_after = fault.retry_after_header()
    if retry_after is not None:
        answer.headers["Retry-After"] = retry_after
    return _cut(answer) if fault.lost_answer else answer


def _fault_answer(fault: Fault) -> Response:
    status = fault.status or 500
    if fault.body is None and request.path.startswith("/storage"):
        code = {403: "AuthenticationFailed", 500: "InternalError", 503: "ServerBusy"}.get(status, "InvalidInput")
        return BlobRefused(status, code, "The request did not work.").answer()
    if fault.body is None:
        return _refused(_documented(status))
    if isinstance(fault.body, str):
        kind = "text/html" if fault.body.lstrip().startswith("<") else "application/json"
        return Response(fault.body, status, content_type=fault.headers.get("Content-Type", kind))
    return Response(json.dumps(fault.body), status, mimetype="application/json")


def _documented(status: int) -> Refusal:
    """The error the pages show for a status."""
    known = {
        401: errors.unauthorized(),
        403: errors.insufficient_permissions(),
        404: errors.not_found("iModel"),
        409: errors.imodel_exists(),
        413: errors.request_too_large(),
        415: errors.unsupported_media_type(),
        429: errors.too_many_requests(api.rate_limit_code()),
    }
    return known.get(status, Refusal(status, "Unknown", "An unexpected error happened."))


def _spoil(fault: Fault, answer: Response) -> Response:
    """A fault after handling."""
    fault.hold()
    _wait(fault.slow_s)
    if fault.location:
        _bend_links(fault.location, answer)
    if fault.truncated:
        whole = answer.get_data()
        answer.set_data(whole[: len(whole) // 2])
    answer.headers.update(fault.headers)
    return _cut(answer) if fault.lost_answer else answer


def _bend_links(how: str, answer: Response) -> None:
    for name in ("Location", "Create-iModel-Operation"):
        href = answer.headers.get(name)
        if href is None:
            continue
        path = href.removeprefix(current().issuer)
        if how == "missing":
            del answer.headers[name]
        else:
            answer.headers[name] = path if how == "relative" else FOREIGN_HOST + path
            answer.autocorrect_location_header = False


def _wait(seconds: float) -> None:
    if seconds:
        current().stopping.wait(seconds)


def _cut(answer: Response) -> Response:
    """Have the connection shut before a byte of the answer leaves."""
    request.environ["sandbox.cut"] = True
    return answer


def _refused(refusal: Refusal) -> Response:
    return Response(json.dumps(refusal.as_json()), refusal.status, refusal.headers, mimetype="application/json")


def _no_such_path(problem: HTTPException) -> Response:
    """What no page describes: an unknown path, or a method it does not have."""
    if problem.response is not None:
        return problem.response  # type: ignore[return-value]
    status = problem.code or 500
    code = {404: "ResourceNotFound", 405: "MethodNotAllowed"}.get(status, problem.name.replace(" ", ""))
    return _refused(Refusal(status, code, problem.description or problem.name))


# -- the server --------------------------------------------------------------------------------------------------


class Counted(io.RawIOBase):
    """The body of a request; knows how much of it is still in the connection."""

    def __init__(self, source: Any, length: int) -> None:
        self.source, self.left = source, length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece: bytes = self.source.read(min(len(buffer), self.left)) if self.left else b""
        if not piece:
            return 0
        buffer[: len(piece)] = piece
        self.left -= len(piece)
        return len(piece)

    def drain(self, at_most: int) -> bool:
        """Read what the application left; False if that is too much to be worth it."""
        if self.left > at_most:
            return False
        while self.left and self.read(min(self.left, 65536)):
            pass
        return self.left == 0


class Handler(WSGIRequestHandler):
    """HTTP/1.1 with connections that stay open, which Werkzeug's own handler never allows, and that can be cut."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def run_wsgi(self) -> None:
        environ = self.make_environ()
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = None
        if "chunked" not in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
            body = Counted(self.rfile, int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BufferedReader(body)
        started: list[Any] = []
        content = self.server.app(environ, lambda status, headers, exc_info=None: started.append((status, headers)))  # type: ignore[arg-type]
        try:
            if environ.get("sandbox.cut"):
                self._shut()
                return
            stays = body is not None and body.drain(at_most=4 * 1024 * 1024) and self._client_stays()
            self._answer(started[-1], content, stays)
            if not stays:
                self._linger()
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        finally:
            if hasattr(content, "close"):
                content.close()

    def _client_stays(self) -> bool:
        return self.request_version == "HTTP/1.1" and self.headers.get("Connection", "").lower() != "close"

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date of an answer is by the platform's clock."""
        return super().date_time_string(int(self.server.clock() if timestamp is None else timestamp))

    def _answer(self, start: tuple[str, list[tuple[str, str]]], content: Any, stays: bool) -> None:
        code, _, reason = start[0].partition(" ")
        has_date = any(name == "Date" for name, _ in start[1])  # a fault's
        (self.send_response_only if has_date else self.send_response)(int(code), reason)
        for name, value in start[1]:
            self.send_header(name, value)
        if not stays:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            for piece in content:
                self.wfile.write(piece)
        self.wfile.flush()

    def _shut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _linger(self) -> None:
        """Let a client that still sends read our answer: stop writing, then throw away what comes."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(2)
        while self.connection.recv(1024 * 1024):
            pass

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if self.server.verbose:
            path = self.path.partition("?")[0]
            print(f"{time.strftime('%H:%M:%S')} {self.command} {path} {code}", flush=True)


class Server(ThreadedWSGIServer):
    """Knows its open connections, so that stopping it really ends them."""

    daemon_threads = True
    request_queue_size = 128
    verbose = False
    clock = staticmethod(time.time)

    def __init__(self, host: str, port: int) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(host, port, _not_yet, Handler)

    def shut_connections(self) -> None:
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _not_yet(environ: Any, start_response: Any) -> list[bytes]:
    start_response("503 Service Unavailable", [("Content-Length", "0")])
    return []


# -- handles -----------------------------------------------------------------------------------------------------


class Sandbox(Controls):
    """A running sandbox in this process. ``url`` is its issuer and the root of its APIs."""

    def __init__(self, platform: Platform, server: Server, store: WorldStore | None) -> None:
        super().__init__(platform)
        self._server, self._store = server, store
        self.url = platform.issuer
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @classmethod
    def start(
        cls,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        speed: float = 1.0,
        tier: str = "basic",
        world_file: str | os.PathLike[str] | None = None,
        limits: bool = True,
        issuer: str | None = None,
        browser_url: str | None = None,
        redirect_uris: list[str] | None = None,
        clients: list[Client] | None = None,
        token_lifetime_s: float = 3600,
        verbose: bool = False,
    ) -> Sandbox:
        """Start in a thread; it answers when this returns. Port 0 picks a free one."""
        server = Server(host, port)
        server.verbose = verbose
        issuer = (issuer or f"http://{host}:{server.port}").rstrip("/")
        path = Path(world_file) if world_file else None
        platform = Platform(
            issuer=issuer,
            browser_url=(browser_url or issuer).rstrip("/"),
            world=World(speed=speed),
            grants=Grants(
                clients or [Client(CLIENT_ID, CLIENT_SECRET)], issuer=issuer, token_lifetime_s=token_lifetime_s
            ),
            limits=Limits(tier, enforced=limits),
            blobs=BlobFiles(path.with_suffix(path.suffix + ".blobs") if path else None),
            redirect_uris=redirect_uris or [],
            world_file=path,
        )
        store = WorldStore(platform, path) if path else None
        if not (store and store.load()):
            seed.plant(platform.world)
        if store:
            store.watch()
        server.app = build_app(platform)
        server.clock = platform.time
        sandbox = cls(platform, server, store)
        sandbox._thread.start()
        return sandbox

    def stop(self) -> None:
        """Stop listening, end every connection, save the world."""
        self.platform.stopping.set()
        self.platform.faults.clear()
        self._server.shutdown()
        self._server.shut_connections()
        self._server.server_close()
        self._thread.join(5)
        if self._store:
            self._store.close()
        self.platform.blobs.close()

    def wait(self) -> None:
        """Until stopped."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class RemoteSandbox:
    """The same verbs for a sandbox that runs in another process, over ``/sandbox/do/...``."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        about = self._get("world")
        self.ids: dict[str, str] = about["ids"]
        self.people: dict[str, dict[str, str]] = about["people"]
        self.client_id: str = about["client_id"]
        self.client_secret: str = about["client_secret"]

    def _get(self, what: str) -> Any:
        answer = self._session.get(f"{self.url}/sandbox/{what}", timeout=10)
        answer.raise_for_status()
        return answer.json()

    def do(self, verb: str, **arguments: Any) -> Any:
        answer = self._session.post(f"{self.url}/sandbox/do/{verb}", json=arguments, timeout=10)
        answer.raise_for_status()
        return answer.json()["answer"]

    @property
    def journal(self) -> list[Entry]:
        known = {one.name for one in fields(Entry)}
        return [Entry(**{key: value for key, value in entry.items() if key in known}) for entry in self._get("journal")]

    def calls(self, method: str, path: str) -> int:
        return calls(self.journal, method, path)

    def fault(self, method: str, path: str, **how: Any) -> None:
        self.do("fault", method=method, path=path, **how)

    def next_outcome(self, state: str) -> None:
        self.do("next_outcome", state=state)

    def finish(self, imodel_id: str, state: str = "successful") -> None:
        self.do("finish", imodel_id=imodel_id, state=state)

    def initialize(self, imodel_id: str) -> None:
        self.do("initialize", imodel_id=imodel_id)

    def revoke(self, person: str) -> None:
        self.do("revoke", person=person)

    def tokens_for(self, person: str) -> dict[str, Any]:
        tokens: dict[str, Any] = self.do("tokens_for", person=person)
        return tokens

    def __getattr__(self, verb: str) -> Any:
        """reset, clear_faults, expire_tokens, advance_manually, limits_off, switch, ...: as Controls has them."""
        if verb.startswith("_") or verb not in controls_of():
            raise AttributeError(verb)
        return lambda **arguments: self.do(verb, **arguments)


__all__ = ["RemoteSandbox", "Sandbox", "build_app"]
