"""A process of the containers waits for its needs, says what it waits for, and makes its keys once."""

import os
import stat
import subprocess
import sys

import pytest

from dashboard import environment, keys, wait


def test_it_becomes_the_command_once_nothing_is_missing(monkeypatch):
    became = []
    monkeypatch.setattr(os, "execvp", lambda *command: became.append(command))

    wait.main(["--", "true", "now"])

    assert became == [("true", ["true", "now"])]


def test_it_says_what_is_missing_and_goes_on_when_it_is_there(monkeypatch, capsys):
    monkeypatch.setattr(wait, "CHECK_EVERY_S", 0)
    answers = iter(["connection refused", "connection refused", ""])

    wait.wait_for("database", lambda: next(answers))

    assert capsys.readouterr().out == "Waiting for database: connection refused\n"


def test_a_secret_that_is_not_written_yet_is_waited_for(monkeypatch, tmp_path):
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "secret_key"))
    assert "SECRET_KEY_FILE" in wait.secrets()

    (tmp_path / "secret_key").touch()
    assert wait.secrets() == ""


@pytest.mark.django_db
def test_the_tests_database_and_redis_are_there():
    assert wait.database() == wait.tables() == wait.redis() == ""


def test_a_database_that_is_down_is_named_without_its_password():
    env = os.environ | {
        "DATABASE_URL": "postgres://desk:open-sesame@127.0.0.1:1/desk",
        # Not the tests' settings, which would name a database of their own.
        "DJANGO_SETTINGS_MODULE": "dashboard.settings",
    }
    command = [sys.executable, "-m", "dashboard.wait", "database", "--", "true"]

    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as waiting:
        said = waiting.stdout.readline()
        waiting.kill()

    assert b"Waiting for database" in said
    assert b"open-sesame" not in said


@pytest.mark.parametrize("arguments", [[], ["database"], ["moon", "--", "true"], ["database", "--"]])
def test_a_wrong_call_shows_how_it_goes(arguments):
    with pytest.raises(SystemExit, match=r"python -m dashboard\.wait"):
        wait.main(arguments)


@pytest.fixture
def folders(tmp_path):
    for name in ("desk", "owner", "database", "redis"):
        (tmp_path / name).mkdir()
    keys.make(tmp_path)
    return tmp_path


def test_keys_are_made_once(folders):
    before = {path: path.read_text() for path in folders.rglob("*") if path.is_file()}

    keys.make(folders)

    assert {path: path.read_text() for path in before} == before
    assert len(before) == 8


def test_keys_are_private_and_servers_can_read_their_passwords(folders):
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in folders.rglob("*") if path.is_file()}

    assert {str(path.relative_to(folders)) for path, mode in modes.items() if mode != 0o600} == {
        "database/password",
        "database/app_password",
        "redis/redis.conf",
    }


def test_what_runs_has_no_password_of_who_owns_the_tables(folders):
    password = (folders / "database" / "password").read_text()

    assert (folders / "owner" / "pgpass").read_text() == f"*:*:*:desk:{password}\n"
    assert not [path for path in (folders / "desk").iterdir() if password in path.read_text()]


def test_settings_take_what_is_made(folders):
    desk = folders / "desk"
    made = {f"{name.upper()}_FILE": str(desk / name) for name in ("secret_key", "token_keys", "redis_url")}

    assert environment.read(made | {"OIDC_CLIENT_ID": "desk"})["REDIS_URL"].endswith("@redis:6379/0")


def test_a_new_token_key_comes_first_and_the_old_one_stays(folders):
    old = (folders / "desk" / "token_keys").read_text()

    keys.rotate(folders / "desk")

    newest, *others = (folders / "desk" / "token_keys").read_text().split(",")
    assert others == [old]
    assert newest != old
