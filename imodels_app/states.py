"""The words an operation's row may hold, and the edges between its states. Data: nothing here runs."""

from django.db import models


class Kind(models.TextChoices):
    """The five ways to make an iModel."""

    EMPTY = "empty", "Empty"
    TEMPLATE = "template", "Template"
    BASELINE = "baseline", "Baseline file"
    CLONE = "clone", "Clone"
    FORK = "fork", "Fork"


class State(models.TextChoices):
    """Where an operation is on its way. The platform's own word stands beside it, in `platform_state`."""

    AWAITING_APPROVAL = "awaiting_approval", "Awaiting approval"
    CHANGES_REQUESTED = "changes_requested", "Changes requested"
    QUEUED = "queued", "Queued"
    SUBMITTING = "submitting", "Submitting"
    UPLOADING = "uploading", "Uploading"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    REJECTED = "rejected", "Rejected"
    EXPIRED = "expired", "Expired"
    CANCELLED = "cancelled", "Cancelled"


class WaitReason(models.TextChoices):
    """Why an operation stands still. NONE: it does not."""

    NONE = "", "Nothing"
    SPACED = "spaced", "Sent one after another"
    OWN_LIMIT = "own_limit", "This minute's requests are sent"
    RATE_LIMIT = "rate_limit", "The platform's rate limit is reached"
    PLATFORM_DOWN = "platform_down", "Platform not answering"
    PROVIDER_DOWN = "provider_down", "Sign-in service not answering"
    STORAGE_DOWN = "storage_down", "Platform's storage not answering"
    SIGN_IN = "sign_in", "Requester must sign in again"
    TOKEN = "token", "Access token being refreshed"
    KEY_MISSING = "key_missing", "A worker lacks a key"
    NOT_PERMITTED = "not_permitted", "Requester may not view it"
    ACCOUNT_CLOSED = "account_closed", "Requester's account is closed"
    REFUSED = "refused", "Platform refused the question"
    SAME_NAME = "same_name", "Another operation with this name"
    LOST_ANSWER = "lost_answer", "The answer was lost"
    NOBODY_DECIDES = "nobody_decides", "Nobody is left who may decide"
    NOT_BEFORE = "not_before", "Not to be sent before a certain time"


# Our own pace: which of the two it is changes from request to request, and makes no event each time.
OWN_PACE = {WaitReason.SPACED, WaitReason.OWN_LIMIT}


class ChangesetSelection(models.TextChoices):
    """Up to which changeset. The platform tells absent, "" and 0 apart, and so do we."""

    LATEST = "latest", "All up to now"  # pinned: changesetIndex as seen when it was asked for
    EVERYTHING = "everything", "All, whatever is there when it runs"  # neither property is sent
    CHANGESET = "changeset", "One changeset"  # changesetId or changesetIndex
    BASELINE = "baseline", "Baseline only"  # "changesetId": ""


class OrphanState(models.TextChoices):
    """What became of the iModel that a failed operation left on the platform."""

    LEFT = "left", "Orphaned"
    DELETING = "deleting", "Deleting"
    USABLE = "usable", "Usable after all"
    DELETED = "deleted", "Deleted"
    GONE = "gone", "Already gone"


class Outcome(models.TextChoices):
    """What became of one POST. Only NOT_SENT is safe to send again without looking; UNRECORDED is never sent again."""

    PENDING = "pending", "No answer yet"
    NOT_SENT = "not_sent", "Not sent"
    REJECTED = "rejected", "Rejected"
    ACCEPTED = "accepted", "Accepted"
    UNKNOWN = "unknown", "The answer was lost"
    UNRECORDED = "unrecorded", "The answer could not be stored"


class Verdict(models.TextChoices):
    """What one person answers to one request."""

    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    CHANGES_REQUESTED = "changes_requested", "Changes requested"
    BYPASSED = "bypassed", "Bypassed"


class Asks(models.TextChoices):
    """What a rule asks of the requests that it matches. REFUSE beats PEOPLE beats LET_THROUGH."""

    LET_THROUGH = "let_through", "Let through"
    PEOPLE = "people", "Ask people"
    REFUSE = "refuse", "Refuse"


