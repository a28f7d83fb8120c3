"""The requester changes what waits for a decision, and sends it again."""

import json
from dataclasses import replace
from typing import Any

from django.db import transaction

from imodels_app.accounts import permissions
from imodels_app.lifecycle import _transition, asking
from imodels_app.lifecycle._transition import Conflict, NotAllowed
from imodels_app.models import Operation, User
from imodels_app.requesting import drafts
from imodels_app.requesting.spec import CreationSpec, extent_of
from imodels_app.runtime import clock
from imodels_app.states import UNDECIDED, Asks, State

# What an edit may change in the body that is sent; besides, the reason.
_EDITABLE = {"name", "description", "changesetId", "changesetIndex", "extent"}
# As people read it: column, and what it is called.
_SHOWN = {
    "name": "Name",
    "description": "Description",
    "up to": "Copy up to",
    "extent": "Extent",
    "reason": "Reason",
}


def edit(operation: Operation, spec: CreationSpec, *, by: User, seen: int | None = None) -> None:
    """Ask for something else in the same request: what was approved of it is void, and who approved is told.

    Today's rules hold for it; but what waits for people goes on waiting for some, even if they would let it through.

    spec  differs in name, description, changeset, extent or reason; in nothing, where changes were requested: then it
          is sent again as it is
    seen  the round whose words were edited; None: as `operation` was loaded

    Raises permissions.Denied (not the requester), Conflict (decided, or edited elsewhere) and NotAllowed.
    """
    seen = operation.plan.number if seen is None else seen
    with transaction.atomic():
        Operation.objects.select_for_update(of=("self",)).get(pk=operation.pk)
        operation.refresh_from_db()
        _require_open(operation, seen)
        permissions.require(permissions.why_not_edit(by, operation))
        changes = _changes(operation, spec)
        if not changes and operation.state == State.AWAITING_APPROVAL:
            raise Conflict("Nothing is changed.")
        _write(operation, spec, changes, by=by)


def _require_open(operation: Operation, seen: int) -> None:
    if operation.state not in UNDECIDED:
        raise Conflict(f"{State(operation.state).label} cannot be changed.")
    if operation.plan.number != seen:
        raise Conflict("It has changed since you opened it.")
    if operation.expires_at and operation.expires_at <= clock.now():
        raise Conflict("The time to decide has passed.")


def _write(operation: Operation, spec: CreationSpec, changes: list[dict[str, str]], *, by: User) -> None:
    came_from, number = operation.state, operation.plan.number
    today = drafts.plan_of(spec, operation.team)
    plan = replace(today if today.asks != Asks.LET_THROUGH else operation.plan, number=number + 1)
    columns = drafts.columns_of(spec)
    for column, value in columns.items():
        setattr(operation, column, value)
    columns |= asking.new_round(operation, plan)
    if why := drafts.why_not_again(operation):
        raise NotAllowed(why)
    note = "; ".join(f"{one['what']}: {one['before'] or 'none'} → {one['after'] or 'none'}" for one in changes)
    told = {"changes": changes, "request_hash": operation.request_hash}
    if came_from == State.CHANGES_REQUESTED:
        _transition.move(operation, State.AWAITING_APPROVAL, verb="edited", by=by, note=note, data=told, **columns)
    else:
        _transition.note(operation, "edited", by=by, note=note, data=told, **columns)
    operation.named.set(plan.named)


def _changes(operation: Operation, spec: CreationSpec) -> list[dict[str, str]]:
    """What differs, in words. Raises NotAllowed for what makes it another request."""
    before, after = json.loads(operation.request_body), spec.body
    fixed = operation.kind, operation.request_path, operation.file_name, _fixed(before)
    if fixed != (spec.kind, spec.path, spec.file_name, _fixed(after)):
        raise NotAllowed("Only the name, the description, the changeset, the extent and the reason can be changed.")
    was, now = _in_words(operation, before), _in_words(spec, after)
    return [
        {"what": said, "before": was[one], "after": now[one]} for one, said in _SHOWN.items() if was[one] != now[one]
    ]


def _in_words(asked: Operation | CreationSpec, body: dict[str, Any]) -> dict[str, str]:
    """What an edit may change, as people read it."""
    words = {name: getattr(asked, name) for name in ("name", "description", "reason")}
    return words | {"up to": _up_to(body), "extent": str(extent_of(body) or "")}


def _fixed(body: dict[str, Any]) -> dict[str, Any]:
    fixed = {name: value for name, value in body.items() if name not in _EDITABLE}
    if "template" in fixed:
        fixed["template"] = {"iModelId": fixed["template"]["iModelId"]}
    return fixed


def _up_to(body: dict[str, Any]) -> str:
    """How far a body asks to copy: "", 0 and absent are three different requests."""
    asked = body.get("template", body)
    if "changesetIndex" in asked:
        return f"changeset {asked['changesetIndex']}"
    changeset_id = asked.get("changesetId")
    return "all" if changeset_id is None else f"changeset {changeset_id}" if changeset_id else "baseline"
