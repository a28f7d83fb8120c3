"""Who is left to decide: whether the people whom rules ask for exist, for a request and for a rule.

Somebody eligible always exists: a request that nobody could decide is not accepted, and one that nobody can decide any
more is given to administrators, or ends (lifecycle.authority).
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from imodels_app.approvals.plan import INSTEAD, Need, Requirement, Standing, are_enough
from imodels_app.eligibility import Right, could_decide, in_one_look, right_as, rights_of, usable_rights, why_not_decide
from imodels_app.models import Absence, ApprovalRule, Membership, Operation, Team, User
from imodels_app.runtime import clock
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import Asks, Who

_ADMINS = Q(is_active=True, is_staff=True)
# Who could meet each requirement, by address or id: two accounts with one address are one, as is a kept place.
Found = dict[Requirement, set[int | str]]


@in_one_look
def eligible(requirement: Requirement, operation: Operation) -> list[User]:
    """Who could give one of these approvals now, and has not decided yet; accounts with one address are one person."""
    able = [one for one in _candidates(requirement, operation.team) if could_decide(one, requirement.who, operation)]
    return list({_key(one): one for one in able}.values())


def kept_places(requirement: Requirement, operation: Operation) -> list[str]:
    """The addresses of leads who have not signed in yet. Nobody decides by them now, and yet somebody can."""
    places = _places_kept(requirement, operation.team).exclude(email__iexact=operation.requester_email)
    given_late = Q(given_by=operation.requested_by_id, given_at__gt=operation.created_at)
    return list(places.exclude(given_late).values_list("email", flat=True))


@in_one_look
def admins_left(operation: Operation) -> list[User]:
    """Administrators who may decide in the place of people who have left: not those whose doing that is."""
    return [one for one in User.objects.filter(_ADMINS) if could_decide(one, INSTEAD, operation)]


@in_one_look
def deputies(operation: Operation) -> list[tuple[User, Right]]:
    """Who may decide in the place of an absent lead. They are no more people: each counts as that lead."""
    standing_in = User.objects.filter(stands_in__in=Absence.objects.now(clock.now()).filter(team=operation.team_id))
    found = [(one, right) for one in standing_in.distinct() for right in rights_of(one, operation) if right.stands_for]
    return [(one, right) for one, right in found if not why_not_decide(one, operation)]


@in_one_look
def stuck(operation: Operation) -> list[int]:
    """The open level's requirements (their places in it) for which too few people are left."""
    level = enumerate(_open(operation))
    return [at for at, standing in level if not standing.is_met and _is_stuck(standing, operation)]


@in_one_look
def asked_now(operation: Operation) -> str:
    """The column `asked`: who may decide now. Empty: nobody is asked, or nobody is left who could be."""
    asked = [one.requirement for one in _open(operation) if not one.is_met]
    words = {str(word) for one in asked for word in (one.people if one.who == Who.PEOPLE else [one.who])}
    if words and stuck(operation):
        words = words | {Who.ADMINS, INSTEAD} if admins_left(operation) else set()
    return f" {' '.join(sorted(words))} " if words else ""


@in_one_look
def why_needed_later(user: User, operation: Operation) -> str:
    """Why this person may not approve now: the next level could be met with them, and not without; "" when they may."""
    if not 0 < (number := operation.open_level) < len(operation.plan.levels):
        return ""
    absent = [right.stands_for for right in usable_rights(user, operation) if right.stands_for]
    used = {_key(one) for one in (user, *absent[:1])}  # a deputy answers for both
    later = [_need(one, operation, one.count) for one in operation.plan.levels[number]]
    now = [_lacking(one, at, operation) for at, one in enumerate(_open(operation)) if not one.is_met]
    after = [Need(one.needed - bool(used & one.able), one.able - used) for one in now]
    without = [Need(one.needed, one.able - used) for one in later]
    is_needed = are_enough(now, later) and not are_enough(after, without)
    return f"You are needed on level {number + 1}. Somebody else has to approve now." if is_needed else ""


@in_one_look
def in_full(operation: Operation) -> list[dict[str, Any]]:
    """Who could decide now, and since when and by whom, for the record.

    person  by id; None: a place is kept for somebody who has yet to sign in
    """
    level = [one.requirement for one in _open(operation)]
    asked = [(one.who, eligible(one, operation)) for one in level]
    if operation.is_asked_of_admins_instead:
        asked.append((Who.ADMINS, admins_left(operation)))
    found = {(who, person) for who, people in asked for person in people}
    record = [_as_record(who, person, operation) for who, person in sorted(found, key=lambda one: (one[0], one[1].pk))]
    record += [_as_deputy(person, right) for person, right in deputies(operation)]
    # Without their address: what the record says of people is not taken out of it again.
    return record + [{"person": None, "as": str(one.who)} for one in level for _ in kept_places(one, operation)]


@in_one_look
def why_nobody(operation: Operation) -> str:
    """Why too few people exist for what this new request needs, and whom to ask; empty when there are enough."""
    levels = operation.plan.levels
    found: Found = {one: _able(one, operation) for level in levels for one in level}
    why = _why_too_few(levels, found, operation.team)
    return why and f"{why} {whom_to_ask()}"


