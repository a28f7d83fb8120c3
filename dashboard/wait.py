"""Wait for what a process needs, then become that process.

    python -m dashboard.wait database -- python manage.py migrate
    python -m dashboard.wait tables redis -- granian dashboard.wsgi:application

Compose's `depends_on` orders a first start at best. After a reboot or a crash each process has to
wait for itself, and one that waits says what it waits for.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

LOOK_EVERY_S = 0.5
SAY_EVERY_S = 10.0


def main(arguments: list[str]) -> None:
    if "--" not in arguments:
        sys.exit(__doc__)
    cut = arguments.index("--")
    names, command = arguments[:cut], arguments[cut + 1 :]
    if not command or not set(names) <= set(NEEDS):
        sys.exit(__doc__)
    # Settings read the files of secrets when they are imported, which the other needs do.
    for name in ("secrets", *names):
        wait_for(name, NEEDS[name])
    os.execvp(command[0], command)  # noqa: S606 - the very process, so that it gets the signals


def wait_for(name: str, is_there: Callable[[], bool]) -> None:
    """Return once it is there; say every now and then that it is not."""
    said_at = 0.0
    while not is_there():
        if time.monotonic() - said_at > SAY_EVERY_S:
            print(f"Waiting for {name}.", flush=True)
            said_at = time.monotonic()
        time.sleep(LOOK_EVERY_S)


def secrets_are_there() -> bool:
    """Every file that a setting NAME_FILE names."""
    return all(Path(path).is_file() for name, path in os.environ.items() if name.endswith("_FILE") and path)


def database_answers() -> bool:
    from django.db import OperationalError, connection

    try:
        connection.ensure_connection()
    except OperationalError:
        return False
    connection.close()
    return True


def tables_are_there() -> bool:
    """Whether every migration of this version has been applied."""
    from django.db import DatabaseError, connection
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return False
    connection.close()
    return not missing


def redis_answers() -> bool:
    from django.conf import settings

    from dashboard import redis_server

    return redis_server.answers(settings.REDIS_URL)


NEEDS = {
    "secrets": secrets_are_there,
    "database": database_answers,
    "tables": tables_are_there,
    "redis": redis_answers,
}

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    main(sys.argv[1:])
