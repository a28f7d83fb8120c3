"""Who may decide about a request now, and by which right: looked at when it is used.

Below all that asks it: the decision itself, whom a message asks, and how many requests wait for somebody.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cached_property, wraps
from typing import NamedTuple, ParamSpec, TypeVar

from django.db.models import Exists, OuterRef, Q

from imodels_app.approvals.plan import INSTEAD, Requirement
from imodels_app.models import Absence, Decision, Event, Membership, Operation, OperationQuerySet, Team, User
from imodels_app.runtime import clock
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import TO_DECIDE, State, Verb, Who

P = ParamSpec("P")
R = TypeVar("R")

# By these somebody gets a right, or another one loses theirs; or two accounts seem to be two people.
_CHANGES = [
    *(Verb.ROLE_GIVEN, Verb.ROLE_CHANGED, Verb.ROLE_REMOVED, Verb.PLACE_TAKEN, Verb.REASSIGNED, Verb.DEPUTY_NAMED),
    *(Verb.ACCOUNT_OPENED, Verb.ACCOUNT_CLOSED, Verb.ADMIN_GIVEN, Verb.ADMIN_REMOVED),
    *(Verb.RULE_MADE, Verb.RULE_CHANGED, Verb.ADDRESS_CHANGED),
]


class Since:
    """What has happened since a request was made that says who may decide it, and who has: read once, for one question.

    Most often nothing has. It is never kept (in_one_look): what somebody may is looked at when it is used.
    """

    def __init__(self, operation: Operation) -> None:
        self.operation = operation

    @classmethod
    def of(cls, operation: Operation) -> "Since":
        found: Since | None = operation.__dict__.get("since")
        return found or cls(operation)

    @cached_property
    def changes(self) -> list[Event]:
        """Of rights, oldest first."""
        own = Q(operation=self.operation) | ~Q(verb=Verb.REASSIGNED)
        found = Event.objects.filter(own, verb__in=[*_CHANGES, Verb.TEAM_RENAMED], at__gt=self.operation.created_at)
        return list(found.order_by("pk").select_related("actor"))

    @cached_property
    def answers(self) -> list[Decision]:
        """To the request as it is now."""
        return list(self.operation.decisions.filter(request_hash=self.operation.request_hash))

    def of_verbs(self, *verbs: Verb) -> list[Event]:
        return [change for change in self.changes if change.verb in verbs]

    def addresses(self, person: User) -> set[str]:
        """Verified ones that this account has had since the request: whoever gives one up stays who they are."""
        changes = [one.data for one in self.of_verbs(Verb.ADDRESS_CHANGED) if one.data.get("person") == person.pk]
        return {address.lower() for address in (person.email, *(one["before"] for one in changes)) if "@" in address}

    @cached_property
    def requester_addresses(self) -> set[str]:
        """The requester's: as it was then, and since."""
        asked = self.operation
        return self.addresses(asked.requested_by) | ({asked.requester_email.lower()} - {""})


def in_one_look(ask: Callable[P, R]) -> Callable[P, R]:
    """For a question about the operation among its arguments, which changes nothing: what is the same for all whom it
    looks at is read once.
    """

    @wraps(ask)
    def asked(*args: P.args, **kwargs: P.kwargs) -> R:
        operation = next(one for one in args if isinstance(one, Operation))
        if "since" in operation.__dict__:
            return ask(*args, **kwargs)
        operation.__dict__["since"] = Since(operation)
        try:
            return ask(*args, **kwargs)
        finally:
            del operation.__dict__["since"]

    return asked


@in_one_look
def why_not_decide(user: User, operation: Operation) -> str:
    """Why this person may not approve, reject or ask for changes now; empty when they may.

    The requester never may, whatever else they are: lead, admin or superuser, or another account with their address.
    """
    if why := _why_own(user, operation) or _why_void(operation) or _why_again(user, operation):
        return why
    rights = rights_of(user, operation)
    if not rights:
        return f"Only {asked_in_words(operation)} can decide this."
    return "" if usable(rights, user, operation) else _why_late(rights[0], user, operation)


