"""Who may decide, cancel and audit. Rights on the platform are the platform's own to judge."""

from collections.abc import Iterable, Iterator, Set
from datetime import datetime
from typing import NamedTuple

from django.db.models import Q

from imodels_app.approvals.plan import Requirement
from imodels_app.models import Absence, ApprovalRule, Event, Membership, Operation, Preset, Team, User, Webhook
from imodels_app.runtime import clock
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import CANCELLABLE, NO_LONGER_THERE, UNDECIDED, Kind, OrphanState, State, Verb, Who


class Denied(Exception):
    """This person may not do this. Its text is the reason, fit to be shown."""


def require(reason: str) -> None:
    """Go on if `reason` is empty, else raise Denied with it."""
    if reason:
        raise Denied(reason)


def why_not_decide(user: User, operation: Operation) -> str:
    """Why this person may not approve, reject or ask for changes now; empty when they may.

    The requester never may, whatever else they are: lead, admin or superuser, or another account with their address.
    """
    if why := _why_own(user, operation) or _why_void(operation):
        return why
    if why := _why_again(user, operation):
        return why
    rights = rights_of(user, operation)
    if not rights:
        return f"Only {asked_in_words(operation)} can decide this."
    return "" if usable(rights, user, operation) else _why_late(rights[0], user, operation)


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
    """

    capacity: Who
    given_at: datetime | None = None
    given_by: User | None = None
    stands_for: User | None = None


def right_as(who: str, user: User, operation: Operation) -> Right | None:
    """By what this person is one of these, whether asked or not. Who is named is named by a rule of before."""
    if who == Who.ADMINS:
        return Right(Who.ADMINS, user.admin_given_at, user.admin_given_by) if user.is_admin else None
    if who == Who.PEOPLE:
        return Right(Who.PEOPLE) if user.is_active else None
    places = Membership.objects.filter(user=user, user__is_active=True, role=Membership.Role.LEAD)
    place = places.filter(team=operation.team_id).select_related("given_by").first()
    return Right(Who.LEADS, place.given_at, place.given_by) if place else None


def rights_of(user: User, operation: Operation) -> list[Right]:
    """By what this person is asked to decide now, be it in time or not."""
    asked = operation.asked.split()
    asked_as = [who for who in (Who.LEADS, Who.ADMINS) if who in asked]
    asked_as += [Who.PEOPLE] if str(user.pk) in asked else []
    rights = [right for who in asked_as if (right := right_as(who, user, operation))]
    if Who.LEADS in asked_as and not any(right.capacity == Who.LEADS for right in rights):
        rights += filter(None, [right_as_deputy(user, operation)])
    return rights


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
    later = [one for level in operation.plan.levels[operation.open_level :] for one in level]
    return any(user.pk in one.people or (one.who == Who.ADMINS and user.is_admin) for one in later)


def usable(rights: Iterable[Right], user: User, operation: Operation) -> list[Right]:
    """Those that neither this person nor the requester gave after the request."""
    return [right for right in rights if not _why_late(right, user, operation)]


def usable_rights(user: User, operation: Operation) -> list[Right]:
    """All by which this person decides now."""
    return usable(rights_of(user, operation), user, operation)


def could_decide(user: User, who: str, operation: Operation) -> bool:
    """Whether this person could be one of these who decide about this, were they asked."""
    right = None if _why_own(user, operation) else right_as(who, user, operation)
    return right is not None and bool(usable([right], user, operation)) and not _has_answered(user, operation)


def _has_answered(user: User, operation: Operation) -> bool:
    """Whether this person, by any account of theirs or by a deputy, has decided about the request as it is now."""
    return any(
        made.by_key == user.lasting_key
        or made.stands_for_id == user.pk
        or (user.email and made.by_email.lower() == user.email.lower())
        for made in operation.decisions.filter(request_hash=operation.request_hash)
    )


def requirements_on(user: User, operation: Operation) -> list[Requirement]:
    """What is asked of this person's approval now: each requirement that it would count for.

    Of whoever decides in the place of others, what is asked of those.
    """
    words = {right.capacity for right in usable_rights(user, operation)}
    number = operation.open_level
    asked = [one.requirement for one in operation.levels[number - 1]] if number else []
    own = [one for one in asked if one.who in words and (one.who != Who.PEOPLE or user.pk in one.people)]
    return own or asked


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
    if user.email and user.email.lower() in _requester_addresses(operation):
        return f"This was requested from another account with your address {user.email}. Somebody else has to decide."
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
    is_late = right.given_at is not None and right.given_at > operation.created_at
    givers = [right.given_by if is_late else None]
    changes = [Event.objects.filter(verb=Verb.ACCOUNT_OPENED, at__gt=operation.created_at, data__person=user.pk)]
    if right.capacity == Who.LEADS:
        changes.append(operation.events.filter(verb=Verb.REASSIGNED))
    if right.capacity == Who.ADMINS and operation.is_asked_of_admins_instead:
        changes.append(operation.events.filter(verb=Verb.ADMINS_ASKED))
    givers += [change.actor for rows in changes if (change := rows.select_related("actor").last())]
    if right.capacity == Who.PEOPLE:
        givers += [change.actor for change in _namings(user, operation)]
    for giver in filter(None, givers):
        if is_same_person(giver, user):
            return "You gave yourself this right after it was requested. Somebody else has to decide."
        if giver.email.lower() in _requester_addresses(operation) or is_same_person(giver, operation.requested_by):
            return "The requester gave you this right after requesting it. Somebody else has to decide."
    return ""


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


def _requester_addresses(operation: Operation) -> set[str]:
    """The requester's verified address, as it was then and as it is now."""
    return {one.lower() for one in (operation.requester_email, operation.requested_by.email) if one}


