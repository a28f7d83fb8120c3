"""Rate limits: a true sliding window for every client id and every limited operation.

https://developer.bentley.com/apis/overview/rate-limits/ and the "Rate limits" paragraph of create, clone and fork.
A request that was refused for its rate does not count; any other request does, whatever its answer.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """At most ``calls`` within any ``per_s`` seconds."""

    calls: int
    per_s: float


@dataclass(frozen=True)
class Exceeded:
    """Which bucket is full, and how long until one more call fits."""

    bucket: str
    retry_after_s: int


def limits_of(tier: str) -> dict[str, list[Limit]]:
    """The documented limits. ``all`` counts every call of the client application."""
    if tier == "trial":
        few = [Limit(5, 60)]
        return {"create": few, "clone": few, "fork": few, "all": [Limit(500, 60), Limit(5000, 3600)]}
    if tier in ("basic", "premium", "enterprise"):
        return {
            "create": [Limit(50, 60)],
            "clone": [Limit(20, 60)],
            "fork": [Limit(20, 60)],
            "all": [Limit(5000, 60)],
        }
    raise ValueError(f"unknown tier {tier!r}; choose trial, basic, premium or enterprise")


class Limits:
    """Counts calls by (client id, bucket)."""

    def __init__(self, tier: str, *, enforced: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self.tier, self.clock = tier, clock
        self._enforced_at_start = enforced
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self.enforced = self._enforced_at_start
            self.limits = limits_of(self.tier)
            self._calls: dict[tuple[str, str], deque[float]] = defaultdict(deque)

    def set(self, bucket: str, calls: int, per_s: float = 60) -> None:
        """Replace the limit of one bucket: create, clone, fork or all."""
        with self._lock:
            self.enforced = True
            self.limits[bucket] = [Limit(calls, per_s)]

    def count(self, client_id: str, bucket: str | None) -> Exceeded | None:
        """Count one call in its own bucket and in ``all``, or say which of them is full. Counts both or none."""
        with self._lock:
            if not self.enforced:
                return None
            now = self.clock()
            buckets = ["all"] if bucket is None else [bucket, "all"]
            for name in buckets:
                wait_s = self._wait_s(self._calls[client_id, name], self.limits[name], now)
                if wait_s > 0:
                    return Exceeded(name, max(1, math.ceil(wait_s)))
            for name in buckets:
                self._calls[client_id, name].append(now)
        return None

    def _wait_s(self, calls: deque[float], limits: list[Limit], now: float) -> float:
        longest_s = max(limit.per_s for limit in limits)
        while calls and calls[0] <= now - longest_s:
            calls.popleft()
        wait_s = 0.0
        for limit in limits:
            if not limit.calls:
                return limit.per_s
            if len(calls) >= limit.calls:
                wait_s = max(wait_s, calls[-limit.calls] + limit.per_s - now)
        return wait_s
