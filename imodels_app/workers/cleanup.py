"""One iModel that a failed operation left on the platform, deleted for the person who asked for it.

With that person's own token: the dashboard adds no right. To ask twice harms nothing, so a worker that dies between
the request and its answer leaves only a row that is due again.
"""

from contextlib import suppress
from functools import partial
from uuid import UUID

from imodels_app import gateway, lifecycle
from imodels_app.itwin import Platform, errors
from imodels_app.models import Orphan, User
from imodels_app.runtime import clock, failpoints
from imodels_app.runtime.timing import ORPHAN_LEASE
from imodels_app.states import OrphanState, WaitReason

MANAGE = "imodels_manage"


def delete(operation_id: UUID) -> None:
    """Look, and delete what is no use to anybody. Any number of callers may try."""
    orphan = Orphan.objects.select_related("requested_by", "operation__team").get(pk=operation_id)
    now = clock.now()
    is_due = orphan.due_at is not None and orphan.due_at <= now
    if orphan.state != OrphanState.DELETING or not is_due or orphan.requested_by is None:
        return
    try:
        lifecycle.lease_orphan(orphan, retry_at=now + ORPHAN_LEASE)
        _try(orphan, orphan.requested_by)
    except lifecycle.Conflict:
        return  # another worker is at it


def _try(orphan: Orphan, person: User) -> None:
    """One try, and what came of it."""
    try:
        _check_and_delete(orphan, gateway.for_operation(orphan.operation, by=person))
    except gateway.MustWait as later:
        if later.reason == WaitReason.SIGN_IN:
            # Not kept until they come back: what is deleted days later is a surprise.
            _give_up(orphan, f"{person.name} must sign in again, and request it once more.")
        else:
            lifecycle.postpone_deletion(orphan, until=later.until, note=later.note or f"{later.reason.label}.")
    except errors.Forbidden as no:
        where = orphan.operation.itwin_name or "the iTwin"
        _give_up(orphan, f"{person.name} may not delete it. It needs imodels_delete in {where}.", no.code)
    except errors.Refused as no:
        _give_up(orphan, f"The platform said: “{no.message or no.status}”", no.code)


def _check_and_delete(orphan: Orphan, platform: Platform) -> None:
    """Delete it unless it is of use: the platform may have finished after all."""
    try:
        found = platform.imodel(orphan.operation.imodel_id)
    except errors.NotFound as no:
        _not_found(orphan, platform, no)
        return
    if found.is_initialized and not orphan.even_if_usable:
        lifecycle.orphan_ended(orphan, OrphanState.USABLE, note="It can be used, so it was not deleted.")
        return
    lifecycle.deleting_orphan(orphan, retry_at=clock.now() + ORPHAN_LEASE)
    failpoints.reach("cleanup.sending")
    with suppress(errors.NotFound):  # somebody was quicker, a moment ago
        platform.delete_imodel(orphan.operation.imodel_id, before_send=partial(lifecycle.confirm_deletion, orphan))
    failpoints.reach("cleanup.deleted")
    lifecycle.orphan_ended(orphan, OrphanState.DELETED)


def _not_found(orphan: Orphan, platform: Platform, no: errors.NotFound) -> None:
    """Deleted by us, gone, or hidden: whoever may manage an iTwin sees all its iModels, so for them it is gone.

    Source: https://developer.bentley.com/apis/imodels-v2/operations/get-itwin-imodels/ (Authorization)
    """
    if orphan.sent_at:
        lifecycle.orphan_ended(orphan, OrphanState.DELETED, note="The answer was lost; it is gone.")
    elif _sees_all(platform, orphan.operation.itwin_id):
        lifecycle.orphan_ended(orphan, OrphanState.GONE, note="The platform no longer knows it.")
    else:
        _give_up(orphan, f"The platform does not know it, or {orphan.requested_by_name} cannot see it.", no.code)


def _sees_all(platform: Platform, itwin_id: str) -> bool:
    try:
        return MANAGE in platform.permissions(itwin_id)
    except errors.NotFound:
        return False  # no member of the iTwin


def _give_up(orphan: Orphan, why: str, code: str = "") -> None:
    lifecycle.orphan_ended(orphan, OrphanState.LEFT, note=why, code=code)
