"""What a live page has shown, and how soon it should ask again. No queries here: rows come by to_show()."""

import hashlib
import json
from collections.abc import Iterable, Iterator

from imodels_app.models import Operation
from imodels_app.states import FINISHED, OrphanState, State

# Something moves on its own; a person has to act; all is at rest.
MOVING_S, WAITING_S, RESTING_S = 2, 5, 30


def token(rows: Iterable[Operation], *extra: object) -> str:
    """A short text that changes whenever what the page shows changes.

    extra: whatever else the page shows that is not in the rows, as plain values (counts, budgets left).
    """
    shown = [[str(row.pk), *_shown(row)] for row in rows]
    return hashlib.sha256(json.dumps([shown, extra], default=str).encode()).hexdigest()[:16]


def pace(rows: Iterable[Operation]) -> int:
    """Seconds until the next look."""
    rows = list(rows)
    states = {State(row.state) for row in rows}
    if any(is_deleting(row) for row in rows) or states - FINISHED - {State.AWAITING_APPROVAL}:
        return MOVING_S
    return WAITING_S if State.AWAITING_APPROVAL in states else RESTING_S


def is_deleting(row: Operation) -> bool:
    """Whether what it left is being deleted."""
    return hasattr(row, "orphan") and row.orphan.state == OrphanState.DELETING


def _shown(row: Operation) -> Iterator[int]:
    """What changes with what is seen of a row. Of an upload that is the progress: its lease is renewed each second."""
    yield row.version
    if hasattr(row, "upload"):
        yield row.upload.sent_bytes
    if hasattr(row, "orphan"):
        yield row.orphan.version