class Who(models.TextChoices):
    """Whose approval a level of a rule asks for."""

    LEADS = "leads", "Leads of the team"
    PEOPLE = "people", "Named people"
    ADMINS = "admins", "Administrators"


class Chat(models.TextChoices):
    """What takes a team's messages."""

    TEAMS = "teams", "Microsoft Teams"
    SLACK = "slack", "Slack"


# The platform has this request, or may have it. Whoever heard that it was accepted may have died before saying what
# was made.
MAYBE_THERE = {Outcome.UNKNOWN, Outcome.ACCEPTED, Outcome.UNRECORDED}
# The platform has answered: sent again, the request would only be answered once more.
ANSWERED = {Outcome.ACCEPTED, Outcome.UNRECORDED}


class Verb(models.TextChoices):
    """What an event tells of, and a sentence for docs/audit.md. Closed: events.record() takes no other word."""

    # Of an operation.
    REQUESTED = "requested", "Somebody asked for an iModel."
    AGREED = "agreed", "Somebody approved a request that more people have to approve."
    APPROVED = "approved", "A request was approved, and is sent."
    REJECTED = "rejected", "A request was turned down."
    CHANGES_REQUESTED = "changes_requested", "Somebody who may decide asked the requester for changes."
    EDITED = "edited", "The requester changed a request that waits for a decision: what, from and to."
    BYPASSED = "bypassed", "An administrator let a request proceed without the approvals it needs, and why."
    APPROVAL_LAPSED = "approval_lapsed", "An approved request was not sent in time, and has to be approved again."
    ADMINS_ASKED = "admins_asked", "Too few of those who may decide are left, so administrators may."
    REMINDED = "reminded", "Those who have to act were reminded before the time to decide ends."
    ESCALATED = "escalated", "Half of the time is over and nothing is decided: administrators were told."
    DEPUTY_ASKED = "deputy_asked", "What waits is asked of the deputy of an absent lead, too."
    ALSO_ASKED = "also_asked", "What waits is asked of somebody who may decide it only since, or again."
    COMMENTED = "commented", "Somebody wrote something about a request without deciding it."
    START_SET = "start_set", "Before which time a request is not to be sent was set, changed or taken away."
    CANCELLED = "cancelled", "A request was called off before it was sent."
    EXPIRED = "expired", "Nobody decided in time, nobody was left to, or the requester did not sign in again."
    REASSIGNED = "reassigned", "Another team decides, because the iTwin was given to it."
    RESUMED = "resumed", "What waited for a sign-in or a right goes on."
    CLAIMED = "claimed", "A worker took the request to send it."
    CALLED = "called", "The platform was asked to make, complete or delete an iModel: the request, and its answer."
    POSTPONED = "postponed", "It waits, and why."
    ACCEPTED = "accepted", "The platform accepted the request."
    FILE_SENT = "file_sent", "The platform's storage has the whole baseline file."
    FILE_MISSING = "file_missing", "The platform does not see the baseline file yet."
    UPLOAD_RESTARTED = "upload_restarted", "The upload begins again."
    LINK_REFUSED = "link_refused", "The storage did not take the upload link."
    LINK_RENEWED = "link_renewed", "The platform gave a new upload link."
    COMPLETED = "completed", "The platform has the baseline file and makes the iModel."
    PLATFORM_STATE = "platform_state", "The platform reports another state."
    UNKNOWN_STATE = "unknown_state", "The platform reports a state that iModel Desk does not know."
    USABLE = "usable", "The iModel can be used, although it is still being made."
    SUCCEEDED = "succeeded", "The iModel is there."
    FAILED = "failed", "It failed, with the platform's code and message."
    ORPHAN_DELETION_REQUESTED = "orphan_deletion_requested", "Somebody asked for an orphaned iModel to be deleted."
    ORPHAN_DELETION_WAITING = "orphan_deletion_waiting", "The deletion of an orphaned iModel waits, and why."
    ORPHAN_DELETION_REFUSED = "orphan_deletion_refused", "The platform refused to delete an orphaned iModel."
    ORPHAN_USABLE = "orphan_usable", "An orphaned iModel turned out usable, and was not deleted."
    ORPHAN_DELETED = "orphan_deleted", "An orphaned iModel was deleted."
    ORPHAN_GONE = "orphan_gone", "An orphaned iModel was gone already."
    # Of a person, a team or the record itself.
    EXPORTED = "exported", "Somebody exported the audit or chosen operations: the filter or the names, and how many."
    CONFIGURED = "configured", "A worker runs with another version or other settings than the last one."
    PRESET_SAVED = "preset_saved", "Somebody saved a form as a preset."
    PRESET_CHANGED = "preset_changed", "A preset was renamed, or shared with other people."
    PRESET_DELETED = "preset_deleted", "A preset was deleted."
    HEAD_SENT = "head_sent", "The head of the audit log was made, to be sent to administrators and destinations."
    SIGNED_IN = "signed_in", "Somebody signed in."
    SIGNED_OUT = "signed_out", "Somebody signed out."
    SESSIONS_ENDED = "sessions_ended", "Sessions of a person were ended."
    # Of who may what: written by accounts.rights only.
    NAME_CHANGED = "name_changed", "The sign-in service calls a person by another name."
    ADDRESS_CHANGED = "address_changed", "A person has another e-mail address."
    ADMIN_GIVEN = "admin_given", "Somebody became an administrator."
    ADMIN_REMOVED = "admin_removed", "Somebody is an administrator no more."
    ACCOUNT_OPENED = "account_opened", "An account was opened."
    ACCOUNT_CLOSED = "account_closed", "An account was closed."
    PERSON_FORGOTTEN = "person_forgotten", "What a person is known by was removed; the record keeps their id."
    ADDRESSES_DROPPED = "addresses_dropped", "Addresses of people were removed from events; all proofs still hold."
    TEAM_MADE = "team_made", "A team was made."
    TEAM_RENAMED = "team_renamed", "A team has another name."
    TEAM_DELETED = "team_deleted", "A team was deleted."
    DAYS_CHANGED = "days_changed", "A team has more or fewer days to decide."
    ROLE_GIVEN = "role_given", "Somebody became a member or a lead of a team."
    ROLE_CHANGED = "role_changed", "A member became a lead, or a lead a member."
    ROLE_REMOVED = "role_removed", "Somebody is no longer in a team."
    PLACE_TAKEN = "place_taken", "Whom a place in a team was kept for has signed in, or their account is open again."
    ITWIN_GIVEN = "itwin_given", "A team looks after an iTwin."
    ITWIN_MOVED = "itwin_moved", "Another team looks after an iTwin."
    ITWIN_REMOVED = "itwin_removed", "A team no longer looks after an iTwin."
    RULE_MADE = "rule_made", "An approval rule was made."
    RULE_CHANGED = "rule_changed", "An approval rule has a new version, or was switched on or off."
    RULE_DELETED = "rule_deleted", "An approval rule went with its team."
    DEPUTY_NAMED = "deputy_named", "A lead named who decides in their place for some time."
    DEPUTY_CHANGED = "deputy_changed", "Who decides in the place of a lead, or for how long, has changed."
    DEPUTY_REMOVED = "deputy_removed", "Nobody decides in the place of a lead any more."
    WEBHOOK_SET = "webhook_set", "Messages about a team's requests go to a chat."
    WEBHOOK_CHANGED = "webhook_changed", "They go to another address."
    WEBHOOK_REMOVED = "webhook_removed", "They go to no chat any more."
    # Of where the record is sent to.
    STREAM_MADE = "stream_made", "An administrator set up a destination that events are streamed to."
    STREAM_SWITCHED = "stream_switched", "A destination of events was switched on or off."
    STREAM_REPLAYED = "stream_replayed", "A destination of events goes on from another point."
    STREAM_DELETED = "stream_deleted", "A destination of events was deleted."
    # Of what others did on the platform, seen with the token of a lead.
    WATCH_BEGUN = "watch_begun", "A lead lets iModel Desk look with their token for what is made outside it."
    WATCH_ENDED = "watch_ended", "iModel Desk no longer looks with a lead's token for what is made outside it."
    MADE_OUTSIDE = "made_outside", "An iModel was seen that was not made with iModel Desk."
    RENAMED_OUTSIDE = "renamed_outside", "An iModel was seen to have another name."
    DELETED_OUTSIDE = "deleted_outside", "An iModel was seen to be gone, which was not deleted with iModel Desk."
    RETURNED_OUTSIDE = "returned_outside", "An iModel that had been gone was seen again."
    # What was refused.
    DECISION_REFUSED = "decision_refused", "Somebody tried to decide and was not allowed to."
    SIGN_IN_FAILED = "sign_in_failed", "A sign-in failed; without a session, how many in ten minutes."
    CSRF_REFUSED = "csrf_refused", "A form without our token was refused; if often, how many in ten minutes."
    ACCESS_REFUSED = "access_refused", "Somebody opened a page of administrators and is none; if often, how many."


