"""What was refused to people without a session, or often to one person, counted until it becomes an event."""

from typing import ClassVar

from django.db import models


class RefusedAccess(models.Model):
    """Refusals of one kind to one address, or to one person, within ten minutes (audit/refusals.py)."""

    verb = models.CharField(max_length=32, help_text="One of states.Verb.")
    address = models.CharField(max_length=45, blank=True, help_text="Empty: of all that came after too many others.")
    since = models.DateTimeField()
    count = models.PositiveBigIntegerField(default=1)
    client = models.CharField(max_length=200, blank=True, help_text="The user agent of the first one.")
    note = models.CharField(max_length=200, blank=True, help_text="Why the first one was refused.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["verb", "address", "since"], name="refused_access_once_per_window")
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.verb} from {self.address or 'many addresses'}"
