"""What `migrate` asks first: can this version carry the database on at all?"""

from collections.abc import Iterable
from typing import Any

from django.core import checks
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from imodels_app import grants

# Migrations started over before the first release: whoever has applied this one has no tables of 0001_initial.
OLDER = ("imodels_app", "0001_first")
FROM_AN_OLDER_VERSION = checks.Error(
    "This database is from before the first release, and this version cannot use it. It was not changed.",
    hint=(
        "Give DATABASE_URL a new, empty database. With Compose, another project name has volumes of its own: "
        "docker compose --project-name imodel-desk-2 up --detach"
    ),
    id="imodels_app.E001",
)
NO_APP_USER = checks.Error(
    "DATABASE_APP_USER must be a user that this database has, and not the one who migrates. It was not changed.",
    hint="docs/operate.md has the SQL for two users.",
    id="imodels_app.E002",
)


def is_from_an_older_version(connection: BaseDatabaseWrapper) -> bool:
    return OLDER in MigrationRecorder(connection).applied_migrations()


def check_databases(databases: Iterable[str] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Django's `migrate` calls it with the database that it is about to change."""
    using = [connections[alias] for alias in databases or ()]
    older: list[checks.CheckMessage] = [
        FROM_AN_OLDER_VERSION for connection in using if is_from_an_older_version(connection)
    ]
    return older + [NO_APP_USER for connection in using if not grants.may_grant(connection)]
