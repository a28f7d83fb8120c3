"""The only door for an operation's state. Every move writes its history in the same transaction.

Verbs are what people ask for (request, approve, reject, cancel) and what workers do (lease, claim, wait, requeue);
participles are what the platform told us (accepted, succeeded, failed).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from imodels_app.accounts import permissions
from imodels_app.models import (
    Attempt,
    Decision,
    Event,
    Operation,
    Orphan,
    StagedFile,
    Team,
    Upload,
    UploadedBlock,
    User,
)
from imodels_app.notifications import outbox
from imodels_app.requesting.spec import CreationSpec, fingerprint
from imodels_app.runtime import clock, dispatch, failpoints
from imodels_app.runtime.timing import (
    CLAIM_LASTS,
    CLOCK_DIFFERENCE,
    LONGEST_PAUSE,
    RECONCILE_CLAIM_AFTER,
    SIGN_IN_PATIENCE,
    STEP_LEASE,
    UPLOAD_LEASE,
)
from imodels_app.states import (
    FINISHED,
    MAYBE_THERE,
    MOVES,
    ORPHAN_MOVES,
    Kind,
    NotificationKind,
    OrphanState,
    Outcome,
    State,
    Verdict,
    WaitReason,
)


class Conflict(Exception):
    """The operation is not (or no longer) in a state that allows this. Its text can be shown."""


class NameInFlight(Conflict):
    """Another operation of ours with this name in this iTwin is on its way to the platform."""


class FileTaken(Conflict):
    """The baseline file belongs to another operation that is not over, or is not here any more."""


class ApprovalVoid(Conflict):
    """The request differs from what was approved."""


# What people ask for


def request(
    spec: CreationSpec,
    *,
    by: User,
    again_of: Operation | None = None,
    operation_id: UUID | None = None,
    staged_file: StagedFile | None = None,
) -> Operation:
    """Take down a wish. A fork waits for the team of its main iModel, anything else is queued at once.

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


def approve(operation: Operation, *, by: User, comment: str = "") -> None:
    """Let a fork proceed (one lead is enough here). Raises permissions.Denied (not a lead, or one's own) and
    Conflict.
    """
    permissions.require(permissions.why_not_decide(by, operation))
    now = clock.now()
    if operation.expires_at and operation.expires_at <= now:
        raise Conflict("The time to decide has passed.")
    failpoints.reach("approve.allowed")
    _decide(operation, Verdict.APPROVED, State.QUEUED, by=by, comment=comment, due_at=now, expires_at=None)
    _wake(operation)


def reject(operation: Operation, *, by: User, comment: str = "") -> None:
    """Refuse a fork. Raises permissions.Denied (not a lead, or one's own) and Conflict."""
    permissions.require(permissions.why_not_decide(by, operation))
    _decide(operation, Verdict.REJECTED, State.REJECTED, by=by, comment=comment)


def cancel(operation: Operation, *, by: User) -> None:
    """Call off what has not been sent yet. Raises permissions.Denied and Conflict.

    Not what was sent once without an answer, though nothing was found of it: a list that lags long would make
    "cancelled before it was sent" a lie.
    """
    permissions.require(permissions.why_not_cancel(by, operation))
    if operation.attempts.filter(outcome__in=MAYBE_THERE).exists():
        raise Conflict(f"{operation.name} was sent once, and its answer was lost. It can no longer be cancelled.")
    _move(operation, State.CANCELLED, verb="cancelled", by=by, note="before it was sent")


