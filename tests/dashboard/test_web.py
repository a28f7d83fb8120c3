"""What the web server does with requests that do not arrive, answers that nobody reads, and strangers' files."""

import http.client
import shutil
import socket
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.urls import resolve
from waitress.adjustments import Adjustments

from dashboard import web as server
from imodels_app.accounts import session_keys
from imodels_app.models import RefusedAccess
from imodels_app.states import Verb
from tests.waiting import PATIENCE_S, wait_until

HALF_SENT = 200
ANSWER_WITHIN_S = 2.0
ROOM = 50  # connections, where few open files are allowed


@pytest.fixture
def web(processes):
    return urlsplit(processes.web())


def head(method: str = "POST", path: str = "/new/empty/", *, length: int = 1000, cookie: str | None = None) -> bytes:
    """cookie: None for that of a session."""
    cookie = f"desk-session={session_keys.new()}" if cookie is None else cookie
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {length}", f"Cookie: {cookie}"]
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
    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    def test_keep_nobody_else_waiting(self, web, method):
        halves = (head(method) + b"ab", b"POST / HT", b"")
        with ExitStack() as lines:
            for half in halves:
                lines.enter_context(half_sent(web, HALF_SENT // len(halves), half))
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


@pytest.fixture
def adjustments():
    return Adjustments()


class TestRequest:
    """How long a request may take to arrive."""

    @pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost:", None], ids=["nothing", "half a head", "a head"])
    def test_a_request_of_which_nothing_more_comes_is_overdue_after_the_grace(self, adjustments, sent):
        request = server.Request(adjustments)
        request.received(head() if sent is None else sent)
        assert not request.is_overdue(request.began + server.GRACE_S)
        assert request.is_overdue(request.began + server.GRACE_S + 1)

    def test_a_body_that_comes_at_the_least_rate_is_waited_for(self, adjustments):
        request = server.Request(adjustments)
        request.received(head(length=1024 * 1024))
        request.received(bytes(60 * server.LEAST_RATE))
        assert not request.is_overdue(request.began + server.GRACE_S + 59)
        assert request.is_overdue(request.began + server.GRACE_S + 61)


class TestRoom:
    """What arrives waits on the disk for baseline files: as much as fits, and of one session what a person may have."""

    @pytest.fixture
    def bring(self, adjustments, settings, tmp_path):
        """bring(MiB, session) announces a body beside those of before; the status of the answer, 0 while it comes."""
        settings.STAGING_DIR, settings.STAGING_RESERVE_MIB, settings.STAGING_PERSON_MIB = tmp_path, 0, 10
        keys: dict[str, str] = defaultdict(session_keys.new)
        under_way: list[server.Request] = []

        def announce(mib: int, session: str) -> int:
            request = server.Request(adjustments, lambda: under_way)
            under_way.append(request)
            request.received(head(length=mib * server.MIB, cookie=f"desk-session={keys[session]}"))
            return request.error.code if request.error else 0

        return announce

    def test_one_session_brings_no_more_at_once_than_a_person_may_keep(self, bring):
        assert [bring(6, "mara"), bring(4, "mara"), bring(2, "mara"), bring(1, "mara")] == [0, 0, 507, 0]
        assert bring(6, "otto") == 0

    def test_what_would_fill_the_disk_is_refused_with_its_headers(self, bring, settings):
        settings.STAGING_RESERVE_MIB = shutil.disk_usage(settings.STAGING_DIR).free // server.MIB - 500
        settings.STAGING_PERSON_MIB = 10**6

        assert [bring(400, "mara"), bring(400, "otto"), bring(1, "otto")] == [0, 507, 0]

    @pytest.mark.processes
    @pytest.mark.django_db(transaction=True)
    def test_it_waits_in_the_folder_of_baseline_files(self, web, processes):
        with half_sent(web, 1, head(length=3 * server.MIB) + bytes(2 * server.MIB)):
            wait_until(lambda: str(settings.STAGING_DIR) in processes.open_files_of_web(), what="the body on disk")


STRANGERS = ["", "desk-session=; other=1", "desk-session=made-up", f"desk-known={'x' * 40}"]


def answer_to(web, sent: bytes) -> bytes:
    """All that comes back, until the other end closes."""
    answer = b""
    with half_sent(web, 1, sent) as [line]:
        line.settimeout(PATIENCE_S)
        with suppress(ConnectionResetError):
            while came := line.recv(65536):
                answer += came
    return answer


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
class TestBodyOfAStranger:
    """A body without a session is refused before it is read, however small it is."""

    def test_is_answered_before_it_comes(self, web):
        for cookie in STRANGERS:
            for sent in (head(cookie=cookie), head(cookie=cookie, length=server.STRANGERS_BODY + 1) + b"ab"):
                assert answer_to(web, sent).startswith(b"HTTP/1.1 403"), cookie
        assert answer_to(web, chunked(10)[:-5]).startswith(b"HTTP/1.1 403")
        assert answer_to(web, head("PATCH", length=10**12)).startswith(b"HTTP/1.1 413")

    def test_is_no_second_request(self, web):
        second = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

        answer = answer_to(web, head(length=len(second), cookie="") + second + second)

        assert answer.count(b"HTTP/1.1 ") == 1

    def test_is_in_the_record_like_any_form_without_our_token(self, web):
        answer_to(web, head(cookie=""))

        assert RefusedAccess.objects.get().verb == Verb.CSRF_REFUSED

    def test_of_whoever_was_signed_in_here_once_is_read(self, web):
        """They find what they typed: tests/views/test_new_imodel.py."""
        form = b"csrfmiddlewaretoken=%b&name=Pier+7" % (b"x" * 32)
        cookie = f"desk-known={session_keys.new()}; desk-csrf={'x' * 32}"
        sent = head(length=len(form), cookie=cookie).replace(
            b"Cookie:", b"Connection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nCookie:"
        )

        answer = answer_to(web, sent + form)

        assert answer.startswith(b"HTTP/1.1 422")
        assert b"Pier 7" in answer

    @pytest.mark.parametrize("path", server.OPEN_TO_STRANGERS)
    def test_is_read_where_no_session_is_needed(self, adjustments, path):
        assert resolve(path)
        request = server.Request(adjustments)
        request.received(head(path=path, cookie="", length=2) + b"ab")
        request.received(b"ab")
        assert request.get_body_stream().read() == b"ab"


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_what_the_server_answers_by_itself_is_kept_by_nobody(web):
    too_long = b"GET / HTTP/1.1\r\nX: " + bytes(300_000)
    for status, sent in {400: b"GET\r\n\r\n", 413: head(length=10**12), 431: too_long}.items():
        answer = answer_to(web, sent)
        assert answer.split()[1] == b"%d" % status
        for name, value in settings.HEADERS_WITHOUT_PAGE.items():
            assert f"{name}: {value}\r\n".encode() in answer