# What an auditor asks for in one go: the words, and the verbs.
EVENT_GROUPS: dict[str, tuple[str, list[Verb]]] = {
    "requests": (
        "Requests and what became of them",
        [Verb.REQUESTED, Verb.EDITED, Verb.CANCELLED, Verb.USABLE, Verb.SUCCEEDED, Verb.FAILED],
    ),
    "approvals": (
        "Approvals",
        [
            *(Verb.APPROVED, Verb.AGREED, Verb.REJECTED, Verb.CHANGES_REQUESTED, Verb.BYPASSED, Verb.EXPIRED),
            *(Verb.APPROVAL_LAPSED, Verb.REASSIGNED, Verb.ADMINS_ASKED, Verb.REMINDED, Verb.DECISION_REFUSED),
            *(Verb.ESCALATED, Verb.DEPUTY_ASKED, Verb.ALSO_ASKED, Verb.COMMENTED, Verb.START_SET),
        ],
    ),
    "approvals-given": ("Approvals given", [Verb.APPROVED, Verb.AGREED]),
    "decisions": (
        "Decisions",
        [Verb.APPROVED, Verb.AGREED, Verb.REJECTED, Verb.CHANGES_REQUESTED, Verb.BYPASSED],
    ),
    "orphans": ("Orphaned iModels", [verb for verb in Verb if verb.startswith("orphan_")]),
    "sign-ins": ("Sign-ins", [Verb.SIGNED_IN, Verb.SIGNED_OUT, Verb.SESSIONS_ENDED, Verb.SIGN_IN_FAILED]),
    "rights": (
        "People, teams, rights and rules",
        [
            *(Verb.NAME_CHANGED, Verb.ADDRESS_CHANGED, Verb.ADMIN_GIVEN, Verb.ADMIN_REMOVED, Verb.ACCOUNT_OPENED),
            *(
                Verb.ACCOUNT_CLOSED,
                Verb.PERSON_FORGOTTEN,
                Verb.ADDRESSES_DROPPED,
                Verb.TEAM_MADE,
                Verb.TEAM_RENAMED,
                Verb.TEAM_DELETED,
            ),
            *(Verb.DAYS_CHANGED, Verb.ROLE_GIVEN, Verb.ROLE_CHANGED, Verb.ROLE_REMOVED, Verb.PLACE_TAKEN),
            *(Verb.ITWIN_GIVEN, Verb.ITWIN_MOVED, Verb.ITWIN_REMOVED),
            *(Verb.RULE_MADE, Verb.RULE_CHANGED, Verb.RULE_DELETED),
            *(Verb.DEPUTY_NAMED, Verb.DEPUTY_CHANGED, Verb.DEPUTY_REMOVED),
            *(Verb.WEBHOOK_SET, Verb.WEBHOOK_CHANGED, Verb.WEBHOOK_REMOVED),
            *(Verb.WATCH_BEGUN, Verb.WATCH_ENDED),
        ],
    ),
    "outside": ("Seen outside", [verb for verb in Verb if verb.endswith("_outside")]),
    "refusals": (
        "Refused access",
        [Verb.DECISION_REFUSED, Verb.SIGN_IN_FAILED, Verb.CSRF_REFUSED, Verb.ACCESS_REFUSED],
    ),
    "presets": ("Presets", [verb for verb in Verb if verb.startswith("preset_")]),
    "record": (
        "The record itself",
        [Verb.EXPORTED, Verb.HEAD_SENT, Verb.CONFIGURED, *(verb for verb in Verb if verb.startswith("stream_"))],
    ),
}
_elsewhere = {verb for _, verbs in EVENT_GROUPS.values() for verb in verbs}
EVENT_GROUPS["progress"] = ("Waits and answers", [verb for verb in Verb if verb not in _elsewhere])


