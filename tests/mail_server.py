"""A mail server that keeps what it is given, on loopback, and can be slow, deaf or refuse people."""

import socketserver
import threading
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from django.db.models import F


def deliver() -> None:
    """A round of mail, as if nothing more had come for its readers for a while."""
    from imodels_app.models import Notification
    from imodels_app.notifications import outbox

    waiting = Notification.objects.filter(tries=0, sent_at=None, due_at__isnull=False)
    waiting.update(due_at=F("due_at") - outbox.QUIET_FOR)
    outbox.send_due()


def text_of(mail: EmailMessage) -> str:
    """What programs without HTML show."""
    body = mail.get_body(("plain",))
    assert body
    text: str = body.get_content()
    return text


class MailServer:
    """As little of SMTP as a client needs (RFC 5321).

    silent    takes connections and never says a word; they are the ones waiting
    refuses   addresses that it does not know
    drops     addresses at which it ends the connection without a word
    loses     whether the answer to the next message that it takes is lost
    """

    def __init__(self) -> None:
        self.inbox: list[EmailMessage] = []
        self.silent = False
        self.refuses: set[str] = set()
        self.drops: set[str] = set()
        self.loses: Callable[[], bool] = lambda: False
        self.connections = 0
        self.waiting = 0
        self.stopping = threading.Event()
        self._server: socketserver.ThreadingTCPServer | None = None
        self.port = 0

    def start(self) -> None:
        """Listen; on the same port again after stop()."""
        socketserver.ThreadingTCPServer.allow_reuse_address = True
        server = socketserver.ThreadingTCPServer(("127.0.0.1", self.port), _Talk)
        server.daemon_threads, server.mail = True, self  # type: ignore[attr-defined]
        self.port, self._server = server.server_address[1], server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Nobody listens any more."""
        self.stopping.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
        self._server, self.stopping = None, threading.Event()

    def to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.inbox if mail["To"] == address]


class _Talk(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        mail: Any = self.server.mail  # type: ignore[attr-defined]
        mail.connections += 1
        if mail.silent:
            mail.waiting += 1
            mail.stopping.wait(300)
            mail.waiting -= 1
            return
        self._say("220 desk.example")
        while line := self.rfile.readline().decode().strip():
            word = line[:4].upper()
            if word in ("EHLO", "HELO"):
                self._say("250 desk.example")
            elif word == "RCPT" and any(address in line for address in mail.drops):
                return
            elif word == "RCPT" and any(address in line for address in mail.refuses):
                self._say("550 No such person here")
            elif word == "DATA":
                self._say("354 Go on")
                mail.inbox.append(message_from_bytes(self._data(), policy=policy.default))
                if mail.loses():
                    return
                self._say("250 Taken")
            elif word == "QUIT":
                self._say("221 Bye")
                return
            else:
                self._say("250 OK")

    def _data(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b"..") else line)
        return b"".join(lines)

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())
