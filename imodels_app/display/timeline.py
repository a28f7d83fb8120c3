"""History in plain sentences: what each event says on an operation's page and in the audit. No queries."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from imodels_app.display import formats, status, status_table
from imodels_app.display.identity import Identity, of_actor
from imodels_app.models import Event, Operation
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import State, Verb, WaitReason

# verb -> badge, tone, icon.
VERBS: dict[str, tuple[str, str, str]] = {
    Verb.REQUESTED: ("Requested", "", "user"),
    Verb.APPROVED: ("Approved", "good", "st-approval"),
    Verb.AGREED: ("Agreed", "good", "st-approval"),
    Verb.REJECTED: ("Rejected", "", "st-rejected"),
    Verb.CHANGES_REQUESTED: ("Changes requested", "ask", "st-approval"),
    Verb.EDITED: ("Changed", "", "user"),
    Verb.BYPASSED: ("Approval bypassed", "bad", "warning"),
    Verb.APPROVAL_LAPSED: ("Approval lapsed", "ask", "st-expired"),
    Verb.ADMINS_ASKED: ("Administrators asked", "ask", "user"),
    Verb.REMINDED: ("Reminded", "", "st-approval"),
    Verb.ESCALATED: ("Administrators told", "ask", "user"),
    Verb.DEPUTY_ASKED: ("Deputy asked", "ask", "user"),
    Verb.ALSO_ASKED: ("Also asked", "ask", "user"),
    Verb.COMMENTED: ("Comment", "", "user"),
    Verb.START_SET: ("Start changed", "", "st-queued"),
    Verb.CANCELLED: ("Cancelled", "", "st-cancelled"),
    Verb.EXPIRED: ("Expired", "", "st-expired"),
    Verb.RESUMED: ("Resumed", "", "st-signin"),
    Verb.CLAIMED: ("Sent", "move", "st-submitting"),
    Verb.POSTPONED: ("Queued", "", "st-queued"),
    Verb.CALLED: ("Platform called", "", "history"),
    Verb.ACCEPTED: ("Running", "move", "st-running"),
    Verb.FILE_SENT: ("File sent", "move", "st-uploading"),
    Verb.FILE_MISSING: ("Not seen yet", "move", "search"),
    Verb.UPLOAD_RESTARTED: ("Sent again", "move", "st-uploading"),
    Verb.LINK_REFUSED: ("Link refused", "move", "search"),
    Verb.LINK_RENEWED: ("New upload link", "move", "st-uploading"),
    Verb.COMPLETED: ("Running", "move", "st-running"),
    Verb.PLATFORM_STATE: ("Running", "move", "st-running"),
    Verb.UNKNOWN_STATE: ("Unknown state", "ask", "warning"),
    Verb.USABLE: ("Usable now", "good", "st-usable"),
    Verb.SUCCEEDED: ("Succeeded", "good", "st-succeeded"),
    Verb.FAILED: ("Failed", "bad", "st-failed"),
    Verb.ORPHAN_DELETION_REQUESTED: ("Deletion requested", "", "trash"),
    Verb.ORPHAN_DELETION_WAITING: ("Deletion waits", "", "st-queued"),
    Verb.ORPHAN_DELETION_REFUSED: ("Not deleted", "bad", "st-failed"),
    Verb.ORPHAN_USABLE: ("Not deleted", "ask", "warning"),
    Verb.ORPHAN_DELETED: ("Orphaned iModel deleted", "good", "trash"),
    Verb.ORPHAN_GONE: ("Orphaned iModel already gone", "", "trash"),
    Verb.EXPORTED: ("Exported", "", "download"),
    Verb.CONFIGURED: ("Configured anew", "", "history"),
    Verb.PRESET_SAVED: ("Preset saved", "", "history"),
    Verb.PRESET_CHANGED: ("Preset changed", "", "history"),
    Verb.PRESET_DELETED: ("Preset deleted", "", "trash"),
    Verb.HEAD_SENT: ("Head made", "", "lock"),
    Verb.SIGNED_IN: ("Signed in", "", "user"),
    Verb.SIGNED_OUT: ("Signed out", "", "user"),
    Verb.REASSIGNED: ("Another team decides", "", "user"),
    Verb.NAME_CHANGED: ("Name changed", "ask", "user"),
    Verb.ADDRESS_CHANGED: ("E-mail address changed", "", "user"),
    Verb.ADMIN_GIVEN: ("Made an administrator", "ask", "user"),
    Verb.ADMIN_REMOVED: ("No longer an administrator", "", "user"),
    Verb.ACCOUNT_OPENED: ("Account opened", "", "user"),
    Verb.ACCOUNT_CLOSED: ("Account closed", "", "lock"),
    Verb.PERSON_FORGOTTEN: ("Personal data removed", "", "trash"),
    Verb.ADDRESSES_DROPPED: ("Addresses dropped", "", "trash"),
    Verb.TEAM_MADE: ("Team made", "", "user"),
    Verb.TEAM_RENAMED: ("Team renamed", "", "user"),
    Verb.TEAM_DELETED: ("Team deleted", "", "trash"),
    Verb.DAYS_CHANGED: ("Days to decide changed", "", "user"),
    Verb.ROLE_GIVEN: ("Role given", "", "user"),
    Verb.ROLE_CHANGED: ("Role changed", "ask", "user"),
    Verb.ROLE_REMOVED: ("Role removed", "", "user"),
    Verb.PLACE_TAKEN: ("Place taken", "", "user"),
    Verb.ITWIN_GIVEN: ("iTwin given", "", "user"),
    Verb.ITWIN_MOVED: ("iTwin moved", "", "user"),
    Verb.ITWIN_REMOVED: ("iTwin removed", "", "user"),
    Verb.RULE_MADE: ("Approval rule made", "ask", "user"),
    Verb.RULE_CHANGED: ("Approval rule changed", "ask", "user"),
    Verb.RULE_DELETED: ("Approval rule deleted", "", "trash"),
    Verb.DEPUTY_NAMED: ("Deputy named", "ask", "user"),
    Verb.DEPUTY_CHANGED: ("Deputy changed", "ask", "user"),
    Verb.DEPUTY_REMOVED: ("Deputy removed", "", "user"),
    Verb.WEBHOOK_SET: ("Chat set", "ask", "external"),
    Verb.WEBHOOK_CHANGED: ("Chat changed", "ask", "external"),
    Verb.WEBHOOK_REMOVED: ("Chat removed", "", "trash"),
    Verb.STREAM_MADE: ("Stream made", "ask", "external"),
    Verb.STREAM_SWITCHED: ("Stream switched", "", "external"),
    Verb.STREAM_REPLAYED: ("Stream set back", "", "external"),
    Verb.STREAM_DELETED: ("Stream deleted", "", "trash"),
    Verb.WATCH_BEGUN: ("Looking outside", "ask", "search"),
    Verb.WATCH_ENDED: ("No longer looking outside", "", "search"),
    Verb.MADE_OUTSIDE: ("Made outside", "ask", "st-succeeded"),
    Verb.RENAMED_OUTSIDE: ("Renamed outside", "ask", "history"),
    Verb.DELETED_OUTSIDE: ("Deleted outside", "bad", "trash"),
    Verb.RETURNED_OUTSIDE: ("Seen again outside", "ask", "search"),
    Verb.DECISION_REFUSED: ("Decision refused", "bad", "lock"),
    Verb.SIGN_IN_FAILED: ("Sign-in failed", "bad", "lock"),
    Verb.ACCESS_REFUSED: ("Access refused", "bad", "lock"),
    Verb.CSRF_REFUSED: ("Form refused", "bad", "lock"),
    Verb.SESSIONS_ENDED: ("Sessions ended", "", "user"),
}

_BADGES = Counter(badge for badge, _, _ in VERBS.values())

WAIT_REASONS: dict[str, str] = {
    WaitReason.SPACED: "Requests leave one after another; this one’s turn is at {until}",
    WaitReason.OWN_LIMIT: "All requests that a minute may have are sent; more from {until}",
    WaitReason.RATE_LIMIT: "The platform’s rate limit is reached (429); it allows no more until {until}",
    WaitReason.PLATFORM_DOWN: "The platform did not answer",
    WaitReason.PROVIDER_DOWN: "The sign-in service did not answer",
    WaitReason.STORAGE_DOWN: "The upload stopped",
    WaitReason.SIGN_IN: "The requester must sign in again",
    WaitReason.TOKEN: "The platform refused the access token",
    WaitReason.KEY_MISSING: "A worker lacked a key",
    WaitReason.REFUSED: "The platform refused to answer",
    WaitReason.NOT_PERMITTED: "The requester may not view it",
    WaitReason.ACCOUNT_CLOSED: "The requester’s account is closed, and nobody else may view it",
    WaitReason.SAME_NAME: "Another operation with this name comes first",
    WaitReason.LOST_ANSWER: "The answer was lost",
    WaitReason.NOBODY_DECIDES: "Nobody is left who may decide",
    WaitReason.NOT_BEFORE: "It is not to be sent before {until}",
}
FILE_SENTENCES = {
    "file_sent": "The platform’s storage has all of {file}",
    "file_missing": "The platform does not see {file} yet",
    "link_refused": "The storage did not take the upload link; it is tried again",
    "link_renewed": "The old link had expired; what was uploaded stays there",
    "completed": "The platform has {file} and is making the iModel",
}
# The note of these events is the platform's word.
PLATFORM_SAYS = {"platform_state": "Platform state:", "unknown_state": "A state that iModel Desk does not know:"}
# Whose own words the note of these events is.
QUOTED = {"requested", "agreed", "approved", "rejected", "changes_requested", "bypassed", "commented"}


@dataclass(frozen=True)
class TimelineEntry:
    """One entry of a timeline: strong words, the rest of the sentence, why, and what somebody wrote."""

    event: Event
    badge: str
    tone: str
    icon: str
    strong: str
    rest: str = ""
    why: str = ""
    quote: str = ""
    code: str = ""
    actor: Identity | None = None


def entry(event: Event, operation: Operation) -> TimelineEntry:
    """What an event says on its operation's page."""
    badge, tone, icon = _badge(event)
    strong, rest = _sentence(event, operation, badge)
    quote = event.note if event.verb in QUOTED else ""
    return TimelineEntry(
        event, badge, tone, icon, strong, rest, _why(event, operation), quote, _code(event), of_actor(event)
    )


