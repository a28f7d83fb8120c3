"""A line between browser and desk that can be slow, cut and mended, and that counts what went up."""

import contextlib
import socket
import threading
import time


class Line:
    """A TCP proxy on a port of its own. mib_s: how fast it carries bytes up; 0 is as fast as it can."""

    def __init__(self, to: tuple[str, int]) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._is_cut = False
        self.mib_s = 0.0
        self.sent_up = 0
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://localhost:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        """Every connection ends, and no new one is made until mend()."""
        self._is_cut = True
        _end(*self._open)
        self._open.clear()

    def mend(self) -> None:
        self._is_cut = False

    def close(self) -> None:
        self.cut()
        _end(self._listener)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                browser, _ = self._listener.accept()
                if self._is_cut:
                    browser.close()
                    continue
                desk = socket.create_connection(self._to)
                self._open += [browser, desk]
                for ends in ((browser, desk, True), (desk, browser, False)):
                    self._threads.append(threading.Thread(target=self._carry, args=ends, daemon=True))
                    self._threads[-1].start()

    def _carry(self, start: socket.socket, end: socket.socket, is_up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := start.recv(65536):
                if is_up and self.mib_s and len(data) > 4096:
                    time.sleep(len(data) / self.mib_s / 2**20)
                end.sendall(data)
                self.sent_up += len(data) if is_up else 0
        _end(start, end)
        start.close()


def _end(*ends: socket.socket) -> None:
    """Wakes whoever waits at the other end; closing is for the thread that reads from it."""
    for one in ends:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
