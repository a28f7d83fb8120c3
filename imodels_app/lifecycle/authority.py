"""What follows for operations when somebody's rights have changed."""

from contextlib import suppress

from django.db import transaction
from django.db.models import Q, QuerySet
from django.dispatch import receiver

from imodels_app.accounts import rights
from imodels_app.lifecycle import _transition, asking
from imodels_app.lifecycle._transition import Conflict
from imodels_app.models import ApprovalRule, Operation, Team, User
from imodels_app.states import State, WaitReason, Who


@receiver(rights.changed)
def follow_rights(*, by: User | None = None, row: rights.Row | None = None, **_: object) -> None:
    """What a closed account asked for is not sent, and a request waits for those who may decide it now.

    In the transaction of the change (accounts.rights.changed), for what `row` is about; and with each sweep, whatever
    else changed it.
    """
    for operation in Operation.objects.of_closed_accounts().select_related("team"):
        with suppress(Conflict):  # it is being sent in this very moment
            requester_gone(operation, by=by)
    with transaction.atomic():
        misplaced = Operation.objects.misplaced().select_related("team", "requested_by")
        # Locked, for whoever writes one meanwhile would leave it to the sweep, and that knows of nobody who moved it.
        for operation in misplaced.select_for_update(of=("self",)).order_by("pk"):
            _reassign(operation, Team.looking_after(operation.deciding_itwin_id), by=by)
    if row is not None:
        ask_who_is_left(_about(row), by=by)


def ask_who_is_left(waiting: QuerySet[Operation], *, by: User | None = None) -> None:
    """Let those decide who still may: in the place of people who have left, administrators (asking.ask_again)."""
    waiting = waiting.filter(state=State.AWAITING_APPROVAL).select_related("team", "requested_by")
    with transaction.atomic():
        for operation in waiting.select_for_update(of=("self",)).order_by("pk"):
            asking.ask_again(operation, by=by)


def requester_gone(operation: Operation, *, by: User | None = None) -> None:
    """Call off what has not been sent: its requester's account is closed. Raises Conflict."""
    note = f"The account of {operation.requested_by_name} is closed."
    reason = WaitReason.ACCOUNT_CLOSED
    _transition.move(operation, State.CANCELLED, verb="cancelled", by=by, note=note, wait_reason=reason)


def _about(row: rights.Row) -> QuerySet[Operation]:
    """What may be decided by somebody else, now that this has changed."""
    if isinstance(row, ApprovalRule):
        return Operation.objects.none()  # never what already waits
    if isinstance(row, User):
        named = Q(asked__contains=f" {row.pk} ") | Q(asked__contains=f" {Who.ADMINS} ")
        return Operation.objects.filter(Q(team__in=row.membership_set.values("team")) | named)
    team_id = row.pk if isinstance(row, Team) else row.team_id
    return Operation.objects.filter(team=team_id)


def _reassign(operation: Operation, team: Team, *, by: User | None) -> None:
    """What leads of the other team have agreed to is void: they may not decide this any more."""
    note = f"{operation.team.name} → {team.name}"
    operation.team = team
    columns = asking.new_round(operation, operation.plan.again()) if operation.answers else {}
    _transition.note(operation, "reassigned", by=by, note=note, team=team, **columns)
    asking.ask_again(operation, by=by)