def audit_entry(event: Event) -> TimelineEntry:
    """What an event says in the audit: the badge, as its menu has it where several events share one, and why."""
    badge, tone, icon = _badge(event)
    if event.verb in VERBS and _BADGES[VERBS[event.verb][0]] > 1:
        badge = event_name(Verb(event.verb))
    why = f"“{isolated(event.note)}”" if event.note and event.verb in QUOTED else _reason(event)
    return TimelineEntry(event, badge, tone, icon, badge, why=why, code=_code(event), actor=of_actor(event))


def who(event: Event) -> str:
    """The person, or the part that acted."""
    if event.actor_name:
        return event.actor_name
    return "platform" if event.verb in FROM_PLATFORM else "iModel Desk"


FROM_PLATFORM = {
    "accepted",
    "completed",
    "file_missing",
    "platform_state",
    "unknown_state",
    "usable",
    "succeeded",
    "failed",
    "orphan_gone",
    "orphan_usable",
}


def event_name(verb: Verb) -> str:
    """What the audit's menu calls it: as its lines do, but where several events share a badge."""
    badge = VERBS[verb][0]
    return badge if _BADGES[badge] == 1 else formats.code_text(verb)


def _badge(event: Event) -> tuple[str, str, str]:
    badge, tone, icon = VERBS.get(event.verb, (formats.code_text(event.verb), "", "history"))
    if event.verb == "failed":
        badge = status_table.FAILURES.get(event.data.get("code", ""), status_table.FAILURES[""]).badge
    if event.verb == "postponed" and event.to == State.RUNNING:
        badge, icon = "Running", "st-running"
    if event.verb == "postponed" and event.to == State.SUBMITTING:
        badge, tone, icon = "Checking", "move", "search"
    if event.to == State.UPLOADING and event.verb in ("accepted", "postponed"):
        badge, icon = "Uploading", "st-uploading"
    return badge, tone, icon


