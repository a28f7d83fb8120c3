"""The baseline file of one operation: from here to the platform's storage, and the platform told that it is there.

1. One process at a time holds the lease (lifecycle.lease_upload), and sends (transfer).
2. Completing may be repeated, so an answer that was lost is asked for: the baseline file's state tells.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn
from uuid import UUID

from imodels_app import gateway, lifecycle
from imodels_app.accounts import encryption
from imodels_app.itwin import Platform, errors
from imodels_app.itwin.types import UploadLink
from imodels_app.limits import circuit_breaker
from imodels_app.models import Operation, StagedFile
from imodels_app.requesting import staging
from imodels_app.runtime import clock, dispatch, failpoints
from imodels_app.runtime.timing import MISSING_IS_NORMAL_FOR, WHILE_NOT_PERMITTED
from imodels_app.states import WaitReason
from imodels_app.workers import transfer

log = logging.getLogger(__name__)

WAITING = "waitingForFile"
# A file of many gigabytes outlives many links. A platform whose new links are all refused is not asked for ever.
MOST_LINKS = 50
# The platform took no notice of being told.
COMPLETE_AGAIN_AFTER = timedelta(seconds=5)
# The platform may see a file later than its storage acknowledged it, and the storage a link later than it was made:
# pauses before each next look.
FILE_PAUSES_S = (2.0, 5.0, 10.0)


class Waiting(Exception):
    """The operation waits now, or has ended, and its row says why."""


def upload(operation_id: UUID, *, ending: Callable[[], bool] = lambda: False) -> None:
    """Carry one file on: all of it, or for a minute. Any number of callers may try; one at a time does.

    ending  whether this process is asked to stop: no further block is begun then
    """
    failpoints.reach("upload.begin")
    operation = lifecycle.operation_for(operation_id)
    try:
        lifecycle.lease_upload(operation)
        if not operation.requested_by.is_active:
            # Nobody else may finish it in their name. What is left can be deleted.
            lifecycle.failed(operation, code="accountClosed")
            return
        if operation.upload.is_sent or _send(operation, ending):
            _complete(operation)
        else:
            lifecycle.release_upload(operation, after=clock.now())
            dispatch.wake_uploader(operation.pk)
    except (lifecycle.Conflict, Waiting):
        return
    except encryption.KeyMissing as missing:
        # Of the link. The lease runs out by itself, and a worker that has the key may take it.
        log.error("Operation %s: %s", operation.pk, missing)
    except gateway.MustWait as later:
        _wait(operation, later.reason, later.until, later.note)
    except errors.Refused as no:
        # The platform. Rights may come back, and the file is safe.
        reason = WaitReason.NOT_PERMITTED if isinstance(no, errors.Forbidden) else WaitReason.REFUSED
        _wait(operation, reason, clock.now() + WHILE_NOT_PERMITTED, str(no))


def _wait(operation: Operation, reason: WaitReason, until: datetime, note: str) -> None:
    with suppress(lifecycle.Conflict):  # somebody else has taken over
        lifecycle.wait(operation, reason, until, note)


# To the storage


def _send(operation: Operation, ending: Callable[[], bool]) -> bool:
    """Whether the storage has acknowledged the whole file; False when the minute is over. Raises Waiting."""
    link, path = _ready(operation)
    try:
        is_whole = transfer.send(operation, link, path, ending)
    except errors.LinkRefused as no:
        circuit_breaker.record_success(circuit_breaker.STORAGE)
        _renew_link(operation, said=no.message)
    except errors.Unavailable as later:
        circuit_breaker.record_failure(clock.now(), circuit_breaker.STORAGE)
        until = clock.now() + timedelta(seconds=later.retry_after_s)
        raise gateway.MustWait(WaitReason.STORAGE_DOWN, until, str(later)) from later
    except errors.Refused as no:
        circuit_breaker.record_success(circuit_breaker.STORAGE)
        _refused(operation, no)
    circuit_breaker.record_success(circuit_breaker.STORAGE)
    if is_whole:
        failpoints.reach("upload.sent")
        lifecycle.file_sent(operation)
    return is_whole


def _ready(operation: Operation) -> tuple[UploadLink, Path]:
    """Where to, and the file. Raises MustWait (storage down) and Waiting (the file is gone, or there is no link)."""
    until = circuit_breaker.open_until(clock.now(), circuit_breaker.STORAGE)
    if until:
        raise gateway.MustWait(WaitReason.STORAGE_DOWN, until)
    # Not operation.staged_file: who slept meanwhile may be past the end of all, and the row is gone.
    staged = StagedFile.objects.filter(operation=operation).first()
    if staged is None or not staging.is_whole(staged, operation.file_size):
        lifecycle.failed(operation, code="stagedFileMissing")
        raise Waiting
    # A link that has ended by its own words is tried: it names the storage's clock, and only the storage knows that.
    if not operation.upload.link:
        _renew_link(operation)
    return UploadLink(encryption.decrypt(operation.upload.link), operation.upload.storage_type), staging.path_of(staged)


def _refused(operation: Operation, no: errors.Refused) -> None:
    """The storage said no, for good; but for a list of blocks that it has forgotten, which is sent again once."""
    if no.code == "InvalidBlockList" and not operation.events.filter(verb="upload_restarted").exists():
        lifecycle.restart_upload(operation, note="The storage no longer has what it acknowledged.")
    else:
        code = "uploadLinkForeign" if isinstance(no, errors.ForeignLink) else "uploadRefused"
        lifecycle.failed(operation, code=code, message=no.message)
    raise Waiting from None


# To the platform


def _renew_link(operation: Operation, *, said: str = "") -> None:
    """Ask the platform for another link. Without one the file can never arrive: the operation fails. Raises Waiting."""
    before = encryption.decrypt(operation.upload.link) if operation.upload.link else ""
    try:
        link = gateway.for_operation(operation, by=operation.requested_by).imodel(operation.imodel_id).upload
    except errors.NotFound as gone:
        _vanished(operation, gone)
    asked = operation.events.filter(verb="link_renewed").count()
    if link and asked < MOST_LINKS and link.href != before:
        encrypted = encryption.encrypt(link.href)
        lifecycle.link_renewed(operation, link=encrypted, storage_type=link.storage_type[:10], until=link.until)
    elif not _arrived_all_the_same(operation):
        _no_other_link(operation, said)
    raise Waiting


def _no_other_link(operation: Operation, said: str) -> None:
    """Try the one there is some times more, for a refusal may pass, or ask a while for one; then give up."""
    refusals = operation.events.filter(verb="link_refused").count()
    if not operation.upload.link:
        _unless_early(operation, code="uploadLinkLost", message=said)
    elif refusals < len(FILE_PAUSES_S):
        pause = timedelta(seconds=FILE_PAUSES_S[refusals])
        lifecycle.link_refused(operation, retry_at=clock.now() + pause, note=said)
    else:
        lifecycle.failed(operation, code="uploadLinkExpired", message=said)


def _arrived_all_the_same(operation: Operation) -> bool:
    """Whether the storage had all of it when the link ended, and whoever was to say so died. Nothing else can tell."""
    platform = gateway.for_operation(operation, by=operation.requested_by)
    try:
        state = platform.complete_baseline(operation.imodel_id).state
    except errors.AnswerLost as lost:
        raise gateway.MustWait(WaitReason.PLATFORM_DOWN, clock.now() + COMPLETE_AGAIN_AFTER, str(lost)) from lost
    except errors.Refused:
        state = _state_of_file(operation, platform)
    if state != WAITING:
        lifecycle.completed(operation, baseline_state=state)
    return state != WAITING


def _complete(operation: Operation) -> None:
    """Tell the platform that the file is there, and take its word for what comes next."""
    failpoints.reach("upload.completing")
    platform = gateway.for_operation(operation, by=operation.requested_by)
    try:
        state = platform.complete_baseline(operation.imodel_id).state
    except errors.AnswerLost as lost:
        state = platform.baseline_file(operation.imodel_id).state
        if state == WAITING:
            raise gateway.MustWait(WaitReason.PLATFORM_DOWN, clock.now() + COMPLETE_AGAIN_AFTER, str(lost)) from lost
    except errors.Refused as no:
        # Perhaps it was told before, and that answer was lost: whatever this one says, the file's state decides.
        state = _state_of_file(operation, platform)
        if state == WAITING:
            _not_completed(operation, platform, no)
    failpoints.reach("upload.completed")
    lifecycle.completed(operation, baseline_state=state)


def _state_of_file(operation: Operation, platform: Platform) -> str:
    """The platform's word for it; WAITING too when it tells nothing, so that what it said before counts."""
    try:
        return platform.baseline_file(operation.imodel_id).state
    except (errors.Forbidden, errors.NotFound):
        return WAITING