def followers(operation: Operation) -> list[User]:
    """Who may look how far an operation is when its requester is gone: leads of its team, then admins."""
    return [*operation.team.leads(), *User.objects.filter(is_staff=True, is_active=True)]


def why_not_cancel(user: User, operation: Operation) -> str:
    """Why this person may not call this operation off; empty when they may."""
    if operation.state not in CANCELLABLE:
        return f"The platform cannot stop {_a_kind(operation)}." if not operation.is_finished else "It has ended."
    if operation.requested_by_id != user.pk and not user.is_admin:
        return f"Only {isolated(operation.requested_by_name)} can cancel this."
    return ""


def why_not_edit(user: User, operation: Operation) -> str:
    """Why this person may not change what this request asks for; empty when they may."""
    if operation.requested_by_id != user.pk:
        return f"Only {isolated(operation.requested_by_name)} can change this."
    return "" if operation.state in UNDECIDED else "It is decided, so it can no longer be changed."


def why_not_manage(user: User, rule: ApprovalRule) -> str:
    """Why this person may not make or change this rule; empty when they may."""
    if user.is_admin or (rule.team_id in teams_led_by(user) and user.is_active):
        return ""
    whose = f"leads of {isolated(rule.team)} and administrators" if rule.team else "administrators"
    return f"Only {whose} can change this rule."


def why_not_name_deputy(user: User, absence: Absence) -> str:
    """Why this person may not name who decides in the place of this lead, or end it; empty when they may."""
    if not user.is_active or not (user.is_admin or user.pk == absence.lead_id):
        return f"Only {isolated(absence.lead.name)} and administrators can do this."
    if is_same_person(absence.lead, absence.deputy):
        return "Nobody stands in for themselves."
    places = Membership.objects.filter(team=absence.team_id)
    if not places.filter(user=absence.lead, role=Membership.Role.LEAD).exists():
        return f"{isolated(absence.lead.name)} is no lead of {isolated(absence.team)}."
    if not places.filter(user=absence.deputy, user__is_active=True).exists():
        return f"{isolated(absence.deputy.name)} is not in {isolated(absence.team)}."
    return ""


