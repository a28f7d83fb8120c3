"""History in plain sentences: what each event says on an operation's page and in the audit. No queries."""

from dataclasses import dataclass

from imodels_app.display import formats, status, status_table
from imodels_app.models import Event, Operation
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import Kind, State, WaitReason

# verb -> badge, tone, icon.
VERBS: dict[str, tuple[str, str, str]] = {
    "requested": ("Requested", "", "user"),
    "approved": ("Approved", "good", "st-approval"),
    "rejected": ("Rejected", "", "st-rejected"),
    "cancelled": ("Cancelled", "", "st-cancelled"),
    "expired": ("Expired", "", "st-expired"),
    "resumed": ("Resumed", "", "st-signin"),
    "claimed": ("Sent", "move", "st-submitting"),
    "postponed": ("Queued", "", "st-queued"),
    "accepted": ("Running", "move", "st-running"),
    "file_sent": ("File sent", "move", "st-uploading"),
    "file_missing": ("Not seen yet", "move", "search"),
    "upload_restarted": ("Sent again", "move", "st-uploading"),
    "link_renewed": ("New upload link", "move", "st-uploading"),
    "completed": ("Running", "move", "st-running"),
    "platform_state": ("Running", "move", "st-running"),
    "usable": ("Usable now", "good", "st-usable"),
    "succeeded": ("Succeeded", "good", "st-succeeded"),
    "failed": ("Failed", "bad", "st-failed"),
    "orphan_deletion_requested": ("Deletion requested", "", "trash"),
    "orphan_deletion_waiting": ("Deletion waits", "", "st-queued"),
    "orphan_deletion_refused": ("Not deleted", "bad", "st-failed"),
    "orphan_usable": ("Not deleted", "ask", "warning"),
    "orphan_deleted": ("Orphaned iModel deleted", "good", "trash"),
    "orphan_gone": ("Orphaned iModel already gone", "", "trash"),
    "exported": ("Exported", "", "download"),
    "signed_in": ("Signed in", "", "user"),
    "signed_out": ("Signed out", "", "user"),
}

WAIT_REASONS: dict[str, str] = {
    WaitReason.RATE_LIMIT: "This minute’s rate limit is used up",
    WaitReason.PLATFORM_DOWN: "The platform did not answer",
    WaitReason.PROVIDER_DOWN: "The sign-in service did not answer",
    WaitReason.STORAGE_DOWN: "The upload stopped",
    WaitReason.SIGN_IN: "The requester must sign in again",
    WaitReason.TOKEN: "The platform refused the access token",
    WaitReason.KEY_MISSING: "A worker lacked a key",
    WaitReason.NOT_PERMITTED: "The requester may not view it",
    WaitReason.SAME_NAME: "Another operation with this name comes first",
    WaitReason.LOST_ANSWER: "The answer was lost",
}
FILE_SENTENCES = {
    "file_sent": "The platform’s storage has all of {file}",
    "file_missing": "The platform does not see {file} yet",
    "link_renewed": "The old link had expired; what was uploaded stays there",
    "completed": "The platform has {file} and is making the iModel",
}
# Whose own words the note of these events is.
QUOTED = {"requested", "approved", "rejected"}


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


def entry(event: Event, operation: Operation) -> TimelineEntry:
    """What an event says on its operation's page."""
    badge, tone, icon = _badge(event)
    strong, rest = _sentence(event, operation, badge)
    quote = event.note if event.verb in QUOTED else ""
    return TimelineEntry(event, badge, tone, icon, strong, rest, _why(event, operation), quote, _code(event))


def audit_entry(event: Event) -> TimelineEntry:
    """What an event says in the audit: the badge, and why."""
    badge, tone, icon = _badge(event)
    why = f"“{isolated(event.note)}”" if event.note and event.verb in QUOTED else _reason(event)
    return TimelineEntry(event, badge, tone, icon, badge, why=why, code=_code(event))


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
    "usable",
    "succeeded",
    "failed",
    "orphan_gone",
    "orphan_usable",
}


def _badge(event: Event) -> tuple[str, str, str]:
    badge, tone, icon = VERBS.get(event.verb, (event.verb.replace("_", " ").capitalize(), "", "history"))
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
    if event.verb in ("approved", "rejected", "cancelled"):
        return event.actor_name, event.verb
    if event.verb == "resumed":
        return (event.actor_name, "signed in again") if event.actor_name else ("Resumed:", event.note)
    if event.verb == "orphan_deletion_requested":
        return event.actor_name, "requested deletion of the orphaned iModel"
    if event.verb == "orphan_deleted":
        return badge, f"with {_owner(event.actor_name)} own permissions"
    if event.verb == "platform_state":
        return "The platform says", ""
    if event.verb == "claimed":
        return badge, f"with {_owner(operation.requested_by_name)} own permissions"
    if event.verb in ("succeeded", "failed") and operation.accepted_at:
        return badge, f"after {formats.lasted(event.at - operation.accepted_at)}"
    return badge, ""


def _why(event: Event, operation: Operation) -> str:
    if event.verb == "requested" and operation.kind == Kind.FORK:
        days = operation.team.approval_days
        return f"{isolated(event.team_name)} must decide within {days} days"
    if event.verb == "accepted":
        return f"The platform accepted the request. New iModel {formats.short_id(operation.imodel_id)}." + _note(event)
    if event.verb in FILE_SENTENCES:
        return FILE_SENTENCES[event.verb].format(file=isolated(operation.file_name) or "The file")
    return "" if event.verb in QUOTED | {"platform_state", "resumed"} else _reason(event)


def _reason(event: Event) -> str:
    """Why it waits, and what was noted; nothing for what the code says already."""
    if event.verb == "platform_state":
        return "Platform state:"
    said = [WAIT_REASONS.get(event.data.get("wait", ""), ""), event.note]
    return ". ".join(dict.fromkeys(_as_sentence(part) for part in said if part))


def _as_sentence(note: str) -> str:
    """A note as a sentence begins, without its full stop."""
    text = note.strip().rstrip(".")
    return text[:1].upper() + text[1:]


def _note(event: Event) -> str:
    return f" {_as_sentence(event.note)}." if event.note else ""


def _code(event: Event) -> str:
    """A word of the platform's own, shown as it is."""
    return event.note if event.verb == "platform_state" else str(event.data.get("code", ""))


def _owner(name: str) -> str:
    return f"{isolated(formats.first_name(name))}’s"


def a_kind(kind: str) -> str:
    word = status.kind_label(kind).lower()
    return {
        "empty": "an empty iModel",
        "template": "an iModel from a template",
        "baseline": "an iModel from a file",
    }.get(kind, f"a {word}")
