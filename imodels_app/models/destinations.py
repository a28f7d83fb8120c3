"""Where events of the audit log are streamed to, as to a SIEM."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models.functions import Lower

from imodels_app.models.events import Event


class DestinationQuerySet(models.QuerySet["Destination"]):
    def due(self, now: datetime) -> Self:
        return self.filter(due_at__lte=now).order_by("due_at")


class Destination(models.Model):
    """One address that events are sent to in the order of the audit log (accounts/streams.py, workers/stream.py).

    Not a row for each event: a place in the log says what was sent.
    """

    name = models.CharField(max_length=100)
    host = models.CharField(max_length=255, help_text="The part of the address that is no secret.")
    url = models.TextField(help_text="Encrypted.")
    key = models.TextField(help_text="With which messages are signed; encrypted.")
    events = models.JSONField(default=list, help_text="Groups of states.EVENT_GROUPS; empty: all events.")
    position = models.BigIntegerField(help_text="The line of the log that is sent next.")
    end = models.BigIntegerField(null=True, help_text="Behind the message that is under way, until it is taken.")
    most = models.PositiveSmallIntegerField(null=True, help_text="Events in a message, since a larger one got a 413.")
    head = models.ForeignKey(
        Event,
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        related_name="+",
        help_text="Of the last head of the log that it has taken.",
    )
    due_at = models.DateTimeField(null=True, db_index=True, help_text="Also the sender's lease. Empty: switched off.")
    failures = models.PositiveIntegerField(default=0, help_text="In a row.")
    note = models.CharField(max_length=255, blank=True, help_text="What is in the way.")
    sent_at = models.DateTimeField(null=True)

    objects = DestinationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = [Lower("name"), "pk"]
        constraints: ClassVar = [models.UniqueConstraint(Lower("name"), name="destination_one_name")]

    def __str__(self) -> str:
        return self.name