class NotificationKind(models.TextChoices):
    """What a person is told by e-mail."""

    REQUESTED = "requested", "A request awaits approval"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    CHANGES_REQUESTED = "changes_requested", "Changes requested"
    EDITED = "edited", "The request has changed"
    DECIDED = "decided", "Somebody else decided"
    BYPASSED = "bypassed", "Approval bypassed"
    APPROVAL_LAPSED = "approval_lapsed", "Approval not used in time"
    HALF_WAY = "half_way", "Half of the time to decide is over"
    LAST_DAY = "last_day", "The time to decide ends soon"
    ESCALATED = "escalated", "Nothing is decided by half of the time"
    COMMENTED = "commented", "Somebody wrote a comment"
    START_SET = "start_set", "Somebody else set when it starts"
    SENT = "sent", "Sent to the platform"
    ENDED = "ended", "Ended"
    EXPIRED = "expired", "Expired"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    SIGN_IN = "sign_in", "Sign in again"
    UNKNOWN_STATE = "unknown_state", "A platform state that nobody here knows"
    SUBSCRIBED = "subscribed", "One that they asked to be told about has ended"


# Ask their reader to decide; no longer worth telling once somebody else has, or may.
TO_DECIDE = {
    NotificationKind.REQUESTED,
    NotificationKind.EDITED,
    NotificationKind.APPROVAL_LAPSED,
    NotificationKind.HALF_WAY,
    NotificationKind.LAST_DAY,
}
MOVES: dict[State, set[State]] = {
    State.AWAITING_APPROVAL: {
        State.QUEUED,
        State.CHANGES_REQUESTED,
        State.REJECTED,
        State.EXPIRED,
        State.CANCELLED,
    },
    State.CHANGES_REQUESTED: {State.AWAITING_APPROVAL, State.EXPIRED, State.CANCELLED},
    # FAILED: the approval no longer fits what would be sent. EXPIRED: the requester never signed in again.
    # AWAITING_APPROVAL: the approval was not used in time.
    State.QUEUED: {State.SUBMITTING, State.CANCELLED, State.EXPIRED, State.FAILED, State.AWAITING_APPROVAL},
    State.SUBMITTING: {State.QUEUED, State.UPLOADING, State.RUNNING, State.FAILED},
    State.UPLOADING: {State.RUNNING, State.FAILED},
    State.RUNNING: {State.SUCCEEDED, State.FAILED},
}
ORPHAN_MOVES: dict[OrphanState, set[OrphanState]] = {
    OrphanState.LEFT: {OrphanState.DELETING},
    OrphanState.USABLE: {OrphanState.DELETING},
    # LEFT: the platform said no, or nobody could ask it.
    OrphanState.DELETING: {OrphanState.DELETED, OrphanState.GONE, OrphanState.USABLE, OrphanState.LEFT},
}
# The orphaned iModel is no longer on the platform.
NO_LONGER_THERE = {OrphanState.DELETED, OrphanState.GONE}
FINISHED = {State.SUCCEEDED, State.FAILED, State.REJECTED, State.EXPIRED, State.CANCELLED}
# A POST may be out, or its iModel is being made: the name is in use.
IN_FLIGHT = {State.SUBMITTING, State.UPLOADING, State.RUNNING}
# Something is to be done with it at its due time.
DUE = {State.QUEUED, State.SUBMITTING, State.RUNNING}
# Nothing has left for the platform yet, so it can be called off.
CANCELLABLE = {State.AWAITING_APPROVAL, State.CHANGES_REQUESTED, State.QUEUED}
# People have to agree before it is sent, and have until expires_at.
UNDECIDED = {State.AWAITING_APPROVAL, State.CHANGES_REQUESTED}
