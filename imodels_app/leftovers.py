"""One iModel that a failed operation left on the platform, deleted for the person who asked for it.

With that person's own token: the dashboard adds no right. To ask twice harms nothing, so a worker that dies between
the request and its answer leaves only a row that is due again.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from imodels_app import budget, circuit, clock, failpoints, lifecycle, tokens
from imodels_app.itwin import Platform, errors
from imodels_app.models import Orphan, User
from imodels_app.states import OrphanState

# Longer than one call can take (35 s): then whoever was at it is dead.
LEASE = timedelta(seconds=45)
MANAGE = "imodels_manage"


def delete(operation_id: UUID) -> None:
    """Look, and delete what is no use to anybody. Any number of callers may try."""
    orphan = Orphan.objects.select_related("requested_by", "operation__team").get(pk=operation_id)
    now = clock.now()
    is_due = orphan.due_at is not None and orphan.due_at <= now
    if orphan.state != OrphanState.DELETING or not is_due or orphan.requested_by is None:
        return
    try:
        until = circuit.may_try(now)
        if until:
            lifecycle.shell_waits(orphan, until=until, note="The platform is not answering.")
        else:
            lifecycle.take_shell(orphan, look_again=now + LEASE)
            _try(orphan, orphan.requested_by)
    except lifecycle.Conflict:
        return  # another worker is at it


def _try(orphan: Orphan, person: User) -> None:
    """One try, and what came of it."""
    try:
        platform = tokens.platform_for(person)
    except tokens.SignInNeeded:
        # Not kept until they come back: what is deleted days later is a surprise.
        _keep(orphan, f"{person.name} must sign in again, and ask for it once more.")
        return
    except tokens.KeyMissing as missing:
        lifecycle.shell_waits(orphan, until=_after(missing), note=str(missing))
        return
    except tokens.NotNow as later:
        lifecycle.shell_waits(orphan, until=_after(later), note="The sign-in service is not answering.")
        return
    try:
        _look_and_delete(orphan, platform)
    except errors.TooMany as later:
        circuit.worked()
        budget.freeze(budget.CALLS, _after(later), clock.now())
        lifecycle.shell_waits(orphan, until=_after(later), note="The platform takes no calls for a while.")
    except errors.Unavailable as later:
        circuit.failed(clock.now())
        lifecycle.shell_waits(orphan, until=_after(later), note=str(later))
    except errors.SignedOut:
        tokens.refused(person, platform)
        lifecycle.shell_waits(orphan, until=clock.now(), note="The platform refused the token. It is refreshed.")
    except errors.Forbidden as no:
        circuit.worked()
        where = orphan.operation.itwin_name or "the iTwin"
        _keep(orphan, f"{person.name} may not delete it. It needs imodels_delete in {where}.", no.code)
    except errors.Refused as no:
        circuit.worked()
        _keep(orphan, f"The platform said: “{no.message or no.status}”", no.code)


def _look_and_delete(orphan: Orphan, platform: Platform) -> None:
    """Delete it unless it is of use: the platform may have finished after all."""
    try:
        found = platform.imodel(orphan.operation.imodel_id)
    except errors.NotFound as no:
        circuit.worked()
        _not_found(orphan, platform, no)
        return
    circuit.worked()
    if found.is_initialized and not orphan.even_if_usable:
        lifecycle.shell_ended(orphan, OrphanState.USABLE, note="It can be used, so it was not deleted.")
        return
    lifecycle.shell_sending(orphan, look_again=clock.now() + LEASE)
    failpoints.reach("leftovers.sending")
    with suppress(errors.NotFound):  # somebody was quicker, a moment ago
        platform.delete_imodel(orphan.operation.imodel_id, at_last=partial(lifecycle.confirm_shell, orphan))
    failpoints.reach("leftovers.deleted")
    lifecycle.shell_ended(orphan, OrphanState.DELETED)


def _not_found(orphan: Orphan, platform: Platform, no: errors.NotFound) -> None:
    """Deleted by us, gone, or hidden: whoever may manage an iTwin sees all its iModels, so for them it is gone.

    Source: https://developer.bentley.com/apis/imodels-v2/operations/get-itwin-imodels/ (Authorization)
    """
    if orphan.sent_at:
        lifecycle.shell_ended(orphan, OrphanState.DELETED, note="The answer was lost; it is gone.")
    elif _sees_all(platform, orphan.operation.itwin_id):
        lifecycle.shell_ended(orphan, OrphanState.GONE, note="The platform no longer knows it.")
    else:
        _keep(orphan, f"The platform does not know it, or {orphan.requested_by_name} cannot see it.", no.code)


def _sees_all(platform: Platform, itwin_id: str) -> bool:
    try:
        return MANAGE in platform.permissions(itwin_id)
    except errors.NotFound:
        return False  # no member of the iTwin


def _keep(orphan: Orphan, why: str, code: str = "") -> None:
    lifecycle.shell_ended(orphan, OrphanState.LEFT, note=why, code=code)


def _after(later: errors.Unavailable) -> datetime:
    return clock.now() + timedelta(seconds=later.retry_after_s)
