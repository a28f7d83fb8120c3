"""Whatever happens to tasks, workers, answers and receivers, each has each message once: line 39."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random

import pytest
from django.db import connection
from django.db.models import F

from imodels_app import lifecycle
from imodels_app.accounts import encryption
from imodels_app.accounts.chat_form import ChatForm
from imodels_app.models import ChatMessage, CircuitBreaker, Notification, Operation
from imodels_app.notifications import chats, outbox
from imodels_app.states import Chat, Kind, State
from tests.mail_server import text_of
from tests.waiting import PATIENCE_S
from tests.webhook_server import WebhookServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.same_on_both]

DELIVERIES, MOST_HOURS = 10, 60
SEND = "from imodels_app import tasks; tasks.send_notifications(); tasks.send_chat_messages()"


def deliver(_: int = 0) -> None:
    outbox.send_due()
    chats.send_due(encryption.decrypt)
    connection.close()


def pass_an_hour() -> None:
    """Of the desk's clock: for what is due, and for what is being left alone."""
    hour = timedelta(hours=1)
    for rows in (Notification.objects, ChatMessage.objects):
        rows.filter(due_at__isnull=False).update(due_at=F("due_at") - hour)
    CircuitBreaker.objects.filter(open_until__isnull=False).update(open_until=F("open_until") - hour)


def are_told() -> bool:
    waiting = [rows.filter(sent_at=None, due_at__isnull=False) for rows in (Notification.objects, ChatMessage.objects)]
    return not any(rows.exists() for rows in waiting)


@pytest.mark.parametrize("kills", [1, pytest.param(8, marks=pytest.mark.soak)])
def test_39_each_message_is_had_once_whatever_is_delivered_twice_killed_lost_or_down(
    bridge_team, ida, ines, tomas, mara, spec_for, settings, mail_server, processes, kills
):
    random = Random(int(os.environ["SOAK_SEED"]))
    receiver = WebhookServer()
    settings.WEBHOOK_HOSTS, settings.PRIVATE_HOSTS = frozenset({"127.0.0.1"}), frozenset({"127.0.0.1"})
    processes.env |= {"EMAIL_URL": f"smtp://127.0.0.1:{mail_server.port}", "WEBHOOK_HOSTS": "127.0.0.1"}
    form = ChatForm({"team": bridge_team.pk, "chat": Chat.SLACK, "url": f"{receiver.url}/x"})
    assert form.is_valid()
    form.save(by=ines)
    forks = [lifecycle.request(spec_for(Kind.FORK, name=f"Pier <{at}>"), by=mara) for at in range(6)]

    # Down for an hour, and nobody waits for it.
    mail_server.stop()
    receiver.answers = [503]
    deliver()
    lifecycle.approve(forks[0], by=tomas)
    assert Operation.objects.get(pk=forks[0].pk).state == State.QUEUED
    pass_an_hour()
    mail_server.start()
    receiver.answers = [200]

    # Killed between the send and its record.
    for at in range(kills):
        place = ("outbox.sent", "chat.sent")[at % 2] if kills > 1 else "outbox.sent"
        processes.arm(place, "kill")
        killed = processes.shell(SEND)
        killed.wait(PATIENCE_S)
        pass_an_hour()

    # Every second answer lost, each task delivered ten times at once.
    mail_server.loses = receiver.loses = lambda: random.random() < 0.5
    for _ in range(MOST_HOURS):
        with ThreadPoolExecutor(DELIVERIES) as pool:
            list(pool.map(deliver, range(DELIVERIES)))
        if are_told():
            break
        pass_an_hour()
    receiver.stop()

    assert are_told()
    kept = {(mail["To"], mail["Message-ID"]): mail for mail in mail_server.inbox}
    assert len(mail_server.inbox) > len(kept), "nothing was sent again"
    lines = Counter((to, fork.pk) for (to, _), mail in kept.items() for fork in forks if str(fork.pk) in text_of(mail))
    asked = {(lead.email, fork.pk): 1 for lead in (tomas, ida) for fork in forks[1:]}
    assert {who: count for who, count in lines.items() if who in asked} == asked
    told = Counter(fork.name for one in receiver.once_each.values() for fork in forks if fork.name in str(one.json))
    assert told == {fork.name: 1 for fork in forks[1:]}