def delete_orphan(operation: Operation, *, by: User, even_if_usable: bool = False) -> None:
    """Have the iModel deleted that a failure left on the platform, with this person's own rights there.

    even_if_usable  though it turned out that it can be used

    Raises permissions.Denied and Conflict.
    """
    permissions.require(permissions.why_not_delete_orphan(by, operation))
    orphan = operation.orphan
    if orphan.state == OrphanState.USABLE and not even_if_usable:
        raise Conflict(f"{operation.name} can be used, so it is deleted only if you confirm that too.")
    note = "even if it can be used" if even_if_usable else ""
    _move_orphan(
        orphan,
        OrphanState.DELETING,
        event=_orphan_event(orphan, "orphan_deletion_requested", by=by, note=note),
        requested_by=by,
        requested_by_name=by.name,
        even_if_usable=even_if_usable,
        due_at=clock.now(),
        sent_at=None,
        note="",
    )
    dispatch.wake_cleanup(operation.pk)


def expire(operation: Operation) -> None:
    """End a wait for a person who did not come in time. What waits with half a file has failed: there is a shell."""
    who = "nobody decided" if operation.state == State.AWAITING_APPROVAL else "the requester did not sign in again"
    if operation.state == State.UPLOADING:
        failed(operation, code="uploadAbandoned", note=who)
        return
    _move(operation, State.EXPIRED, verb="expired", note=who)


def wake_after_sign_in(user: User) -> None:
    """Go on with whatever waited for this person to sign in."""
    now = clock.now()
    for operation in Operation.objects.filter(requested_by=user, wait_reason=WaitReason.SIGN_IN, state__in=_DUE):
        due = _DUE[State(operation.state)](now)
        try:
            _note(operation, "resumed", by=user, note="signed in again", **_NO_WAIT, **due)
        except Conflict:
            continue  # it moved on by itself
        if operation.state == State.QUEUED:
            _wake(operation)
        elif operation.state == State.UPLOADING:
            dispatch.wake_uploader(operation.pk)


def wake_all_signed_in() -> None:
    """Go on for people whose sign-in is good, though what waits for it was not woken.

    The process that they did it with died before it could, or the wait was written down a moment later than the
    sign-in. None goes round in circles: before anybody waits for a sign-in, tokens.py has marked the old one.
    """
    waits = Q(operations__wait_reason=WaitReason.SIGN_IN, operations__state__in=_DUE)
    for user in User.objects.filter(waits, tokens__sign_in_needed=False).distinct():
        wake_after_sign_in(user)


# What workers do


def reschedule_after_clock_jump(now: datetime) -> None:
    """Go on with what was written down later than now: the database's clock was put back.

    It would wait until the clock has caught up. Whether it still has to wait is found out by trying.
    """
    for state, due in _DUE.items():
        later = Q(changed_at__gt=now + CLOCK_DIFFERENCE)
        if state == State.RUNNING:  # a look that tells nothing new does not count as a change
            later |= Q(wait_reason=WaitReason.NONE, due_at__gt=now + LONGEST_PAUSE)
        if state == State.UPLOADING:  # nor does a lease
            later |= Q(wait_reason=WaitReason.NONE, upload__due_at__gt=now + UPLOAD_LEASE + CLOCK_DIFFERENCE)
        for operation in Operation.objects.filter(later, state=state).exclude(wait_reason=WaitReason.SIGN_IN):
            with suppress(Conflict):
                _note(operation, "resumed", note="the clock was set back", **_NO_WAIT, **due(now))


def lease(operation_id: UUID, state: State, *, lasting: timedelta = STEP_LEASE) -> Operation | None:
    """Take an operation in this state whose time has come, for one step. None: it is not due, or somebody is at it.

    Of any number of callers one gets it, for the UPDATE repeats the due time that was read. Should that one die,
    the operation is due again when the lease ends.
    """
    operation = operation_for(operation_id)
    now = clock.now()
    if operation.state != state or operation.due_at is None or operation.due_at > now:
        return None
    mine = Operation.objects.filter(pk=operation.pk, state=state, version=operation.version, due_at=operation.due_at)
    return operation if mine.update(due_at=now + lasting) else None


