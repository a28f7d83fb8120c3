"""Wake a worker, by task name, once the transaction has committed.

A message is only a hint: the row is the queue, and a sweep finds what no hint announced. So a broker that is
down never fails a request, and is given only a moment.
"""

import logging
from functools import partial
from uuid import UUID

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

# A hint that nobody read within this time is stale: by then a sweep has found the row.
HINT_EXPIRES_S = 30


def wake_submitter(operation_id: UUID) -> None:
    """An operation is queued and may be tried."""
    transaction.on_commit(partial(send, "imodels_app.submit", operation_id))


def wake_follower(operation_id: UUID) -> None:
    """An operation runs and may be looked at."""
    transaction.on_commit(partial(send, "imodels_app.poll", operation_id))


def send(task: str, operation_id: UUID, *, in_s: float = 0.0) -> None:
    """Send one hint, to be read in a few seconds at most; without a broker, leave it to the sweeps."""
    when = {"countdown": in_s} if in_s > 0 else {}
    try:
        current_app.send_task(
            task, [str(operation_id)], expires=HINT_EXPIRES_S, retry=False, ignore_result=True, **when
        )
    except (OperationalError, OSError) as error:
        log.warning("No hint %s for operation %s: the broker does not answer (%s)", task, operation_id, error)
