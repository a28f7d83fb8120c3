"""What people decided about a request."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from imodels_app.models.people import User
from imodels_app.states import (
    Verdict,
)


class Decision(models.Model):
    """One person's answer to one request, bound to its hash. Never edited.

    A CHECK sees one row only. So what it compares is copied here, and a trigger (migrations/_data_and_triggers.py)
    refuses a row whose requester or hash is not its operation's. Another one (_decision_triggers.py) refuses whoever
    is no lead as it is written, or has the requester's address.
    """

    operation = models.ForeignKey("Operation", models.PROTECT, related_name="decisions")
    verdict = models.CharField(max_length=20, choices=Verdict.choices)
    by = models.ForeignKey(User, models.PROTECT, related_name="decisions")
    by_name = models.CharField(max_length=255)
    by_key = models.CharField(max_length=511, help_text="User.lasting_key, as it was then.")
    by_email = models.EmailField(blank=True, db_default="", help_text="As it was then.")
    requested_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    requester_key = models.CharField(max_length=511)
    request_hash = models.CharField(max_length=64)
    comment = models.TextField(blank=True)
    decided_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["decided_at", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="decision_by_somebody_else",
                condition=~Q(by=F("requested_by")) & ~Q(by_key=F("requester_key")),
            ),
            models.UniqueConstraint(fields=["operation", "by_key"], name="decision_once_per_person"),
        ]

    def __str__(self) -> str:
        return f"{self.operation_id} {self.verdict} by {self.by_name}"
