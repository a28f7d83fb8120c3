"""What is asked for becomes an operation."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction

from imodels_app.lifecycle import _transition, starting
from imodels_app.lifecycle._transition import FileTaken, NotAllowed
from imodels_app.models import KnownITwin, KnownSource, Operation, StagedFile, User
from imodels_app.requesting import drafts
from imodels_app.requesting.spec import CreationSpec
from imodels_app.runtime import failpoints
from imodels_app.states import State


def request(
    spec: CreationSpec,
    *,
    by: User,
    again_of: Operation | None = None,
    operation_id: UUID | None = None,
    staged_file: StagedFile | None = None,
    not_before: datetime | None = None,
) -> Operation:
    """Record what somebody asks for. What the rules let through is queued at once; the rest waits for people.

    operation_id  of the form it was asked for with: sent twice, it is one operation
    staged_file   the baseline file, arrived whole. Raises FileTaken when another operation has it, or it is gone
    not_before    when it is sent at the earliest; None: as soon as it may be

    Raises NotAllowed: a rule refuses it, or nobody could decide.
    """
    operation_id = operation_id or uuid4()
    try:
        with transaction.atomic():
            operation = _record_request(spec, by=by, again_of=again_of, id=operation_id, staged_file=staged_file)
            if not_before:
                starting.put_off(operation, not_before, by=by)
        return operation
    except IntegrityError:
        before = Operation.objects.filter(pk=operation_id, requested_by=by).first()
        if before is None:
            raise
        return before


def _record_request(spec: CreationSpec, *, by: User, staged_file: StagedFile | None, **columns: Any) -> Operation:
    if staged_file:
        _claim_file(staged_file, by=by)
    operation = drafts.draft(spec, by=by, staged_file=staged_file, **columns)
    if why := drafts.why_not(operation):
        raise NotAllowed(why)
    operation.save(force_insert=True)
    operation.named.set(operation.plan.named)
    KnownITwin.note(operation.itwin_id, operation.itwin_name)
    KnownSource.note(operation.source_id, operation.source_name)
    _transition.begin(operation, by=by)
    failpoints.reach("request.written")
    if operation.state == State.QUEUED:
        _transition.wake_submitter(operation)
    return operation


def _claim_file(staged_file: StagedFile, *, by: User) -> None:
    """Take a file for a new operation: a free one, or away from an operation that is over. Holds its row's lock."""
    StagedFile.objects.select_for_update().filter(pk=staged_file.pk).first()
    # Asked under the lock, and not with it: whoever held it may have made an operation of the file.
    free = StagedFile.objects.free().filter(pk=staged_file.pk, owner=by).exclude(arrived_at=None)
    if not free.exists():
        raise FileTaken(f"{staged_file.name} is used by another operation, or no longer here. Choose it again.")
    Operation.objects.filter(staged_file=staged_file).update(staged_file=None)
