"""How far the baseline file of an operation is, and who uploads it."""

from datetime import datetime

from django.db import transaction

from imodels_app.lifecycle import _transition
from imodels_app.lifecycle._transition import NO_WAIT, Conflict
from imodels_app.models import Operation, UploadedBlock
from imodels_app.runtime import clock, dispatch
from imodels_app.runtime.timing import UPLOAD_LEASE
from imodels_app.states import State


def lease_upload(operation: Operation) -> None:
    """Become the one that uploads this file, for UPLOAD_LEASE. Raises Conflict: it is not due, or somebody is at it.

    Its version rises, so whoever held the lease before and wakes up writes nothing any more.
    """
    now = clock.now()
    due_at = operation.upload.due_at if operation.state == State.UPLOADING else None
    if due_at is None or due_at > now:
        raise Conflict(f"The file of {operation.name} is not due.")
    _transition.write(operation.upload, due_at=now + UPLOAD_LEASE)


def renew_upload_lease(operation: Operation, *, sent_bytes: int, block: int | None = None) -> None:
    """Keep the lease, and write down how far it is. Raises Conflict when somebody else has taken over.

    sent_bytes  what people see; the whole size only once the storage has acknowledged the file: see file_sent()
    block       number of a block that the storage has just acknowledged
    """
    now = clock.now()
    below_whole = min(sent_bytes, (operation.file_size or 1) - 1)
    with transaction.atomic():
        _transition.write(operation.upload, sent_bytes=below_whole, due_at=now + UPLOAD_LEASE)
        if block is not None:
            UploadedBlock.objects.get_or_create(upload=operation.upload, number=block)
        if operation.wait_reason:
            _transition.write(operation, changed_at=now, **NO_WAIT)


def release_upload(operation: Operation, *, after: datetime) -> None:
    """Let go of the lease: whoever comes after this instant goes on."""
    _transition.write(operation.upload, due_at=after)


def file_sent(operation: Operation) -> None:
    """The storage has acknowledged the whole file. What is left is to tell the platform."""
    upload = {"sent_bytes": operation.file_size, "due_at": clock.now() + UPLOAD_LEASE}
    _transition.note(operation, "file_sent", upload=upload, **NO_WAIT)


def file_missing(operation: Operation, *, retry_at: datetime) -> None:
    """The platform does not find the file yet, which the storage has acknowledged."""
    _transition.note(operation, "file_missing", upload={"due_at": retry_at})


def link_refused(operation: Operation, *, retry_at: datetime, note: str) -> None:
    """The storage did not take the link, and the platform has no other one."""
    _transition.note(operation, "link_refused", note=note, upload={"due_at": retry_at}, **NO_WAIT)


def restart_upload(operation: Operation, *, note: str) -> None:
    """What was sent is not there: send all of it again."""
    with transaction.atomic():
        _transition.note(
            operation, "upload_restarted", note=note, upload={"sent_bytes": 0, "due_at": clock.now()}, **NO_WAIT
        )
        operation.upload.blocks.all().delete()
    dispatch.wake_uploader(operation.pk)


def link_renewed(operation: Operation, *, link: str, storage_type: str, until: datetime | None) -> None:
    """The platform gave a new upload link. link: encrypted. Blocks that were acknowledged stay: it is the same file."""
    upload = {"link": link, "storage_type": storage_type, "link_until": until, "due_at": clock.now()}
    _transition.note(operation, "link_renewed", upload=upload, **NO_WAIT)
    dispatch.wake_uploader(operation.pk)
