"""One queued operation to the platform."""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from imodels_app import gateway, lifecycle
from imodels_app.accounts import encryption
from imodels_app.itwin import Platform, errors
from imodels_app.limits import fair_queue, rate_limits
from imodels_app.models import Attempt, Operation
from imodels_app.requesting import staging
from imodels_app.runtime import clock, dispatch, failpoints
from imodels_app.runtime.timing import BEHIND_SAME_NAME, RECONCILE_AFTER
from imodels_app.states import MAYBE_THERE, Kind, Outcome, State, WaitReason
from imodels_app.workers import following

log = logging.getLogger(__name__)
# Too large, or of a type that the platform does not take: nothing a person typed.
OUR_FAULT = {413, 415}
# To find out why a fork was refused: its claim must not be looked up meanwhile.
BRIEFLY_S = 3.0
# Longer than between two sweeps, so that none misses a turn; far below the broker's visibility time-out.
ANNOUNCED_AHEAD = timedelta(seconds=5)


def submit(operation_id: UUID) -> None:
    """Carry one queued operation to the platform. Any number of callers may try; one request is sent.

    Create, clone and fork have no idempotency key, so an operation whose answer was lost stays in SUBMITTING
    until reconcile.py has looked its name up.
    """
    failpoints.reach("submit.begin")
    operation = lifecycle.operation_for(operation_id)
    if operation.state != State.QUEUED or operation.due_at is None or operation.due_at > clock.now():
        return
    bucket = rate_limits.bucket_of(operation.kind)
    try:
        claimed = _prepare(operation, bucket)
        if claimed:
            # Others of a burst leave while this one is being answered.
            announce_next(bucket, clock.now())
            _send(operation, *claimed)
            return
    except lifecycle.Conflict:
        return  # another worker has it, or it was cancelled
    except Exception:
        lifecycle.set_aside(operation)
        raise
    # Whoever waits for something of their own lets the next one pass.
    if operation.wait_reason != WaitReason.PLATFORM_DOWN:
        announce_next(bucket, clock.now())


def announce_next(bucket: str, now: datetime) -> None:
    """Wake a worker for whoever is next, at the very moment at which the rate limit allows it, if that is soon.

    One message a bucket, however many are queued: the others stay as they are until it is their turn.
    """
    first = fair_queue.next_in_line(bucket, now, ahead=ANNOUNCED_AHEAD)
    if first and first.turn.at - now <= ANNOUNCED_AHEAD:
        dispatch.send("imodels_app.submit", first.operation.pk, in_s=(first.turn.at - now).total_seconds())


def _prepare(operation: Operation, bucket: str) -> tuple[Attempt, Platform] | None:
    """A claim and a client, or None with the reason to wait written down."""
    if not operation.requested_by.is_active:
        lifecycle.requester_gone(operation)
        return None
    if operation.not_before and operation.not_before > clock.now():
        # Whatever has made it due: a hint, or a clock that was put back.
        lifecycle.wait(operation, WaitReason.NOT_BEFORE, operation.not_before)
        return None
    if operation.kind == Kind.BASELINE and not staging.is_whole(operation.staged_file, operation.file_size):
        # Before anything is made of it: an iModel that no file will ever fill would keep the name.
        lifecycle.failed(operation, code="stagedFileMissing")
        return None
    try:
        gateway.require_open()
        # Before the claim: a token that has to be refreshed takes seconds, and a claim is for sending.
        platform = gateway.for_operation(operation, by=operation.requested_by, bucket=bucket)
        return _claim(operation, bucket), platform
    except gateway.MustWait as later:
        lifecycle.wait(operation, later.reason, later.until, later.note)
    except rate_limits.RateLimited as limited:
        lifecycle.wait(operation, limited.reason, limited.until)
    except fair_queue.NotNext:
        pass  # whoever is first is announced instead
    except lifecycle.NameInFlight:
        lifecycle.wait(operation, WaitReason.SAME_NAME, clock.now() + BEHIND_SAME_NAME)
    except lifecycle.ApprovalLapsed:
        lifecycle.lapse(operation)
    except lifecycle.ApprovalVoid as void:
        lifecycle.failed(operation, code="approvalVoid", note=str(void))
    return None


def _claim(operation: Operation, bucket: str) -> Attempt:
    """The next request of this bucket. Raises RateLimited, NotNext and what lifecycle.claim raises."""
    failpoints.reach("submit.claiming")
    with transaction.atomic():
        rate_limits.lock(bucket)
        # Under the bucket's lock, so nobody is served between the look and the claim; and by the clock as it is now:
        # a token that was refreshed, or the lock itself, may have taken longer than others waited.
        now = clock.now()
        first = fair_queue.next_in_line(bucket, now)
        if first and first.operation.pk != operation.pk:
            raise fair_queue.NotNext
        if first and first.turn.at > now:
            raise rate_limits.RateLimited(first.turn)
        return lifecycle.claim(operation, bucket=bucket, now=now)


