"""The stream of events: nothing is lost, what comes twice is the same, and who is slow delays nobody."""

import base64
import hashlib
import hmac
import json
import os
import random
import socket
from datetime import timedelta
from threading import Thread

import pytest
from django.db import connection
from django.utils import timezone

from imodels_app.accounts import streams
from imodels_app.audit import events, log
from imodels_app.audit.verify import Broken, verify
from imodels_app.audit.verify_export import event_hash, personal_hash
from imodels_app.models import Destination, Event, LogHead, LogLeaf
from imodels_app.runtime import clock
from imodels_app.workers import stream
from tests.triggers import triggers_off
from tests.waiting import wait_until
from tests.webhook_server import WebhookServer

pytestmark = pytest.mark.django_db
KEY = b"0123456789abcdef01234567"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
# Three in ten fail. 0: it was taken, and nobody was told.
ANSWERS = [200, 200, 200, 200, 200, 200, 200, 503, 429, 0]


@pytest.fixture
def receive(settings):
    """receive() is one more receiver."""
    settings.WEBHOOK_HOSTS = settings.PRIVATE_HOSTS = frozenset({"127.0.0.1"})
    servers = []

    def start() -> WebhookServer:
        servers.append(WebhookServer())
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def to(ines):
    """to(url) is a destination there; what has happened already is not sent to it."""
    number = iter(range(99))
    return lambda url, *groups: streams.make(
        by=ines, name=f"SIEM {next(number)}", url=f"{url}/in", secret=SECRET, groups=groups
    )


def happen(count: int) -> set[str]:
    """So many events, in the log; their ids."""
    at = timezone.now()
    some = (Event(at=at, verb="signed_in", note=f"{number}") for number in range(count))
    made = Event.objects.bulk_create(some, batch_size=1000)
    while log.waiting():
        log.add_events()
    return {str(event.pk) for event in made}


def cloud_events(heard) -> list[dict]:
    return [event for message in heard for event in message.json]


def taken(server: WebhookServer, answers: list[int]) -> set[str]:
    """Ids of the events in messages that were answered with 200."""
    pairs = zip(server.heard, answers, strict=False)
    return {event["id"] for event in cloud_events(message for message, status in pairs if status == 200)}


def is_genuine(message) -> bool:
    head = f"{message.headers['webhook-id']}.{message.headers['webhook-timestamp']}."
    digest = hmac.digest(KEY, head.encode() + message.body, hashlib.sha256)
    return message.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


# As for schedules of faults: 1000 in `make soak` are 100,000 events.
MANY = 100 * int(os.environ.get("SOAK_SCHEDULES") or 1000)


