"""How tests get past the database's triggers, which nobody else does: to flush rows, and to plant what must not be."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from imodels_app.migrations import _address_triggers, _log_triggers


@contextmanager
def triggers_off() -> Iterator[None]:
    """Until its end, one transaction of this connection fires no trigger.

    On PostgreSQL this takes a superuser, as the tests' user is and the product's is not (dashboard/postgres.sql).
    SQLite knows no users: there the triggers are away meanwhile, which nobody outside the transaction sees.
    """
    off, on = ["SET LOCAL session_replication_role = replica"], ["SET LOCAL session_replication_role = origin"]
    if connection.vendor == "sqlite":
        triggers = _address_triggers.triggers("sqlite")
        off = [trigger.dropped("sqlite") for trigger in triggers]
        on = [statement for trigger in triggers for statement in trigger.created("sqlite")]
        off, on = [*off, _log_triggers.dropped("sqlite")], [*on, *_log_triggers.created("sqlite")]
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in off:
            cursor.execute(statement)
        yield
        for statement in on:
            cursor.execute(statement)
