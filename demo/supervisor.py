"""Child processes: start them, wait until they are ready, restart those that die, stop all of them.

Each child leads a session of its own, so a Ctrl-C in the terminal reaches only us, and whatever a
child has started can be ended with it. A child also ends when we vanish without a word (kill -9).
Children write straight into log files: no pipe of ours can block them or break under them.
"""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CHECK_EVERY_S = 0.2
# A child that ran this long before it died starts again at once; one that dies sooner waits longer each time.
STEADY_AFTER_S = 30.0
BACK_OFF_S = (0.5, 1, 2, 5, 10, 30)
# A child that dies this often before it was ready once will not come up by itself.
TRIES_TO_GET_READY = 3
STOP_WITHIN_S = 7.0

# The console says the same thing of the same child once in this time; the log has it every time.
SAME_AGAIN_AFTER_S = 60.0
# After so many lines of children the reminder is said again, so that it stays in view.
REMIND_AFTER_LINES = 8

_LOUD = re.compile(r"\b(WARNING|WARN|ERROR|CRITICAL|FATAL)\b")
_NUMBER = re.compile(r"\d+")
_PR_SET_PDEATHSIG = 1
# Loaded before any fork: between fork and exec a child must not wait for the import lock.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class NotReady(Exception):
    """A child did not come up. The text names its log and quotes the end of it."""


class StopRequested(Exception):
    """We were asked to stop while we waited for something."""


@dataclass(eq=False)
class Child:
    """One process to keep running.

    ready            asked until it says yes, once, when the child is started; may take a second to answer
    ready_within_s   how long that may last
    quiet            its log is not for the console (it warns of things that do not matter here)
    """

    name: str
    command: Sequence[str]
    ready: Callable[[], bool]
    ready_within_s: float = 45
    quiet: bool = False
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    started_at: float = field(default=0, init=False)
    start_after: float = field(default=0, init=False)
    deaths: int = field(default=0, init=False)
    shown: int = field(default=0, init=False)


