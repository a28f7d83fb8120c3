"""What the platform told us about an operation."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from imodels_app.display.status_table import PLATFORM_STATES
from imodels_app.lifecycle import _transition
from imodels_app.lifecycle._transition import NO_WAIT
from imodels_app.models import Operation, OperationQuerySet, Orphan, Upload
from imodels_app.runtime import clock, dispatch
from imodels_app.states import Kind, State, WaitReason

# Of an upload. A secret is not kept longer than it is of use.
_OVER: dict[str, Any] = {"link": "", "link_until": None, "due_at": None}


def accepted(
    operation: Operation,
    *,
    imodel_id: str,
    note: str = "",
    link: str = "",
    storage_type: str = "",
    link_until: datetime | None = None,
    poll_at: datetime | None = None,
) -> None:
    """The platform makes the iModel `imodel_id`. Follow it from now on; or first upload its baseline file.

    link     encrypted; "" when the platform told none: the uploader asks for it then
    poll_at  when to look at it first; None: at once
    """
    now = clock.now()
    has_file = operation.kind == Kind.BASELINE
    next_step: dict[str, Any] = {"due_at": poll_at or now}
    if has_file:
        next_step = {"due_at": None, "baseline_state": "waitingForFile"}
    with transaction.atomic():
        _transition.move(
            operation,
            State.UPLOADING if has_file else State.RUNNING,
            verb="accepted",
            note=note,
            imodel_id=imodel_id,
            accepted_at=now,
            **next_step,
            **NO_WAIT,
        )
        if has_file:
            upload = {"link": link, "storage_type": storage_type, "link_until": link_until, "due_at": now}
            Upload.objects.create(operation=operation, **upload)
    (dispatch.wake_uploader if has_file else dispatch.wake_poller)(operation.pk)


def completed(operation: Operation, *, baseline_state: str) -> None:
    """The platform has the baseline file and works on it from now on."""
    now = clock.now()
    _transition.move(
        operation,
        State.RUNNING,
        verb="completed",
        upload={"sent_bytes": operation.file_size, **_OVER},
        accepted_at=now,
        due_at=now,
        baseline_state=baseline_state[:64],
        **NO_WAIT,
    )
    dispatch.wake_poller(operation.pk)


def polled(operation: Operation, *, platform_state: str, due_at: datetime, missing: bool = False) -> None:
    """One poll of a running operation. Only what a person could see makes history and raises the version.

    A state that nobody here knows may be the platform's last word: admins are told.
    """
    now = clock.now()
    seen: dict[str, Any] = {"platform_state": platform_state, "polled_at": now, "bad_polls": None}
    if missing:
        seen["platform_state"] = operation.platform_state
    seen["missing_since"] = (operation.missing_since or now) if missing else None
    changed = platform_state != operation.platform_state and not missing
    if changed or operation.wait_reason:
        is_known = platform_state in PLATFORM_STATES or not changed
        _transition.note(
            operation,
            "platform_state" if is_known else "unknown_state",
            note=platform_state,
            due_at=due_at,
            polls=F("polls") + 1,
            **seen,
            **NO_WAIT,
        )
    else:
        Operation.objects.filter(pk=operation.pk, state=State.RUNNING).update(
            due_at=due_at, polls=F("polls") + 1, **seen
        )


def listed(itwin_id: str, being_made: Collection[str], *, began_at: datetime, guard_at: datetime) -> None:
    """A list says what is still being made in an iTwin. That is only a hint: what has left it is polled at once.

    What it shows is polled rarely from now on. What it does not show yet, or not to whoever asked, stays as it was; but
    one that no look has told of is polled at once, too: it may have ended before the first list.

    began_at  when the list was asked for
    guard_at  when what it shows is polled itself for all that
    """
    running = Operation.objects.filter(itwin_id=itwin_id, state=State.RUNNING, wait_reason=WaitReason.NONE)
    shown = running.filter(imodel_id__in=being_made)
    shown.filter(listed_at=None).update(listed_at=began_at, due_at=guard_at)
    shown.update(polled_at=began_at)
    has_left = Q(listed_at__lt=began_at) | Q(polled_at=None, accepted_at__lt=began_at)
    _poll_singly(running.filter(has_left).exclude(imodel_id__in=being_made))


def unlist(operations: OperationQuerySet, *, poll_at: datetime | None = None) -> None:
    """Poll these themselves from now on. poll_at: when first; None: at once"""
    _poll_singly(operations.exclude(listed_at=None), poll_at)


def _poll_singly(operations: OperationQuerySet, poll_at: datetime | None = None) -> None:
    for pk in list(operations.values_list("pk", flat=True)):
        due_at = poll_at or clock.now()
        is_running = Operation.objects.filter(pk=pk, state=State.RUNNING).update(listed_at=None, due_at=due_at)
        if is_running and poll_at is None:
            dispatch.wake_poller(pk)


def usable(operation: Operation) -> None:
    """The iModel is initialized and can be opened, though the operation goes on."""
    _transition.note(operation, "usable", usable_at=clock.now())


def succeeded(operation: Operation, *, relationship_id: str = "") -> None:
    """The iModel is made. relationship_id: of a fork to its main iModel; "" when the platform told none."""
    baseline: dict[str, Any] = {"baseline_state": "initialized"} if operation.kind == Kind.BASELINE else {}
    _transition.move(
        operation,
        State.SUCCEEDED,
        verb="succeeded",
        platform_state="successful",
        relationship_id=relationship_id,
        **baseline,
        **NO_WAIT,
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

    code           the platform's own, or ours where it names none (see display/status_table.py)
    message        the platform's own words, if it said any; note is for history, and ours
    """
    said: dict[str, Any] = {
        name: word[:64]
        for name, word in (("platform_state", platform_state), ("baseline_state", baseline_state))
        if word
    }
    with transaction.atomic():
        _transition.move(
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
            **NO_WAIT,
        )
        if operation.imodel_id and code != "vanished":
            Orphan.objects.create(operation=operation, changed_at=operation.changed_at)