def claim(operation: Operation, *, bucket: str, now: datetime) -> Attempt:
    """Take a queued operation to submit it, and write down the attempt. Call inside a transaction.

    1. The UPDATE repeats state and version, so of many callers exactly one gets past it.
    2. The unique index on names in flight refuses a second operation of ours with the same name.
    3. The attempt is a row before the socket opens: whoever finds it without an answer has to look first.

    Raises Conflict (somebody else has it), NameInFlight, ApprovalVoid.
    """
    if operation.kind == Kind.FORK and not _approval_holds(operation):
        raise ApprovalVoid("The request differs from what was approved.")
    number = operation.attempts.count() + 1
    try:
        with transaction.atomic():
            _move(
                operation,
                State.SUBMITTING,
                verb="claimed",
                note=f"attempt {number}",
                due_at=now + RECONCILE_CLAIM_AFTER,
                **_NO_WAIT,
            )
    except IntegrityError as clash:
        raise NameInFlight(operation.name) from clash
    # What is handed to the socket is what the row holds, now that nobody else changes it: see confirm_claim().
    operation.refresh_from_db(fields=["request_path", "request_body", "request_hash"])
    return Attempt.objects.create(
        operation=operation, number=number, bucket=bucket, body_hash=_hash_of(operation), sent_at=now
    )


def confirm_claim(operation: Operation, attempt: Attempt) -> None:
    """Call right before sending. Raises Conflict when the claim is old, or was settled by somebody else meanwhile.

    Also when these very bytes of a fork were not approved: the claim has read them anew, after it looked.
    """
    mine = Operation.objects.filter(pk=operation.pk, state=State.SUBMITTING, version=operation.version)
    if operation.kind == Kind.FORK:
        mine = mine.approved(attempt.body_hash)
    # The time last: the database may take its time to answer, and what counts is when we send.
    if not mine.exists() or clock.now() > attempt.sent_at + CLAIM_LASTS:
        raise Conflict(f"The claim on {operation.name} has expired.")


def wait(operation: Operation, reason: WaitReason, until: datetime, note: str = "") -> None:
    """Nothing can be done before `until`. The operation stays what it is, and says why."""
    fields: dict[str, Any] = {"wait_reason": reason, "wait_until": until, "due_at": until}
    if operation.state == State.UPLOADING:
        fields |= {"due_at": None, "upload": {"due_at": until}}
    if reason == WaitReason.SIGN_IN and operation.state in (State.QUEUED, State.UPLOADING):
        ends_at = operation.expires_at if operation.wait_reason == reason else clock.now() + SIGN_IN_PATIENCE
        fields |= {"expires_at": ends_at, "wait_until": ends_at}
    _note(operation, "postponed", note=note, wait=reason, **fields)


def requeue(operation: Operation, attempt: Attempt, *, reason: WaitReason, until: datetime, note: str = "") -> None:
    """Queue again what provably was not sent. Raises Conflict unless its attempt says so."""
    if not Attempt.objects.filter(pk=attempt.pk, operation=operation, outcome=Outcome.NOT_SENT).exists():
        raise Conflict(f"{operation.name} may have been sent.")
    waiting: dict[str, Any] = {"wait_reason": reason, "wait_until": until, "due_at": until}
    _move(operation, State.QUEUED, verb="postponed", note=note, wait=reason, **waiting)


def send_again(operation: Operation, *, note: str) -> None:
    """The request provably never arrived: queue the same one, with the same name, again."""
    _move(operation, State.QUEUED, verb="postponed", note=note, due_at=clock.now(), **_NO_WAIT)
    _wake(operation)


def answered(attempt: Attempt, outcome: Outcome, *, status: int | None = None, answer: str = "") -> None:
    """Write down what became of one POST. A later answer never replaces an earlier one."""
    Attempt.objects.filter(pk=attempt.pk, outcome=Outcome.PENDING).update(
        outcome=outcome, status=status, answer=answer[:2000], answered_at=clock.now()
    )
    failpoints.reach("attempt.answered")


# What uploaders do


