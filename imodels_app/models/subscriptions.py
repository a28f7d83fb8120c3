"""Who wants to be told of the end of which operation, though it is not theirs."""

from typing import ClassVar

from django.db import models

from imodels_app.models.operations import Operation
from imodels_app.models.people import User


class Subscription(models.Model):
    """“Tell me about this one.” Whether its person may still see the operation is asked when there is something."""

    person = models.ForeignKey(User, models.CASCADE, related_name="subscriptions")
    operation = models.ForeignKey(Operation, models.CASCADE, related_name="subscriptions")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["person", "operation"], name="subscription_once")]

    def __str__(self) -> str:
        return f"{self.person_id} is told of {self.operation_id}"
