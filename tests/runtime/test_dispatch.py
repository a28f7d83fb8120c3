"""Hints: what is to be sent goes first, and a broker that is down fails nobody."""

from uuid import uuid4

import pytest

from dashboard.celery import app
from imodels_app.runtime import dispatch

pytestmark = pytest.mark.django_db


def test_a_hundred_looks_that_wait_do_not_hold_up_what_is_to_be_sent(redis_url):
    for _ in range(100):
        dispatch.send("imodels_app.poll", uuid4())
    dispatch.send("imodels_app.submit", uuid4())
    app.send_task("imodels_app.sweep_running")

    with app.connection_for_read() as connection:
        with connection.SimpleQueue("celery") as queue:
            assert [queue.get_nowait().headers["task"]] == ["imodels_app.submit"]
        with connection.SimpleQueue("polls") as queue:
            read = [queue.get_nowait().headers["task"] for _ in range(101)]
    assert read[:2] == ["imodels_app.sweep_running", "imodels_app.poll"]


def test_a_broker_that_is_down_is_only_logged(redis_url, redis_process, caplog):
    redis_process.stop()

    dispatch.send("imodels_app.submit", uuid4())

    assert "the broker does not answer" in caplog.text