def lease_upload(operation: Operation) -> None:
    """Become the one that uploads this file, for UPLOAD_LEASE. Raises Conflict: it is not due, or somebody is at it.

    Its version rises, so whoever held the lease before and wakes up writes nothing any more.
    """
    now = clock.now()
    due_at = operation.upload.due_at if operation.state == State.UPLOADING else None
    if due_at is None or due_at > now:
        raise Conflict(f"The file of {operation.name} is not due.")
    _write(operation.upload, due_at=now + UPLOAD_LEASE)


def renew_upload_lease(operation: Operation, *, sent_bytes: int, block: int | None = None) -> None:
    """Keep the lease, and write down how far it is. Raises Conflict when somebody else has taken over.

    sent_bytes  what people see; the whole size only once the storage has acknowledged the file: see sent()
    block       number of a block that the storage has just acknowledged
    """
    now = clock.now()
    below_whole = min(sent_bytes, (operation.file_size or 1) - 1)
    with transaction.atomic():
        _write(operation.upload, sent_bytes=below_whole, due_at=now + UPLOAD_LEASE)
        if block is not None:
            UploadedBlock.objects.get_or_create(upload=operation.upload, number=block)
        if operation.wait_reason:
            _write(operation, changed_at=now, **_NO_WAIT)


def release_upload(operation: Operation, *, after: datetime) -> None:
    """Let go of the lease: whoever comes after this instant goes on."""
    _write(operation.upload, due_at=after)


def file_sent(operation: Operation) -> None:
    """The storage has acknowledged the whole file. What is left is to tell the platform."""
    upload = {"sent_bytes": operation.file_size, "due_at": clock.now() + UPLOAD_LEASE}
    _note(operation, "file_sent", upload=upload, **_NO_WAIT)


def file_missing(operation: Operation, *, retry_at: datetime) -> None:
    """The platform does not find the file yet, which the storage has acknowledged."""
    _note(operation, "file_missing", upload={"due_at": retry_at})


def restart_upload(operation: Operation, *, note: str) -> None:
    """What was sent is not there: send all of it again."""
    with transaction.atomic():
        _note(operation, "upload_restarted", note=note, upload={"sent_bytes": 0, "due_at": clock.now()}, **_NO_WAIT)
        operation.upload.blocks.all().delete()
    dispatch.wake_uploader(operation.pk)


def link_renewed(operation: Operation, *, link: str, storage_type: str, until: datetime | None) -> None:
    """The platform gave a new upload link. link: sealed. Blocks that were acknowledged stay: it is the same file."""
    upload = {"link": link, "storage_type": storage_type, "link_until": until, "due_at": clock.now()}
    _note(operation, "link_renewed", upload=upload, **_NO_WAIT)
    dispatch.wake_uploader(operation.pk)


# What the platform told us


def accepted(
    operation: Operation,
    *,
    imodel_id: str,
    note: str = "",
    link: str = "",
    storage_type: str = "",
    link_until: datetime | None = None,
) -> None:
    """The platform makes the iModel `imodel_id`. Follow it from now on; or first upload its baseline file.

    link  sealed; "" when the platform told none: upload.py asks for it then
    """
    now = clock.now()
    has_file = operation.kind == Kind.BASELINE
    next_step: dict[str, Any] = {"due_at": now}
    if has_file:
        next_step = {"due_at": None, "baseline_state": "waitingForFile"}
    with transaction.atomic():
        _move(
            operation,
            State.UPLOADING if has_file else State.RUNNING,
            verb="accepted",
            note=note,
            imodel_id=imodel_id,
            accepted_at=now,
            **next_step,
            **_NO_WAIT,
        )
        if has_file:
            upload = {"link": link, "storage_type": storage_type, "link_until": link_until, "due_at": now}
            Upload.objects.create(operation=operation, **upload)
    (dispatch.wake_uploader if has_file else dispatch.wake_poller)(operation.pk)