def why_not_set_chat(user: User, webhook: Webhook) -> str:
    """Why this person may not say where a team's messages go; empty when they may."""
    return "" if user.is_admin else f"Only administrators can say where messages about {isolated(webhook.team)} go."


def why_not_start(user: User, operation: Operation) -> str:
    """Why this person may not say when this may be sent at the earliest; empty when they may: requester or approver."""
    if operation.state not in CANCELLABLE:
        return "It has been sent, or has ended."
    if operation.requested_by_id == user.pk:
        return ""
    is_decided = operation.state != State.AWAITING_APPROVAL
    return "Only the requester can change this now." if is_decided else why_not_decide(user, operation)


def why_not_change(user: User, preset: Preset) -> str:
    """Why this person may not rename or delete this preset; empty when they may."""
    if preset.owner_id == user.pk:
        return ""
    if preset.team and Membership.objects.filter(user=user, team=preset.team, role=Membership.Role.LEAD).exists():
        return ""
    leads = f" and leads of {isolated(preset.team)}" if preset.team else ""
    return f"Only {isolated(preset.owner.name)}{leads} can change this."


def why_not_delete_preset(user: User, preset: Preset) -> str:
    """As why_not_change; and administrators may, for owners leave."""
    return "" if user.is_admin else why_not_change(user, preset)


def why_not_share(user: User, team: Team | None) -> str:
    """Why this person may not share a preset with this team; empty when they may, or keep it to themselves."""
    is_in = team is None or Membership.objects.filter(user=user, team=team).exists()
    return "" if is_in else f"You are not in {isolated(team)}."


def why_not_delete_orphan(user: User, operation: Operation, *, led: Set[int] | None = None) -> str:
    """Why this person may not ask for what a failure left behind to be deleted; empty when they may.

    The platform is asked with this person's own token, and has the last word.

    led: teams_led_by(user), for whoever asks about many
    """
    if not hasattr(operation, "orphan"):
        return "It left nothing on the platform."
    if operation.orphan.state == OrphanState.DELETING:
        return "It is being deleted."
    if operation.orphan.state in NO_LONGER_THERE:
        return "It is no longer there."
    if user.pk == operation.requested_by_id or user.is_admin:
        return ""
    if operation.team_id in (teams_led_by(user) if led is None else led):
        return ""
    requester, team = isolated(operation.requested_by_name), isolated(operation.team.name)
    return f"Only {requester}, leads of {team} and administrators can do this."


def why_not_watch(user: User, team: Team) -> str:
    """Why this person may not let their token be used to look for what is made outside; empty when they may."""
    is_lead = user.is_active and team.pk in teams_led_by(user)
    return "" if is_lead else f"Only leads of {isolated(team.name)} can do this."


def teams_led_by(user: User) -> set[int]:
    return set(user.membership_set.filter(role=Membership.Role.LEAD).values_list("team", flat=True))


def may_audit(user: User) -> bool:
    return user.is_admin


def may_administer(user: User) -> bool:
    """Whether this person may set up teams, people and their rights."""
    return user.is_admin


def why_not_demote(by: User | None, user: User) -> str:
    """Why `by` may not close this account, or take an administrator's rights from it; empty when they may.

    Nobody shuts themselves out, so there is always an administrator left.
    """
    return (
        "This is your own account: only another administrator can close it, or change its rights." if by == user else ""
    )


def why_not_delete_team(team: Team) -> str:
    """Why this team cannot be deleted; empty when it can."""
    if team.is_default:
        return "The default team cannot be deleted: it looks after what no other team does."
    if team.operations.exists():
        return (
            "Operations were requested in its care, and the record needs it. Take its iTwins and people away instead."
        )
    return ""


def _a_kind(operation: Operation) -> str:
    if operation.kind == Kind.TEMPLATE:
        return "an iModel from a template"
    if operation.kind == Kind.BASELINE:
        return "an iModel from a file"
    word = operation.get_kind_display().lower()
    return f"an {word} iModel" if word == "empty" else f"a {word}"
