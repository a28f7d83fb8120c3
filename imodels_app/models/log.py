"""The audit log: a Merkle tree over events as in RFC 9162. Rows are added by audit.log, and never changed.

No foreign key is a constraint of the database: that an event is missing is for the check to find, with its line.
"""

from typing import ClassVar

from django.db import models

from imodels_app.models.events import Event


class UnloggedEvent(models.Model):
    """An event that the log does not have yet. A trigger makes it with the event, whoever writes that."""

    event = models.OneToOneField(
        Event, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="unlogged"
    )

    def __str__(self) -> str:
        return str(self.event_id)


class LogLeaf(models.Model):
    """One event's place in the log."""

    index = models.BigIntegerField(primary_key=True, help_text="From 0, without gaps.")
    event = models.OneToOneField(Event, models.DO_NOTHING, db_constraint=False, related_name="leaf")
    salt = models.BinaryField(null=True, help_text="Empty: the event's addresses were dropped.")
    personal_hash = models.BinaryField(help_text="Of the salt and the addresses, so that they can be dropped.")
    hashes = models.BinaryField(help_text="Of the leaf, then of each complete subtree that ends with it.")

    def __str__(self) -> str:
        return f"{self.index}: {self.event_id}"


class LogHead(models.Model):
    """What the whole log hashed to when it had this many leaves."""

    size = models.BigIntegerField(primary_key=True)
    root = models.CharField(max_length=64)
    at = models.DateTimeField()
    chain = models.BinaryField(null=True, help_text="Hash of this head and of the chain before it.")

    class Meta:
        ordering: ClassVar = ["size"]

    def __str__(self) -> str:
        return f"{self.size}:{self.root}"
