"""The journal: every request that reached the platform, without its secrets."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

ROOTS = ("/imodels", "/itwins")


@dataclass
class Entry:
    """One request. ``status`` is None while it is under way, and stays None when no answer was sent.

    ``query`` lacks the signature of an upload link; ``body`` is the JSON of an API call, or the grant type of a
    token request; ``text`` is the body of an API call as it came. ``imodel_id`` is the id of the iModel that the
    request made. ``faulty``: a fault answered instead. ``received`` and
    ``headers``: the bytes of an upload that came, and the names of its headers.
    """

    at: float
    method: str
    path: str
    query: str = ""
    status: int | None = None
    person: str | None = None
    client_id: str | None = None
    body: Any = None
    text: str | None = None
    imodel_id: str | None = None
    correlation_id: str | None = None
    faulty: bool = False
    received: int | None = None
    headers: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Journal:
    """The last 20 000 requests, oldest first."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=20_000)
        self._lock = threading.Lock()

    def add(self, entry: Entry) -> Entry:
        with self._lock:
            self._entries.append(entry)
        return entry

    @property
    def entries(self) -> list[Entry]:
        with self._lock:
            return list(self._entries)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


def calls(entries: list[Entry], method: str, path: str) -> int:
    """How many requests have this method and a path that contains ``path``.

    The two collections' own paths, ``/imodels`` and ``/itwins``, count only themselves, so that
    ``calls("POST", "/imodels")`` is the number of creations and not of clones too. A last slash does not matter.
    """
    wanted = path.rstrip("/") or "/"
    return sum(
        1 for entry in entries if method in (entry.method, "*") and _matches(entry.path.rstrip("/") or "/", wanted)
    )


def _matches(path: str, wanted: str) -> bool:
    return path == wanted if wanted in ROOTS else wanted in path
