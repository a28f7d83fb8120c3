"""What follows for operations when somebody's rights have changed."""

from contextlib import suppress

from django.db import transaction
from django.dispatch import receiver

from imodels_app.accounts import rights
from imodels_app.lifecycle import _transition
from imodels_app.lifecycle._transition import Conflict
from imodels_app.models import Operation, Team, User
from imodels_app.notifications import outbox
from imodels_app.states import NotificationKind, State, WaitReason


@receiver(rights.changed)
def follow_rights(*, by: User | None = None, **_: object) -> None:
    """What a closed account asked for is not sent, and a fork waits for the team that looks after its iTwin now.

    In the transaction of the change (accounts.rights.changed); and with each sweep, whatever else changed it.
    """
    for operation in Operation.objects.of_closed_accounts().select_related("team"):
        with suppress(Conflict):  # it is being sent in this very moment
            requester_gone(operation, by=by)
    with transaction.atomic():
        # Locked, for whoever writes one meanwhile would leave it to the sweep, and that knows of nobody who moved it.
        for operation in Operation.objects.misplaced().select_related("team").select_for_update(of=("self",)):
            _reassign(operation, Team.looking_after(operation.source_itwin_id), by=by)


def requester_gone(operation: Operation, *, by: User | None = None) -> None:
    """Call off what has not been sent: its requester's account is closed. Raises Conflict."""
    note = f"The account of {operation.requested_by_name} is closed."
    reason = WaitReason.ACCOUNT_CLOSED
    _transition.move(operation, State.CANCELLED, verb="cancelled", by=by, note=note, wait_reason=reason)


def _reassign(operation: Operation, team: Team, *, by: User | None) -> None:
    with transaction.atomic():
        note = f"{operation.team.name} → {team.name}"
        _transition.note(operation, "reassigned", by=by, note=note, team=team)
        outbox.enqueue(operation, NotificationKind.REQUESTED)
