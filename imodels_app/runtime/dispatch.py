"""Wake a worker, by task name, once the transaction has committed.

A message is only a hint: the row is the queue, and a sweep finds what no hint announced. So a broker that is
down never fails a request, and is given only a moment. Hints carry no expiry: Celery would compare it with the
clock of the worker's host, and a worker whose clock is ahead would never do anything.
"""

import logging
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from celery import current_app
from django.core.cache import cache
from django.db import transaction
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from imodels_app.runtime.timing import ANNOUNCED_FOR_S

log = logging.getLogger(__name__)

# Redis' order in Celery: less is sooner. Many looks that wait must not hold up what is to be sent, nor a sweep.
SOON, AFTERWARDS = 0, 6


def wake_submitter(operation_id: UUID) -> None:
    """An operation is queued and may be tried."""
    transaction.on_commit(partial(send, "imodels_app.submit", operation_id))


def wake_poller(operation_id: UUID) -> None:
    """An operation runs and may be looked at."""
    transaction.on_commit(partial(send, "imodels_app.poll", operation_id))


def wake_cleanup(operation_id: UUID) -> None:
    """What an operation left on the platform is to be deleted."""
    transaction.on_commit(partial(send, "imodels_app.delete_orphan", operation_id))


def wake_uploader(operation_id: UUID) -> None:
    """A baseline file may go on to the platform."""
    transaction.on_commit(partial(send, "imodels_app.upload", operation_id))


def announce(
    task: str, operation_id: object, *, due_at: datetime | None = None, for_s: float = ANNOUNCED_FOR_S
) -> None:
    """Send a hint unless one was sent a moment ago, so that hints do not pile up before busy workers.

    due_at  what the row is due for: the next due time may be announced at once
    """
    try:
        due = due_at.timestamp() if due_at else ""
        is_new = cache.add(f"announced:{task}:{operation_id}:{due}", 1, timeout=int(for_s))
    except (RedisError, OSError):
        return  # the broker is this same Redis
    if is_new:
        send(task, operation_id)


def send(task: str, operation_id: object, *, in_s: float = 0.0) -> None:
    """Send one hint, to be read in a few seconds at most; without a broker, leave it to the sweeps."""
    how: dict[str, Any] = {"countdown": in_s} if in_s > 0 else {}
    how["priority"] = AFTERWARDS if task == "imodels_app.poll" else SOON
    try:
        current_app.send_task(task, [str(operation_id)], retry=False, ignore_result=True, **how)
    except (OperationalError, OSError) as error:
        log.warning("No hint %s for operation %s: the broker does not answer (%s)", task, operation_id, error)
