"""Who may decide, cancel and audit. Rights on the platform are the platform's own to judge."""

from collections.abc import Set

from imodels_app.models import Membership, Operation, Preset, Team, User
from imodels_app.states import CANCELLABLE, NO_LONGER_THERE, Kind, OrphanState, Verb


class Denied(Exception):
    """This person may not do this. Its text is the reason, fit to be shown."""


def require(reason: str) -> None:
    """Go on if `reason` is empty, else raise Denied with it."""
    if reason:
        raise Denied(reason)


def why_not_decide(user: User, operation: Operation, *, lock: bool = False) -> str:
    """Why this person may not approve or reject this request; empty when they may.

    The requester never may, whatever else they are: lead, admin or superuser, or another account with their address.

    lock  the place that the right comes from: until this transaction ends, nobody takes it away
    """
    if user.pk == operation.requested_by_id or user.lasting_key == operation.requester_key:
        return "You requested this yourself. Somebody else has to decide."
    if user.email and user.email.lower() in _requester_addresses(operation):
        return f"This was requested from another account with your address {user.email}. Somebody else has to decide."
    if not operation.requested_by.is_active:
        return f"The account of {operation.requested_by_name} is closed, so this is not sent. Nobody has to decide."
    if operation.source_itwin_id and Team.looking_after(operation.source_itwin_id).pk != operation.team_id:
        return f"{operation.team.name} no longer looks after this iTwin. Reload the page."
    places = Membership.objects.filter(user=user, user__is_active=True, role=Membership.Role.LEAD)
    # Not its key: notifications and events that name the person are written meanwhile.
    places = places.select_for_update(no_key=True) if lock else places
    place = places.filter(team=operation.team_id).first()
    if place is None:
        return f"Only leads of {operation.team.name} can decide this."
    return _why_no_right(user, operation, place)


def _why_no_right(user: User, operation: Operation, place: Membership) -> str:
    """Why this lead has no right to decide this: it came after the request, from themself or from the requester."""
    moved = operation.events.filter(verb=Verb.REASSIGNED).select_related("actor").last()
    is_late = place.given_at is not None and place.given_at > operation.created_at
    givers = [place.given_by if is_late else None, moved.actor if moved else None]
    for giver in filter(None, givers):
        if is_same_person(giver, user):
            return "You gave yourself this right after it was requested. Somebody else has to decide."
        if giver.email.lower() in _requester_addresses(operation) or is_same_person(giver, operation.requested_by):
            return "The requester gave you this right after requesting it. Somebody else has to decide."
    return ""


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
        return f"Only {operation.requested_by_name} can cancel this."
    return ""


def why_not_change(user: User, preset: Preset) -> str:
    """Why this person may not rename or delete this preset; empty when they may."""
    if preset.owner_id == user.pk:
        return ""
    if preset.team and Membership.objects.filter(user=user, team=preset.team, role=Membership.Role.LEAD).exists():
        return ""
    return f"Only {preset.owner.name}" + (f" and leads of {preset.team}" if preset.team else "") + " can change this."


def why_not_share(user: User, team: Team | None) -> str:
    """Why this person may not share a preset with this team; empty when they may, or keep it to themselves."""
    is_in = team is None or Membership.objects.filter(user=user, team=team).exists()
    return "" if is_in else f"You are not in {team}."


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
    return f"Only {operation.requested_by_name}, leads of {operation.team.name} and administrators can do this."


def teams_led_by(user: User) -> set[int]:
    return set(user.membership_set.filter(role=Membership.Role.LEAD).values_list("team", flat=True))


def may_audit(user: User) -> bool:
    return user.is_admin


def _a_kind(operation: Operation) -> str:
    if operation.kind == Kind.TEMPLATE:
        return "an iModel from a template"
    if operation.kind == Kind.BASELINE:
        return "an iModel from a file"
    word = operation.get_kind_display().lower()
    return f"an {word} iModel" if word == "empty" else f"a {word}"