@pytest.mark.parametrize("count", [500, pytest.param(MANY, marks=pytest.mark.soak, id="many")])
def test_three_in_ten_fail_and_one_is_down_for_an_hour_and_nothing_is_lost(receive, to, virtual_clock, count):
    flaky, down = receive(), receive()
    dice = random.Random(count)
    answers = dice.choices(ANSWERS, k=10 + count // 10)
    flaky.answers, down.answers = [*answers, 200], [503]
    destinations = to(flaky.url), to(down.url)
    since = log.head().size
    all_of_them = happen(count)
    began_at, down_until = clock.now(), clock.now() + timedelta(hours=1)
    while any(lines := [streams.lag(one).lines for one in Destination.objects.order_by("pk")]):
        if clock.now() > down_until:
            down.answers = [200]
        for one in destinations:
            stream.send(one.pk)
        virtual_clock.passes(10 if lines[0] else 300)
        assert clock.now() < began_at + timedelta(days=1)

    assert taken(flaky, [*answers, *[200] * len(flaky.heard)]) >= all_of_them
    ok = [message for message in down.heard if message.headers["webhook-timestamp"] > str(down_until.timestamp())]
    assert {event["id"] for event in cloud_events(ok)} >= all_of_them
    for server in (flaky, down):
        assert all(map(is_genuine, server.heard))
        assert len({(one.headers["webhook-id"], one.body) for one in server.heard}) == len(server.once_each)
        each = {event["id"]: event for event in cloud_events(server.heard)}
        assert len({json.dumps(event) for event in cloud_events(server.heard)}) == len(each)
        lines = sorted(int(event["sequence"]) for event in each.values())
        assert lines == list(range(lines[0], log.head().size))
        assert lines[0] <= since
    assert len(down.heard) < 30 + 2 * len(down.once_each)  # an outage is no storm


def test_an_event_is_a_cloud_event_whose_leaf_can_be_hashed_again(receive, to, queued_clone, ines, settings):
    receiver = receive()
    one = to(receiver.url)
    events.record("failed", at=clock.now(), operation=queued_clone, note="Ж", code="x")
    log.add_events()
    streams.replay(one, streams.first_line(queued_clone.created_at), by=ines)

    stream.send(one.pk)

    message = receiver.heard[-1]
    sent = next(event for event in cloud_events([message]) if event["type"] == "imodel-desk.failed")
    assert message.headers["content-type"] == "application/cloudevents-batch+json; charset=utf-8"
    assert (sent["specversion"], sent["subject"]) == ("1.0", str(queued_clone.pk))
    assert sent["source"] == f"{settings.DASHBOARD_URL}/audit/"
    data = sent["data"]
    personal = personal_hash(bytes.fromhex(data["salt"]), data["personal"].values())
    leaf = event_hash(data["index"], data["event"].values(), personal)
    assert leaf == bytes(Event.objects.get(pk=sent["id"]).leaf.hashes)[:32]


def test_a_destination_gets_its_groups_and_every_head(receive, to):
    receiver = receive()
    one = to(receiver.url, "approvals")
    happen(3)
    events.record("approved", at=clock.now())
    events.record("head_sent", at=clock.now(), size=3, root="00")
    log.add_events()

    stream.send(one.pk)

    assert [event["type"] for event in cloud_events(receiver.heard)] == [
        "imodel-desk.approved",
        "imodel-desk.head_sent",
    ]
    assert streams.lag(Destination.objects.get()).lines == 0
    assert Destination.objects.get().head.verb == "head_sent"


def due_now() -> None:
    Destination.objects.update(due_at=clock.now())


def test_a_message_whose_answer_was_lost_is_sent_as_it_was_whatever_has_come_since(receive, to):
    receiver = receive()
    receiver.answers = [0, 200]
    one = to(receiver.url)
    happen(3)
    stream.send(one.pk)
    happen(2)
    due_now()

    stream.send(one.pk)

    first, again, then = receiver.heard
    assert (first.headers["webhook-id"], first.body) == (again.headers["webhook-id"], again.body)
    assert not {event["id"] for event in first.json} & {event["id"] for event in then.json}


def test_what_is_too_large_for_a_receiver_comes_in_smaller_messages(receive, to):
    receiver = receive()
    receiver.answers = [413, 413, 200]
    one = to(receiver.url)
    expected = happen(150)

    stream.send(one.pk)

    sizes = [len(message.json) for message in receiver.heard]
    assert sizes[:4] == [100, 50, 25, 25]
    assert taken(receiver, [413, 413, *[200] * len(sizes)]) >= expected
    assert len({message.headers["webhook-id"] for message in receiver.heard}) == len(sizes)


def test_a_message_has_so_many_bytes_at_most_or_one_event(receive, to, monkeypatch):
    monkeypatch.setattr(stream, "MOST_BYTES", 5_000)
    receiver = receive()
    one = to(receiver.url)
    expected = happen(20)
    events.record("commented", at=clock.now(), note="x" * 6_000)
    log.add_events()

    stream.send(one.pk)

    assert all(len(message.body) <= 5_100 or len(message.json) == 1 for message in receiver.heard)
    assert {event["id"] for event in cloud_events(receiver.heard)} > expected
    assert streams.lag(Destination.objects.get()).lines == 0


def test_a_log_that_is_shorter_than_what_was_sent_is_said_and_not_passed_over(receive, to):
    receiver = receive()
    one = to(receiver.url)
    happen(10)
    kept = log.head().size
    happen(5)
    stream.send(one.pk)
    heard = len(receiver.heard)
    with triggers_off():
        lost = LogLeaf.objects.filter(index__gte=kept)
        Event.objects.filter(pk__in=list(lost.values_list("event_id", flat=True))).delete()
        lost.delete()
        LogHead.objects.filter(size__gt=kept).delete()
    due_now()

    stream.send(one.pk)

    assert streams.lag(Destination.objects.get()).missing == 5
    assert "lines are missing" in Destination.objects.get().note
    assert len(receiver.heard) == heard
    with pytest.raises(Broken, match=f"Line {kept + 1} of the log: missing"):
        verify()


def test_who_goes_back_while_it_is_sent_goes_back(receive, to, ines):
    receiver = receive()
    one = to(receiver.url)
    happen(150)
    row = Destination.objects.get()
    streams.replay(one, 0, by=ines)

    assert not stream._send_next(row, f"{receiver.url}/in", KEY)
    assert Destination.objects.get().position == 0
    stream.send(one.pk)

    ids = [event["id"] for event in cloud_events(receiver.heard)]
    assert len(set(ids)) == log.head().size


@pytest.mark.django_db(transaction=True)
def test_who_never_answers_delays_nobody(receive, to):
    quick = receive()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        slow, other = to(f"http://127.0.0.1:{silent.getsockname()[1]}"), to(quick.url)
        expected = happen(20)
        sending = Thread(target=lambda: (stream.send(slow.pk), connection.close()))
        sending.start()
        wait_until(lambda: bool(Destination.objects.filter(pk=slow.pk, due_at__gt=clock.now())), what="the sender")

        stream.send(other.pk)

        assert {event["id"] for event in cloud_events(quick.heard)} >= expected
        assert sending.is_alive()
    sending.join()
    assert Destination.objects.get(pk=slow.pk).failures == 1