def why_unmeetable(rule: ApprovalRule) -> str:
    """Why nobody could ever meet this rule, in any team that it holds for; empty when somebody can."""
    if rule.asks != Asks.PEOPLE:
        return ""
    if not rule.levels:
        return "Say who has to approve."
    teams = [rule.team] if rule.team else Team.objects.all()
    reasons = [_why_unmeetable_in(team, rule) for team in teams]
    return "" if "" in reasons else reasons[0]


def why_not_in(team: Team) -> str:
    """Why nobody could approve what a rule asks of this team's requests; empty where all that is asked can be met."""
    asking = ApprovalRule.objects.holding_for(team).filter(asks=Asks.PEOPLE)
    return next(filter(None, (_why_unmeetable_in(team, rule) for rule in asking)), "")


def whom_to_ask() -> str:
    """Ask Ines Duarte to change that."""
    names = [admin.name for admin in User.objects.filter(_ADMINS)[:3]]
    return f"Ask {' or '.join(names) or 'an administrator'} to change that."


def _key(person: User) -> int | str:
    return person.email.lower() or person.pk


def _able(requirement: Requirement, operation: Operation) -> set[int | str]:
    """Who could give one of these approvals, now or once they have signed in."""
    people = {_key(one) for one in eligible(requirement, operation)}
    return people | {address.lower() for address in kept_places(requirement, operation)}


def _need(requirement: Requirement, operation: Operation, count: int) -> Need:
    return Need(count, frozenset(_able(requirement, operation)))


def _lacking(standing: Standing, at: int, operation: Operation) -> Need:
    """What this requirement of the open level still needs; one administrator, where these decide in others' place."""
    if operation.is_asked_of_admins_instead and at in stuck(operation):
        return Need(1, frozenset(map(_key, admins_left(operation))))
    return _need(standing.requirement, operation, standing.requirement.count - len(standing.agreed))


def _open(operation: Operation) -> list[Standing]:
    number = operation.open_level
    return operation.levels[number - 1] if number else []


def _as_deputy(person: User, right: Right) -> dict[str, Any]:
    record = {"person": person.pk, "name": person.name, "as": "deputy"}
    absent = right.stands_for.name if right.stands_for else ""
    return record | {"for": absent, "since": right.given_at.isoformat() if right.given_at else ""}


def _as_record(who: str, person: User, operation: Operation) -> dict[str, Any]:
    right = right_as(who, person, operation)
    record = {"person": person.pk, "name": person.name, "as": str(who)}
    if right and right.given_at:
        record |= {"since": right.given_at.isoformat(), "given_by": right.given_by.name if right.given_by else ""}
    return record


def _is_stuck(standing: Standing, operation: Operation) -> bool:
    asked = standing.requirement
    return len(standing.agreed) + len(_able(asked, operation)) < asked.count


def _candidates(requirement: Requirement, team: Team) -> QuerySet[User]:
    if requirement.who == Who.LEADS:
        return team.leads()
    return User.objects.filter(
        _ADMINS if requirement.who == Who.ADMINS else Q(is_active=True, pk__in=requirement.people)
    )


def _places_kept(requirement: Requirement, team: Team) -> QuerySet[Membership]:
    kept = Membership.objects.filter(team=team, role=Membership.Role.LEAD, user=None)
    # Whose account is closed does not sign in.
    theirs = User.objects.filter(email__iexact=OuterRef("email"))
    kept = kept.exclude(Exists(theirs.filter(is_active=False)), ~Exists(theirs.filter(is_active=True)))
    return kept if requirement.who == Who.LEADS else kept.none()


def _why_unmeetable_in(team: Team, rule: ApprovalRule) -> str:
    levels = [[one] for one in rule.as_rule().levels]
    return _why_too_few(levels, _all_of(levels, team), team)


def _all_of(levels: Sequence[Sequence[Requirement]], team: Team) -> Found:
    return {
        one: {
            *map(_key, _candidates(one, team)),
            *(address.lower() for address in _places_kept(one, team).values_list("email", flat=True)),
        }
        for level in levels
        for one in level
    }


def _why_too_few(levels: Sequence[Sequence[Requirement]], found: Found, team: Team) -> str:
    """Nobody counts on two levels, so they need enough people together, too."""
    for one in (one for level in levels for one in level):
        if len(found[one]) < one.count:
            return f"{_asks(one, team)}, and {_only(len(found[one]))}."
    if len(levels) < 2 or _suffice(levels, found):
        return ""
    pairs = (([one], [other]) for one, other in product(*levels))
    first, then = next((pair for pair in pairs if not _suffice(pair, found)), levels)
    words = [" and ".join(_people(one, team) for one in level) for level in (first, then)]
    return f"This has to be approved by {words[0]} and then {words[1]}, and they are too few people."


def _suffice(levels: Sequence[Sequence[Requirement]], found: Found) -> bool:
    first, then = ([Need(one.count, frozenset(found[one])) for one in level] for level in levels)
    return are_enough(first, then)


def _asks(one: Requirement, team: Team) -> str:
    return f"This has to be approved by {_people(one, team)}"


def _people(one: Requirement, team: Team) -> str:
    if one.who == Who.PEOPLE:
        names = [isolated(person.name) for person in User.objects.filter(pk__in=one.people)]
        return f"{one.count} of {', '.join(names) or 'nobody'}"
    several = "s" if one.count > 1 else ""
    if one.who == Who.LEADS:
        return f"{one.count} lead{several} of {isolated(team.name)}"
    return f"{one.count} administrator{several}"


def _only(count: int) -> str:
    return "nobody else can" if not count else f"only {count} can"
