"""Who is told of a change of an operation, and as what. One person hears of one change once."""

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Q, QuerySet

from imodels_app import eligibility
from imodels_app.models import Absence, Membership, Notification, Operation, TokenSet, User
from imodels_app.runtime import clock
from imodels_app.states import FINISHED, TO_DECIDE, UNDECIDED, Kind, NotificationKind, State, Verb, WaitReason, Who

# Whoever asked for an empty iModel that is there so soon has seen it, and gets no e-mail.
STILL_LOOKING = timedelta(seconds=10)
_ABOUT_DECIDING = {*TO_DECIDE, NotificationKind.DECIDED}
Recipients = dict[User, NotificationKind]


@eligibility.in_one_look
def of(
    operation: Operation, verb: str, *, by: User | None, came_from: str, asked_before: str = "", wait: str = ""
) -> Recipients:
    """Whom to tell of an event that is about to be written; the operation is as it is after it.

    by            who did it, and needs no telling
    asked_before  the column `asked` as it was
    """
    told = _others(operation, Verb(verb), came_from, asked_before)
    if verb == Verb.START_SET and by != operation.requested_by:
        told = _as(NotificationKind.START_SET, _deciders(operation))
    told |= _requester(operation, verb, wait)
    if operation.is_finished and came_from not in FINISHED:
        # Who does without e-mails of a kind, and yet wants to be told of this one, is.
        subscribed = User.objects.filter(subscriptions__operation=operation)
        told |= {one: NotificationKind.SUBSCRIBED for one in subscribed if one not in told or one.mutes(told[one])}
    return {person: kind for person, kind in told.items() if person != by}


def reminded(operation: Operation, kind: NotificationKind) -> Recipients:
    """Whoever has to act: those who decide, or the requester who was asked for changes."""
    people = [operation.requested_by] if operation.state == State.CHANGES_REQUESTED else asked(operation)
    return _as(kind, people)


@eligibility.in_one_look
def asked(operation: Operation, words: Iterable[str] | None = None) -> QuerySet[User]:
    """Those who are asked to decide, may, and have not: all, or as these words of the column `asked` say."""
    people = _candidates(operation, words)
    return User.objects.filter(pk__in=[one.pk for one in people if eligibility.can_answer(one, operation)])


def is_asked(person: User, operation: Operation) -> bool:
    """Whether this person is one of those."""
    return eligibility.can_answer(person, operation) and _candidates(operation).filter(pk=person.pk).exists()


def _candidates(operation: Operation, words: Iterable[str] | None = None) -> QuerySet[User]:
    """Whom the words mean. In the place of an absent lead the deputy is asked, where they may decide."""
    words = set(operation.asked.split() if words is None else words)
    found = Q(pk__in=[word for word in words if word.isdecimal()])
    deputies = _deputies(operation) if Who.LEADS in words else {}
    if Who.LEADS in words:
        leads = Q(membership__team=operation.team_id, membership__role=Membership.Role.LEAD)
        found |= (leads & ~Q(pk__in=set(deputies.values()))) | Q(pk__in=deputies)
    if Who.ADMINS in words:
        found |= Q(is_staff=True)
    return User.objects.filter(found, is_active=True).distinct()


@eligibility.in_one_look
def _deputies(operation: Operation) -> dict[int, int]:
    """Who is asked in the place of an absent lead: deputy and lead, by id. Another lead, until they have answered."""
    away = Absence.objects.now(clock.now()).filter(team=operation.team_id).select_related("deputy")
    rights = ((one, eligibility.right_as_deputy(one.deputy, operation)) for one in away)
    stand_in = [one for one, right in rights if right and right.stands_for == one.lead]
    return {one.deputy_id: one.lead_id for one in stand_in if eligibility.can_answer(one.deputy, operation)}


@eligibility.in_one_look
def unaware(operation: Operation) -> list[User]:
    """Those who are asked to decide and do not know: the last that we told them of it is something else, or nothing."""
    others = _candidates(operation).exclude(pk__in=_last_asked(operation))
    return [one for one in others if eligibility.can_answer(one, operation)]


def _last_asked(operation: Operation) -> set[int]:
    """Whom the last that we told them asks to decide: they hear that it is decided.

    Told is whom the event names, mail or none; but not whose message was dropped as no news any more.
    """
    dropped = set(operation.messages.filter(sent_at=None, due_at=None, tries=0).values_list("event", "to"))
    last: dict[int, str] = {}
    for event in operation.events.order_by("pk"):
        told = {one["person"]: one["of"] for one in event.data.get("told", ()) if one["of"] in _ABOUT_DECIDING}
        last |= {person: kind for person, kind in told.items() if (event.pk, person) not in dropped}
    return {person for person, kind in last.items() if kind in TO_DECIDE} - {operation.requested_by_id}