class Supervisor:
    """Starts children in waves, looks after them, and stops the waves in reverse order.

    keep_fds   descriptors that every child inherits (a lock held until the last of them is gone)
    say        receives one line for a person: deaths, restarts, and the warnings and errors in the logs
    """

    def __init__(
        self,
        *,
        log_dir: Path,
        env: Mapping[str, str],
        cwd: Path,
        say: Callable[[str], None] = print,
        keep_fds: Sequence[int] = (),
    ) -> None:
        self.log_dir = log_dir
        self.env = env
        self.cwd = cwd
        self.say = say
        self.keep_fds = tuple(keep_fds)
        self.waves: list[tuple[Child, ...]] = []
        self.stop_requested = False
        self.stop_asked_by = ""
        self.reminder = ""  # a line that is said again when others have pushed it out of view; "" for none
        self._lines_since = 0
        self._said_at: dict[str, float] = {}

    @property
    def children(self) -> list[Child]:
        return [child for wave in self.waves for child in wave]

    def log_of(self, child: Child) -> Path:
        return self.log_dir / f"{child.name}.log"

    def request_stop(self, number: int = 0, _frame: object = None) -> None:
        """Ask for an end; also a signal handler. Whoever waits inside start() or watch() comes back."""
        self.stop_requested = True
        self.stop_asked_by = signal.Signals(number).name if number else "us"

    def start(self, *children: Child) -> None:
        """Start these together and return when all of them are ready. Raises NotReady and StopRequested."""
        self.waves.append(children)
        for child in children:
            self._spawn(child)
        for child in children:
            self._wait_until_ready(child)

    def watch(self) -> None:
        """Restart what dies and show what is loud in the logs, until a stop is requested."""
        while not self.stop_requested:
            self.check()
            time.sleep(CHECK_EVERY_S)

    def check(self) -> None:
        """One look at every child and its log."""
        for child in self.children:
            self._restart_if_dead(child)
            self._show_loud_lines(child)

    def stop(self) -> None:
        """End everything, last wave first, politely for some seconds and then by force."""
        for wave in reversed(self.waves):
            for child in wave:
                _signal(child, signal.SIGTERM)
            deadline = time.monotonic() + STOP_WITHIN_S
            for child in wave:
                if child.process:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.process.wait(max(0.0, deadline - time.monotonic()))
            for child in wave:
                _kill_group(child)
        self.waves.clear()

    def _spawn(self, child: Child) -> None:
        log = self.log_of(child)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            child.shown = output.tell()
            child.process = spawn(child.command, output=output, env=self.env, cwd=self.cwd, keep_fds=self.keep_fds)
        child.started_at = time.monotonic()
        child.start_after = 0

    def _wait_until_ready(self, child: Child) -> None:
        deadline = time.monotonic() + child.ready_within_s
        while not child.ready():
            if self.stop_requested:
                raise StopRequested
            self.check()
            if child.deaths >= TRIES_TO_GET_READY:
                raise NotReady(f"{child.name} exits as soon as it is started. {self._end_of_log(child)}")
            if time.monotonic() > deadline:
                seconds = f"{child.ready_within_s:.0f} s"
                raise NotReady(f"{child.name} did not answer within {seconds}. {self._end_of_log(child)}")
            time.sleep(CHECK_EVERY_S)

    def _restart_if_dead(self, child: Child) -> None:
        if child.process is None or child.process.poll() is None:
            return
        now = time.monotonic()
        if not child.start_after:
            # A dead leader may leave workers of its own behind, who would go on with the old state.
            _kill_group(child)
            child.deaths = 1 if now - child.started_at > STEADY_AFTER_S else child.deaths + 1
            pause_s = BACK_OFF_S[min(child.deaths, len(BACK_OFF_S)) - 1]
            child.start_after = now + pause_s
            self.say(f"{child.name}: ended ({_how(child.process.returncode)}), restarting in {pause_s:g} s")
        elif now >= child.start_after:
            self._spawn(child)

    def _show_loud_lines(self, child: Child) -> None:
        for line in self._new_lines(child):
            if _LOUD.search(line) and not child.quiet and self._is_new(f"{child.name} {_NUMBER.sub('', line)}"):
                self.say(f"{child.name}: {line.strip()}")
                self._remind()

    def _remind(self) -> None:
        """Say again what has scrolled away. Nothing before the first of these lines: then it has just been said."""
        self._lines_since += 1
        if self.reminder and self._lines_since >= REMIND_AFTER_LINES:
            self.say(self.reminder)
            self._lines_since = 0

    def _is_new(self, gist: str) -> bool:
        now = time.monotonic()
        if now - self._said_at.get(gist, -SAME_AGAIN_AFTER_S) < SAME_AGAIN_AFTER_S:
            return False
        self._said_at[gist] = now
        return True

    def _new_lines(self, child: Child) -> list[str]:
        """The whole lines that the child's log got since we looked last."""
        try:
            with self.log_of(child).open("rb") as log:
                log.seek(child.shown)
                fresh = log.read()
        except FileNotFoundError:
            return []
        whole = fresh[: fresh.rfind(b"\n") + 1]
        child.shown += len(whole)
        return whole.decode(errors="replace").splitlines()

    def _end_of_log(self, child: Child) -> str:
        log = self.log_of(child)
        lines = log.read_text(errors="replace").splitlines()[-12:]
        return f"The end of {log}:\n" + "\n".join(f"    {line}" for line in lines)


def spawn(
    command: Sequence[str],
    *,
    output: int | object,
    env: Mapping[str, str],
    cwd: Path,
    keep_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a process that leads its own session and ends when we do, even if we are killed.

    Call it from the main thread: Linux takes the death of the thread that forked for ours.
    """
    if _libc is None:
        # No PR_SET_PDEATHSIG here: a guard stands between us and the process and watches for our end.
        command = [sys.executable, "-m", "demo.supervisor", str(os.getpid()), *command]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,  # type: ignore[arg-type]
        stderr=subprocess.STDOUT,
        env=env,
        cwd=cwd,
        start_new_session=True,
        pass_fds=keep_fds,
        # Two system calls and nothing else happen between fork and exec.
        preexec_fn=_die_with(_libc, os.getpid()) if _libc else None,  # noqa: PLW1509
    )


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process of spawn() and whatever it has started, at once."""
    # The group outlives its leader for as long as it has members.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _die_with(libc: ctypes.CDLL, parent: int) -> Callable[[], None]:
    def between_fork_and_exec() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return between_fork_and_exec


def _signal(child: Child, number: signal.Signals) -> None:
    if child.process and child.process.poll() is None:
        child.process.send_signal(number)


def _kill_group(child: Child) -> None:
    if child.process:
        end_group(child.process)


def _how(returncode: int) -> str:
    if returncode < 0:
        return f"signal {signal.Signals(-returncode).name}"
    return f"exit status {returncode}"


def guard(parent: int, command: Sequence[str]) -> int:
    """Run a command, pass SIGTERM on to it, and end it and its kin once the process `parent` is gone."""
    process = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    while process.poll() is None:
        if os.getppid() != parent:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_WITHIN_S)
            os.killpg(0, signal.SIGKILL)
        time.sleep(CHECK_EVERY_S)
    return process.returncode


if __name__ == "__main__":
    sys.exit(guard(int(sys.argv[1]), sys.argv[2:]))