class _Claim:
    """What lets one request leave, and knows whether it has."""

    has_left = False

    def __init__(self, operation: Operation, attempt: Attempt) -> None:
        self._operation, self._attempt = operation, attempt

    def confirm(self) -> None:
        lifecycle.confirm_claim(self._operation, self._attempt)
        failpoints.reach("submit.sending")
        self.has_left = True


def _send(operation: Operation, attempt: Attempt, platform: Platform) -> None:
    """Send the one request of this attempt, and write down what came of it.

    Whatever keeps the answer from being stored, the request has left: it is looked up, and never sent again.
    """
    failpoints.reach("submit.claimed")
    claim = _Claim(operation, attempt)
    try:
        _send_and_record(operation, attempt, platform, claim)
    except Exception:
        if claim.has_left:
            lifecycle.answered(attempt, Outcome.UNRECORDED, answer="The answer could not be stored.")
        raise


def _send_and_record(operation: Operation, attempt: Attempt, platform: Platform, claim: _Claim) -> None:
    try:
        imodel_id, upload = platform.start_with_file(
            operation.request_path, operation.request_body, before_send=claim.confirm
        )
    except errors.AnswerLost as lost:
        lifecycle.answered(attempt, Outcome.UNKNOWN, answer=str(lost))
        lifecycle.wait(operation, WaitReason.LOST_ANSWER, clock.now() + RECONCILE_AFTER, str(lost))
    except gateway.MustWait as later:
        lifecycle.answered(attempt, Outcome.NOT_SENT, status=later.status, answer=str(later.__cause__ or later))
        lifecycle.requeue(operation, attempt, reason=later.reason, until=later.until, note=later.note)
    except errors.Refused as no:
        with transaction.atomic():  # alone, a refusal means that the name is taken: see reconcile.py
            lifecycle.answered(attempt, Outcome.REJECTED, status=no.status, answer=str(no))
            _refused(operation, no)
    else:
        failpoints.reach("submit.answered")
        lifecycle.answered(attempt, Outcome.ACCEPTED, status=201 if attempt.bucket == "create" else 202)
        link = {"link": encryption.encrypt(upload.href), "storage_type": upload.storage_type[:10]} if upload else {}
        until = upload.until if upload else None
        poll_at = following.first_poll(operation, clock.now())
        lifecycle.accepted(operation, imodel_id=imodel_id, link_until=until, poll_at=poll_at, **link)


def _refused(operation: Operation, no: errors.Refused) -> None:
    """A refusal is final, but for one: the name may be taken by our own request whose answer was lost."""
    # A 409 that came cut off names no code: it may be that one.
    about_the_name = isinstance(no, errors.NameTaken) or (no.status == 409 and not no.code)
    if about_the_name and operation.attempts.filter(outcome__in=MAYBE_THERE).exists():
        lifecycle.wait(operation, WaitReason.LOST_ANSWER, clock.now(), "The name is taken, perhaps by our own request.")
        return
    if no.status in OUR_FAULT:
        log.error("The platform refused the request of operation %s: %s", operation.pk, no)
    code = "applicationMayNotFork" if _lacks_only_ours(operation, no) else _code(operation, no)
    lifecycle.failed(operation, code=code, message=no.message, details=no.details)


def _lacks_only_ours(operation: Operation, no: errors.Refused) -> bool:
    """Whether a fork is refused to the application, not to the person: forks are in closed preview.

    Both are the same 403. So the platform is asked, once and briefly, what the person may do in both places.
    """
    if operation.kind != Kind.FORK or not isinstance(no, errors.Forbidden):
        return False
    try:
        platform = gateway.for_person(operation.requested_by, operation=operation, read_timeout_s=BRIEFLY_S)
        rights = platform.imodel_permissions(operation.source_id), platform.permissions(operation.itwin_id)
    except (errors.ITwinError, gateway.MustWait):
        return False
    return all("imodels_manage" in there for there in rights)


def _code(operation: Operation, no: errors.Refused) -> str:
    """The platform's own code, or what stands for it where that says less than we know."""
    # The code for a source that is not ready is not documented; all there is to tell is that it is another 409.
    if isinstance(no, errors.NotReady) and operation.source_id and no.code:
        return "sourceNotReady"
    if no.status == 409 and not no.code and not operation.source_id:
        return "iModelExists"  # the one cause there is
    return no.code or str(no.status)
