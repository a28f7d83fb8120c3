"""The secrets that nobody needs to think up: made once, where the containers expect them.

    python -m dashboard.keys           make what is missing in /run/desk, /run/owner, /run/database and /run/redis
    python -m dashboard.keys rotate    put a new key for the tokens at rest before the old ones

After `rotate`, restart web and workers: the newest key encrypts, all of them decrypt.
"""

import secrets
import sys
from pathlib import Path

from cryptography.fernet import Fernet

RUN = Path("/run")
# Whoever runs a server reads its file, and nothing else has the folder.
FOR_A_SERVER = 0o444


def make(run: Path) -> None:
    """Make the missing ones of: Django's key, the token key, and the passwords of both database users and of Redis.

    Each password is written for both sides. Only `migrate` has /run/owner: who owns the tables could change history.
    """
    desk, owner, database, redis = (run / name for name in ("desk", "owner", "database", "redis"))
    _once(desk / "secret_key", secrets.token_urlsafe(50))
    _once(desk / "token_keys", Fernet.generate_key().decode())
    # libpq finds a password in a pgpass (PGPASSFILE), so it is in no address and in no environment.
    password = _once(database / "password", secrets.token_urlsafe(32), mode=FOR_A_SERVER)
    _write(owner / "pgpass", f"*:*:*:desk:{password}\n")
    password = _once(database / "app_password", secrets.token_urlsafe(32), mode=FOR_A_SERVER)
    _write(desk / "pgpass", f"*:*:*:desk_app:{password}\n")
    config = _once(redis / "redis.conf", f"requirepass {secrets.token_urlsafe(32)}\n", mode=FOR_A_SERVER)
    _write(desk / "redis_url", f"redis://:{config.split()[1]}@redis:6379/0\n")


def rotate(desk: Path) -> None:
    """Put a new token key in front; tokens that older keys encrypted stay readable."""
    keys = desk / "token_keys"
    _write(keys, f"{Fernet.generate_key().decode()},{keys.read_text()}")


def _once(path: Path, text: str, *, mode: int = 0o600) -> str:
    if not path.exists():
        _write(path, text, mode=mode)
    return path.read_text()


def _write(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Whole or not at all: a container may be stopped at any line."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.chmod(mode)
    draft.replace(path)


if __name__ == "__main__":
    if sys.argv[1:] == ["rotate"]:
        rotate(RUN / "desk")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        make(RUN)
