"""One bad item stops nobody behind it."""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from celery.exceptions import SoftTimeLimitExceeded
from django.db import Error, connection

log = logging.getLogger(__name__)
T = TypeVar("T")


def for_each(items: Iterable[T], act: Callable[[T], object]) -> None:
    """Do something with each item. What fails for one is logged, and the others have their turn.

    Raises what is no item's fault: the task's time is over, or the database is gone.
    """
    for item in items:
        try:
            act(item)
        except SoftTimeLimitExceeded:
            raise
        except Exception as error:
            if isinstance(error, Error) and not _is_connected():
                raise
            log.exception("%s failed for %r; the others go on", act, item)


def _is_connected() -> bool:
    return connection.connection is not None and connection.is_usable()
