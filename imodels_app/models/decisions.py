"""What people decided about a request."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from imodels_app.models.people import User
from imodels_app.states import (
    Verdict,
    Who,
)


class Decision(models.Model):
    """One person's answer to one request, bound to its hash. Never edited.

    A CHECK sees one row only. So what it compares is copied here, and a trigger (migrations/_data_and_triggers.py)
    refuses a row whose requester or hash is not its operation's. Others refuse whoever has the requester's address
    (_decision_triggers.py), or as it is written no right to decide this (_deputy_triggers.py).
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
    level = models.PositiveSmallIntegerField(default=1, db_default=1)
    capacity = models.CharField(
        max_length=60,
        default=Who.LEADS,
        db_default=Who.LEADS,
        help_text="As what: words of states.Who, and “instead:N” for an administrator in the place of people who left.",
    )
    stands_for = models.ForeignKey(
        User, models.PROTECT, null=True, related_name="+", help_text="The absent lead whose deputy decided."
    )
    comment = models.TextField(blank=True)
    decided_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["decided_at", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="decision_by_somebody_else",
                condition=~Q(by=F("requested_by")) & ~Q(by_key=F("requester_key")),
            ),
            models.UniqueConstraint(fields=["operation", "request_hash", "by_key"], name="decision_once_per_key"),
            # Two accounts with one verified address are one person.
            models.UniqueConstraint(
                "operation",
                "request_hash",
                Lower("by_email"),
                name="decision_once_per_address",
                condition=~Q(by_email=""),
            ),
            models.UniqueConstraint(
                fields=["operation", "request_hash", "stands_for"],
                name="decision_once_per_absent_lead",
                condition=Q(stands_for__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operation_id} {self.verdict} by {self.by_name}"
