"""The web server: gunicorn keeps the processes, waitress reads the requests.

    gunicorn --config python:dashboard.web dashboard.wsgi

Waitress takes a thread only for a request that has arrived whole, so connections that send half of one and then
nothing keep no thread busy. What it lacks is added here:

- A request that arrives too slowly is closed, however often it sends another byte; so is an answer nobody reads.
- At the limit of connections the one that has been silent longest makes room, instead of nobody being let in.
- Health checks have threads of their own: of the two that there are, neither waits for the other.
- Of a thousand open connections its loop looks at those where something happens, not each time at all of them.
- What arrives waits on the disk for baseline files, as far as that has room, and nobody may fill it.
- No body is read of strangers: what they send is answered as if nothing had been in it.
"""

import os
import resource
import selectors
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import parse_cookie
from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher
from waitress.utilities import Error

from imodels_app.accounts import session_keys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")

# How long headers may take, and a body before its least rate counts. A browser sends both at once.
GRACE_S = 20.0
# Bytes a second, as slow as a bad mobile connection: a piece of a baseline file (8 MiB) may take half an hour.
LEAST_RATE = 4096
# How long a connection may do nothing: longer than the pause between two polls of a live page.
SILENCE_S = 30
# What may be sent without a session, where it may be at all: more than any form, far less than a disk.
MIB = 1024 * 1024
STRANGERS_BODY = MIB
# What is sent by people who are nobody's: how pages look, and a sign-out that comes twice.
OPEN_TO_STRANGERS = ("/theme", "/sign-out", "/admin/logout/")
# A whole baseline file may come with a form, without JavaScript. (Read here, in the process that starts the others:
# settings that make no sense end it.)
LARGEST_BODY = settings.BASELINE_MAX_MIB * MIB + STRANGERS_BODY
CONNECTIONS = 2000
# What a process opens beside its connections: the database, Redis, the platform, files that are being received.
OTHER_FILES = 200
HEALTH = ("/healthz", "/readyz")


class Connections(dict[int, Any]):
    """What waitress listens to, by number of file: the listening socket, the end of a pipe that wakes it, and channels.

    What one waits for changes by what happens on it, by threads while they work for it, and by Server.maintenance().
    """

    def __init__(self) -> None:
        super().__init__()
        self.changed: set[int] = set()
        self._selector = selectors.DefaultSelector()

    def __setitem__(self, number: int, one: Any) -> None:
        super().__setitem__(number, one)
        self.changed.add(number)

    def __delitem__(self, number: int) -> None:
        super().__delitem__(number)
        self.changed.discard(number)
        # Its number is soon another one's.
        self._wait_for(number, 0)

    def turn(self, timeout_s: float) -> None:
        """Wait until something happens, and handle it."""
        for number in tuple(self.changed):
            self._look_at(number)
        for key, events in self._selector.select(timeout_s):
            for event, handle in ((selectors.EVENT_READ, wasyncore.read), (selectors.EVENT_WRITE, wasyncore.write)):
                if events & event and self.get(key.fd) is key.data:
                    handle(key.data)
                    self.changed.add(key.fd)

    def _look_at(self, number: int) -> None:
        one = self.get(number)
        if one is None or not (one.accepting or getattr(one, "requests", None)):
            self.changed.discard(number)
        if one is not None:
            reads, writes = one.readable(), one.writable() and not one.accepting
            self._wait_for(number, selectors.EVENT_READ * bool(reads) | selectors.EVENT_WRITE * bool(writes))

    def _wait_for(self, number: int, events: int) -> None:
        known = self._selector.get_map().get(number)
        if known and events:
            if known.events != events:
                self._selector.modify(number, events, known.data)
        elif known:
            self._selector.unregister(number)
        elif events:
            self._selector.register(number, events, self[number])


class NoRoom(Error):  # type: ignore[misc]
    code = 507
    reason = "Insufficient Storage"


class Request(HTTPRequestParser):  # type: ignore[misc]
    """A request while it arrives. others: gives what else is under way."""

    completed: bool
    error: Error | None
    # What cannot be read as a request has none.
    path = ""

    def __init__(self, adj: Adjustments, others: Callable[[], Iterable["Request"]] = tuple) -> None:
        super().__init__(adj)
        self.began = time.monotonic()
        self._others = others

    def is_overdue(self, now: float) -> bool:
        return bool(now - self.began > GRACE_S + self.body_bytes_received / LEAST_RATE)

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if self.headers_finished and not self.completed:
            if self._size > self._most:
                self._go_on_without_body()
                return len(data)
            if not self._has_room:
                self.error = NoRoom("There is no space for this at the moment. Try again later.")
                self.completed = True
        return consumed

    @property
    def _size(self) -> int:
        """Of the body, as announced, or as far as it has come."""
        return int(max(self.content_length, self.body_bytes_received, self.chunked))

    @cached_property
    def _most(self) -> int:
        """How large a body is read of whoever sent these headers."""
        if self.session:
            # A file says how large it is.
            return STRANGERS_BODY if self.chunked else int(LARGEST_BODY)
        # Who was signed in here once finds again what they typed in a page that is older.
        is_no_stranger = self.path in OPEN_TO_STRANGERS or self._key_in(settings.KNOWN_COOKIE_NAME)
        return STRANGERS_BODY if is_no_stranger else 0

    @cached_property
    def session(self) -> str:
        """The key of the session, which may have ended; "" without one that is ours."""
        return self._key_in(settings.SESSION_COOKIE_NAME)

    def _key_in(self, cookie: str) -> str:
        key = parse_cookie(self.headers.get("COOKIE", "")).get(cookie, "")
        return key if session_keys.is_ours(key) else ""

    @cached_property
    def _has_room(self) -> bool:
        """Whether a file fits on the disk beside all that still comes, and in what one session may bring at once."""
        if self.content_length <= STRANGERS_BODY:
            return True
        files = [one for one in self._others() if one is not self and one.content_length > STRANGERS_BODY]
        own = sum(one.content_length for one in files if one.session == self.session)
        awaited = sum(one.content_length - one.body_bytes_received for one in files)
        free = shutil.disk_usage(settings.STAGING_DIR).free - settings.STAGING_RESERVE_MIB * MIB
        most = min(settings.STAGING_PERSON_MIB * MIB - own, free - awaited)
        return bool(self.content_length <= most)

    def _go_on_without_body(self) -> None:
        """Have it answered at once. Whatever comes after its headers is nobody's request: this was the last one."""
        self.close()
        self.body_rcv, self.chunked, self.expect_continue = None, False, False
        self.headers |= {"CONTENT_LENGTH": "0", "CONNECTION": "close"}
        self.completed = True


