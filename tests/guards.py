"""Edits that the database refuses, made all the same: as somebody could who may change the database itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from imodels_app.migrations._guards import GUARDS


@contextmanager
def lifted() -> Iterator[None]:
    """Without the triggers of migrations/_guards.py."""
    # PostgreSQL keeps a table's triggers while checks of its rows are pending.
    connection.check_constraints()
    with connection.cursor() as cursor:
        for guard in GUARDS:
            cursor.execute(guard.dropped(connection.vendor))
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for guard in GUARDS:
                for statement in guard.created(connection.vendor):
                    cursor.execute(statement)
