"""iModels that operations without success left on the platform."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q

from imodels_app.models.operations import Operation
from imodels_app.models.people import User
from imodels_app.states import (
    NO_LONGER_THERE,
    OrphanState,
)


class OrphanQuerySet(models.QuerySet["Orphan"]):
    def visible_to(self, user: User) -> Self:
        """Those of the operations that a person may see."""
        return self.filter(operation__in=Operation.objects.visible_to(user))

    def still_there(self) -> Self:
        return self.exclude(state__in=NO_LONGER_THERE)

    def no_longer_there(self) -> Self:
        return self.filter(state__in=NO_LONGER_THERE)

    def due(self, now: datetime) -> Self:
        """To be deleted, and nobody is at it; or whoever was has not been heard of since its lease ended."""
        return self.filter(due_at__lte=now).order_by("due_at")


class Orphan(models.Model):
    """The iModel that an operation without success left on the platform, and whoever asked for it to be deleted.

    due_at  when to try to delete it next; empty unless it is being deleted
    """

    operation = models.OneToOneField("Operation", models.PROTECT, primary_key=True, related_name="orphan")
    state = models.CharField(max_length=10, choices=OrphanState.choices, default=OrphanState.LEFT)
    # Rises with every change of the row: what a live page has shown, and the fence against late writers.
    version = models.PositiveIntegerField(default=1)
    changed_at = models.DateTimeField(help_text="When it entered this state.")
    due_at = models.DateTimeField(null=True)
    requested_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="deletions")
    requested_by_name = models.CharField(max_length=255, blank=True)
    even_if_usable = models.BooleanField(default=False)
    sent_at = models.DateTimeField(null=True, help_text="When the platform was asked to delete it.")
    note = models.TextField(blank=True, help_text="What is in the way.")

    objects = OrphanQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="orphan_due_while_deleting",
                condition=Q(state=OrphanState.DELETING, due_at__isnull=False)
                | (~Q(state=OrphanState.DELETING) & Q(due_at=None)),
            )
        ]
        # Read by the sweep: due().
        indexes: ClassVar = [models.Index(name="orphan_due", fields=["due_at"], condition=Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return self.operation.name
