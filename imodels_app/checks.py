"""What `migrate` asks first: can this version carry the database on at all?"""

from collections.abc import Iterable
from typing import Any

from django.core import checks
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

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


def is_from_an_older_version(connection: BaseDatabaseWrapper) -> bool:
    return OLDER in MigrationRecorder(connection).applied_migrations()


def check_databases(databases: Iterable[str] | None = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Django's `migrate` calls it with the database that it is about to change."""
    return [FROM_AN_OLDER_VERSION for alias in databases or () if is_from_an_older_version(connections[alias])]
