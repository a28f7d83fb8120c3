"""E-mails to people, written with the change that they are about."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q

from imodels_app.models.events import Event
from imodels_app.models.operations import Operation
from imodels_app.models.people import User
from imodels_app.states import (
    NotificationKind,
)


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

    objects = NotificationQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["to", "event"], name="notification_once_per_event"),
        ]
        # Read by outbox.py: what is due.
        indexes: ClassVar = [models.Index(name="notification_due", fields=["due_at"], condition=Q(sent_at=None))]

    def __str__(self) -> str:
        return f"{self.kind} to {self.to_id}"