def waiting_for(user: User) -> OperationQuerySet:
    """What this person is asked to decide, and may: without what they have a right for that came too late.

    The rows say all but that. So only those are looked at one by one in whose time somebody who may not give rights
    has given some, or who may be needed later.
    """
    waiting = Operation.objects.waiting_for(user)
    by = Q(actor=user) | Q(actor=OuterRef("requested_by")) | Q(actor__email__iexact=OuterRef("requester_email"))
    by |= Q(actor__email__iexact=user.email) if user.email else Q()
    is_doubtful = Q(Exists(Event.objects.filter(by, verb__in=_CHANGES, at__gt=OuterRef("created_at"))))
    stands_in = Q(Exists(Absence.objects.now(clock.now()).filter(deputy=user, team=OuterRef("team"))))
    is_doubtful |= stands_in if user.is_admin else stands_in & Q(pk__in=user.named_in.values("pk"))
    doubtful = waiting.filter(is_doubtful).select_related("team", "requested_by")
    late = [one.pk for one in doubtful if why_not_decide(user, one)]
    return waiting.exclude(pk__in=late)


@in_one_look
def why_not_bypass(user: User, operation: Operation) -> str:
    """Why this person may not let this proceed without the approvals it needs; empty when they may."""
    if why := _why_own(user, operation) or _why_void(operation):
        return why
    right = right_as(Who.ADMINS, user, operation)
    if right and (why := _why_again(user, operation)):
        return why
    return _why_late(right, user, operation) if right else "Only administrators can bypass an approval."


def lock_rights(user: User) -> None:
    """Until this transaction ends, nobody takes away what this person may do."""
    # Not their keys: notifications and events that name the person are written meanwhile.
    absences = Absence.objects.filter(deputy=user)
    places = Membership.objects.filter(Q(user=user) | Q(user__in=absences.values("lead"))).order_by("pk")
    for rows in (absences, places, User.objects.filter(pk=user.pk)):
        list(rows.select_for_update(no_key=True))
    user.refresh_from_db(fields=["is_active", "is_staff", "admin_given_at", "admin_given_by"])


class Right(NamedTuple):
    """By what a person may decide.

    given_at    None: it is older than the record
    given_by    None: the command line
    stands_for  the absent lead whose deputy they are
    is_instead  as an administrator in the place of people who have left
    """

    capacity: Who
    given_at: datetime | None = None
    given_by: User | None = None
    stands_for: User | None = None
    is_instead: bool = False


def right_as(who: str, user: User, operation: Operation) -> Right | None:
    """By what this person is one of these, whether asked or not; who: one of states.Who, or INSTEAD.

    Who is named is named by a rule of before.
    """
    if who in (Who.ADMINS, INSTEAD):
        right = Right(Who.ADMINS, user.admin_given_at, user.admin_given_by, is_instead=who == INSTEAD)
        return right if user.is_admin else None
    if who == Who.PEOPLE:
        return Right(Who.PEOPLE) if user.is_active else None
    places = Membership.objects.filter(user=user, user__is_active=True, role=Membership.Role.LEAD)
    place = places.filter(team=operation.team_id).select_related("given_by").first()
    return Right(Who.LEADS, place.given_at, place.given_by) if place else None


def rights_of(user: User, operation: Operation) -> list[Right]:
    """By what this person is asked to decide now, be it in time or not."""
    asked = operation.asked.split()
    asked_as: list[str] = [who for who in (Who.LEADS, INSTEAD) if who in asked]
    asked_as += [Who.ADMINS] if any(one.who == Who.ADMINS for one in _level(operation)) and Who.ADMINS in asked else []
    asked_as += [Who.PEOPLE] if str(user.pk) in asked else []
    rights = [right for who in asked_as if (right := right_as(who, user, operation))]
    if Who.LEADS in asked_as and not any(right.capacity == Who.LEADS for right in rights):
        rights += filter(None, [right_as_deputy(user, operation)])
    return rights


