"""Wait for what a process needs, then become that process.

    python -m dashboard.wait database -- python manage.py migrate
    python -m dashboard.wait tables redis -- gunicorn dashboard.wsgi:application

Compose's `depends_on` orders a first start at best. After a reboot or a crash each process has to
wait for itself, and one that waits says what it waits for.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import django

CHECK_EVERY_S = 0.5
SAY_EVERY_S = 10.0


def main(arguments: list[str]) -> None:
    if "--" not in arguments:
        sys.exit(__doc__)
    cut = arguments.index("--")
    names, command = arguments[:cut], arguments[cut + 1 :]
    if not command or not set(names) <= set(NEEDS):
        sys.exit(__doc__)
    # Settings read the files of secrets when they are imported, which the other needs do.
    wait_for("secrets", NEEDS["secrets"])
    if names:
        django.setup()
    for name in names:
        wait_for(name, NEEDS[name])
    os.execvp(command[0], command)  # noqa: S606 - the very process, so that it gets the signals


def wait_for(name: str, what_is_missing: Callable[[], str]) -> None:
    """Return once nothing is missing; say every now and then what is."""
    said_at = float("-inf")
    while missing := what_is_missing():
        if time.monotonic() - said_at > SAY_EVERY_S:
            print(f"Waiting for {name}: {missing}", flush=True)
            said_at = time.monotonic()
        time.sleep(CHECK_EVERY_S)


def secrets() -> str:
    """The files that settings NAME_FILE name, and that are not there yet."""
    files = {
        name: path for name, path in os.environ.items() if (name.endswith("_FILE") or name == "PGPASSFILE") and path
    }
    return ", ".join(f"{name} ({path})" for name, path in files.items() if not Path(path).is_file())


def database() -> str:
    from django.db import OperationalError, connection

    try:
        connection.ensure_connection()
    except OperationalError as error:
        return str(error).strip()
    return ""


def tables() -> str:
    """Migrations of this version that have not been applied; or that they cannot be, which `migrate` says and ends."""
    from django.db import DatabaseError, connection
    from django.db.migrations.executor import MigrationExecutor

    from imodels_app.checks import FROM_AN_OLDER_VERSION, is_from_an_older_version

    try:
        if is_from_an_older_version(connection):
            return str(FROM_AN_OLDER_VERSION.msg)
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        connection.close()  # the next look needs a new one
        return str(error).strip()
    return ", ".join(str(migration) for migration, _ in missing)


def redis() -> str:
    import redis
    from django.conf import settings

    how = {"socket_connect_timeout": 1, "socket_timeout": 1, **settings.REDIS_TLS}
    with redis.Redis.from_url(settings.REDIS_URL, **how) as client:
        try:
            client.ping()
        except redis.RedisError as error:
            return str(error)
    return ""


NEEDS = {
    "secrets": secrets,
    "database": database,
    "tables": tables,
    "redis": redis,
}

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    main(sys.argv[1:])