def completed(operation: Operation, *, baseline_state: str) -> None:
    """The platform has the baseline file and works on it from now on."""
    now = clock.now()
    _move(
        operation,
        State.RUNNING,
        verb="completed",
        upload={"sent_bytes": operation.file_size, **_OVER},
        accepted_at=now,
        due_at=now,
        baseline_state=baseline_state[:64],
        **_NO_WAIT,
    )
    dispatch.wake_poller(operation.pk)


def polled(operation: Operation, *, platform_state: str, due_at: datetime, missing: bool = False) -> None:
    """One look at a running operation. Only what a person could see makes history and raises the version."""
    seen: dict[str, Any] = {"platform_state": platform_state, "missing_since": None}
    if missing:
        seen = {"platform_state": operation.platform_state, "missing_since": operation.missing_since or clock.now()}
    changed = platform_state != operation.platform_state and not missing
    if changed or operation.wait_reason:
        _note(
            operation,
            "platform_state",
            note=platform_state,
            due_at=due_at,
            polls=F("polls") + 1,
            **seen,
            **_NO_WAIT,
        )
    else:
        Operation.objects.filter(pk=operation.pk, state=State.RUNNING).update(
            due_at=due_at, polls=F("polls") + 1, **seen
        )


def usable(operation: Operation) -> None:
    """The iModel is initialized and can be opened, though the operation goes on."""
    _note(operation, "usable", usable_at=clock.now())


def succeeded(operation: Operation, *, relationship_id: str = "") -> None:
    baseline: dict[str, Any] = {"baseline_state": "initialized"} if operation.kind == Kind.BASELINE else {}
    _move(
        operation,
        State.SUCCEEDED,
        verb="succeeded",
        platform_state="successful",
        relationship_id=relationship_id,
        **baseline,
        **_NO_WAIT,
    )


def failed(
    operation: Operation,
    *,
    code: str,
    message: str = "",
    details: Sequence[Mapping[str, object]] = (),
    platform_state: str = "",
    baseline_state: str = "",
    note: str = "",
) -> None:
    """It will not become an iModel. What the platform had made of it already is an orphan, but for what vanished.

    code           the platform's own, or ours where it names none (see status.py)
    message        the platform's own words, if it said any; note is for history, and ours
    """
    said: dict[str, Any] = {
        name: word[:64]
        for name, word in (("platform_state", platform_state), ("baseline_state", baseline_state))
        if word
    }
    with transaction.atomic():
        _move(
            operation,
            State.FAILED,
            verb="failed",
            note=note or message,
            code=code,
            upload=_OVER if operation.state == State.UPLOADING else None,
            failure_code=code,
            failure_message=message,
            failure_details=[dict(detail) for detail in details],
            **said,
            **_NO_WAIT,
        )
        if operation.imodel_id and code != "vanished":
            Orphan.objects.create(operation=operation, changed_at=operation.changed_at)


# What a failure left behind


def lease_orphan(orphan: Orphan, *, retry_at: datetime) -> None:
    """Become the one that looks at what was left. Raises Conflict when another worker is at it.

    retry_at: when another one goes on, should this one die
    """
    _write(orphan, due_at=retry_at)


def deleting_orphan(orphan: Orphan, *, retry_at: datetime) -> None:
    """The platform is asked to delete it now. Raises Conflict when another worker is at it."""
    _write(orphan, sent_at=clock.now(), due_at=retry_at)


def confirm_deletion(orphan: Orphan) -> None:
    """Call right before deleting. Raises Conflict when what was seen is old, or another worker has taken over."""
    mine = Orphan.objects.filter(pk=orphan.pk, state=OrphanState.DELETING, version=orphan.version)
    # The time last, as in confirm_claim().
    if not mine.exists() or orphan.sent_at is None or clock.now() > orphan.sent_at + CLAIM_LASTS:
        raise Conflict(f"{orphan} has to be checked again.")


