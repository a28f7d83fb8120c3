"""`make demo` on a copy of the source, as a newcomer has it: it starts, serves, heals, stops, and starts again."""

import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import requests

from demo import __main__, state
from imodels_app.checks import OLDER
from tests.settings import BASE_DIR
from tests.waiting import PATIENCE_S, wait_until

SOURCE = (
    *("dashboard", "demo", "imodels_app", "sandbox", "templates", "static", "requirements"),
    *("manage.py", "pyproject.toml", "CHANGELOG.md"),
)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class Demo:
    """The demo of one folder, and what a person at its terminal does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        # A newcomer's shell: nothing of ours is set in it.
        self.env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    @property
    def address(self) -> str:
        return re.search(r"Open +(http\S+)/", self.output)[1]

    def start(self) -> None:
        with (self.folder / "output").open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "demo"],
                cwd=self.folder,
                env=self.env,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_until(lambda: "is ready" in self.output or self.process.poll() is not None, what="the demo")
        assert self.process.poll() is None, self.output

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "demo", *arguments]
        return subprocess.run(command, cwd=self.folder, env=self.env, check=False, capture_output=True, text=True)

    def processes(self, *, of: str = "") -> list[int]:
        """Every process that works in the folder, by its command line; ones that only wait to be collected are not."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                in_folder = entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(self.folder)
                if in_folder and of in (entry / "cmdline").read_text().replace("\0", " "):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def end(self) -> None:
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        if self.process:
            self.process.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the source, with no staticfiles/ and no var/."""
    folder = tmp_path_factory.mktemp("newcomer")
    for name in SOURCE:
        source = BASE_DIR / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    return folder


@pytest.fixture(scope="module")
def running(folder):
    running = Demo(folder)
    running.start()
    yield running
    running.end()


@pytest.mark.demo
@on_linux
class TestRunning:
    def test_it_shows_its_page_and_says_who_is_there(self, running):
        answer = requests.get(f"{running.address}/", timeout=PATIENCE_S)

        assert answer.status_code == 200, running.output
        for person in ("Mara", "Tomas", "Ines", "Otto"):
            assert person in running.output

    def test_it_has_set_up_the_teams(self, running):
        done = running.run(
            "manage",
            "shell",
            "-v0",
            "-c",
            "from imodels_app.models import *; print(Team.objects.filter(is_default=False).count())",
        )

        assert done.stdout.strip() == str(len(__main__.TEAMS)), done.stderr

    def test_nobody_else_can_read_its_secrets(self, running):
        secret_files = [*(running.folder / "var" / "secrets").iterdir(), *(running.folder / "var").glob("*.json")]

        assert secret_files
        assert {stat.S_IMODE(path.stat().st_mode) for path in secret_files} == {0o600}
        assert stat.S_IMODE((running.folder / "var").stat().st_mode) == 0o700

    def test_a_second_start_says_that_it_runs(self, running):
        second = running.run()

        assert second.returncode == 0
        assert "already running" in second.stdout
        assert running.address in second.stdout

    @pytest.mark.parametrize(
        "part",
        [
            *("--queues celery", "--queues polls", "--queues uploads", "dashboard beat"),
            *("gunicorn", "redis-server", "-m sandbox"),
        ],
    )
    def test_a_part_that_is_killed_comes_back(self, running, part):
        before = running.processes(of=part)
        os.kill(min(before), signal.SIGKILL)

        wait_until(lambda: running.processes(of=part) and not set(before) & set(running.processes(of=part)))

    def test_when_it_is_killed_nothing_is_left_and_the_next_start_goes_on(self, running):
        secret = (running.folder / "var" / "secrets" / "token_keys").read_text()
        address = running.address
        running.process.kill()
        running.process.wait()

        running.start()

        assert running.address == address
        assert (running.folder / "var" / "secrets" / "token_keys").read_text() == secret
        assert len(running.processes(of="dashboard beat")) == 1

    @pytest.mark.parametrize(
        "how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.soak), signal.SIGINT]
    )
    def test_no_process_outlives_it(self, running, how):
        if running.process.poll() is not None:
            running.start()
        running.process.send_signal(how)

        running.process.wait(PATIENCE_S)
        wait_until(lambda: not running.processes(), what="the end of them all")

    def test_what_an_older_version_kept_is_set_aside_whole(self, running):
        var = running.folder / "var"
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGINT)
            running.process.wait(PATIENCE_S)
        with closing(sqlite3.connect(var / "desk.sqlite3")) as older, older:
            older.execute("INSERT INTO django_migrations (app, name, applied) VALUES (?, ?, '2026-11-20')", OLDER)
        before = contents(var)

        running.start()

        (aside,) = var.glob("older-*")
        assert f"moved to var/{aside.name}" in running.output
        assert contents(aside) == before
        assert before[Path("secrets/token_keys")] != (var / "secrets/token_keys").read_bytes()


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file of a var/ but its lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != state.LOCK.name)
    return {path.relative_to(folder): path.read_bytes() for path in files}


@pytest.fixture
def var(tmp_path, monkeypatch):
    """Another var/ for the functions that write there."""
    for name in ("LOCK", "PORTS", "ENVIRONMENT"):
        monkeypatch.setattr(state, name, tmp_path / getattr(state, name).name)
    for module in (state, __main__):
        monkeypatch.setattr(module, "VAR_DIR", tmp_path)
    for name in ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "ITWIN_API_URL", "OIDC_ISSUER", "DASHBOARD_URL"):
        monkeypatch.delenv(name)
    return tmp_path


def test_with_a_client_of_ones_own_nothing_points_to_the_sandbox(var):
    _, ours = __main__.settings({"web": 1, "sandbox": 2, "redis": 3, "mail": 4}, with_sandbox=False)

    assert not {"ITWIN_API_URL", "OIDC_ISSUER", "OIDC_CLIENT_ID", "DASHBOARD_ADMINS"} & set(ours)


def test_sandbox_and_dashboard_are_on_hosts_that_share_no_cookies(var):
    _, ours = __main__.settings({"web": 1, "sandbox": 2, "redis": 3, "mail": 4}, with_sandbox=True)

    assert ours["DASHBOARD_URL"] == "http://localhost:1"
    assert ours["OIDC_ISSUER"] == ours["ITWIN_API_URL"] == "http://127.0.0.1:2"


def test_ports_are_used_again_unless_somebody_has_taken_them(var):
    with state.ports({"web": 15_000}) as first:
        pass
    with state.ports({"web": 15_050}) as again:
        assert again == first

    with socket.create_server(("127.0.0.1", first["web"])), state.ports({"web": first["web"]}) as other:
        assert other["web"] > first["web"]


TAKES_PORTS = """
import pathlib, sys
from demo import state

state.PORTS = pathlib.Path(sys.argv[1])
with state.ports({"web": 15100, "sandbox": 15110, "redis": 15100}) as ports:
    print(*ports.values(), flush=True)
    sys.stdin.read()
"""


def test_demos_that_start_at_the_same_moment_each_take_the_next_free_ports(tmp_path):
    at_once = [
        subprocess.Popen(
            [sys.executable, "-c", TAKES_PORTS, str(tmp_path / f"{number}.json")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=BASE_DIR,
        )
        for number in range(6)
    ]

    # Each waits on its stdin with what it took, until all have told.
    taken = [demo.stdout.readline().split() for demo in at_once]
    for demo in at_once:
        demo.communicate()

    ports = {int(port) for of_one in taken for port in of_one}
    assert len(ports) == 3 * len(at_once)
    assert max(ports) < 15_200


def test_the_containers_demo_has_the_same_teams():
    compose = (BASE_DIR / "docker-compose.yml").read_text().replace("\\\n", "")
    commands = [shlex.split(line) for line in compose.splitlines() if "set_up_team" in line]

    assert commands == [["python", "manage.py", "set_up_team", *team] for team in __main__.TEAMS]
