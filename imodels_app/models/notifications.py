"""What people and the chats of teams are told, written with the change that it is about."""

import uuid
from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q

from imodels_app.models.events import Event
from imodels_app.models.operations import Operation
from imodels_app.models.people import User
from imodels_app.models.teams import Webhook
from imodels_app.states import NotificationKind


class NotificationQuerySet(models.QuerySet["Notification"]):
    def due(self, now: datetime) -> Self:
        return self.filter(sent_at=None, due_at__lte=now)


class Notification(models.Model):
    """One e-mail to one person (outbox.py), written with the change it tells of."""

    to = models.ForeignKey(User, models.CASCADE, related_name="messages")
    operation = models.ForeignKey(Operation, models.CASCADE, null=True, related_name="messages")
    event = models.ForeignKey(Event, models.PROTECT, null=True, related_name="+", help_text="What it tells of.")
    kind = models.CharField(max_length=24, choices=NotificationKind.choices)
    written_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, help_text="When to try next; empty: never again.")
    tries = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    mail = models.UUIDField(null=True, help_text="The e-mail that tells it: the same one each time that it is tried.")

    objects = NotificationQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["to", "event"], name="notification_once_per_event"),
        ]
        # Read by outbox.py: what is due.
        indexes: ClassVar = [models.Index(name="notification_due", fields=["due_at"], condition=Q(sent_at=None))]

    def __str__(self) -> str:
        return f"{self.kind} to {self.to_id}"


class ChatMessageQuerySet(models.QuerySet["ChatMessage"]):
    def due(self, now: datetime) -> Self:
        return self.filter(sent_at=None, due_at__lte=now)


class ChatMessage(models.Model):
    """One message to the chat of one team (notifications.chats). Its id is what the chat knows repeats by."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="messages")
    operation = models.ForeignKey(Operation, models.CASCADE, related_name="chat_messages")
    event = models.ForeignKey(Event, models.PROTECT, related_name="+", help_text="What it tells of.")
    written_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, help_text="When to try next; empty: never again.")
    tries = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)

    objects = ChatMessageQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["webhook", "event"], name="chat_message_once_per_event"),
        ]
        # Read by chats.py: what is due.
        indexes: ClassVar = [models.Index(name="chat_message_due", fields=["due_at"], condition=Q(sent_at=None))]

    def __str__(self) -> str:
        return f"{self.event_id} to {self.webhook_id}"
