"""What happened: one line each, never edited."""

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from django.db import models

from imodels_app.models.people import User
from imodels_app.runtime import request_context

if TYPE_CHECKING:
    from imodels_app.models.operations import Operation


class Event(models.Model):
    """One line of history, written with the change it tells of. The database refuses to change or delete it."""

    at = models.DateTimeField(db_index=True)
    verb = models.CharField(max_length=32)
    actor = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    actor_name = models.CharField(max_length=255, blank=True, help_text="Empty: iModel Desk itself, or the platform.")
    operation = models.ForeignKey("Operation", models.PROTECT, null=True, related_name="events")
    operation_name = models.CharField(max_length=255, blank=True)
    team_name = models.CharField(max_length=100, blank=True)
    came_from = models.CharField(max_length=20, blank=True)
    to = models.CharField(max_length=20, blank=True)
    note = models.TextField(blank=True)
    data = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["at", "pk"]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.verb} {self.operation_name}".strip()

    @classmethod
    def record(
        cls,
        verb: str,
        *,
        at: datetime,
        by: User | None = None,
        operation: "Operation | None" = None,
        came_from: str = "",
        to: str = "",
        note: str = "",
        **data: object,
    ) -> "Event":
        """Write one line. `data` must be plain JSON values, and never a secret. Which request caused it comes along."""
        context = request_context.current()
        if context.request_id:
            data = {"request_id": context.request_id, "address": context.address, **data}
        return cls.objects.create(
            verb=verb,
            at=at,
            actor=by,
            actor_name=by.name if by else "",
            operation=operation,
            operation_name=operation.name if operation else "",
            team_name=operation.team.name if operation else "",
            came_from=came_from,
            to=to,
            note=note,
            data=data,
        )
