"""A server whose connections stay open and can be cut, which faults need and Werkzeug's own does not offer."""

from __future__ import annotations

import contextlib
import io
import socket
import time
from typing import Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler


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

    def _answer(self, start: tuple[str, list[tuple[str, str]]], content: Any, stays: bool) -> None:
        code, _, reason = start[0].partition(" ")
        self.send_response(int(code), reason)
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
