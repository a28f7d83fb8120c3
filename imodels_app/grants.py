"""What the database's user whom the product runs as may do, where another one owns the tables and migrates.

The owner could drop the triggers that keep history; who runs cannot. DATABASE_APP_USER names the latter to `migrate`.
"""

from typing import Any

from django.conf import settings
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

# History: rows come, and none is changed or goes. By name: Django imports this before there are models.
APPEND_ONLY = {"imodels_app_event", "imodels_app_decision", "imodels_app_logleaf", "imodels_app_loghead"}
READ_ONLY = {"django_migrations"}


def grant(*, using: str, **_: Any) -> None:
    """After `migrate`: let DATABASE_APP_USER use the tables. As often as one likes; what was granted before is gone."""
    if not settings.DATABASE_APP_USER:
        return
    connection = connections[using]
    user = connection.ops.quote_name(settings.DATABASE_APP_USER)
    with transaction.atomic(using=using), connection.cursor() as cursor:
        for table in {*connection.introspection.django_table_names(only_existing=True), *READ_ONLY}:
            name = connection.ops.quote_name(table)
            cursor.execute(f"REVOKE ALL ON {name} FROM {user}")
            cursor.execute(f"GRANT {_rights(table)} ON {name} TO {user}")


def _rights(table: str) -> str:
    if table in READ_ONLY:
        return "SELECT"
    return "SELECT, INSERT" if table in APPEND_ONLY else "SELECT, INSERT, UPDATE, DELETE"


def may_grant(connection: BaseDatabaseWrapper) -> bool:
    """Whether DATABASE_APP_USER is not set, or is a user of PostgreSQL other than this connection's."""
    if not settings.DATABASE_APP_USER:
        return True
    with connection.cursor() as cursor:
        user = settings.DATABASE_APP_USER
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s AND rolname <> current_user", [user])
        return cursor.fetchone() is not None