def postpone_deletion(orphan: Orphan, *, until: datetime, note: str) -> None:
    """It cannot be deleted before `until`. A reason that is told already makes no second event."""
    event = None if note == orphan.note else _orphan_event(orphan, "orphan_deletion_waiting", note=note)
    _change_orphan(orphan, clock.now(), event=event, due_at=until, note=note)


def orphan_ended(orphan: Orphan, to: OrphanState, *, note: str = "", code: str = "") -> None:
    """What became of it. LEFT: it is still there, and note says what is in the way."""
    by = orphan.requested_by if to == OrphanState.DELETED else None
    verb = {OrphanState.LEFT: "orphan_deletion_refused"}.get(to, f"orphan_{to.value}")
    event = _orphan_event(orphan, verb, by=by, note=note, code=code)
    _move_orphan(orphan, to, event=event, due_at=None, note=note)


# How


def _move_orphan(orphan: Orphan, to: OrphanState, *, event: dict[str, Any], **fields: Any) -> None:
    """As _move()."""
    came_from = OrphanState(orphan.state)
    if to not in ORPHAN_MOVES.get(came_from, ()):
        raise Conflict(f"{came_from.label} cannot become {to.label.lower()}.")
    now = clock.now()
    _change_orphan(orphan, now, event=event, state=to, changed_at=now, **fields)


def _change_orphan(orphan: Orphan, now: datetime, *, event: dict[str, Any] | None, **fields: Any) -> None:
    with transaction.atomic():
        _write(orphan, **fields)
        if event:
            Event.record(at=now, operation=orphan.operation, **event)


def _orphan_event(
    orphan: Orphan, verb: str, *, by: User | None = None, note: str = "", code: str = ""
) -> dict[str, Any]:
    """The operation itself has ended as it has."""
    ended = orphan.operation.state
    return _event(verb, by, note, ended, ended, code, "")


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
            team=team,
            reason=spec.reason,
            again_of=again_of,
            staged_file=staged_file,
            request_path=spec.path,
            request_body=spec.body_text,
            request_hash=spec.fingerprint(str(by.pk)),
            **_columns_of(spec),
        )
        Event.record("requested", at=now, by=by, operation=operation, to=state, note=spec.reason)
        failpoints.reach("request.written")
        if state == State.QUEUED:
            _wake(operation)
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


# Which column makes an operation due at once.
_DUE: dict[State, Callable[[datetime], dict[str, Any]]] = {
    State.QUEUED: lambda now: {"due_at": now, "expires_at": None},
    State.SUBMITTING: lambda now: {"due_at": now},
    State.UPLOADING: lambda now: {"upload": {"due_at": now}},
    State.RUNNING: lambda now: {"due_at": now},
}
_NO_WAIT: dict[str, Any] = {"wait_reason": WaitReason.NONE, "wait_until": None}
# Of an upload. A secret is not kept longer than it is of use.
_OVER: dict[str, Any] = {"link": "", "link_until": None, "due_at": None}


def _move(
    operation: Operation,
    to: State,
    *,
    verb: str,
    by: User | None = None,
    note: str = "",
    code: str = "",
    wait: WaitReason = WaitReason.NONE,
    **fields: Any,
) -> None:
    """Take one edge and write its event, or raise Conflict: see _change()."""
    came_from = State(operation.state)
    if to not in MOVES.get(came_from, ()):
        raise Conflict(f"{came_from.label} cannot become {to.label.lower()}.")
    now = clock.now()
    if to in FINISHED:
        fields |= {"finished_at": now, "due_at": None}
    _change(operation, now, state=to, **fields, event=_event(verb, by, note, came_from, to, code, wait))


def _note(
    operation: Operation,
    verb: str,
    *,
    by: User | None = None,
    note: str = "",
    wait: WaitReason = WaitReason.NONE,
    **fields: Any,
) -> None:
    """Change columns that people see, without a move. An unchanged reason to wait makes no second event."""
    same_wait = wait and operation.wait_reason == wait
    event = None if same_wait else _event(verb, by, note, operation.state, operation.state, "", wait)
    _change(operation, clock.now(), event=event, **fields)


