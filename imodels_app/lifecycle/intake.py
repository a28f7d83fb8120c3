"""What is asked for becomes an operation."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction

from imodels_app.audit import events
from imodels_app.lifecycle import _transition
from imodels_app.lifecycle._transition import FileTaken
from imodels_app.models import KnownITwin, Operation, StagedFile, Team, User
from imodels_app.notifications import outbox
from imodels_app.requesting.spec import CreationSpec
from imodels_app.runtime import clock, failpoints
from imodels_app.states import Kind, NotificationKind, State


def request(
    spec: CreationSpec,
    *,
    by: User,
    again_of: Operation | None = None,
    operation_id: UUID | None = None,
    staged_file: StagedFile | None = None,
) -> Operation:
    """Record what somebody asks for. A fork waits for the team of its main iModel, anything else is queued at once.

    operation_id  of the form it was asked for with: sent twice, it is one operation
    staged_file   the baseline file, arrived whole. Raises FileTaken when another operation has it, or it is gone
    """
    operation_id = operation_id or uuid4()
    try:
        return _record_request(spec, by=by, again_of=again_of, operation_id=operation_id, staged_file=staged_file)
    except IntegrityError:
        before = Operation.objects.filter(pk=operation_id, requested_by=by).first()
        if before is None:
            raise
        return before


def _record_request(
    spec: CreationSpec, *, by: User, again_of: Operation | None, operation_id: UUID, staged_file: StagedFile | None
) -> Operation:
    now = clock.now()
    team = Team.looking_after(spec.source.itwin.id if spec.kind == Kind.FORK and spec.source else spec.itwin.id)
    needs_approval = spec.kind == Kind.FORK
    state = State.AWAITING_APPROVAL if needs_approval else State.QUEUED
    with transaction.atomic():
        if staged_file:
            _claim_file(staged_file, by=by)
        operation = Operation.objects.create(
            id=operation_id,
            kind=spec.kind,
            state=state,
            created_at=now,
            changed_at=now,
            due_at=None if needs_approval else now,
            expires_at=now + timedelta(days=team.approval_days) if needs_approval else None,
            requested_by=by,
            requested_by_name=by.name,
            requester_key=by.lasting_key,
            requester_email=by.email,
            team=team,
            reason=spec.reason,
            again_of=again_of,
            staged_file=staged_file,
            request_path=spec.path,
            request_body=spec.body_text,
            request_hash=spec.fingerprint(str(by.pk)),
            **_columns_of(spec),
        )
        KnownITwin.note(operation.itwin_id, operation.itwin_name)
        events.record("requested", at=now, by=by, operation=operation, to=state, note=spec.reason)
        failpoints.reach("request.written")
        if state == State.QUEUED:
            _transition.wake_submitter(operation)
        else:
            outbox.enqueue(operation, NotificationKind.REQUESTED)
    return operation


def _claim_file(staged_file: StagedFile, *, by: User) -> None:
    """Take a file for a new operation: a free one, or away from an operation that is over. Holds its row's lock."""
    StagedFile.objects.select_for_update().filter(pk=staged_file.pk).first()
    # Asked under the lock, and not with it: whoever held it may have made an operation of the file.
    free = StagedFile.objects.free().filter(pk=staged_file.pk, owner=by).exclude(arrived_at=None)
    if not free.exists():
        raise FileTaken(f"{staged_file.name} is used by another operation, or no longer here. Choose it again.")
    Operation.objects.filter(staged_file=staged_file).update(staged_file=None)


def _elsewhere(spec: CreationSpec) -> str:
    """In what the target's iTwin differs from the source's, as far as both are known: account, region."""
    if spec.source is None:
        return ""
    here, there = spec.source.itwin, spec.itwin
    pairs = {"account": (here.account_id, there.account_id), "region": (here.region, there.region)}
    return " ".join(what for what, (one, other) in pairs.items() if one and other and one != other)


def _columns_of(spec: CreationSpec) -> dict[str, Any]:
    source = spec.source
    return {
        "name": spec.name,
        "description": spec.description,
        "itwin_id": spec.itwin.id,
        "itwin_name": spec.itwin.name,
        "itwin_number": spec.itwin.number,
        "elsewhere": _elsewhere(spec),
        "source_id": source.id if source else "",
        "source_name": source.name if source else "",
        "source_itwin_id": source.itwin.id if source else "",
        "source_itwin_name": source.itwin.name if source else "",
        "changeset_selection": spec.up_to or "",
        "changeset_id": spec.changeset_id,
        "changeset_index": spec.changeset_index,
        "preserve_history": spec.preserve_history,
        "file_name": spec.file_name,
        "file_size": spec.file_size,
    }
