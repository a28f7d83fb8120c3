"""A database from before the first release: whoever is given it says so, and leaves it as it is."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from django.core.checks import run_checks
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from dashboard import wait
from imodels_app.checks import FROM_AN_OLDER_VERSION, OLDER
from tests.settings import BASE_DIR


@pytest.fixture
def older_database(tmp_path):
    """As the older version's `migrate` has left it, cut down to what tells that it did."""
    database = tmp_path / "desk.sqlite3"
    with closing(sqlite3.connect(database)) as older:
        older.executescript(
            f"""
            PRAGMA journal_mode = WAL;
            CREATE TABLE django_migrations (id INTEGER PRIMARY KEY, app TEXT, name TEXT, applied TEXT);
            INSERT INTO django_migrations (app, name) VALUES {OLDER}, ('imodels_app', '0002_messages');
            CREATE TABLE imodels_app_operation (id TEXT PRIMARY KEY, name TEXT);
            INSERT INTO imodels_app_operation VALUES ('1', 'Pier 7');
            """
        )
    return database


def rows(database) -> list[str]:
    with closing(sqlite3.connect(database)) as opened:
        return list(opened.iterdump())


def test_migrate_says_it_in_a_sentence_and_changes_nothing(older_database):
    before = rows(older_database)
    env = {"DJANGO_SETTINGS_MODULE": "dashboard.settings", "DATABASE_URL": f"sqlite:///{older_database}"}

    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--no-input"],
        cwd=BASE_DIR,
        env=os.environ | env,
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert FROM_AN_OLDER_VERSION.msg in done.stderr
    assert FROM_AN_OLDER_VERSION.hint in done.stderr
    assert "Traceback" not in done.stderr
    assert rows(older_database) == before


@pytest.mark.django_db
def test_what_waits_for_tables_says_why_in_vain():
    assert run_checks(databases=["default"]) == []
    MigrationRecorder(connection).record_applied(*OLDER)

    assert run_checks(databases=["default"]) == [FROM_AN_OLDER_VERSION]
    assert wait.tables() == FROM_AN_OLDER_VERSION.msg
