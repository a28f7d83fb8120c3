"""How an operation is sent: by one worker at a time, and every request is written down before it leaves."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction

from imodels_app.approvals.plan import is_met
from imodels_app.lifecycle import _transition
from imodels_app.lifecycle._transition import NO_WAIT, ApprovalLapsed, ApprovalVoid, Conflict, NameInFlight
from imodels_app.models import Attempt, Operation
from imodels_app.requesting import drafts
from imodels_app.runtime import clock, failpoints
from imodels_app.runtime.timing import CLAIM_LASTS, RECONCILE_CLAIM_AFTER, STEP_LEASE
from imodels_app.states import Outcome, State


def operation_for(operation_id: UUID) -> Operation:
    """The operation with what its workers need, read at one moment: an upload that is read later fences nobody off."""
    return Operation.objects.select_related("requested_by", "team", "staged_file", "upload").get(pk=operation_id)


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
    3. The attempt is a row before the socket opens: whoever finds it without an answer has to reconcile first.

    Raises Conflict (somebody else has it), NameInFlight, ApprovalVoid, ApprovalLapsed.
    """
    if not _approval_holds(operation, drafts.hash_of(operation)):
        raise ApprovalVoid("The request differs from what was approved.")
    if Operation.objects.lapsed(now).filter(pk=operation.pk).exists():
        raise ApprovalLapsed("Its approval was not used in time.")
    number = operation.attempts.count() + 1
    try:
        with transaction.atomic():
            _transition.move(
                operation,
                State.SUBMITTING,
                verb="claimed",
                note=f"attempt {number}",
                due_at=now + RECONCILE_CLAIM_AFTER,
                **NO_WAIT,
            )
    except IntegrityError as clash:
        raise NameInFlight(operation.name) from clash
    # What is handed to the socket is what the row holds, now that nobody else changes it: see confirm_claim().
    operation.refresh_from_db(fields=["request_path", "request_body", "request_hash", "approval_plan"])
    return Attempt.objects.create(
        operation=operation, number=number, bucket=bucket, body_hash=drafts.hash_of(operation), sent_at=now
    )


def confirm_claim(operation: Operation, attempt: Attempt) -> None:
    """Call right before sending. Raises Conflict when the claim is old, or was reconciled by somebody else meanwhile.

    Also when the requester's account is closed by now; and when these very bytes were not approved: the claim has read
    them anew, after it looked.
    """
    mine = Operation.objects.filter(pk=operation.pk, state=State.SUBMITTING, version=operation.version)
    row = mine.filter(requested_by__is_active=True).first()
    is_approved = row is not None and _approval_holds(row, attempt.body_hash)
    # The time last: the database may take its time to answer, and what counts is when we send.
    if not is_approved or clock.now() > attempt.sent_at + CLAIM_LASTS:
        raise Conflict(f"The claim on {operation.name} has expired.")


def answered(attempt: Attempt, outcome: Outcome, *, status: int | None = None, answer: str = "") -> None:
    """Write down what became of one POST, in 2,000 characters. A later answer never replaces an earlier one."""
    with transaction.atomic():  # by itself: should it be refused, something else can still be written
        Attempt.objects.filter(pk=attempt.pk, outcome=Outcome.PENDING).update(
            outcome=outcome, status=status, answer=answer[:2000], answered_at=clock.now()
        )
    failpoints.reach("attempt.answered")


def send_again(operation: Operation, *, note: str) -> None:
    """The request provably never arrived: queue the same one, with the same name, again."""
    _transition.move(operation, State.QUEUED, verb="postponed", note=note, due_at=clock.now(), **NO_WAIT)
    _transition.wake_submitter(operation)


def _approval_holds(operation: Operation, sent_hash: str) -> bool:
    """Whether its plan is met by decisions about exactly what would be sent now; a plan may ask for none."""
    return sent_hash == operation.request_hash and is_met(operation.plan, operation.answers)
