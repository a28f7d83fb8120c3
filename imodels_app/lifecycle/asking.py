"""Somebody eligible always exists: who is asked follows who is left, and with nobody left the request ends."""

from typing import Any

from imodels_app import eligibility
from imodels_app.accounts import deciders
from imodels_app.approvals.plan import INSTEAD, Plan
from imodels_app.lifecycle import _transition
from imodels_app.models import Operation, User
from imodels_app.notifications import recipients
from imodels_app.requesting import drafts
from imodels_app.runtime import clock
from imodels_app.states import NotificationKind, State, Verb, WaitReason, Who


def ask_again(operation: Operation, *, by: User | None = None) -> None:
    """Ask whoever is left to decide: administrators in the place of too many who have left, and without any, end it.

    Whoever is asked and does not know is told, however it came about: a new lead or administrator, one whose account is
    open again, one who is back, a deputy, or the lead whose deputy may not decide any more.

    by  whose change of rights it follows. Raises Conflict.
    """
    if operation.state != State.AWAITING_APPROVAL:
        return
    asked = deciders.asked_now(operation)
    if not asked:
        end(operation, by=by)
        return
    if asked != operation.asked and INSTEAD in asked.split():
        _transition.note(operation, Verb.ADMINS_ASKED, by=by, note=_transition.TOO_FEW, asked=asked)
    elif asked != operation.asked:
        _transition.change(operation, clock.now(), event=None, asked=asked)
    for person in recipients.unaware(operation):
        _ask_too(person, operation)


def _ask_too(person: User, operation: Operation) -> None:
    right = eligibility.usable_rights(person, operation)[0]
    verb = Verb.DEPUTY_ASKED if right.stands_for else Verb.ALSO_ASKED
    note, state = f"{person.name} {_as(right, operation)}", operation.state
    event = _transition.event_fields(verb, None, note, state, state, "", "")
    _transition.tell(operation, clock.now(), event, {person: NotificationKind.REQUESTED})


def _as(right: eligibility.Right, operation: Operation) -> str:
    if right.stands_for:
        return f"stands in for {right.stands_for.name}"
    if right.capacity == Who.LEADS:
        return f"leads {operation.team.name}"
    return "is an administrator" if right.capacity == Who.ADMINS else "is named by a rule"


def end(operation: Operation, *, by: User | None = None) -> None:
    """Nobody is left who may decide."""
    reason = WaitReason.NOBODY_DECIDES
    _transition.move(
        operation, State.EXPIRED, verb="expired", by=by, note="nobody is left to decide", wait_reason=reason
    )


def new_round(operation: Operation, plan: Plan) -> dict[str, Any]:
    """Columns of a request that has to be approved anew: what was given for it so far is void."""
    operation.approval_plan = plan.json
    operation.request_hash = drafts.hash_of(operation)
    return {
        "approval_plan": operation.approval_plan,
        "request_hash": operation.request_hash,
        "asked": deciders.asked_now(operation),
    }
