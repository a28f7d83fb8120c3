"""What was caught: e-mails and cards, in memory."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

MOST = 100


@dataclass(frozen=True)
class Caught:
    """One message. to: an address, or a chat; id: what a repeat of it has, too; lines: (text, address of a link)."""

    to: str
    title: str
    id: str
    lines: list[tuple[str, str]]
    at: float = field(default_factory=time.time)


class Messages:
    """The newest of what was caught, each once: what comes again is known by its id."""

    def __init__(self) -> None:
        self._kept: deque[Caught] = deque(maxlen=MOST)
        self._lock = threading.Lock()

    def add(self, caught: Caught) -> None:
        with self._lock:
            if all((one.to, one.id) != (caught.to, caught.id) for one in self._kept):
                self._kept.append(caught)

    @property
    def newest(self) -> list[Caught]:
        return list(self._kept)[::-1]
