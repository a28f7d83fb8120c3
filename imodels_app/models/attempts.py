"""The POSTs of an operation."""

from typing import ClassVar

from django.db import models

from imodels_app.models.operations import Operation
from imodels_app.states import (
    Outcome,
)


class Attempt(models.Model):
    """One POST for an operation. Committed before the socket opens, so that a crash leaves a trace."""

    operation = models.ForeignKey(Operation, models.PROTECT, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    bucket = models.CharField(max_length=10, help_text="The rate limit it counted against (rate_limits.py).")
    body_hash = models.CharField(max_length=64, help_text="spec.fingerprint of the bytes that were sent.")
    sent_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.PENDING)
    status = models.PositiveSmallIntegerField(null=True)
    answer = models.TextField(blank=True, help_text="The platform's code and message, without secrets.")

    class Meta:
        ordering: ClassVar = ["number"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["operation", "number"], name="attempt_numbered_once")]
        # Read by rate_limits.py: the latest sends of a bucket.
        indexes: ClassVar = [models.Index(name="attempt_rate_limit", fields=["bucket", "-sent_at"])]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.operation_id}"
