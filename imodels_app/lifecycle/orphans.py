"""What a failure left on the platform, and how it is deleted there."""

from datetime import datetime
from typing import Any

from django.db import transaction

from imodels_app.accounts import permissions
from imodels_app.audit import events
from imodels_app.lifecycle import _transition
from imodels_app.lifecycle._transition import Conflict
from imodels_app.models import Operation, Orphan, User
from imodels_app.runtime import clock, dispatch
from imodels_app.runtime.timing import CLAIM_LASTS
from imodels_app.states import ORPHAN_MOVES, OrphanState


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


def lease_orphan(orphan: Orphan, *, retry_at: datetime) -> None:
    """Become the one that looks at what was left. Raises Conflict when another worker is at it.

    retry_at: when another one goes on, should this one die
    """
    _transition.write(orphan, due_at=retry_at)


def deleting_orphan(orphan: Orphan, *, retry_at: datetime) -> None:
    """The platform is asked to delete it now. Raises Conflict when another worker is at it."""
    _transition.write(orphan, sent_at=clock.now(), due_at=retry_at)


def confirm_deletion(orphan: Orphan) -> None:
    """Call right before deleting. Raises Conflict when what was seen is old, or another worker has taken over."""
    mine = Orphan.objects.filter(pk=orphan.pk, state=OrphanState.DELETING, version=orphan.version)
    mine = mine.filter(requested_by__is_active=True)
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


def _move_orphan(orphan: Orphan, to: OrphanState, *, event: dict[str, Any], **fields: Any) -> None:
    """As _transition.move()."""
    came_from = OrphanState(orphan.state)
    if to not in ORPHAN_MOVES.get(came_from, ()):
        raise Conflict(f"{came_from.label} cannot become {to.label.lower()}.")
    now = clock.now()
    _change_orphan(orphan, now, event=event, state=to, changed_at=now, **fields)


def _change_orphan(orphan: Orphan, now: datetime, *, event: dict[str, Any] | None, **fields: Any) -> None:
    with transaction.atomic():
        _transition.write(orphan, **fields)
        if event:
            events.record(at=now, operation=orphan.operation, **event)


def _orphan_event(
    orphan: Orphan, verb: str, *, by: User | None = None, note: str = "", code: str = ""
) -> dict[str, Any]:
    """The operation itself has ended as it has."""
    ended = orphan.operation.state
    return _transition.event_fields(verb, by, note, ended, ended, code, "")
