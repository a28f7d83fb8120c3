"""Somebody eligible always exists: who is asked follows who is left, and with nobody left the request ends."""

from typing import Any

from imodels_app.accounts import deciders
from imodels_app.approvals.plan import INSTEAD, Plan
from imodels_app.lifecycle import _transition
from imodels_app.models import Operation, User
from imodels_app.requesting import drafts
from imodels_app.runtime import clock
from imodels_app.states import State, Verb, WaitReason


def ask_again(operation: Operation, *, by: User | None = None) -> None:
    """Ask whoever is left to decide: administrators in the place of too many who have left, and without any, end it.

    by  whose change of rights it follows. Raises Conflict.
    """
    asked = deciders.asked_now(operation)
    if operation.state != State.AWAITING_APPROVAL or (asked and asked == operation.asked):
        return
    if not asked:
        end(operation, by=by)
    elif INSTEAD in asked.split():
        _transition.note(operation, Verb.ADMINS_ASKED, by=by, note=_transition.TOO_FEW, asked=asked)
    else:
        _transition.change(operation, clock.now(), event=None, asked=asked)


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
