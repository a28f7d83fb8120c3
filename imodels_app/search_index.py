"""SQLite's trigrams for what a search looks into (models.search): a table of FTS5 beside each, kept by triggers.

Looked after when `migrate` ends, not by a migration: Django alters a table of SQLite by rebuilding it, which loses its
triggers, and a search that misses rows says nothing. A row that changes is added once more. Nothing is taken out, so no
trigger has to find a row by an id that is no number.
"""

from typing import Any

from django.db import connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from imodels_app.models.search import SEARCHED, index_of


def keep(*, using: str, **_: Any) -> None:
    """After `migrate`: make what is missing, or was made for other columns, and read all rows into it."""
    connection = connections[using]
    if connection.vendor != "sqlite":
        return
    for model, columns in SEARCHED.items():
        made = statements(model, columns)
        if not _has(connection, made):
            with transaction.atomic(using=using), connection.cursor() as cursor:
                _make(cursor, model, columns, made)


def read_again(connection: BaseDatabaseWrapper, model: type[models.Model]) -> None:
    """Make a table's trigrams anew, without what was found in its rows once."""
    if connection.vendor == "sqlite":
        columns = SEARCHED[model]
        with connection.cursor() as cursor:
            _make(cursor, model, columns, statements(model, columns))


def statements(model: type[models.Model], columns: tuple[str, ...]) -> dict[str, str]:
    """What there has to be in the database, by name."""
    table, index = model._meta.db_table, index_of(model)
    values = ", ".join(f"NEW.{column}" for column in columns)
    add = f"BEGIN INSERT INTO {index} (id, {', '.join(columns)}) VALUES (NEW.id, {values}); END"  # noqa: S608 - ours
    differs = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in columns)
    update = f"AFTER UPDATE OF {', '.join(columns)} ON {table} WHEN {differs}"
    return {
        index: f"CREATE VIRTUAL TABLE {index} USING fts5(id UNINDEXED, {', '.join(columns)}, tokenize = 'trigram')",
        f"{index}_insert": f"CREATE TRIGGER {index}_insert AFTER INSERT ON {table} {add}",
        f"{index}_update": f"CREATE TRIGGER {index}_update {update} {add}",
    }


def _has(connection: BaseDatabaseWrapper, made: dict[str, str]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE name IN (%s, %s, %s)", [*made])
        return dict(cursor.fetchall()) == made


def _make(cursor: Any, model: type[models.Model], columns: tuple[str, ...], made: dict[str, str]) -> None:
    index, *triggers = made
    for trigger in triggers:
        cursor.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    cursor.execute(f"DROP TABLE IF EXISTS {index}")
    for statement in made.values():
        cursor.execute(statement)
    names = ", ".join(("id", *columns))
    cursor.execute(f"INSERT INTO {index} ({names}) SELECT {names} FROM {model._meta.db_table}")  # noqa: S608
