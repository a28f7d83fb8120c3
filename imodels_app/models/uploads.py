"""Baseline files on their way from a browser to the platform's storage."""

import uuid
from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q

from imodels_app.models.people import User
from imodels_app.states import (
    FINISHED,
    State,
)

# How long a staged file is kept that nobody adds to or uses.
STAGED_FOR = timedelta(days=1)


class StagedFileQuerySet(models.QuerySet["StagedFile"]):
    def free(self) -> Self:
        """Used by no operation, or by one that is over."""
        return self.filter(Q(operation=None) | Q(operation__state__in=FINISHED))

    def stale(self, now: datetime) -> Self:
        """Nobody needs it any more: what became an iModel, and what nobody added to or tried again for a day."""
        untouched_since = now - STAGED_FOR
        return self.filter(
            Q(operation__state=State.SUCCEEDED)
            | Q(operation=None, touched_at__lte=untouched_since)
            | Q(operation__state__in=FINISHED, operation__finished_at__lte=untouched_since)
        )


class StagedFile(models.Model):
    """A baseline file between a browser and the platform: what is known of it here, its bytes in STAGING_DIR.

    received  bytes that are safe on disk, so where the browser goes on after a cut
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, models.CASCADE, related_name="staged_files")
    name = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField(help_text="In bytes, as announced.")
    received = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField()
    touched_at = models.DateTimeField(db_index=True, help_text="When its last piece came.")
    arrived_at = models.DateTimeField(null=True, help_text="Complete, and checked.")

    objects = StagedFileQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    @property
    def expires_at(self) -> datetime:
        """When it is forgotten if nothing more happens to it, nor to an operation that was made of it."""
        operation = getattr(self, "operation", None)
        last = operation.finished_at if operation and operation.finished_at else self.touched_at
        return last + STAGED_FOR


class UploadQuerySet(models.QuerySet["Upload"]):
    def due(self, now: datetime) -> Self:
        """Nobody is at it; or whoever was has not been heard of since its lease ended."""
        return self.filter(due_at__lte=now).order_by("due_at")


class Upload(models.Model):
    """The way of one baseline file to the platform's storage, from the platform's answer until it has been told.

    due_at  when to go on, or when the lease of whoever uploads it ends; empty once it is over
    """

    operation = models.OneToOneField("Operation", models.PROTECT, primary_key=True, related_name="upload")
    # Rises with every change of the row: the fence against whoever slept through their lease.
    version = models.PositiveIntegerField(default=1)
    due_at = models.DateTimeField(null=True)
    # A secret: encrypted (tokens.py), and emptied when it is of no use.
    link = models.TextField(blank=True)
    link_until = models.DateTimeField(null=True, help_text="When the link expires, if it says so.")
    storage_type = models.CharField(max_length=10, blank=True)
    sent_bytes = models.PositiveBigIntegerField(default=0, help_text="What the storage has acknowledged.")

    objects = UploadQuerySet.as_manager()

    class Meta:
        # Read by the sweep: due().
        indexes: ClassVar = [models.Index(name="upload_due", fields=["due_at"], condition=Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return self.operation.file_name

    @property
    def is_sent(self) -> bool:
        """The storage has acknowledged the whole file, so there is only the platform to be told."""
        size = self.operation.file_size
        return size is not None and self.sent_bytes >= size


class UploadedBlock(models.Model):
    """One block of a baseline file that the platform's storage has acknowledged; not sent again after a cut."""

    upload = models.ForeignKey(Upload, models.CASCADE, related_name="blocks")
    number = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["upload", "number"], name="block_once")]

    def __str__(self) -> str:
        return f"block {self.number} of {self.upload_id}"
