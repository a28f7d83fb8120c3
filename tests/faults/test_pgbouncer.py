"""PgBouncer in transaction mode between the product and PostgreSQL (DATABASE_PGBOUNCER). DB=pg only."""

import io
import os
import pwd
import shutil
import subprocess
import sys
import zipfile
from urllib.parse import quote

import pytest
import requests
from django.conf import settings
from django.db import connection
from django.test import Client

from demo import supervisor
from imodels_app import lifecycle
from imodels_app.states import Kind, State
from tests.processes import listens
from tests.settings import BASE_DIR, IN_CI, PG_DIR, RUN_DIR, free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
CONFIG = """
[databases]
* = host={host} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
"""


@pytest.fixture
def pgbouncer(postgres_process):
    """The port of a PgBouncer with fewer servers than the product has connections."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if not program:
        pytest.fail("no pgbouncer") if IN_CI else pytest.skip("no pgbouncer on PATH")
    port, config = free_port(), RUN_DIR / "pgbouncer.ini"
    config.write_text(CONFIG.format(host=PG_DIR, port=port))
    # It refuses to run as root, who owns nothing of PostgreSQL here either.
    user = ["--user", pwd.getpwuid(PG_DIR.stat().st_uid).pw_name] if os.getuid() == 0 else []
    with (RUN_DIR / "pgbouncer.log").open("wb") as log:
        process = supervisor.spawn([program, *user, str(config)], output=log, env=os.environ, cwd=RUN_DIR)
    wait_until(lambda: listens(port), what="PgBouncer")
    yield port
    supervisor.end_group(process)


@pytest.fixture
def through(pgbouncer, processes):
    """The product's processes reach their database through PgBouncer."""
    name = quote(connection.settings_dict["NAME"])
    processes.env["DATABASE_URL"] = f"postgres://postgres@127.0.0.1:{pgbouncer}/{name}"
    processes.env["DATABASE_PGBOUNCER"] = "yes"
    return processes


def how_it_is(web: str) -> set[str]:
    return set(requests.get(f"{web}/readyz", timeout=60).json().values())


def test_a_clone_is_made_and_everything_exported_through_it(
    through, bridge_team, ines, signed_in_mara, spec_for, sandbox, reached
):
    sandbox.advance_by_polls(1)
    browser = Client()
    browser.force_login(ines)
    cookie = {settings.SESSION_COOKIE_NAME: browser.cookies[settings.SESSION_COOKIE_NAME].value}
    web = through.web()
    through.desk()

    asked = [lifecycle.request(spec_for(Kind.EMPTY), by=signed_in_mara) for _ in range(4)]
    for operation in asked:
        reached(operation, State.SUCCEEDED)

    export = requests.get(f"{web}/audit/export", cookies=cookie, timeout=60)
    assert export.status_code == 200
    lines = zipfile.ZipFile(io.BytesIO(export.content)).read("events.jsonl").decode()
    assert lines.count('"succeeded"') >= len(asked)
    wait_until(lambda: how_it_is(web) == {"ok"}, what="each part of the desk")
    assert "Traceback" not in "".join(through.logs().values())


def test_without_the_setting_it_refuses_what_we_ask_of_a_connection(through):
    ask = "import django; django.setup(); from dashboard import wait; print(wait.database())"
    env = through.env | {"DATABASE_PGBOUNCER": "no"}

    command = [sys.executable, "-c", ask]
    done = subprocess.run(command, cwd=BASE_DIR, env=env, capture_output=True, text=True, check=True)

    assert "unsupported startup parameter" in done.stdout
