"""The row that a request would become: its columns, the rules that hold for it, and whether anybody could decide it."""

from datetime import datetime, timedelta
from typing import Any

from imodels_app.accounts import deciders
from imodels_app.approvals.plan import Facts, Plan, plan_for
from imodels_app.models import DECIDED_AT_SOURCE, ApprovalRule, Operation, Team, User
from imodels_app.requesting.spec import CreationSpec, fingerprint
from imodels_app.runtime import clock
from imodels_app.states import Asks, ChangesetSelection, Kind, State


def draft(spec: CreationSpec, *, by: User, **fields: Any) -> Operation:
    """Not saved. It waits for people where the rules ask for some, and else is queued; see why_not()."""
    now = clock.now()
    at_source, team, plan = decided_by(spec)
    times = time_to_decide(plan, team, now) if plan.asks_people else {"due_at": now}
    operation = Operation(
        kind=spec.kind,
        state=State.AWAITING_APPROVAL if plan.asks_people else State.QUEUED,
        created_at=now,
        changed_at=now,
        requested_by=by,
        requested_by_name=by.name,
        requester_key=by.lasting_key,
        requester_email=by.email,
        team=team,
        is_decided_at_source=at_source,
        request_path=spec.path,
        approval_plan=plan.json,
        **columns_of(spec),
        **times,
        **fields,
    )
    operation.request_hash = hash_of(operation)
    operation.asked = deciders.asked_now(operation)
    return operation


def why_not(operation: Operation) -> str:
    """Why this may not be requested: a rule refuses it, or nobody could decide. With whom to ask; empty when it may."""
    return _why_refused(operation) or deciders.why_nobody(operation)


def why_not_again(operation: Operation) -> str:
    """As why_not(), of what waits already and is changed: administrators may decide in the place of who has left."""
    is_instead = operation.is_asked_of_admins_instead and bool(deciders.admins_left(operation))
    return _why_refused(operation) or ("" if is_instead else deciders.why_nobody(operation))


def _why_refused(operation: Operation) -> str:
    for match in operation.plan.refused_by:
        return f"The rule “{match.rule.name}” refuses this, because it is {match.why}. {deciders.whom_to_ask()}"
    return ""


def decided_by(spec: CreationSpec) -> tuple[bool, Team, Plan]:
    """Whether the team of the source decides; which team does, by which of today's rules.

    A fork is the business of the team of its main iModel, and so is a clone that this team's rules do not let through;
    anything else that of the team of its iTwin.
    """
    if spec.kind in DECIDED_AT_SOURCE and spec.source and spec.source.itwin.id:
        team = Team.looking_after(spec.source.itwin.id)
        plan = plan_of(spec, team)
        if spec.kind == Kind.FORK or plan.asks != Asks.LET_THROUGH:
            return True, team, plan
    team = Team.looking_after(spec.itwin.id)
    return False, team, plan_of(spec, team)


def hash_of(operation: Operation) -> str:
    """What approvals of this request are bound to, by the bytes and the plan that its row holds."""
    path, body, requester = operation.request_path, operation.request_body, str(operation.requested_by_id)
    return fingerprint(path, body, requester, operation.approval_plan)


def time_to_decide(plan: Plan, team: Team, now: datetime) -> dict[str, datetime]:
    """Those asked are reminded half-way, and then shortly before the end."""
    time = timedelta(days=plan.decide_days(team.approval_days))
    return {"expires_at": now + time, "remind_at": now + time / 2}


def columns_of(spec: CreationSpec) -> dict[str, Any]:
    """What is wished, and the exact request."""
    source = spec.source
    return {
        "request_body": spec.body_text,
        "reason": spec.reason,
        "name": spec.name,
        "description": spec.description,
        "itwin_id": spec.itwin.id,
        "itwin_name": spec.itwin.name,
        "itwin_number": spec.itwin.number,
        "elsewhere": _elsewhere(spec),
        "source_id": source.id if source else "",
        "source_name": source.name if source else "",
        "source_itwin_id": source.itwin.id if source else "",
        "source_itwin_name": source.itwin.name if source else "",
        "changeset_selection": spec.up_to or "",
        "changeset_id": spec.changeset_id,
        "changeset_index": spec.changeset_index,
        "preserve_history": spec.preserve_history,
        "file_name": spec.file_name,
        "file_size": spec.file_size,
    }


def plan_of(spec: CreationSpec, team: Team) -> Plan:
    """Which of today's rules hold for this, if this team decides."""
    return plan_for(facts(spec, team), [rule.as_rule() for rule in ApprovalRule.objects.holding_for(team)])


def facts(spec: CreationSpec, team: Team) -> Facts:
    """What rules ask about, if this team decides."""
    return Facts(
        kind=spec.kind,
        outside_team=Team.looking_after(spec.itwin.id) != team,
        elsewhere=_is_elsewhere(spec),
        squashed=spec.preserve_history is False,
        changesets=_changesets(spec),
        own_permissions=spec.source.is_secured if spec.source else False,
    )


def _locations(spec: CreationSpec) -> dict[str, tuple[str, str]]:
    if spec.source is None:
        return {}
    here, there = spec.source.itwin, spec.itwin
    return {"account": (here.account_id, there.account_id), "region": (here.region, there.region)}


def _elsewhere(spec: CreationSpec) -> str:
    """In what the target's iTwin differs from the source's, as far as both are known: account, region."""
    return " ".join(what for what, (one, other) in _locations(spec).items() if one and other and one != other)


def _is_elsewhere(spec: CreationSpec) -> bool | None:
    if _elsewhere(spec):
        return True
    is_here = spec.source is None or spec.source.itwin.id == spec.itwin.id
    is_known = all(one and other for one, other in _locations(spec).values())
    return False if is_here or is_known else None


def _changesets(spec: CreationSpec) -> int | None:
    """How many are copied at most. A template becomes one baseline."""
    if spec.source is None or spec.kind == Kind.TEMPLATE or spec.up_to == ChangesetSelection.BASELINE:
        return 0
    return spec.changeset_index