def _sentence(event: Event, operation: Operation, badge: str) -> tuple[str, str]:
    """The strong words and the rest of the sentence."""
    if event.verb == "requested":
        return event.actor_name, f"requested {a_kind(operation.kind)}"
    if event.verb in _ACTS:
        absent = event.data.get("absent")
        return event.actor_name, _ACTS[event.verb] + (f", in the place of {isolated(absent)}" if absent else "")
    if event.verb == "resumed":
        return (event.actor_name, "signed in again") if event.actor_name else ("Resumed:", event.note)
    if event.verb == "orphan_deletion_requested":
        return event.actor_name, "requested deletion of the orphaned iModel"
    if event.verb == "orphan_deleted":
        return badge, f"with {_owner(event.actor_name)} own permissions"
    if event.verb == "start_set":
        at = event.data.get("not_before")
        when = formats.history_time(datetime.fromisoformat(at), event.at) if at else ""
        return event.actor_name, f"set it to be sent no earlier than {when}" if when else "lets it be sent at once"
    if event.verb == "platform_state":
        return "The platform says", ""
    if event.verb == "claimed":
        return badge, f"with {_owner(operation.requested_by_name)} own permissions"
    if event.verb in ("succeeded", "failed") and operation.accepted_at:
        return badge, f"after {formats.lasted(event.at - operation.accepted_at)}"
    return badge, ""


