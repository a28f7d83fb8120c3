"""Keeps the world in a file: written whole and atomically, soon after a change, and once more at the end."""

from __future__ import annotations

import base64
import json
import os
import tempfile
import threading
from pathlib import Path

from sandbox.platform import Platform

SOON_S = 0.1
FORMAT = 1


class WorldStore:
    """Saves in a thread of its own, so that no request waits for the disk."""

    def __init__(self, platform: Platform, path: Path) -> None:
        self.platform, self.path = platform, path
        self._changed, self._closing = threading.Event(), threading.Event()
        self._saving = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def load(self) -> bool:
        """Read the file if there is one. Operations under way go on by the clock: their plan is kept as instants."""
        if not self.path.exists():
            return False
        stored = json.loads(self.path.read_text("utf-8"))
        if stored.get("format") != FORMAT:
            raise ValueError(f"{self.path} is no world of this version; remove it to begin anew")
        self.platform.world.load(stored["world"])
        self.platform.grants.load(stored["identity"])
        self.platform.blobs.key = base64.b64decode(stored["storage_key"])
        return True

    def watch(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.platform.world.changed = self._changed.set
        self.platform.grants.changed = self._changed.set
        self.save()
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._changed.set()
        self._thread.join(5)
        self.save()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._changed.wait()
            self._changed.clear()
            self.save()
            self._closing.wait(SOON_S)

    def save(self) -> None:
        with self._saving:
            stored = {
                "format": FORMAT,
                "world": self.platform.world.as_json(),
                "identity": self.platform.grants.as_json(),
                "storage_key": base64.b64encode(self.platform.blobs.key).decode(),
            }
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            with os.fdopen(handle, "w", encoding="utf-8") as part:
                json.dump(stored, part)
                part.flush()
                os.fsync(part.fileno())
            Path(name).replace(self.path)
