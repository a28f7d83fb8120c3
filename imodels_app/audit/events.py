"""How history is written: one line with the change that it tells of, in the same transaction."""

from datetime import datetime
from typing import Any

from django.db import transaction

from imodels_app.models import Event, Operation, Team, User
from imodels_app.runtime import clock, request_context
from imodels_app.states import Verb


def record(
    verb: str,
    *,
    at: datetime,
    by: User | None = None,
    operation: Operation | None = None,
    team: Team | None = None,
    came_from: str = "",
    to: str = "",
    note: str = "",
    **data: object,
) -> Event:
    """Write one line. `data` must be plain JSON values, and never a secret. The request that caused it comes along, and
    what lasts of whoever did it, of the team and of the iTwin.
    """
    team = operation.team if operation else team
    lasting: dict[str, object] = {"actor_issuer": by.issuer, "actor_subject": by.subject} if by else {}
    lasting |= {"team": team.pk} if team else {}
    lasting |= {"itwin": operation.itwin_id} if operation else {}
    return Event.objects.create(
        verb=Verb(verb),
        at=at,
        actor=by,
        actor_name=by.name if by else "",
        actor_email=by.email if by else "",
        operation=operation,
        operation_name=operation.name if operation else "",
        team_name=team.name if team else "",
        came_from=came_from,
        to=to,
        note=note,
        data=request_context.current().as_data() | lasting | data,
    )


def record_call(
    operation: Operation,
    *,
    by: User | None,
    method: str,
    path: str,
    body: str,
    status: int | None,
    code: str,
    message: str,
    began_at: datetime,
) -> None:
    """Write down a call to the platform that may have changed something, and what it answered; status: None if nothing.

    With whose rights it was made stands in `person`; the operation's id went along as correlation id.
    """
    now = clock.now()
    took_ms = round((now - began_at).total_seconds() * 1000)
    facts: dict[str, Any] = {"method": method, "path": path, "body": body, "status": status, "took_ms": took_ms}
    facts |= {"code": code, "correlation_id": str(operation.pk), "person": by.pk if by else None}
    told = f"{method} {path}: {status or 'no answer'} after {took_ms} ms" + (f". {message}" if message else "")
    with transaction.atomic():  # by itself: should it be refused, something else can still be written
        record(Verb.CALLED, at=now, operation=operation, note=told, **facts)
