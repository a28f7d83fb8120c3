"""One look at a running operation."""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from imodels_app import gateway, lifecycle
from imodels_app.itwin import Platform, errors
from imodels_app.itwin.types import CreateOperation
from imodels_app.limits import poll_schedule, rate_limits
from imodels_app.models import Operation
from imodels_app.requesting import staging
from imodels_app.runtime import clock, failpoints
from imodels_app.runtime.timing import MISSING_IS_NORMAL_FOR, VANISHED_AFTER, WHILE_NOT_PERMITTED
from imodels_app.states import Kind, State, WaitReason
from imodels_app.workers import following

log = logging.getLogger(__name__)

# After so many refusals in a row it is not asked as often as after a bad answer: rights may come back, and nothing
# tells when.
PATIENT_REFUSALS = 20
MANY = 1000
# The platform is told again that the file is there with every third look.
POLLS_PER_COMPLETION = 3

BASELINE_FAILURES = {"fileIsBriefcase", "initializationFailed"}
MISSING_GUIDS = {"mainIModelIsMissingFederationGuids", "sourceIsMissingFederationGuids"}


def poll(operation_id: UUID) -> None:
    """Ask the platform how far an operation is, and write down what it says. Any number of callers may ask."""
    operation = lifecycle.lease(operation_id, State.RUNNING)
    if operation is None:
        return
    try:
        _poll(operation, clock.now())
    except gateway.MustWait as later:
        _bad(operation, later.reason, later.note, None if later.is_guess else later.until)
    except lifecycle.Conflict:
        log.info("Operation %s: a poll came after a newer one, and had nothing new", operation.pk)


def _poll(operation: Operation, now: datetime) -> None:
    platform = gateway.for_operation(operation)
    try:
        creation = platform.create_operation(operation.imodel_id)
        failpoints.reach("poll.answered")
        _follow(operation, creation, platform, now)
    except errors.NotFound:
        _missing(operation, platform, now)
    except errors.Refused as no:
        # Rights may come back; the iModel is being made all the same.
        reason = WaitReason.NOT_PERMITTED if isinstance(no, errors.Forbidden) else WaitReason.REFUSED
        patient = (operation.bad_polls or 0) >= PATIENT_REFUSALS
        _bad(operation, reason, str(no), clock.now() + WHILE_NOT_PERMITTED if patient else None)


def _bad(operation: Operation, reason: WaitReason, note: str, until: datetime | None) -> None:
    """A poll that told nothing, whatever was wrong with it. until: None where nobody said when to ask again."""
    bad = (operation.bad_polls or 0) + 1
    until = until or clock.now() + timedelta(seconds=poll_schedule.pause_after_bad_s(bad))
    lifecycle.wait(operation, reason, until, note, bad_polls=min(bad, MANY))


def _follow(operation: Operation, creation: CreateOperation, platform: Platform, now: datetime) -> None:
    """Take the platform's word: ended, or look again later."""
    if creation.state == "successful":
        lifecycle.succeeded(operation, relationship_id=creation.relationship_id)
        if operation.staged_file_id:
            # From here on another operation may have been asked for with the same file.
            staging.delete_unneeded(operation.staged_file_id, now)
    elif creation.state == "failed":
        _failed(operation, platform)
    elif creation.state in MISSING_GUIDS:
        lifecycle.failed(operation, code="mainIModelIsMissingFederationGuids", platform_state=creation.state)
    else:
        if creation.state not in ("scheduled", "waitingForFile"):
            log.warning("Operation %s: the platform's state %r is not known", operation.pk, creation.state[:64])
        if creation.state == "waitingForFile" and operation.kind == Kind.BASELINE:
            _complete_again(operation, platform)
        usable = _is_usable(operation, platform)
        lifecycle.polled(operation, platform_state=creation.state[:64], due_at=following.next_poll(operation, now))
        if usable:
            lifecycle.usable(operation)


def _failed(operation: Operation, platform: Platform) -> None:
    """The operation's state has no reason. That of a baseline file has."""
    code, note, state = "failed", "The platform gives no reason.", ""
    if operation.kind == Kind.BASELINE:
        try:
            state = platform.baseline_file(operation.imodel_id).state
        except errors.Refused as no:
            log.warning("Operation %s failed, and its baseline file tells nothing: %s", operation.pk, no)
        if state in BASELINE_FAILURES:
            code, note = state, ""
    lifecycle.failed(operation, code=code, note=note, platform_state="failed", baseline_state=state)


def _complete_again(operation: Operation, platform: Platform) -> None:
    """The platform was told that the file is there, and waits for it all the same. Telling it twice does no harm."""
    if (operation.polls + 1) % POLLS_PER_COMPLETION:
        return  # its two answers may just be a moment apart
    try:
        platform.complete_baseline(operation.imodel_id)
    except (errors.Refused, errors.AnswerLost) as no:
        log.warning("Operation %s waits for its file: %s", operation.pk, no)


def _is_usable(operation: Operation, platform: Platform) -> bool:
    """Whether the iModel has become usable just now; asked with the first look and each third, or each tenth."""
    if operation.usable_at or operation.listed_at:  # a list tells that it is not
        return False
    if operation.polls % poll_schedule.looks_per_imodel(rate_limits.poll_worth_s()):
        return False
    try:
        return platform.imodel(operation.imodel_id).is_initialized
    except errors.Refused:
        return False  # the operation's own state decides


def _missing(operation: Operation, platform: Platform, now: datetime) -> None:
    """A 404 is normal at first. Later it has to last, and the iModel be gone too, before it means that it vanished."""
    accepted_at = operation.accepted_at or now
    since = operation.missing_since
    lasts = since and now - since > VANISHED_AFTER and now - accepted_at > MISSING_IS_NORMAL_FOR
    if lasts and not _is_there(operation, platform):
        lifecycle.failed(operation, code="vanished", note="The platform no longer knows this iModel.")
        return
    due_at = following.next_poll(operation, now)
    lifecycle.polled(operation, platform_state=operation.platform_state, due_at=due_at, missing=True)


def _is_there(operation: Operation, platform: Platform) -> bool:
    """Whether the iModel itself can still be found; an unclear answer counts as yes."""
    try:
        platform.imodel(operation.imodel_id)
    except errors.NotFound:
        return False
    except errors.ITwinError:
        return True
    return True
