"""How long things took, in one figure."""

from collections.abc import Iterable
from datetime import timedelta


def percentile(times: Iterable[timedelta], percent: int) -> timedelta:
    """The time within which this share of them came to an end; 50 is the median. Of no times there is none."""
    ordered = sorted(times)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]
