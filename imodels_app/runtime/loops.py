"""One bad item stops nobody behind it."""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from celery.exceptions import SoftTimeLimitExceeded

log = logging.getLogger(__name__)
T = TypeVar("T")


def for_each(items: Iterable[T], act: Callable[[T], object]) -> None:
    """Do something with each item. What fails for one is logged, and the others have their turn."""
    for item in items:
        try:
            act(item)
        except SoftTimeLimitExceeded:
            raise  # the task's time is over, whichever item it was at
        except Exception:
            log.exception("%s failed for %r; the others go on", act, item)
