"""Settings of the test run: the product's own, with an environment made for one run on this machine.

The product's settings read the environment while they are imported, and pytest-django imports them
before any conftest. So what a run needs is decided here: its folder, its ports, and its database
(SQLite, or with DB=pg a real PostgreSQL). servers.py and database.py start them when a test asks for them.
"""

import atexit
import os
import secrets
import shutil
import socket
import tempfile
from pathlib import Path
from urllib.parse import quote

from cryptography.fernet import Fernet

# From below those that the system gives to outgoing connections: between our look and the server's start nobody else
# takes one.
PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A port of ours for the whole run: a UDP socket on the same number says so to other runs on this machine."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            # As a server does: an ended connection that lingers is no reason to leave the port alone.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            ours = socket.socket(type=socket.SOCK_DGRAM)
            try:
                ours.bind(("127.0.0.1", port))
                probe.bind(("127.0.0.1", port))
            except OSError:
                ours.close()
                continue
            atexit.register(ours.close)
            return port


# A short path: PostgreSQL puts its socket there, and a socket's path has about 100 characters.
RUN_DIR = Path(tempfile.mkdtemp(prefix="desk-"))
atexit.register(shutil.rmtree, RUN_DIR, ignore_errors=True)

REDIS_PORT, SANDBOX_PORT, WEB_PORT = free_port(), free_port(), free_port()
REDIS_PASSWORD = secrets.token_hex(16)
SANDBOX_URL = f"http://127.0.0.1:{SANDBOX_PORT}"
PG_DIR = RUN_DIR / "pg"
# There an embedded PostgreSQL has its lock, which processes that share a run share: one at a time makes its own.
os.environ.setdefault("XDG_RUNTIME_DIR", str(RUN_DIR))
IN_CI = os.environ.get("CI") == "true"
ON_POSTGRES = os.environ.get("DB") == "pg"
# A PostgreSQL of one's own is used as it is; Django makes a database test_... in it.
# Processes that share a run inherit the environment of the first, in which DATABASE_URL is what we made of it.
GIVEN_DATABASE_URL = os.environ.setdefault("GIVEN_DATABASE_URL", os.environ.get("DATABASE_URL", ""))
EMBEDDED_PG = ON_POSTGRES and not GIVEN_DATABASE_URL.startswith("postgres")
if EMBEDDED_PG:
    os.environ["DATABASE_URL"] = f"postgres://postgres@{quote(str(PG_DIR), safe='')}/postgres"
elif not ON_POSTGRES:
    os.environ["DATABASE_URL"] = f"sqlite:///{RUN_DIR / 'desk.sqlite3'}"

# Processes that share a run share its dice (tests/faults/test_schedules.py).
os.environ["SOAK_SEED"] = os.environ.get("SOAK_SEED") or str(secrets.randbelow(10**6))

# Whatever the shell says: a test never reaches a real platform, a real provider or somebody's Redis. (Only
# `-m live` asks the real platform, told by variables of its own: tests/contract/README.md.)
for name in [name for name in os.environ if name.endswith("_FILE")]:
    del os.environ[name]
os.environ |= {
    "DEBUG": "no",
    "SECRET_KEY": "only-for-tests-" + "x" * 40,
    "TOKEN_KEYS": Fernet.generate_key().decode(),
    "REDIS_URL": f"redis://:{REDIS_PASSWORD}@127.0.0.1:{REDIS_PORT}/0",
    # pytest-django's live server listens where the product believes to be, so that sign-in comes back to it.
    "DASHBOARD_URL": f"http://localhost:{WEB_PORT}",
    "DJANGO_LIVE_TEST_SERVER_ADDRESS": f"localhost:{WEB_PORT}",
    "DASHBOARD_ADMINS": "ines.duarte@harbour.example",
    "ITWIN_API_URL": SANDBOX_URL,
    "ITWIN_TIER": "basic",
    "OIDC_ISSUER": SANDBOX_URL,
    "OIDC_CLIENT_ID": "imodel-desk-demo",  # the sandbox's own client, as the secret
    "OIDC_CLIENT_SECRET": "imodel-desk-demo-secret",
    "EMAIL_URL": "console:",
    "MAP_TILES_URL": "",
    "OPEN_IMODEL_URL": "https://viewer.example/{itwin_id}/{imodel_id}",
    "STAGING_DIR": str(RUN_DIR / "staging"),
    "LOG_LEVEL": "INFO",
}

from dashboard.settings import *  # noqa: E402, F403 - the product's settings, in the environment above
from dashboard.settings import CACHES, DATABASES, INSTALLED_APPS, STORAGES  # noqa: E402

# On a busy machine even a Redis may be slow. One that is stopped refuses at once.
for patience in ("socket_connect_timeout", "socket_timeout"):
    del CACHES["default"]["OPTIONS"][patience]
# The first for its flush, which replaces Django's, the other for a command of `make lint`.
INSTALLED_APPS += ["tests", "django_migration_linter"]

# A file, so that worker processes and threads see the same rows as the test; and never `test_` of a path.
if not ON_POSTGRES:
    DATABASES["default"]["TEST"] = {"NAME": str(RUN_DIR / "test.sqlite3")}
# Served from the source folders: a test run needs no collectstatic. `make demo` and the image use the real one.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
STATIC_ROOT = RUN_DIR / "staticfiles"
STATIC_ROOT.mkdir()
