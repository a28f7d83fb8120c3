"""How history is written: one line with the change that it tells of, in the same transaction."""

from datetime import datetime

from imodels_app.models import Event, Operation, User
from imodels_app.runtime import request_context
from imodels_app.states import Verb


def record(
    verb: str,
    *,
    at: datetime,
    by: User | None = None,
    operation: Operation | None = None,
    team_name: str = "",
    came_from: str = "",
    to: str = "",
    note: str = "",
    **data: object,
) -> Event:
    """Write one line. `data` must be plain JSON values, and never a secret. The request that caused it comes along."""
    return Event.objects.create(
        verb=Verb(verb),
        at=at,
        actor=by,
        actor_name=by.name if by else "",
        actor_email=by.email if by else "",
        operation=operation,
        operation_name=operation.name if operation else "",
        team_name=operation.team.name if operation else team_name,
        came_from=came_from,
        to=to,
        note=note,
        data=request_context.current().as_data() | data,
    )
