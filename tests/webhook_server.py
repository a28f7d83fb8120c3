"""A receiver of webhooks on loopback: keeps what it is sent, and can be down, refuse, or take and never answer."""

import http.server
import json
import threading
from collections.abc import Callable
from typing import Any, NamedTuple


class Heard(NamedTuple):
    """One request that arrived. taken: whether it was accepted, even if the answer was lost."""

    path: str
    headers: dict[str, str]
    body: bytes
    taken: bool

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class WebhookServer:
    """answers: statuses, one each; the last stays. 0: takes the message, and ends the connection without a word.

    loses: whether the next answer is lost
    """

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.answers = [200]
        self.headers: dict[str, str] = {}
        self.loses: Callable[[], bool] = lambda: False
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def once_each(self) -> dict[str, Heard]:
        """What a receiver keeps that knows repeats by their id: of those that it took."""
        return {one.headers["webhook-id"]: one for one in self.heard if one.taken}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next_answer(self) -> int:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def _handler(server: WebhookServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = server.next_answer()
            server.heard.append(Heard(self.path, headers, body, taken=status in (0, 200)))
            if not status or server.loses():
                return
            self.send_response(status)
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler
