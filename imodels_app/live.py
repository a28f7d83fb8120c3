"""What a live page has shown, and how soon it should ask again. No queries here."""

import hashlib
import json
from collections.abc import Iterable

from imodels_app.models import Operation
from imodels_app.states import FINISHED, Shell, State

# Something moves on its own; a person has to act; all is at rest.
MOVING_S, WAITING_S, RESTING_S = 2, 5, 30


def token(rows: Iterable[Operation], *extra: object) -> str:
    """A short text that changes whenever what the page shows changes.

    extra: whatever else the page shows that is not in the rows, as plain values (counts, budgets left).
    """
    shown = [[str(row.pk), row.version] for row in rows]
    return hashlib.sha256(json.dumps([shown, extra], default=str).encode()).hexdigest()[:16]


def pace(rows: Iterable[Operation]) -> int:
    """Seconds until the next look."""
    rows = list(rows)
    states = {State(row.state) for row in rows}
    if any(row.shell == Shell.DELETING for row in rows) or states - FINISHED - {State.AWAITING_APPROVAL}:
        return MOVING_S
    return WAITING_S if State.AWAITING_APPROVAL in states else RESTING_S
