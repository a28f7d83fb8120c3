"""Servers that tests run on: a real Redis, and the sandbox."""

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from demo import redis_server, supervisor
from tests.settings import REDIS_PASSWORD, REDIS_PORT, RUN_DIR, SANDBOX_PORT
from tests.waiting import wait_until


class RedisServer:
    """A real Redis, which a test can take away and bring back. It forgets everything when it stops."""

    def __init__(self) -> None:
        self.folder = RUN_DIR / "redis"
        prepared = redis_server.prepare(self.folder, port=REDIS_PORT, password=REDIS_PASSWORD, append_only=False)
        self._command, self.url = prepared
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process:
            return
        with (self.folder / "log").open("ab") as log:
            self._process = supervisor.spawn(self._command, output=log, env=os.environ, cwd=self.folder)
        wait_until(lambda: redis_server.answers(self.url), what="Redis")

    def stop(self) -> None:
        if self._process:
            supervisor.end_group(self._process)
        self._process = None


@pytest.fixture(scope="session")
def _redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_process(_redis: RedisServer) -> Iterator[RedisServer]:
    """The Redis of all tests, to be stopped and started. It is there again after the test."""
    yield _redis
    _redis.start()


@pytest.fixture
def redis_url(_redis: RedisServer) -> str:
    """A real Redis with nothing in it."""
    import redis

    with redis.Redis.from_url(_redis.url) as client:
        client.flushdb()
    return _redis.url


@pytest.fixture(scope="session")
def _sandbox() -> Iterator[Any]:
    from sandbox.server import Sandbox

    server = Sandbox.start(port=SANDBOX_PORT, tier="basic", limits=True)
    assert (server.client_id, server.client_secret) == (os.environ["OIDC_CLIENT_ID"], os.environ["OIDC_CLIENT_SECRET"])
    yield server
    server.stop()


@pytest.fixture
def sandbox(_sandbox: Any) -> Any:
    """The stand-in platform, as new: its world, its limits, no faults, no calls."""
    _sandbox.reset()
    return _sandbox
