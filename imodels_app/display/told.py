"""Who was told of an operation, as its events have it, and what became of each message."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from imodels_app.models import ChatMessage, Event, Notification, Operation
from imodels_app.states import NotificationKind


@dataclass(frozen=True)
class Line:
    """One person or chat that was told of one event.

    person   our number; None: a chat
    message  None: no e-mail, or its row went with the person or the chat
    """

    at: datetime
    name: str
    person: int | None
    about: str
    message: Notification | ChatMessage | None


def of(operation: Operation, events: Iterable[Event]) -> list[Line]:
    """In the order of the events. What an older event does not say is taken from the messages that are there."""
    mails = {(one.event_id, one.to_id): one for one in operation.messages.select_related("to")}
    chats = {one.event_id: one for one in operation.chat_messages.select_related("webhook")}
    found = [told for event in events for told in _in(event, mails, chats)]
    found += [Line(one.written_at, one.to.name, one.to_id, one.get_kind_display(), one) for one in mails.values()]
    found += [Line(one.written_at, str(one.webhook), None, "In the chat", one) for one in chats.values()]
    return sorted(found, key=lambda told: told.at)


def _in(
    event: Event, mails: dict[tuple[int | None, int], Notification], chats: dict[int, ChatMessage]
) -> Iterator[Line]:
    """What this event says; its messages are taken out."""
    for one in event.data.get("told", ()):
        about = dict(NotificationKind.choices).get(one["of"], one["of"])
        yield Line(event.at, one["name"], one["person"], about, mails.pop((event.pk, one["person"]), None))
    for name in event.data.get("chats", ()):
        yield Line(event.at, name, None, "In the chat", chats.pop(event.pk, None))