class OwnAnswer(ErrorTask):  # type: ignore[misc]
    """What is answered here, because no page could: a request that is none, or too large."""

    def execute(self) -> None:
        self.response_headers.extend(settings.HEADERS_WITHOUT_PAGE.items())
        super().execute()


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection."""

    error_task_class = OwnAnswer

    def __init__(self, server: "Server", *arguments: Any, **named: Any) -> None:
        self.parser_class = partial(Request, others=server.requests_under_way)
        super().__init__(server, *arguments, **named)

    def is_at_work(self) -> bool:
        """Whether a request of it has arrived whole and is not answered yet."""
        return bool(self.requests)

    def is_done_with(self, now: float) -> bool:
        """Whether it is too slow, or silent while neither side works."""
        if self.request is not None and self.request.is_overdue(now):
            return True
        waits_for_nothing = not self.is_at_work() or bool(self.total_outbufs_len)
        return waits_for_nothing and time.time() - self.last_activity > SILENCE_S


class Server(TcpWSGIServer):  # type: ignore[misc]
    channel_class = Channel

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.health_dispatchers: dict[str, Any] = {path: _threads(1) for path in HEALTH}
        self.connections = Connections()
        super().__init__(*arguments, map=self.connections, **named)

    def is_at_work(self) -> bool:
        return any(channel.is_at_work() for channel in self.active_channels.values())

    def requests_under_way(self) -> list[Request]:
        """Those that arrive, and those that have arrived and are not answered yet."""
        channels = self.active_channels.values()
        return [one for channel in channels for one in (channel.request, *channel.requests) if one]

    def add_task(self, task: Channel) -> None:
        dispatcher: Any = self.health_dispatchers.get(task.requests[0].path, self.task_dispatcher)
        dispatcher.add_task(task)

    def maintenance(self, now: float) -> None:
        for channel in self.active_channels.values():
            if channel.is_done_with(time.monotonic()):
                channel.will_close = True
                self.connections.changed.add(channel._fileno)

    def handle_accept(self) -> None:
        super().handle_accept()
        if len(self.connections) >= self.adj.connection_limit:
            self._make_room()

    def _make_room(self) -> None:
        idle = [channel for channel in self.active_channels.values() if not channel.is_at_work()]
        if idle:
            min(idle, key=lambda channel: channel.last_activity).handle_close()


class WebWorker(Worker):  # type: ignore[misc]
    """A gunicorn worker whose requests waitress reads."""

    def run(self) -> None:
        server = self._server()
        while self.alive and self.ppid == os.getppid():
            self._turn(server)
        server.del_channel()  # lets nobody in any more; the listening socket is the other workers', too
        ends_at = time.monotonic() + self.cfg.graceful_timeout
        while server.is_at_work() and time.monotonic() < ends_at:
            self._turn(server)

    def _server(self) -> Server:
        # Larger bodies wait on the disk for baseline files, not in /tmp: in a container that is memory.
        settings.STAGING_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.tempdir = str(settings.STAGING_DIR)
        allowed = _allow_files(CONNECTIONS + OTHER_FILES)
        listener = self.sockets[0].sock
        adjustments = Adjustments(
            connection_limit=min(CONNECTIONS, allowed - OTHER_FILES),
            cleanup_interval=1,
            max_request_body_size=LARGEST_BODY,
            outbuf_high_watermark=STRANGERS_BODY,
            recv_bytes=256 * 1024,
            # Who is believed about the client's address and scheme is Django's settings' to say.
            clear_untrusted_proxy_headers=False,
            ident=None,
        )
        where = (listener.family, listener.type, listener.proto, listener.getsockname())
        return Server(
            self.wsgi,
            _sock=listener,
            dispatcher=_threads(self.cfg.threads),
            adj=adjustments,
            bind_socket=False,
            sockinfo=where,
        )

    def _turn(self, server: Server) -> None:
        self.notify()
        server.connections.turn(1.0)


def _threads(count: int) -> ThreadedTaskDispatcher:
    dispatcher = ThreadedTaskDispatcher()
    dispatcher.set_thread_count(count)
    return dispatcher


def _allow_files(wanted: int) -> int:
    """Raise the limit of open files as far as this process may; what it is then."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    return allowed


# gunicorn's own settings, by their names there; its command line may say otherwise.
worker_class = "dashboard.web.WebWorker"
workers = 2
threads = 16
# Longer than a page that waits for the platform, shorter than compose's ten seconds before it kills.
graceful_timeout = 8
# A worker whose loop stands still this long is replaced. What threads do has no part in it.
timeout = 60
# Nobody asks its processes questions over a socket.
control_socket_disable = True
# Its heartbeat file: a container writes to memory only.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - the kernel's own