def _change(
    operation: Operation,
    now: datetime,
    *,
    event: dict[str, Any] | None,
    upload: Mapping[str, Any] | None = None,
    **fields: Any,
) -> None:
    """Change columns of an operation and write the event, or raise Conflict and do nothing.

    upload: columns of its Upload that change with it, or not at all
    """
    with transaction.atomic():
        if upload:
            # Always first: two who lock the rows in different orders could wait for each other.
            _write(operation.upload, **upload)
        _write(operation, changed_at=now, **fields)
        if event:
            Event.record(at=now, operation=operation, **event)
            _notify(operation, event)


def _write(row: Operation | Upload | Orphan, **fields: Any) -> None:
    """Change the named columns of a row that is still as we read it, or raise Conflict.

    The UPDATE repeats in its WHERE the version that we read, and the state of what has one. So of two processes that
    want the same edge exactly one changes a row, and a process that slept through the other's work changes none.
    """
    as_read = {name: getattr(row, name) for name in ("state", "version") if hasattr(row, name)}
    with transaction.atomic():
        changed = type(row).objects.filter(pk=row.pk, **as_read).update(version=F("version") + 1, **fields)
        if not changed:
            raise Conflict(f"{row} has changed meanwhile.")
        # Within: after the commit it could be somebody else's later version, and no longer fence us off. No more than
        # what was written: a row that hangs on this one stays as it was read, for it is fenced by its own version.
        row.refresh_from_db(fields=["version", *fields])


def _notify(operation: Operation, event: dict[str, Any]) -> None:
    """Put down the e-mail that a change is worth, if any."""
    kind = NotificationKind.SIGN_IN if event.get("wait") == WaitReason.SIGN_IN else event["verb"]
    if kind in NotificationKind.values:
        outbox.enqueue(operation, NotificationKind(kind))


def _event(verb: str, by: User | None, note: str, came_from: str, to: str, code: str, wait: str) -> dict[str, Any]:
    extra = {key: value for key, value in (("code", code), ("wait", str(wait))) if value}
    return {"verb": verb, "by": by, "note": note, "came_from": came_from, "to": to, **extra}


def _wake(operation: Operation) -> None:
    transaction.on_commit(partial(failpoints.reach, "wake.committed"))
    dispatch.wake_submitter(operation.pk)


def _decide(operation: Operation, verdict: Verdict, to: State, *, by: User, comment: str, **fields: Any) -> None:
    """Take the edge, and write down whose answer it was."""
    with transaction.atomic():
        # The move first: of two people who answer at once, the second meets a Conflict.
        _move(operation, to, verb=verdict, by=by, note=comment, **fields)
        Decision.objects.create(
            operation=operation,
            verdict=verdict,
            by=by,
            by_name=by.name,
            by_key=by.lasting_key,
            requested_by_id=operation.requested_by_id,
            requester_key=operation.requester_key,
            request_hash=operation.request_hash,
            comment=comment,
            decided_at=clock.now(),
        )


def _approval_holds(operation: Operation) -> bool:
    """Whether a lead approved exactly what would be sent now."""
    return Operation.objects.filter(pk=operation.pk).approved(_hash_of(operation)).exists()


def _hash_of(operation: Operation) -> str:
    """What an approval has to be of, for these bytes to be sent."""
    return fingerprint(operation.request_path, operation.request_body, str(operation.requested_by_id))


def _columns_of(spec: CreationSpec) -> dict[str, Any]:
    source = spec.source
    return {
        "name": spec.name,
        "description": spec.description,
        "itwin_id": spec.itwin.id,
        "itwin_name": spec.itwin.name,
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


def operation_for(operation_id: UUID) -> Operation:
    """The operation with what its workers need, read at one moment: an upload that is read later fences nobody off."""
    return Operation.objects.select_related("requested_by", "team", "staged_file", "upload").get(pk=operation_id)
