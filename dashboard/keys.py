"""The secrets that nobody needs to think up: made once, where the containers expect them.

    python -m dashboard.keys           make what is missing in /run/desk and /run/database
    python -m dashboard.keys rotate    put a new key for the tokens at rest before the old ones

After `rotate`, restart web and workers: the newest key encrypts, all of them decrypt.
"""

import secrets
import sys
from pathlib import Path

from cryptography.fernet import Fernet

DESK, DATABASE = Path("/run/desk"), Path("/run/database")


def make(desk: Path, database: Path) -> None:
    """Make the missing ones of: Django's key, the token key, and the database's password (for both sides)."""
    _once(desk / "secret_key", secrets.token_urlsafe(50))
    _once(desk / "token_keys", Fernet.generate_key().decode())
    # PostgreSQL's own user reads this one, and nobody but the database has the folder.
    password = _once(database / "password", secrets.token_urlsafe(32), mode=0o444)
    # libpq finds the password here (PGPASSFILE), so it is in no address and in no environment.
    _once(desk / "pgpass", f"*:*:*:desk:{password}\n")


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
        rotate(DESK)
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        make(DESK, DATABASE)
