"""What happened: one line each, never edited."""

from typing import ClassVar

from django.db import models

from imodels_app.models.people import User


class Event(models.Model):
    """One line of history, written with the change it tells of. The database refuses to change or delete it."""

    at = models.DateTimeField(db_index=True)
    verb = models.CharField(max_length=32, help_text="One of states.Verb.")
    actor = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    actor_name = models.CharField(max_length=255, blank=True, help_text="Empty: iModel Desk itself, or the platform.")
    actor_email = models.EmailField(blank=True, db_default="", help_text="As it was then.")
    operation = models.ForeignKey("Operation", models.PROTECT, null=True, related_name="events")
    operation_name = models.CharField(max_length=255, blank=True)
    team_name = models.CharField(max_length=100, blank=True)
    came_from = models.CharField(max_length=20, blank=True)
    to = models.CharField(max_length=20, blank=True)
    note = models.TextField(blank=True)
    data = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["at", "pk"]
        # Read by the audit's filters (tables.filters).
        indexes: ClassVar = [
            models.Index(name="event_actor", fields=["actor", "at"]),
            models.Index(name="event_verb", fields=["verb", "at"]),
            models.Index(name="event_team", fields=["team_name", "at"]),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.verb} {self.operation_name}".strip()
