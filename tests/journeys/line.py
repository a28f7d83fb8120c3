"""A line between browser and desk that holds, or is cut, after so many bytes of a file, and counts what went up."""

import contextlib
import math
import socket
import threading

# What is not part of a file: requests for pages, and headers.
SMALL = 4096


class Line:
    """A TCP proxy on a port of its own. It carries all there is until it is told otherwise."""

    def __init__(self, to: tuple[str, int]) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._free = threading.Event()
        self._then_cut = False
        self._left = math.inf
        self.is_cut = False
        self.sent_up = 0
        self.mend()
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://localhost:{self._listener.getsockname()[1]}"

    def hold_after(self, size: int) -> None:
        """Carry so many bytes of a file and no more until mend(); pages come and go."""
        self._then_cut, self._left = False, size

    def cut_after(self, size: int) -> None:
        """Carry so many bytes of a file, then cut()."""
        self._then_cut, self._left = True, size

    def cut(self) -> None:
        """Every connection ends, and no new one is made until mend()."""
        self.is_cut = True
        _end(*self._open)
        self._open.clear()

    def mend(self) -> None:
        self.is_cut, self._left = False, math.inf
        self._free.set()

    def close(self) -> None:
        self.cut()
        self._free.set()
        _end(self._listener)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                browser, _ = self._listener.accept()
                if self.is_cut:
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
                if is_up and len(data) > SMALL:
                    self._spend(len(data))
                end.sendall(data)
                self.sent_up += len(data) if is_up else 0
        _end(start, end)
        start.close()

    def _spend(self, size: int) -> None:
        if self._left <= 0 and self._then_cut:
            self.cut()
        elif self._left <= 0:
            self._free.clear()
            self._free.wait()
        self._left -= size


def _end(*ends: socket.socket) -> None:
    """Wakes whoever waits at the other end; closing is for the thread that reads from it."""
    for one in ends:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
