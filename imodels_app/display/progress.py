"""The way of one operation, from asked for to succeeded, and how far it has come. No queries."""

from dataclasses import dataclass
from datetime import datetime

from imodels_app.display.estimates import UsualDuration
from imodels_app.display.formats import lasted, thousands
from imodels_app.display.status import StatusText, elapsed, is_unknown, kind_label
from imodels_app.models import Operation
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import UNDECIDED, Kind, State, Who


@dataclass(frozen=True)
class Step:
    """One stretch of the way. value: percent; None when it goes on and nobody knows how far."""

    label: str
    value: int | None
    is_here: bool = False


def steps(operation: Operation, status_text: StatusText) -> list[Step]:
    """The way from asked to succeeded; empty when it ended elsewhere."""
    here = _STEP_OF.get(State(operation.state))
    if here is None:
        return []
    if operation.usable_at and here == "Running" and not is_unknown(operation):
        here = "Succeeded"
    needs_approval = operation.state in UNDECIDED or operation.last_decision is not None
    labels = ["Requested", *(["Approved"] if needs_approval else []), "Sent"]
    labels += [*(["Uploading"] if _has_file(operation) else []), "Running", "Usable now", "Succeeded"]
    if operation.state == State.SUCCEEDED:
        return [Step(label, 100) for label in labels]
    at, label_here = labels.index(here), _HERE.get(State(operation.state), here)
    if here == "Succeeded":
        label_here = "Finishing"
    is_moving = operation.state in (State.RUNNING, State.UPLOADING) and not is_unknown(operation)
    value = status_text.share if is_moving else 0
    done, coming = labels[:at], labels[at + 1 :]
    return [Step(label, 100) for label in done] + [Step(label_here, value, True)] + [Step(label, 0) for label in coming]


_STEP_OF = {
    State.AWAITING_APPROVAL: "Approved",
    State.CHANGES_REQUESTED: "Approved",
    State.QUEUED: "Sent",
    State.SUBMITTING: "Sent",
    State.UPLOADING: "Uploading",
    State.RUNNING: "Running",
    State.SUCCEEDED: "Succeeded",
}
# What is still to be done is not called done.
_HERE = {
    State.AWAITING_APPROVAL: "To be approved",
    State.CHANGES_REQUESTED: "To be changed",
    State.QUEUED: "To be sent",
    State.SUBMITTING: "Being sent",
}


def _has_file(operation: Operation) -> bool:
    return operation.kind == Kind.BASELINE or operation.state == State.UPLOADING


def progress_headline(operation: Operation) -> str:
    """What is going on, as a headline."""
    if is_unknown(operation):
        return "The platform reports a state that iModel Desk does not know"
    if operation.state == State.RUNNING and operation.usable_at:
        return "The iModel can be used while the platform finishes"
    if operation.state == State.RUNNING and operation.changeset_index and operation.kind == Kind.TEMPLATE:
        return f"The platform is making one baseline from {thousands(operation.changeset_index)} changesets"
    if operation.state == State.RUNNING and operation.changeset_index and operation.preserve_history is not False:
        return f"The platform is copying {thousands(operation.changeset_index)} changesets"
    return {
        State.AWAITING_APPROVAL: f"{isolated(operation.team.name)} has to decide"
        if operation.asked == f" {Who.LEADS} "
        else "People have to decide",
        State.CHANGES_REQUESTED: f"{isolated(operation.requested_by_name)} is asked to change it",
        State.QUEUED: "Waiting to be sent",
        State.SUBMITTING: "The request was sent",
        State.UPLOADING: "The file is being uploaded to the platform",
        State.RUNNING: "The platform is making the iModel",
        State.SUCCEEDED: f"{operation.name} is ready",
    }.get(State(operation.state), "")


def estimate_basis(operation: Operation, usual: UsualDuration | None, now: datetime) -> str:
    """What the estimate rests on; empty when there is nothing to estimate."""
    if operation.state != State.RUNNING or is_unknown(operation):
        return ""
    if usual is None:
        return (
            "The platform reports no percentage, and too few earlier ones are known to say how long it usually takes."
        )
    return (
        f"The platform reports no percentage. The bar compares {lasted(elapsed(operation, now))} with the last "
        f"{usual.count} {_which(operation, usual)}: half took {lasted(usual.median)}, "
        f"nine in ten under {lasted(usual.p90)}."
    )


def _which(operation: Operation, usual: UsualDuration) -> str:
    """The earlier ones that an estimate rests on: clones of Main Bridge."""
    if operation.kind == Kind.TEMPLATE:
        return f"iModels from the template {usual.source}" if usual.source else "iModels from templates"
    if not operation.source_id:
        return f"{kind_label(operation.kind)} iModels"
    kinds = f"{kind_label(operation.kind).lower()}s"
    return f"{kinds} of {usual.source}" if usual.source else kinds