@in_one_look
def right_as_deputy(user: User, operation: Operation) -> Right | None:
    """In the place of an absent lead who could decide this; never of the one who asked for it.

    So whatever a deputy does the lead could have done: who is left to decide is counted without deputies. Nor does
    one stand in whose own approval a later level may need.
    """
    if _may_be_needed_later(user, operation):
        return None
    absences = Absence.objects.now(clock.now()).filter(team=operation.team_id, deputy=user)
    for absence in absences.select_related("lead", "given_by"):
        place = right_as(Who.LEADS, absence.lead, operation)
        if place and could_decide(absence.lead, Who.LEADS, operation) and usable([place], user, operation):
            return Right(Who.LEADS, absence.given_at, absence.given_by, absence.lead)
    return None


def _may_be_needed_later(user: User, operation: Operation) -> bool:
    number = operation.open_level
    later = [one for level in operation.plan.levels[number:] for one in level] if number else []
    return any(user.pk in one.people or (one.who == Who.ADMINS and user.is_admin) for one in later)


def usable(rights: Iterable[Right], user: User, operation: Operation) -> list[Right]:
    """Those that neither this person nor the requester gave after the request."""
    return [right for right in rights if not _why_late(right, user, operation)]


def usable_rights(user: User, operation: Operation) -> list[Right]:
    """All by which this person decides now."""
    return usable(rights_of(user, operation), user, operation)


@in_one_look
def can_answer(user: User, operation: Operation) -> bool:
    """Whether this person is asked, by a right that counts, and has not answered; not whether it can be decided now."""
    is_free = not _why_own(user, operation) and not _has_answered(user, operation)
    return is_free and bool(usable_rights(user, operation))


@in_one_look
def could_decide(user: User, who: str, operation: Operation) -> bool:
    """Whether this person could be one of these who decide about this, were they asked."""
    right = None if _why_own(user, operation) else right_as(who, user, operation)
    return right is not None and bool(usable([right], user, operation)) and not _has_answered(user, operation)


def was_asked(user: User, operation: Operation) -> bool:
    """Whether this person was asked about it at any time: they come late, and do not try what was never theirs."""
    told = [event.data for event in operation.events.all()]
    could = {one["person"] for data in told for one in data.get("could_decide", ())}
    asked = {one["person"] for data in told for one in data.get("told", ()) if one["of"] in TO_DECIDE}
    return user.pk in could | asked and not _why_own(user, operation)


def _has_answered(user: User, operation: Operation) -> bool:
    """Whether this person, by any account of theirs or by a deputy, has decided about the request as it is now."""
    since = Since.of(operation)
    return any(
        made.by_key == user.lasting_key
        or made.stands_for_id == user.pk
        or made.by_email.lower() in since.addresses(user)
        for made in since.answers
    )


@in_one_look
def requirements_on(user: User, operation: Operation) -> list[Requirement]:
    """What is asked of this person's approval now: each requirement that it would count for.

    Of whoever decides in the place of others, what is asked of those.
    """
    rights = usable_rights(user, operation)
    words = {right.capacity for right in rights}
    asked = _level(operation) if operation.open_level else []
    own = [one for one in asked if one.who in words and (one.who != Who.PEOPLE or user.pk in one.people)]
    return asked if any(right.is_instead for right in rights) else own or asked


def _level(operation: Operation) -> list[Requirement]:
    """What is asked on the level that is decided now; of what is decided, on the last one."""
    levels = operation.plan.levels
    return levels[operation.open_level - 1] if levels else []


def has_to_comment(user: User, operation: Operation) -> bool:
    return any(one.comment for one in requirements_on(user, operation))


def has_to_sign_in(user: User, operation: Operation, *, bypasses: bool = False) -> bool:
    """Whether a rule asks this person, or any of those whose approval they bypass, for a sign-in of a moment ago."""
    everybody = [one for level in operation.plan.levels for one in level]
    return any(one.sign_in for one in (everybody if bypasses else requirements_on(user, operation)))


def asked_in_words(operation: Operation) -> str:
    """Who may decide now: leads of Bridge team and Ines Duarte."""
    asked = operation.asked.split()
    words = [f"leads of {isolated(operation.team.name)}"] if Who.LEADS in asked else []
    words += ["administrators"] if Who.ADMINS in asked else []
    words += [isolated(one.name) for one in User.objects.filter(pk__in=[word for word in asked if word.isdecimal()])]
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else words[0] if words else "nobody"


