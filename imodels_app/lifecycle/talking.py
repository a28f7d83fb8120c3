"""What people tell each other about a request without deciding it: comments, and that they are looking at it."""

from django.db import transaction

from imodels_app import eligibility
from imodels_app.accounts import permissions
from imodels_app.lifecycle import _transition
from imodels_app.models import Look, Operation, User
from imodels_app.notifications import recipients
from imodels_app.runtime import clock
from imodels_app.runtime.timing import LOOK_LASTS
from imodels_app.states import Verb


def comment(operation: Operation, text: str, *, by: User) -> None:
    """Write something about it. The requester is told, and whoever has written before.

    Not a new version of the row: nothing of the request changes, and a worker that is at it must not lose its step.
    """
    with transaction.atomic():
        told = recipients.of(operation, Verb.COMMENTED, by=by, came_from=operation.state)
        event = _transition.event_fields(Verb.COMMENTED, by, text, operation.state, operation.state, "", "")
        _transition.tell(operation, clock.now(), event, told)


def look(operation: Operation, *, by: User) -> None:
    """Say that somebody is looking at it, for half an hour from now. Raises permissions.Denied: only who may decide."""
    permissions.require(eligibility.why_not_decide(by, operation))
    Look.objects.filter(until__lte=clock.now()).delete()
    Look.objects.update_or_create(operation=operation, person=by, defaults={"until": clock.now() + LOOK_LASTS})


def look_away(operation: Operation, *, by: User) -> None:
    """Say so no longer."""
    Look.objects.filter(operation=operation, person=by).delete()
