"""Who is looking at a request, so that others need not."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models

from imodels_app.models.operations import Operation
from imodels_app.models.people import User


class LookQuerySet(models.QuerySet["Look"]):
    def current(self, now: datetime) -> Self:
        return self.filter(until__gt=now)


class Look(models.Model):
    """Somebody says that they are looking at a request. It ends by itself, and keeps nobody from deciding."""

    operation = models.ForeignKey(Operation, models.CASCADE, related_name="looks")
    person = models.ForeignKey(User, models.CASCADE, related_name="+")
    until = models.DateTimeField()

    objects = LookQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["until", "pk"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["operation", "person"], name="look_once_per_person")]

    def __str__(self) -> str:
        return f"{self.person_id} at {self.operation_id}"
