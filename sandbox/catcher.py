"""Catches what a program tells people: a mail server, and addresses that take the cards of chats. Nothing is sent on.

The page /sandbox/messages/ shows both, newest first; they are gone when the sandbox ends.
"""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from flask import Blueprint, Response, render_template, request

from sandbox.caught import Caught, Messages
from sandbox.platform import current

LARGEST = 1_000_000

catcher = Blueprint("catcher", __name__, url_prefix="/sandbox")


@catcher.get("/messages/")
def page() -> str:
    return render_template("messages.html", messages=current().messages.newest)


@catcher.post("/chats/<name>")
def take_card(name: str) -> Response:
    """Take what a chat would: a message of Teams' workflows, or of Slack's incoming webhooks."""
    body = request.get_json(silent=True)
    if not isinstance(body, dict) or (request.content_length or 0) > LARGEST:
        return Response("no card", 400)
    lines = [line for line in (_of_teams(body) if "attachments" in body else _of_slack(body)) if line[0]]
    if not lines:
        return Response("no card", 400)
    title, *rest = lines
    current().messages.add(Caught(f"chat: {name}", title[0], request.headers.get("webhook-id", ""), rest))
    return Response("1", 202)


def _of_teams(body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for attachment in body["attachments"]:
        card = attachment.get("content", {})
        for block in card.get("body", []):
            yield "".join(run["text"] for run in block.get("inlines", [])) or block.get("text", ""), ""
        for action in card.get("actions", []):
            yield action.get("title", ""), action.get("url", "")


def _of_slack(body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for block in body.get("blocks", []):
        text = block.get("text", {}).get("text", "")
        url, bar, label = text.removeprefix("<").removesuffix(">").partition("|")
        yield (label, url) if bar and text.startswith("<http") else (text, "")


class MailServer(socketserver.ThreadingTCPServer):
    """As little of SMTP as a mailer needs (RFC 5321)."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, host: str, port: int, messages: Messages) -> None:
        self.messages = messages
        super().__init__((host, port), _Talk)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Talk(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._say("220 sandbox")
        while line := self.rfile.readline(1000).decode("latin-1").strip():
            word = line[:4].upper()
            if word == "DATA":
                self._say("354 Go on")
                self.server.messages.add(_caught(message_from_bytes(self._data(), policy=policy.default)))
            self._say("221 Bye" if word == "QUIT" else "250 OK")
            if word == "QUIT":
                return

    def _data(self) -> bytes:
        lines, size = [], 0
        while (line := self.rfile.readline(10_000)) not in (b".\r\n", b""):
            size += len(line)
            if size < LARGEST:
                lines.append(line[1:] if line.startswith(b"..") else line)
        return b"".join(lines)

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


def _caught(mail: EmailMessage) -> Caught:
    body = mail.get_body(("plain",))
    text = body.get_content() if body else ""
    lines = [_linked(line) for line in text.splitlines()]
    return Caught(str(mail["To"]), str(mail["Subject"]), str(mail["Message-ID"]), lines)


def _linked(line: str) -> tuple[str, str]:
    """“Details: http://…” is a link that is called Details."""
    label, _, url = line.strip().rpartition(" ")
    return (label.rstrip(":") or url, url) if url.startswith(("http://", "https://")) else (line, "")
