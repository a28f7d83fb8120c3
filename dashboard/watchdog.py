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
from django.conf import settings

log = logging.getLogger(__name__)

CHECK_EVERY_S = 5.0
# Idle, and messages wait.
SILENT_FOR_S = 60.0
# Busy, and nothing has changed for longer than any task may run: CELERY_TASK_TIME_LIMIT, or that of uploads.
BUSY_FOR_S = 120.0
UPLOADS = "uploads"
# More hints than this are a backlog from an outage. Rows are the queue, so nothing is lost with them.
BACKLOG = 2000


class Silence:
    """How long a worker has taken nothing although something waited."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, busy_for_s: float = BUSY_FOR_S) -> None:
        self._clock, self._busy_for_s = clock, busy_for_s
        self._since = clock()

    def broken(self, *_: object, **__: object) -> None:
        """A message was taken."""
        self._since = self._clock()

    def lasts_too_long(self, *, waiting: int, busy: bool) -> bool:
        """One look. waiting: messages in the queues; 0 when the broker does not answer, which is not our fault."""
        if not waiting:
            self.broken()
        return self._clock() - self._since > (self._busy_for_s if busy else SILENT_FOR_S)


class Watchdog(bootsteps.StartStopStep):  # type: ignore[misc] # Celery has no types
    """A thread beside the worker's consumer."""

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._ended = threading.Event()

    def start(self, worker: Any) -> None:
        # Now: a consumer that is called off later is taken from this list.
        queues = list(worker.app.amqp.queues.consume_from)
        if waiting(worker.app, queues) > BACKLOG:
            log.warning("Dropped %s hints from an outage; the sweeps find the rows.", worker.app.control.purge())
        threading.Thread(target=self._watch, args=[worker.app, queues], name="watchdog", daemon=True).start()

    def stop(self, worker: Any) -> None:
        self._ended.set()

    def _watch(self, app: Any, queues: list[str]) -> None:
        silence = Silence(busy_for_s=BUSY_FOR_S + (settings.UPLOAD_TIME_LIMIT_S if UPLOADS in queues else 0))
        signals.task_received.connect(silence.broken, weak=False)
        while not self._ended.wait(CHECK_EVERY_S):
            if silence.lasts_too_long(waiting=waiting(app, queues), busy=bool(state.active_requests)):
                log.critical("Messages are waiting and this worker takes none. It exits, to be restarted.")
                _end()


def waiting(app: Any, queues: list[str]) -> int:
    """Messages in these queues; 0 when the broker does not answer."""
    return sum(_waiting(app, queue) for queue in queues)


def _waiting(app: Any, queue: str) -> int:
    try:
        with app.connection_for_write(connect_timeout=2) as connection:
            return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
    except Exception:  # noqa: BLE001 - kombu's, redis's or the socket's own: a guard must not die of a broker
        return 0


def _end() -> None:
    """As kill -9, children included where they are ours alone."""
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
