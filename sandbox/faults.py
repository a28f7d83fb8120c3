"""What goes wrong next: faults that wait for a matching request.

A fault matches a method and a regular expression on the path (without its last slash), for the next ``times``
requests or for ``for_s`` seconds. It strikes before the platform handles the request (an answer of its own, a cut, a
hang) or after it (answer replaced, lost, delayed, held, cut short, odd Location).
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

FOREIGN_HOST = "https://elsewhere.example"
# A client that waits for ever shall not.
LONGEST_HOLD_S = 300.0


@dataclass
class Fault:
    """One way to misbehave.

    status, body, headers   answer this instead of handling the request; a body that is no text is sent as JSON;
                            without a body the documented error of that status is sent
    answered                handle the request all the same, and answer the above in place of what came of it
    lost_answer             handle the request, then cut the connection without an answer
    cut                     cut the connection before handling
    cut_after               cut it when so many bytes of the body have come; for uploads
    query                   a regular expression that the query must match, too: comp=block
    slow_s                  handle, then wait before answering
    hang_s                  wait without handling, then cut
    held                    handle, then wait with the answer for release(); with status, cut or cut_after, wait
                            before those. ``holding`` is who waits right now
    retry_after             for 429 and 5xx: seconds, any text ("soon"), or "date" for an HTTP date 30 s from now,
                            "date:90" for 90 s; None sends no Retry-After. Alone it means status 429
    expired_token           answer 401 as to an expired token
    truncated               handle, then send only the first half of the answer's body
    of_each                 times counts for each path by itself: with "/operations/create$", for each iModel
    location                make Location and Create-iModel-Operation "missing", "relative" or "foreign"
    """

    method: str
    path: str
    times: int | None = 1
    for_s: float | None = None
    status: int | None = None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    answered: bool = False
    lost_answer: bool = False
    cut: bool = False
    cut_after: int | None = None
    query: str = ""
    slow_s: float = 0.0
    hang_s: float = 0.0
    held: bool = False
    retry_after: int | float | str | None = None
    expired_token: bool = False
    truncated: bool = False
    of_each: bool = False
    location: str | None = None
    until: float | None = None

    def __post_init__(self) -> None:
        re.compile(self.path)
        if self.location not in (None, "missing", "relative", "foreign"):
            raise ValueError(f"unknown kind of location: {self.location!r}")
        if self.status is None and self.retry_after is not None:
            self.status = 429
        if self.expired_token:
            self.status = 401
        self.holding: set[int] = set()
        self._struck: Counter[str] = Counter()
        self._released = threading.Event()

    def hold(self) -> None:
        """Keep the request that it struck, if it is one to be held."""
        if not self.held:
            return
        self.holding.add(threading.get_ident())
        self._released.wait(LONGEST_HOLD_S)
        self.holding.discard(threading.get_ident())

    def release(self) -> None:
        """Let go of what it holds and hold nothing more."""
        self._released.set()

    def matches(self, method: str, path: str, query: str = "") -> bool:
        fits = self.method in ("*", method) and re.search(self.path, path) is not None
        return fits and re.search(self.query, query) is not None

    def strikes(self, path: str) -> bool:
        """Whether it is still to strike a request that it matches; counts it."""
        if self.of_each:
            self._struck[path] += 1
            return self._struck[path] <= (self.times or 0)
        if self.times is not None:
            self.times -= 1
        return True

    def is_spent(self, now: float) -> bool:
        return self.times == 0 or (self.until is not None and now >= self.until)

    @property
    def before_handling(self) -> bool:
        return bool((self.status and not self.answered) or self.cut or self.hang_s)

    def retry_after_header(self) -> str | None:
        if isinstance(self.retry_after, str) and self.retry_after.startswith("date"):
            seconds = float(self.retry_after.partition(":")[2] or 30)
            return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
        return None if self.retry_after is None else str(self.retry_after)

    def as_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value not in (None, False, 0.0, {})}


class Faults:
    """Faults in wait, oldest first. A request takes the first that matches."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []
        self._held: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        if fault.for_s is not None:
            fault.until, fault.times = self.clock() + fault.for_s, None
        with self._lock:
            self._waiting.append(fault)
            if fault.held:
                self._held.append(fault)
        return fault

    def take(self, method: str, path: str, query: str = "") -> Fault | None:
        with self._lock:
            self._drop_spent()
            for fault in self._waiting:
                if fault.matches(method, path.rstrip("/") or "/", query) and fault.strikes(path):
                    return fault
        return None

    @property
    def waiting(self) -> list[Fault]:
        with self._lock:
            self._drop_spent()
            return list(self._waiting)

    def release(self) -> None:
        """Let go of every request that is held."""
        with self._lock:
            for fault in self._held:
                fault.release()
            self._held.clear()

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()
        self.release()

    def _drop_spent(self) -> None:
        now = self.clock()
        self._waiting = [fault for fault in self._waiting if not fault.is_spent(now)]
