"""Ends a worker that lives but does not consume, so that whoever keeps it running starts it again.

A worker can lose its consumer (a reconnect that stalled, a consumer called off) and still answer pings. What it
does not do then is take messages while messages wait; that is what we look for, and nothing else will do.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from celery import bootsteps, signals
from celery.worker import state

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
# Idle, and messages wait.
SILENT_FOR_S = 60.0
# Busy, and nothing has changed for longer than any task may run (CELERY_TASK_TIME_LIMIT).
BUSY_FOR_S = 120.0
# More hints than this are a backlog from an outage. Rows are the queue, so nothing is lost with them.
BACKLOG = 2000


class Silence:
    """How long a worker has taken nothing although something waited."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()

    def broken(self, *_: object, **__: object) -> None:
        """A message was taken."""
        self._since = self._clock()

    def lasts_too_long(self, *, waiting: int | None, busy: bool) -> bool:
        """One look. waiting: messages in the queue; None when the broker does not answer, which is not our fault."""
        if not waiting:
            self.broken()
        return self._clock() - self._since > (BUSY_FOR_S if busy else SILENT_FOR_S)


class Watchdog(bootsteps.StartStopStep):  # type: ignore[misc] # Celery has no types
    """A thread beside the worker's consumer."""

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._ended = threading.Event()

    def start(self, worker: Any) -> None:
        if (waiting(worker.app) or 0) > BACKLOG:
            log.warning("Dropped %s hints from an outage; the sweeps find the rows.", worker.app.control.purge())
        threading.Thread(target=self._watch, args=[worker.app], name="watchdog", daemon=True).start()

    def stop(self, worker: Any) -> None:
        self._ended.set()

    def _watch(self, app: Any) -> None:
        silence = Silence()
        signals.task_received.connect(silence.broken, weak=False)
        while not self._ended.wait(LOOK_EVERY_S):
            if silence.lasts_too_long(waiting=waiting(app), busy=bool(state.active_requests)):
                log.critical("Messages wait and this worker takes none. It ends, to be started again.")
                _end()


def waiting(app: Any) -> int | None:
    """Messages in the queue; None when the broker does not answer."""
    try:
        with app.connection_for_write(connect_timeout=2) as connection:
            queue = connection.default_channel.queue_declare(app.conf.task_default_queue, passive=True)
            return int(queue.message_count)
    except Exception:  # noqa: BLE001 - kombu's, redis's or the socket's own: a guard must not die of a broker
        return None


def _end() -> None:
    """As kill -9, children included where they are ours alone."""
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
