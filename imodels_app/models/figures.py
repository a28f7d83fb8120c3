"""Numbers of the past, summed up by day, so that a page of them costs the same however many operations there are."""

from typing import ClassVar

from django.db import models


class Figure(models.TextChoices):
    """What a daily figure counts, and what its key and part are."""

    ENDED = "ended", "Operations that ended: kind, state"
    CODE = "code", "Operations that failed: code"
    PERSON = "person", "Operations that ended: requester, state"
    ITWIN = "itwin", "Operations that ended: iTwin, state"
    TOOK = "took", "Operations that succeeded: kind, how long from request to end"
    DECIDED = "decided", "Decisions: kind, how long after its round of approval had begun"
    LEAD = "lead", "Decisions: lead, verdict"
    LEAD_TOOK = "lead_took", "Decisions: lead, how long after its round of approval had begun"
    SENT = "sent", "Requests to the platform: bucket, the whole day or its busiest minute"


class DailyFigure(models.Model):
    """How many of something there were on one day. How long they took is a part, too: audit.figures says which."""

    day = models.DateField()
    what = models.CharField(max_length=10, choices=Figure.choices)
    key = models.CharField(max_length=64)
    part = models.CharField(max_length=20)
    number = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["what", "day", "key", "part"], name="daily_figure_once")
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.what} {self.key} {self.part}: {self.number}"


class SummedDay(models.Model):
    """A day whose figures are there. is_over: nothing will be added to them."""

    day = models.DateField(primary_key=True)
    at = models.DateTimeField()
    is_over = models.BooleanField(default=False)

    def __str__(self) -> str:
        return str(self.day)
