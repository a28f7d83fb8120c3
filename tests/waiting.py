"""How tests wait: for what must come, and never for a number of seconds."""

import time
from collections.abc import Callable

# How long a test waits for what must come: only a hang takes as long, however busy the machine is.
PATIENCE_S = 120.0


def wait_until(true: Callable[[], object], *, what: str = "it") -> None:
    """Return as soon as it is true; fail the test when it never is."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"{what} was waited for in vain"
        time.sleep(0.05)