def _not_completed(operation: Operation, platform: Platform, no: errors.Refused) -> None:
    """The platform does not take the file as it is, or does not see it. Raises Waiting and Forbidden (which passes)."""
    if isinstance(no, errors.NotReady):
        is_size = no.code.casefold() == "dataconflict"
        lifecycle.failed(operation, code="baselineSizeMismatch" if is_size else no.code or "409", message=no.message)
        raise Waiting
    if isinstance(no, errors.Forbidden):
        raise no
    if isinstance(no, errors.NotFound) or any(detail["code"] == "InvalidChange" for detail in no.details):
        _not_there(operation, platform, no)
    lifecycle.failed(operation, code=no.code or str(no.status), message=no.message, details=no.details)
    raise Waiting


def _not_there(operation: Operation, platform: Platform, no: errors.Refused) -> None:
    """The platform does not see the file: look again some times, send it once more, give up. Raises Waiting."""
    looks = operation.events.filter(verb="file_missing").count()
    again = operation.events.filter(verb="upload_restarted").count()
    if looks < len(FILE_PAUSES_S) * (again + 1):
        pause = timedelta(seconds=FILE_PAUSES_S[looks % len(FILE_PAUSES_S)])
        lifecycle.file_missing(operation, retry_at=clock.now() + pause)
        raise Waiting from None
    try:
        platform.imodel(operation.imodel_id)
    except errors.NotFound as gone:
        _vanished(operation, gone)
    if again:
        lifecycle.failed(operation, code="baselineFileMissing", message=no.message)
    else:
        lifecycle.restart_upload(operation, note="The platform cannot find the file.")
    raise Waiting from None


def _vanished(operation: Operation, gone: errors.NotFound) -> NoReturn:
    """The platform does not know the iModel. Raises Waiting."""
    _unless_early(operation, code="vanished", message=gone.message)
    raise Waiting from None


def _unless_early(operation: Operation, *, code: str, message: str) -> None:
    """Right after its answer the platform may lack what it has made; later that is final."""
    now = clock.now()
    if now - (operation.accepted_at or now) < MISSING_IS_NORMAL_FOR:
        lifecycle.release_upload(operation, after=now + COMPLETE_AGAIN_AFTER)
    else:
        lifecycle.failed(operation, code=code, message=message)
