"""What the web server does with requests that do not arrive, answers that nobody reads, and strangers' files."""

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from waitress.adjustments import Adjustments

from dashboard import web as server
from imodels_app.accounts import session_keys
from tests.waiting import PATIENCE_S, wait_until

HALF_SENT = 200
ANSWER_WITHIN_S = 2.0
ROOM = 50  # connections, where few open files are allowed


@pytest.fixture
def web(processes):
    return urlsplit(processes.web())


def head(method: str = "POST", path: str = "/new/empty/", *, length: int = 1000, cookie: str = "") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {length}", *([cookie] if cookie else [])]
    return "\r\n".join([*lines, "", ""]).encode()


def chunked(length: int) -> bytes:
    lines = ["POST / HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked", "", f"{length:x}", ""]
    return "\r\n".join(lines).encode() + bytes(length)


@contextmanager
def half_sent(web, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    with ExitStack() as lines:
        held = [lines.enter_context(socket.create_connection((web.hostname, web.port))) for _ in range(count)]
        for line in held:
            line.sendall(sent)
        yield held


def seconds_for(web, path: str, *, cookie: str = "", within: float = PATIENCE_S) -> float:
    """How long a page takes, on a connection of its own."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(web.hostname, web.port, timeout=within)
    connection.request("GET", path, headers={"Host": web.netloc, "Cookie": cookie})
    assert connection.getresponse().status == 200
    connection.close()
    return time.monotonic() - began


def is_closed(line: socket.socket) -> bool:
    line.setblocking(False)
    try:
        return not line.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        return True


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
class TestHalfSentRequests:
    @pytest.mark.parametrize("sent", [head() + b"ab", b"POST / HT", head("PATCH", "/uploads/") + b"x", b""])
    def test_keep_nobody_else_waiting(self, web, sent):
        with half_sent(web, HALF_SENT, sent):
            for path in ("/healthz", "/sign-in/"):
                assert seconds_for(web, path) < PATIENCE_S

    def test_make_room_at_the_limit_of_connections(self, processes):
        """As on a machine that allows few open files."""
        web = urlsplit(processes.web(open_files=server.OTHER_FILES + ROOM))
        with half_sent(web, HALF_SENT, head() + b"ab") as lines:
            seconds_for(web, "/sign-in/")
            wait_until(lambda: sum(is_closed(line) for line in lines) >= HALF_SENT - ROOM, what="room")

    @pytest.mark.measure
    @pytest.mark.parametrize("drip", [b"", b"a"], ids=["then nothing", "then a byte each second"])
    def test_are_closed_while_others_notice_nothing(self, web, drip, client, mara, settings, record_property):
        client.force_login(mara)
        cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
        with half_sent(web, HALF_SENT, head(length=server.STRANGERS_BODY) + b"ab") as lines:
            worst, ends_at = 0.0, time.monotonic() + 90
            while time.monotonic() < ends_at:
                worst = max(worst, *(seconds_for(web, path, cookie=cookie) for path in ("/healthz", "/operations/")))
                for line in lines:
                    with suppress(OSError):
                        line.send(drip)
                time.sleep(1)
            closed = sum(is_closed(line) for line in lines)
        record_property("figure", f"slowest answer {worst:.2f} s, {closed} of {HALF_SENT} closed")
        assert (worst < ANSWER_WITHIN_S, closed) == (True, HALF_SENT)


class TestRequest:
    """How long a request may take to arrive."""

    @pytest.fixture
    def adjustments(self):
        return Adjustments()

    @pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost:", head() + b"ab"])
    def test_a_request_of_which_nothing_more_comes_is_overdue_after_the_grace(self, adjustments, sent):
        request = server.Request(adjustments)
        request.received(sent)
        assert not request.is_overdue(request.began + server.GRACE_S)
        assert request.is_overdue(request.began + server.GRACE_S + 1)

    def test_a_body_that_comes_at_the_least_rate_is_waited_for(self, adjustments):
        request = server.Request(adjustments)
        for data in (
            head(length=1024 * 1024, cookie=f"Cookie: desk-session={session_keys.new()}"),
            bytes(60 * server.LEAST_RATE),
        ):
            request.received(data)
        assert not request.is_overdue(request.began + server.GRACE_S + 59)
        assert request.is_overdue(request.began + server.GRACE_S + 61)


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
class TestStrangersFile:
    @pytest.mark.parametrize(
        ("sent", "answer"),
        [
            (head(length=server.STRANGERS_BODY + 1), b"HTTP/1.1 403"),
            (head("PATCH", "/uploads/x/", length=10**12), b"HTTP/1.1 413"),
            (head(length=server.STRANGERS_BODY + 1, cookie="Cookie: desk-session=; other=1"), b"HTTP/1.1 403"),
            (head(length=server.STRANGERS_BODY + 1, cookie="Cookie: desk-session=made-up"), b"HTTP/1.1 403"),
            (chunked(server.STRANGERS_BODY + 1), b"HTTP/1.1 403"),
        ],
    )
    def test_is_refused_before_it_is_read(self, web, sent, answer):
        with half_sent(web, 1, sent) as [line]:
            line.settimeout(PATIENCE_S)
            assert line.recv(100).startswith(answer)
