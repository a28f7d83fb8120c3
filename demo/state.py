"""What the demo keeps in var/ from one start to the next: its lock, ports and secrets. Only we can read it."""

import contextlib
import fcntl
import json
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from imodels_app.checks import OLDER

VAR_DIR = Path(__file__).resolve().parent.parent / "var"
DATABASE = "desk.sqlite3"
LOCK, ENVIRONMENT, PORTS = VAR_DIR / "demo.lock", VAR_DIR / "demo.env.json", VAR_DIR / "demo.ports.json"
# How long the processes of a demo that was killed may still need to end.
ENDS_WITHIN_S = 20.0


class AlreadyRunning(Exception):
    """Another demo runs here, as the process `pid`."""

    def __init__(self, pid: int) -> None:
        super().__init__(pid)
        self.pid = pid


class StillEnding(Exception):
    """Processes of a demo that was killed are still here."""


@contextlib.contextmanager
def only_one() -> Iterator[int]:
    """Hold the lock of this folder's demo; gives its descriptor. Raises AlreadyRunning and StillEnding.

    Children inherit the descriptor, so the lock lasts until the last of them is gone. After a
    kill -9 nothing starts on data that an old Redis or worker still has in its hands.
    """
    VAR_DIR.mkdir(mode=0o700, exist_ok=True)
    VAR_DIR.chmod(0o700)
    with LOCK.open("a+") as file:
        _wait_for(file.fileno())
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()


def _wait_for(lock: int) -> None:
    deadline = time.monotonic() + ENDS_WITHIN_S
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = int(LOCK.read_text() or 0)
            if _lives(holder):
                raise AlreadyRunning(holder) from None
            if time.monotonic() > deadline:
                raise StillEnding from None
            time.sleep(0.2)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return pid != 0


def set_older_aside() -> Path | None:
    """Move what a version from before the first release kept here into a folder of its own, and return that folder.

    All of it: the platform's world, the database and the secrets are of use only together.
    """
    if not _is_older(VAR_DIR / DATABASE):
        return None
    aside = VAR_DIR / time.strftime("older-%Y-%m-%d-%H%M%S")
    aside.mkdir(mode=0o700)
    # The database last: if this is cut short, the next start finds it and moves the rest.
    for path in sorted(VAR_DIR.iterdir(), key=lambda path: path.name == DATABASE):
        if path.name != LOCK.name and not path.name.startswith("older-"):
            path.rename(aside / path.name)
    return aside


def _is_older(database: Path) -> bool:
    if not database.exists():
        return False
    with contextlib.closing(sqlite3.connect(database)) as connection:
        try:
            found = connection.execute("SELECT 1 FROM django_migrations WHERE app = ? AND name = ?", OLDER).fetchone()
        except sqlite3.DatabaseError:  # no database of ours, or a broken one: `migrate` says more
            return False
    return found is not None


@contextlib.contextmanager
def ports(preferred: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """A free port for each name, as long as this lasts: the last start's, else the preferred one or the next.

    Two demos that start at the same moment find a port free before either listens there. So each first takes the UDP
    socket of that number, which no second one then gets.
    """
    last = _read(PORTS)
    with contextlib.ExitStack() as held:
        chosen = {name: _take(held, (last.get(name, port), *range(port, 65536))) for name, port in preferred.items()}
        _write(PORTS, chosen)
        yield chosen


def _take(held: contextlib.ExitStack, candidates: Iterable[int]) -> int:
    """The first that is ours from now on."""
    for port in candidates:
        lock = socket.socket(type=socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):
            lock.bind(("127.0.0.1", port))
            if is_free(port):
                held.enter_context(lock)
                return port
        lock.close()
    raise OSError("Every port of this machine is taken.")


def is_free(port: int) -> bool:
    """Whether nobody listens there, on IPv4 or IPv6: a browser tries both for `localhost`."""
    for host in ("127.0.0.1", "::1"):
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return False
    with socket.socket() as probe:
        # As the servers do: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def secret(name: str, make: Callable[[], str]) -> Path:
    """The file of a secret that is made once and used by every later start."""
    path = VAR_DIR / "secrets" / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    # Not "if it does not exist": a file cut short by a full disk must not become a short secret.
    if not path.exists() or not path.read_text():
        _write_private(path, make())
    return path


def remember_environment(ours: Mapping[str, str]) -> None:
    """Keep the settings of this start, for `python -m demo manage`."""
    _write(ENVIRONMENT, dict(ours))


def last_environment() -> dict[str, str]:
    """The settings of the last start; empty before the first."""
    return {name: str(value) for name, value in _read(ENVIRONMENT).items()}


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
        return dict(json.loads(path.read_text()))
    return {}


def _write(path: Path, content: Mapping[str, object]) -> None:
    _write_private(path, json.dumps(content, indent=2) + "\n")


def _write_private(path: Path, text: str) -> None:
    """Write a file that only we can read, whole or not at all."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