def _why_own(user: User, operation: Operation) -> str:
    if user.pk == operation.requested_by_id or user.lasting_key == operation.requester_key:
        return "You requested this yourself. Somebody else has to decide."
    since = Since.of(operation)
    if shared := sorted(since.addresses(user) & since.requester_addresses):
        return f"This was requested from another account with your address {shared[0]}. Somebody else has to decide."
    return ""


def _why_again(user: User, operation: Operation) -> str:
    is_open = operation.state == State.AWAITING_APPROVAL
    return (
        "You have decided about this already. Somebody else has to."
        if is_open and _has_answered(user, operation)
        else ""
    )


def _why_void(operation: Operation) -> str:
    if not operation.requested_by.is_active:
        requester = isolated(operation.requested_by_name)
        return f"The account of {requester} is closed, so this is not sent. Nobody has to decide."
    if Team.looking_after(operation.deciding_itwin_id).pk != operation.team_id:
        return f"{isolated(operation.team.name)} no longer looks after this iTwin. Reload the page."
    return ""


def _why_late(right: Right, user: User, operation: Operation) -> str:
    """Why this right does not count here: it came after the request, from the person or from the requester."""
    since = Since.of(operation)
    for giver in _givers(right, user, since):
        if giver == user or since.addresses(giver) & since.addresses(user):
            return "You gave yourself this right after it was requested. Somebody else has to decide."
        if giver == operation.requested_by or since.addresses(giver) & since.requester_addresses:
            return "The requester gave you this right after requesting it. Somebody else has to decide."
    return ""


def _givers(right: Right, user: User, since: Since) -> Iterator[User]:
    """Whose doing it is, since the request, that this person can decide by this right."""
    if right.given_by and right.given_at and right.given_at > since.operation.created_at:
        yield right.given_by
    changes = [one for one in since.of_verbs(Verb.ACCOUNT_OPENED) if one.data.get("person") == user.pk][-1:]
    if right.capacity == Who.LEADS:
        changes += since.of_verbs(Verb.REASSIGNED)[-1:]
    if right.capacity == Who.PEOPLE:
        changes += _namings(user, since.operation)
    if right.is_instead:
        changes += _losses(since)
    yield from (change.actor for change in changes if change.actor)


def _losses(since: Since) -> list[Event]:
    """By what others can decide no more, so that administrators do in their place: all of it, not the last alone."""
    plan, team = since.operation.plan, since.operation.team
    names = {team.name}
    for renamed in reversed(since.of_verbs(Verb.TEAM_RENAMED)):
        names |= {renamed.data["before"]} if renamed.data["after"] in names else set()
    demoted = since.of_verbs(Verb.ROLE_REMOVED, Verb.ROLE_CHANGED)
    left = [one for one in demoted if one.data.get("before") == Membership.Role.LEAD and one.team_name in names]
    people = {*plan.named, *team.membership_set.filter(role=Membership.Role.LEAD).values_list("user", flat=True)}
    people |= {one.data.get("person") for one in left}
    if any(one.who == Who.ADMINS for level in plan.levels for one in level):
        left += since.of_verbs(Verb.ADMIN_REMOVED)
        people |= set(User.objects.filter(is_staff=True).values_list("pk", flat=True))
    closed = [one for one in since.of_verbs(Verb.ACCOUNT_CLOSED) if one.data.get("person") in people - {None}]
    return [*left, *closed, *since.of_verbs(Verb.REASSIGNED)]


def _namings(user: User, operation: Operation) -> Iterator[Event]:
    """What named this person in a rule after the request, which an edit has made hold for it since."""
    changes = Event.objects.filter(verb__in=[Verb.RULE_MADE, Verb.RULE_CHANGED]).select_related("actor")
    for match in operation.plan.matches:
        of_rule = changes.filter(data__rule=match.rule.id, data__version__lte=match.rule.version).order_by("pk")
        before: list[int] = []
        for change in of_rule:
            named = change.data["named"]
            if change.at > operation.created_at and user.pk in named and user.pk not in before:
                yield change
            before = named


def is_same_person(one: User, other: User) -> bool:
    """Two accounts with one verified address are one person."""
    return one.pk == other.pk or bool(one.email and one.email.lower() == other.email.lower())
