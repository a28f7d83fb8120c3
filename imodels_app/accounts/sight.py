"""Who of the desk may see an operation: now by their rights, and at another time by what the record says of those."""

from datetime import datetime

from django.db.models import Q, QuerySet

from imodels_app.models import Event, Operation, User
from imodels_app.states import Verb

# What lets somebody see, and what no longer does.
BEGINS = {Verb.ROLE_GIVEN, Verb.PLACE_TAKEN, Verb.ADMIN_GIVEN}
ENDS = {Verb.ROLE_REMOVED, Verb.ADMIN_REMOVED}


def now(operation: Operation) -> QuerySet[User]:
    """As OperationQuerySet.visible_to has it."""
    rights = Q(is_staff=True) | Q(membership__team=operation.team_id) | _always(operation)
    return User.objects.filter(rights, is_active=True).distinct().order_by("first_name", "last_name", "pk")


def when(operation: Operation, at: datetime) -> QuerySet[User]:
    """Who was in the team that it belonged to, an administrator, the requester, or named by its rules."""
    people = _people(Event.objects.filter(team_name__in=_names_of_team(operation, at)), at)
    people |= _people(Event.objects.filter(verb__in=[Verb.ADMIN_GIVEN, Verb.ADMIN_REMOVED]), at)
    closed = _people(Event.objects.all(), at, begins={Verb.ACCOUNT_CLOSED}, ends={Verb.ACCOUNT_OPENED})
    rows = User.objects.filter(Q(pk__in=people) | _always(operation)).exclude(pk__in=closed)
    return rows.distinct().order_by("first_name", "last_name", "pk")


def _always(operation: Operation) -> Q:
    return Q(pk=operation.requested_by_id) | Q(named_in=operation)


def _people(events: QuerySet[Event], at: datetime, *, begins: set[Verb] = BEGINS, ends: set[Verb] = ENDS) -> set[int]:
    """Of whom the last of these events that is about them begins something."""
    told = events.filter(verb__in=[*begins, *ends], at__lte=at, data__person__isnull=False)
    last = dict(told.order_by("at", "pk").values_list("data__person", "verb"))
    return {person for person, verb in last.items() if verb in begins}


def _names_of_team(operation: Operation, at: datetime) -> set[str]:
    """What the team was called until then, to which the operation belonged."""
    last = operation.events.filter(at__lte=at).order_by("at", "pk").last()
    names = {last.team_name if last else operation.team.name}
    renamed = Event.objects.filter(verb=Verb.TEAM_RENAMED, at__lte=at).order_by("-at", "-pk")
    for before, after in renamed.values_list("data__before", "data__after"):
        if after in names:
            names.add(before)
    return names
