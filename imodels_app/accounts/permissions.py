"""Who may cancel, change, administer and audit. Who may decide is known by `eligibility`.

Rights on the platform are the platform's own to judge.
"""

from collections.abc import Set

from imodels_app.eligibility import is_same_person, why_not_decide
from imodels_app.models import Absence, ApprovalRule, Membership, Operation, Preset, Team, User, Webhook
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import CANCELLABLE, NO_LONGER_THERE, UNDECIDED, Kind, OrphanState, State


class Denied(Exception):
    """This person may not do this. Its text is the reason, fit to be shown."""


def require(reason: str) -> None:
    """Go on if `reason` is empty, else raise Denied with it."""
    if reason:
        raise Denied(reason)


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
    """Why this person may not name who decides in the place of this lead; empty when they may."""
    if why := why_not_end_absence(user, absence):
        return why
    if is_same_person(absence.lead, absence.deputy):
        return "Nobody stands in for themselves."
    places = Membership.objects.filter(team=absence.team_id)
    if not places.filter(user=absence.lead, role=Membership.Role.LEAD).exists():
        return f"{isolated(absence.lead.name)} is no lead of {isolated(absence.team)}."
    if not places.filter(user=absence.deputy, user__is_active=True).exists():
        return f"{isolated(absence.deputy.name)} is not in {isolated(absence.team)}."
    return ""


def why_not_end_absence(user: User, absence: Absence) -> str:
    """Why this person may not end it that somebody decides in the place of this lead; empty when they may."""
    may = user.is_active and (user.is_admin or user.pk == absence.lead_id)
    return "" if may else f"Only {isolated(absence.lead.name)} and administrators can do this."


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
