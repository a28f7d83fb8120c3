"""What follows for operations when somebody's rights have changed."""

from contextlib import suppress
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.dispatch import receiver

from imodels_app.accounts import rights
from imodels_app.lifecycle import _transition, asking
from imodels_app.lifecycle._transition import Conflict
from imodels_app.models import Absence, ApprovalRule, Operation, OperationQuerySet, Team, User, Webhook
from imodels_app.runtime import clock
from imodels_app.runtime.loops import for_each
from imodels_app.states import State, WaitReason, Who


@receiver(rights.changed)
def follow_rights(*, by: User | None = None, row: rights.Row | None = None, **_: object) -> None:
    """What a closed account asked for is not sent, and a request waits for those who may decide it now.

    In the transaction of the change (accounts.rights.changed), for what `row` is about; and with each sweep, whatever
    else changed it. One for which it fails stops neither the change nor what follows for the others.
    """
    for_each(Operation.objects.of_closed_accounts().select_related("team"), partial(_call_off, by=by))
    for_each(Operation.objects.misplaced().order_by("pk").values_list("pk", flat=True), partial(_move, by=by))
    if row is not None:
        ask_who_is_left(_about(row), by=by)
    _follow_absences()


def _follow_absences() -> None:
    """Where one has begun or is over, once, the deputy or the lead is asked about what waits already."""
    now = clock.now()
    for_each(Absence.objects.now(now).filter(told_at=None), partial(_turn, told_at=now))
    for_each(Absence.objects.over(now), partial(_turn, back_at=now))


@transaction.atomic
def _turn(absence: Absence, **turned: datetime) -> None:
    if Absence.objects.filter(pk=absence.pk, **dict.fromkeys(turned)).update(**turned):
        ask_who_is_left(Operation.objects.filter(team=absence.team_id))


def ask_who_is_left(waiting: QuerySet[Operation], *, by: User | None = None) -> None:
    """Let those decide who still may, or may now, and have them told (asking.ask_again)."""
    undecided = waiting.filter(state=State.AWAITING_APPROVAL).order_by("pk")
    for_each(undecided.values_list("pk", flat=True), partial(_ask_again, by=by))


@transaction.atomic  # each by itself: a sweep must not keep all of them locked
def _ask_again(pk: UUID, *, by: User | None) -> None:
    asking.ask_again(_locked(Operation.objects.all()).get(pk=pk), by=by)


def _locked(rows: OperationQuerySet) -> OperationQuerySet:
    return rows.select_for_update(of=("self",)).select_related("team", "requested_by")


@transaction.atomic
def _move(pk: UUID, *, by: User | None) -> None:
    # Locked, for whoever writes one meanwhile would leave it to the sweep, and that knows of nobody who moved it.
    operation = _locked(Operation.objects.misplaced()).filter(pk=pk).first()
    if operation:
        _reassign(operation, Team.looking_after(operation.deciding_itwin_id), by=by)


@transaction.atomic
def _call_off(operation: Operation, *, by: User | None) -> None:
    with suppress(Conflict):  # it is being sent in this very moment
        requester_gone(operation, by=by)


def requester_gone(operation: Operation, *, by: User | None = None) -> None:
    """Call off what has not been sent: its requester's account is closed. Raises Conflict."""
    note = f"The account of {operation.requested_by_name} is closed."
    reason = WaitReason.ACCOUNT_CLOSED
    _transition.move(operation, State.CANCELLED, verb="cancelled", by=by, note=note, wait_reason=reason)


def _about(row: rights.Row) -> QuerySet[Operation]:
    """What may be decided by somebody else, now that this has changed."""
    if isinstance(row, ApprovalRule | Webhook):
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