_ACTS = {
    "agreed": "approved; more people have to agree",
    "approved": "approved",
    "rejected": "rejected",
    "changes_requested": "asked for changes",
    "edited": "changed the request, so it has to be approved anew",
    "bypassed": "bypassed the approval as an administrator",
    "cancelled": "cancelled",
    "commented": "wrote",
}


def _why(event: Event, operation: Operation) -> str:
    if event.verb == "requested" and operation.plan.asks_people:
        days = operation.plan.decide_days(operation.team.approval_days)
        return f"{isolated(event.team_name)} must decide within {days} days"
    if event.verb == "accepted":
        return f"The platform accepted the request. New iModel {formats.short_id(operation.imodel_id)}." + _note(event)
    if event.verb in FILE_SENTENCES:
        return FILE_SENTENCES[event.verb].format(file=isolated(operation.file_name) or "The file")
    return "" if event.verb in QUOTED | {"platform_state", "resumed"} else _reason(event)


def _reason(event: Event) -> str:
    """Why it waits, and what was noted; nothing for what the code says already."""
    if event.verb in PLATFORM_SAYS:
        return PLATFORM_SAYS[event.verb]
    said = [why_it_waits(event), event.note]
    return ". ".join(dict.fromkeys(_as_sentence(part) for part in said if part))


def why_it_waits(event: Event) -> str:
    """The reason of a wait as a sentence; an older line does not say until when."""
    until = event.data.get("until")
    words = formats.history_time(datetime.fromisoformat(until), event.at) if until else "its limit allows it"
    return WAIT_REASONS.get(event.data.get("wait", ""), "").format(until=words)


def _as_sentence(note: str) -> str:
    """A note as a sentence begins, without its full stop. Addresses and ids stay as they are."""
    text = note.strip().rstrip(".")
    first = text.partition(" ")[0].rstrip(":,")
    return text[:1].upper() + text[1:] if first.isalpha() else text


def _note(event: Event) -> str:
    return f" {_as_sentence(event.note)}." if event.note else ""


def _code(event: Event) -> str:
    """A word of the platform's own, shown as it is."""
    return event.note if event.verb in PLATFORM_SAYS else str(event.data.get("code", ""))


def _owner(name: str) -> str:
    return f"{isolated(formats.first_name(name))}’s"


def a_kind(kind: str) -> str:
    word = status.kind_label(kind).lower()
    return {
        "empty": "an empty iModel",
        "template": "an iModel from a template",
        "baseline": "an iModel from a file",
    }.get(kind, f"a {word}")