def wrote(operation: Operation) -> QuerySet[User]:
    """Whoever has written about it: comments, and decisions."""
    wrote = operation.events.filter(verb=Verb.COMMENTED)
    return User.objects.filter(Q(pk__in=wrote.values("actor")) | Q(pk__in=operation.decisions.values("by")))


def admins(operation: Operation) -> Recipients:
    """Those who are told that nobody has answered: not the requester, nor who is asked anyway."""
    others = User.objects.filter(is_staff=True, is_active=True).exclude(pk=operation.requested_by_id)
    return _as(NotificationKind.ESCALATED, others.exclude(pk__in=asked(operation).values("pk")))


def _others(operation: Operation, verb: Verb, came_from: str, asked_before: str) -> Recipients:
    """All but the requester."""
    if verb in (Verb.REQUESTED, Verb.REASSIGNED):
        return _as(NotificationKind.REQUESTED, asked(operation))
    if verb == Verb.AGREED:
        gone = User.objects.filter(pk__in=_last_asked(operation)).exclude(pk__in=asked(operation).values("pk"))
        return _as(NotificationKind.DECIDED, gone) | _as(NotificationKind.REQUESTED, _newly(operation, asked_before))
    if verb == Verb.ADMINS_ASKED:
        return _as(NotificationKind.REQUESTED, _newly(operation, asked_before))
    if verb == Verb.COMMENTED:
        return _as(NotificationKind.COMMENTED, wrote(operation))
    if verb == Verb.EDITED:
        again = asked(operation) if came_from == State.CHANGES_REQUESTED else _newly(operation, asked_before)
        return _as(NotificationKind.EDITED, again, _deciders(operation))
    if verb in (Verb.APPROVED, Verb.REJECTED, Verb.CHANGES_REQUESTED):
        last = User.objects.filter(pk__in=_last_asked(operation))
        return _as(NotificationKind.DECIDED, asked(operation), last, _deciders(operation))
    if verb == Verb.BYPASSED:
        return _as(NotificationKind.BYPASSED, operation.team.leads(), asked(operation), _deciders(operation))
    if verb == Verb.APPROVAL_LAPSED:
        return _as(NotificationKind.APPROVAL_LAPSED, asked(operation))
    if verb in (Verb.CANCELLED, Verb.EXPIRED, Verb.SUCCEEDED, Verb.FAILED):
        return _as(NotificationKind.ENDED, _deciders(operation), asked(operation) if came_from in UNDECIDED else ())
    return _admins_once(operation) if verb == Verb.UNKNOWN_STATE else {}


def _newly(operation: Operation, asked_before: str) -> QuerySet[User]:
    return asked(operation, set(operation.asked.split()) - set(asked_before.split()))


def _as(kind: NotificationKind, *people: Iterable[User]) -> Recipients:
    return {person: kind for some in people for person in some}


def _requester(operation: Operation, verb: str, wait: str) -> Recipients:
    person = operation.requested_by
    if wait == WaitReason.SIGN_IN:
        return {} if _was_notified(person) else {person: NotificationKind.SIGN_IN}
    if verb == Verb.CANCELLED:
        return {person: NotificationKind.ENDED}
    if verb == Verb.ACCEPTED and operation.plan.asks_people:
        return {person: NotificationKind.SENT}
    if verb == Verb.SUCCEEDED and operation.kind == Kind.EMPTY and _took(operation) < STILL_LOOKING:
        return {}
    is_told = verb in NotificationKind.values and verb not in (Verb.REQUESTED, Verb.EDITED, Verb.UNKNOWN_STATE)
    return {person: NotificationKind(verb)} if is_told else {}


def _took(operation: Operation) -> timedelta:
    """From the request to the end."""
    return (operation.finished_at or clock.now()) - operation.created_at


def _deciders(operation: Operation) -> QuerySet[User]:
    """Whoever has decided about any version of it."""
    return User.objects.filter(pk__in=operation.decisions.values("by")).exclude(pk=operation.requested_by_id)


def _admins_once(operation: Operation) -> Recipients:
    """However many operations the platform says it of, one message a word."""
    told = Notification.objects.filter(
        kind=NotificationKind.UNKNOWN_STATE, operation__platform_state=operation.platform_state
    )
    admins = User.objects.filter(is_staff=True).exclude(pk__in=told.values("to"))
    return _as(NotificationKind.UNKNOWN_STATE, admins)


def _was_notified(person: User) -> bool:
    """Whether this person was asked to sign in since their sign-in was last good: once is enough for all that waits."""
    token_set = TokenSet.objects.filter(user=person).first()
    earlier = Notification.objects.filter(to=person, kind=NotificationKind.SIGN_IN)
    if token_set:
        earlier = earlier.filter(written_at__gt=token_set.refused_since or token_set.obtained_at)
    return earlier.exists()
