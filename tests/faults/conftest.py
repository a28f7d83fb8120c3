"""After every test here the oracle speaks."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def oracle(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test did: nothing twice, nothing lost, nothing of a stranger's, no secret told."""
    if "sandbox" not in request.fixturenames or request.node.get_closest_marker("no_oracle"):
        yield
        return
    from tests.faults.oracle import violations

    sandbox = request.getfixturevalue("sandbox")
    request.getfixturevalue("transactional_db")
    redis_url = request.getfixturevalue("redis_url")
    running = request.getfixturevalue("processes") if "processes" in request.fixturenames else None
    yield
    if running:
        running.end_all()
    found = violations(sandbox, logs=running.logs() if running else {}, redis_url=redis_url)
    assert not found, "the oracle says:\n" + "\n".join(found)


@pytest.fixture
def reached() -> Callable:
    """reached(operation, State.RUNNING) is the operation, once it is there."""

    def wait(operation, *states):
        def there() -> bool:
            operation.refresh_from_db()
            return operation.state in states

        wait_until(there, what=f"{operation.name} in {' or '.join(states)}")
        return operation

    return wait


@pytest.fixture
def goes_by() -> Callable[[float], None]:
    """goes_by(120): all that is written down about requests and waits happened so many seconds earlier."""
    from django.db.models import F

    from imodels_app.models import Attempt, Bucket, CircuitBreaker, Operation, Upload

    columns = {
        Attempt: ("sent_at", "answered_at"),
        Operation: (
            "due_at",
            *("wait_until", "accepted_at", "missing_since", "polled_at"),
        ),
        Upload: ("due_at",),
        Bucket: ("frozen_until", "one_at_a_time_until", "no_bursts_until", "dripped_at"),
        CircuitBreaker: ("failing_since", "open_until"),
    }

    def go(seconds: float) -> None:
        for model, names in columns.items():
            model._default_manager.update(**{name: F(name) - timedelta(seconds=seconds) for name in names})

    return go


@pytest.fixture
def time_passes(goes_by) -> Callable[[float], None]:
    """As goes_by; and beat ticks, so that nobody waits for the seconds until it would."""
    from celery import current_app

    def pass_(seconds: float) -> None:
        goes_by(seconds)
        for sweep in ("sweep_submitting", "sweep_queued", "sweep_uploads", "sweep_running"):
            current_app.send_task(f"imodels_app.{sweep}", ignore_result=True)

    return pass_


@pytest.fixture
def tick(redis_url) -> Callable[[], None]:
    """tick() is one round of the timetable, and whatever it announces, here and now: a worker without waiting."""
    import redis

    from dashboard.celery import app
    from imodels_app import tasks

    def round_() -> None:
        with redis.Redis.from_url(redis_url) as client:
            for key in client.scan_iter("desk:*announced*"):  # in a test's time that was long ago
                client.delete(key)
        for sweep in (tasks.sweep_submitting, tasks.sweep_queued, tasks.sweep_uploads, tasks.sweep_running):
            sweep()
        with app.connection_for_read() as connection:
            for name in ("celery", "polls", "uploads"):
                _do_all(connection, name, app)

    return round_


@pytest.fixture
def virtual_clock(sandbox, monkeypatch):
    """One clock for the platform and for us, which nobody has to wait for."""
    from imodels_app.accounts import tokens
    from imodels_app.runtime import clock
    from tests.faults import schedules

    virtual = schedules.VirtualClock()
    platform = sandbox.platform
    for part in (platform.world, platform.limits, platform.grants, platform.blobs):
        monkeypatch.setattr(part, "clock", virtual.time)
    monkeypatch.setattr(clock, "now", virtual.now)
    # A dead process's lease ends by the virtual clock, so waiting for it by the real one is in vain.
    monkeypatch.setattr(tokens, "WAIT_FOR_OTHERS_S", 0)
    return virtual


def _do_all(connection, name, app) -> None:
    with connection.SimpleQueue(name) as queue:
        while True:
            try:
                message = queue.get_nowait()
            except queue.Empty:
                return
            message.ack()
            app.tasks[message.headers["task"]](*message.payload[0])
