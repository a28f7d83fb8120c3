"""Messages to the chats of teams: the outbox's rows for webhooks, in the order in which they were written.

Each chat is left alone by itself while it does not answer, so one that is down holds up no other, nor any e-mail. A
message whose answer was lost is sent again with the id that it had.
"""

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from django.db.models import F, Q

from imodels_app.itwin import errors
from imodels_app.models import ChatMessage, Event, Operation, Webhook
from imodels_app.notifications import cards, channels, webhooks
from imodels_app.runtime import clock, failpoints
from imodels_app.runtime.loops import for_each
from imodels_app.states import State

log = logging.getLogger(__name__)

# How long a round goes on with one chat, far within its lease (channels.LEASE).
ROUND_S = 15.0
GIVEN_UP_AFTER = timedelta(days=3)


def of(operation: Operation, verb: str, came_from: str) -> list[Webhook]:
    """The chats that are told of an event; the operation is as it is after it."""
    was_asked = verb in cards.ASKS or came_from == State.AWAITING_APPROVAL
    if verb not in cards.TOLD or not was_asked or not operation.plan.asks_people:
        return []
    told = Q(team=operation.team_id)
    if verb not in cards.ASKS:  # also where it was asked before it moved to another team
        told |= Q(messages__operation=operation)
    return list(Webhook.objects.filter(told).distinct())


def enqueue(operation: Operation, event: Event) -> None:
    """Put down what the team's chat is told of a change. Call in the transaction of the change."""
    now = clock.now()
    for webhook in of(operation, event.verb, event.came_from):
        ChatMessage.objects.create(webhook=webhook, operation=operation, event=event, written_at=now, due_at=now)


def send_due(decrypt: Callable[[str], str]) -> None:
    """Send what is due, chat by chat.

    decrypt  accounts.encryption's, for the address; it may raise errors.Unavailable
    """
    now = clock.now()
    chats = Webhook.objects.filter(messages__in=ChatMessage.objects.due(now)).distinct()
    for_each(chats, lambda webhook: _send_to(webhook, decrypt))


def _send_to(webhook: Webhook, decrypt: Callable[[str], str]) -> None:
    name = channels.to_chat(webhook.pk)
    if not channels.take_lease(clock.now(), name):
        return
    try:
        _send_round(webhook, decrypt(webhook.url))
    except (webhooks.Down, errors.Unavailable) as down:
        channels.record_failure(down, name)
    else:
        channels.record_success(name)


def _send_round(webhook: Webhook, url: str) -> None:
    """One after another, for a while. Raises what the first that did not arrive met: the others would meet it, too."""
    stop_at = time.monotonic() + ROUND_S
    due = webhook.messages.due(clock.now()).select_related("webhook", "event", "operation__team")
    for message in due.select_related("operation__requested_by").order_by("written_at", "pk"):
        if time.monotonic() > stop_at:
            return
        _send(message, url)


def _send(message: ChatMessage, url: str) -> None:
    now, row = clock.now(), ChatMessage.objects.filter(pk=message.pk)
    if not is_current(message) or message.written_at + GIVEN_UP_AFTER < now:
        row.update(due_at=None)
        return
    row.update(tries=F("tries") + 1)
    try:
        webhooks.post(url, cards.payload(message), message_id=str(message.pk))
        failpoints.reach("chat.sent")
    except webhooks.Refused as no:
        log.warning("The chat of %s did not take message %s: %s", message.webhook.team_id, message.pk, no)
        row.update(due_at=None)
    else:
        row.update(due_at=None, sent_at=clock.now())


def is_current(message: ChatMessage) -> bool:
    """Whether it is still worth telling: who was not asked here need not know that it is decided."""
    if message.event.verb in cards.ASKS:
        return message.operation.state == State.AWAITING_APPROVAL
    earlier = message.webhook.messages.filter(operation=message.operation, sent_at__isnull=False)
    return earlier.exists()
