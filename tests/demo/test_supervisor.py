"""The supervisor keeps children alive and leaves none behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo import supervisor
from demo.supervisor import Child, NotReady, Supervisor
from tests.settings import BASE_DIR
from tests.waiting import wait_until

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
# A process with a child of its own, whose pid it prints.
FAMILY = [
    sys.executable,
    "-c",
    """
import subprocess, sys, time
kid = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(kid.pid, flush=True)
time.sleep(600)
""",
]
DEAF = [
    sys.executable,
    "-c",
    """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
""",
]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def demo_supervisor(tmp_path, said):
    demo_supervisor = Supervisor(log_dir=tmp_path / "log", env=os.environ, cwd=BASE_DIR, say=said.append)
    yield demo_supervisor
    demo_supervisor.stop()


def is_alive(pid: int) -> bool:
    """Whether a process runs. One that ended and waits to be collected by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_start_returns_when_the_child_is_ready(demo_supervisor, tmp_path):
    flag = tmp_path / "ready"
    child = Child("slow", ["sh", "-c", f"sleep 0.3; touch {flag}; sleep 600"], flag.exists)

    demo_supervisor.start(child)

    assert flag.exists()


def test_a_child_that_dies_is_started_again(demo_supervisor, said):
    child = Child("sleeper", SLEEP, lambda: True)
    demo_supervisor.start(child)
    first = child.process

    first.kill()
    wait_until(lambda: demo_supervisor.check() or child.process is not first)

    assert child.process.poll() is None
    assert said == ["sleeper: ended (signal SIGKILL), restarting in 0.5 s"]


def test_what_a_dead_child_had_started_does_not_live_on(demo_supervisor):
    child = Child("family", FAMILY, lambda: "\n" in demo_supervisor.log_of(child).read_text())
    demo_supervisor.start(child)
    kid = int(demo_supervisor.log_of(child).read_text())

    child.process.kill()
    wait_until(lambda: demo_supervisor.check() or not is_alive(kid))


def test_a_child_that_cannot_start_is_given_up_with_the_end_of_its_log(demo_supervisor, monkeypatch):
    monkeypatch.setattr(supervisor, "BACK_OFF_S", (0.05,))
    child = Child("broken", ["sh", "-c", "echo no such port; exit 3"], lambda: False)

    with pytest.raises(NotReady, match="no such port"):
        demo_supervisor.start(child)


def test_a_child_that_never_answers_is_given_up(demo_supervisor):
    with pytest.raises(NotReady, match=r"mute did not answer within 0 s"):
        demo_supervisor.start(Child("mute", SLEEP, lambda: False, ready_within_s=0.3))


def test_only_what_is_loud_reaches_the_console_and_once(demo_supervisor, said):
    lines = "echo calm; echo 1 WARNING disk full; echo 2 WARNING disk full; echo '3 ERROR gone'; sleep 600"
    child = Child("talker", ["sh", "-c", lines], lambda: "gone" in demo_supervisor.log_of(child).read_text())
    demo_supervisor.start(child)

    demo_supervisor.check()

    assert said == ["talker: 1 WARNING disk full", "talker: 3 ERROR gone"]


def test_the_address_is_said_again_when_it_has_scrolled_away(demo_supervisor, said):
    words = "one two three four five six seven eight nine"
    lines = f"for word in {words}; do echo WARNING $word; done; echo calm; sleep 600"
    child = Child("talker", ["sh", "-c", lines], lambda: "calm" in demo_supervisor.log_of(child).read_text())
    demo_supervisor.reminder = "iModel Desk is at http://localhost:8000/"
    demo_supervisor.start(child)

    demo_supervisor.check()

    assert len(said) == 10
    assert said[supervisor.REMIND_AFTER_LINES] == demo_supervisor.reminder


def test_stop_ends_even_a_child_that_does_not_listen(demo_supervisor, monkeypatch):
    monkeypatch.setattr(supervisor, "STOP_WITHIN_S", 0.3)
    child = Child("deaf", DEAF, lambda: demo_supervisor.log_of(child).stat().st_size > 0)
    demo_supervisor.start(child)

    demo_supervisor.stop()

    assert child.process.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("with_guard", [False, True], ids=["by the kernel", "by a guard"])
def test_children_end_when_their_parent_is_killed(tmp_path, with_guard):
    parent = (
        "import os, pathlib, sys, time\n"
        "from demo import supervisor\n"
        f"if {with_guard}: supervisor._libc = None\n"
        f"log = open({str(tmp_path / 'log')!r}, 'wb')\n"
        f"child = supervisor.spawn({FAMILY!r}, output=log, env=os.environ, cwd=pathlib.Path.cwd())\n"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, cwd=BASE_DIR)
    child = int(process.stdout.readline())
    wait_until(lambda: (tmp_path / "log").read_text().endswith("\n"))

    process.kill()
    process.communicate()

    wait_until(lambda: not is_alive(child))
    kid = int((tmp_path / "log").read_text())
    if with_guard:  # the kernel tells the child alone, and what it does about its own is its affair
        wait_until(lambda: not is_alive(kid))
    else:
        os.kill(kid, signal.SIGKILL)
