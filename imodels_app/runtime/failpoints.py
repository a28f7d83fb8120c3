"""Named places where a test can kill, stop or break a process that really runs.

Off unless FAILPOINTS names a folder in the environment of the process, which settings refuse for a public
address; no request can switch it on. A test arms a place by writing a file of its name there, whose text says
what happens. The first process to reach the place takes the file away, so each arming strikes once.
"""

import os
import signal
from pathlib import Path

from django.conf import settings


class Cut(OSError):
    """A failpoint broke what was going on."""


def reach(name: str) -> None:
    """Pass a named place. What it is armed with happens here, once.

    kill             kill -9 of this process
    kill all         and of the processes that share its group (a worker with all its children)
    stop             SIGSTOP: as a machine that hangs, until somebody sends SIGCONT
    cut              an OSError

    Who was struck leaves the file .NAME.PID behind.
    """
    if not settings.FAILPOINTS:
        return
    armed = Path(settings.FAILPOINTS) / name
    taken = armed.with_name(f".{name}.{os.getpid()}")
    try:
        armed.rename(taken)
    except FileNotFoundError:
        return
    _strike(taken.read_text().split())


def _strike(words: list[str]) -> None:
    match words:
        case ["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["kill", "all"]:
            os.killpg(0, signal.SIGKILL)
        case ["stop"]:
            os.kill(os.getpid(), signal.SIGSTOP)
        case ["cut"]:
            raise Cut("cut by a failpoint")
        case _:
            raise ValueError(f"no such failpoint action: {words}")
