"""Real workers, beats and web servers of the product, to be started, struck and killed."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from demo import supervisor
from tests.settings import BASE_DIR, RUN_DIR, free_port
from tests.waiting import PATIENCE_S, wait_until


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

    def shell(self, code: str) -> subprocess.Popen[bytes]:
        """A process of the web's side that runs these lines, started and not waited for."""
        return self._spawn([sys.executable, "manage.py", "shell", "--no-imports", "-c", code])

    def web(self, *, open_files: int = 0) -> str:
        """The dashboard as it is served, perhaps allowed so many open files only; its address."""
        port = free_port()
        server = ("gunicorn", "--config", "python:dashboard.web", "--bind", f"127.0.0.1:{port}", "--workers", "1")
        limited = ["prlimit", f"--nofile={open_files}"] if open_files else []
        command = [*limited, sys.executable, "-m", *server, "dashboard.wsgi"]
        process = self._spawn(command, {"DJANGO_SETTINGS_MODULE": "tests.web_settings"})
        self._wait(process, lambda: listens(port))
        self._web = process
        return f"http://127.0.0.1:{port}"

    def kill_web(self) -> None:
        """The one that web() started last."""
        self.kill(self._web)

    def open_files_of_web(self) -> str:
        """Where the files are that it holds open, also those without a name."""
        web = psutil.Process(self._web.pid)
        held = []
        for one in (web, *web.children(recursive=True)):
            for file in Path(f"/proc/{one.pid}/fd").iterdir():
                with suppress(FileNotFoundError):  # closed meanwhile
                    held.append(str(file.readlink()))
        return "\n".join(held)

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


def listens(port: int) -> bool:
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
