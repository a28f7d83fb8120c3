"""Indexes that only PostgreSQL has: trigrams for what a search looks into, beginnings of ids, and expressions.

Trigrams need the extension pg_trgm, which the database's owner may create, PostgreSQL being 13 or newer; elsewhere
`migrate` goes on without, says so, and a search reads all rows (docs/operate.md).
"""

import logging
from typing import Any

from django.db import Error, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from imodels_app.migrations._data_and_triggers import EVENT, OPERATION

log = logging.getLogger(__name__)
SEARCHED = {
    OPERATION: (
        *("name", "itwin_name", "source_name", "source_itwin_name", "file_name", "requested_by_name"),
        *("requester_email", "failure_code", "reason"),
    ),
    EVENT: ("note", "operation_name", "actor_name", "actor_email", "team_name"),
}
# Whole ones: nothing tells the planner that what begins with a word is not empty.
INDEXES = {
    "operation_imodel_begins": f"{OPERATION} (imodel_id varchar_pattern_ops)",
    "operation_source_begins": f"{OPERATION} (source_id varchar_pattern_ops)",
    "operation_lasted": f"{OPERATION} ((COALESCE((finished_at - created_at), '0 days 0.000000 seconds'::interval)), id)",
    "event_person": f"{EVENT} ((data -> 'person'))",
}


def create_indexes(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor != "postgresql":
        return
    for name, on in INDEXES.items():
        schema_editor.execute(f"CREATE INDEX {name} ON {on}", params=None)
    try:
        with transaction.atomic(using=schema_editor.connection.alias):
            schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm", params=None)
            for table, columns in SEARCHED.items():
                # As icontains compares: in capitals.
                parts = ", ".join(f"UPPER({column}::text) gin_trgm_ops" for column in columns)
                schema_editor.execute(f"CREATE INDEX {table}_words ON {table} USING gin ({parts})", params=None)
    except Error as no:
        log.warning("Without the extension pg_trgm a search reads all rows (docs/operate.md): %s", no)


def drop_indexes(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for name in (*INDEXES, *(f"{table}_words" for table in SEARCHED)):
            schema_editor.execute(f"DROP INDEX IF EXISTS {name}", params=None)


def know_itwins(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    schema_editor.execute(
        "INSERT INTO imodels_app_knownitwin (itwin_id, name)"
        f" SELECT itwin_id, max(itwin_name) FROM {OPERATION} GROUP BY itwin_id",
        params=None,
    )
