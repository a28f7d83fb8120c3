"""Two users of PostgreSQL: one owns the tables and migrates, the other runs the product and only adds to history."""

import subprocess
import sys

import psycopg
import pytest
import requests
from django.conf import settings
from django.db import connection
from django.test import Client

from imodels_app import grants, lifecycle
from imodels_app.models import Event
from imodels_app.states import Kind, State
from tests.settings import BASE_DIR, PG_DIR

pytestmark = pytest.mark.django_db(transaction=True)
RUNS = "runs"


@pytest.fixture
def app_user(postgres_process, settings):
    """The user whom the product runs as, as after `migrate`."""
    settings.DATABASE_APP_USER = RUNS
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {RUNS} LOGIN")
        grants.grant(using="default")
        grants.grant(using="default")  # the next release's `migrate`
        yield RUNS
        cursor.execute(f"DROP OWNED BY {RUNS}")
        cursor.execute(f"DROP ROLE {RUNS}")


def test_the_product_runs_as_the_user_who_owns_nothing(
    app_user, processes, bridge_team, mara, signed_in_mara, spec_for, sandbox, reached
):
    sandbox.advance_by_polls(1)
    browser = Client()
    browser.force_login(mara)
    cookie = {settings.SESSION_COOKIE_NAME: browser.cookies[settings.SESSION_COOKIE_NAME].value}
    processes.env["DATABASE_URL"] = processes.env["DATABASE_URL"].replace("postgres://postgres@", f"postgres://{RUNS}@")
    web = processes.web()
    processes.desk()

    reached(lifecycle.request(spec_for(Kind.CLONE), by=signed_in_mara), State.SUCCEEDED)

    assert requests.get(f"{web}/operations/", cookies=cookie, timeout=60).status_code == 200
    assert set(requests.get(f"{web}/readyz", timeout=60).json().values()) == {"ok"}
    assert "permission denied" not in "".join(processes.logs().values())


FORBIDDEN = [
    *(f"{verb} imodels_app_{table}" for verb in ("DELETE FROM", "TRUNCATE") for table in ("event", "decision")),
    "UPDATE imodels_app_event SET note = ''",
    "UPDATE imodels_app_decision SET comment = ''",
    "INSERT INTO imodels_app_event SELECT * FROM imodels_app_event ON CONFLICT (id) DO UPDATE SET note = ''",
    "MERGE INTO imodels_app_event e USING imodels_app_event n ON e.id = n.id WHEN MATCHED THEN DELETE",
    "TRUNCATE imodels_app_operation CASCADE",
    "ALTER TABLE imodels_app_event DISABLE TRIGGER ALL",
    "ALTER TABLE imodels_app_event OWNER TO runs",
    "DROP TRIGGER event_only_drops_addresses ON imodels_app_event",
    "DROP FUNCTION event_only_drops_addresses CASCADE",
    (
        "CREATE OR REPLACE FUNCTION event_only_drops_addresses() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RETURN NEW; END $$"
    ),
    "CREATE RULE hush AS ON INSERT TO imodels_app_event DO INSTEAD NOTHING",
    "CREATE TRIGGER hush BEFORE INSERT ON imodels_app_event FOR EACH ROW EXECUTE FUNCTION event_only_drops_addresses()",
    "SET session_replication_role = replica",
    "DROP TABLE imodels_app_event",
    "CREATE TABLE public.imodels_app_other (id int)",
    "INSERT INTO django_migrations (app, name, applied) VALUES ('imodels_app', '0002', now())",
    "DELETE FROM django_migrations",
    "SET ROLE postgres",
    "ALTER ROLE runs SUPERUSER",
    "COPY imodels_app_event TO PROGRAM 'cat'",
]


def test_that_user_changes_no_history(app_user, queued_clone):
    before = list(Event.objects.values())
    allowed = []

    with psycopg.connect(
        host=str(PG_DIR), user=app_user, dbname=connection.settings_dict["NAME"], autocommit=True
    ) as runs:
        runs.execute("GRANT ALL ON imodels_app_event TO runs")  # a warning, and no privilege
        for statement in FORBIDDEN:
            try:
                runs.execute(statement)
            except (psycopg.errors.InsufficientPrivilege, psycopg.errors.WrongObjectType):
                continue
            allowed.append(statement)
        assert runs.execute("SELECT count(*) FROM imodels_app_event").fetchone() == (len(before),)

    assert allowed == []
    assert list(Event.objects.values()) == before


@pytest.mark.parametrize(
    ("user", "why"),
    [
        ("nobody_made_me", "must be a user that this database has"),
        ("postgres", "must be another user than DATABASE_URL's, which owns the tables"),
    ],
)
def test_migrate_says_of_a_user_whom_it_cannot_give_anything(postgres_process, processes, user, why):
    env = processes.env | {"DATABASE_APP_USER": user, "FAILPOINTS": ""}

    done = subprocess.run(
        [sys.executable, "manage.py", "migrate"], cwd=BASE_DIR, env=env, check=False, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert f"DATABASE_APP_USER {why}" in done.stderr
    assert "Traceback" not in done.stderr
