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


# The platform has this request, or may have it. Whoever heard that it was accepted may have died before saying what
# was made.
MAYBE_THERE = {Outcome.UNKNOWN, Outcome.ACCEPTED, Outcome.UNRECORDED}
# The platform has answered: sent again, the request would only be answered once more.
ANSWERED = {Outcome.ACCEPTED, Outcome.UNRECORDED}


class Verb(models.TextChoices):
    """What an event tells of. Closed: Event.record() takes no other word."""

    # Of an operation.
    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REASSIGNED = "reassigned"
    RESUMED = "resumed"
    CLAIMED = "claimed"
    POSTPONED = "postponed"
    ACCEPTED = "accepted"
    FILE_SENT = "file_sent"
    FILE_MISSING = "file_missing"
    UPLOAD_RESTARTED = "upload_restarted"
    LINK_REFUSED = "link_refused"
    LINK_RENEWED = "link_renewed"
    COMPLETED = "completed"
    PLATFORM_STATE = "platform_state"
    UNKNOWN_STATE = "unknown_state"
    USABLE = "usable"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ORPHAN_DELETION_REQUESTED = "orphan_deletion_requested"
    ORPHAN_DELETION_WAITING = "orphan_deletion_waiting"
    ORPHAN_DELETION_REFUSED = "orphan_deletion_refused"
    ORPHAN_USABLE = "orphan_usable"
    ORPHAN_DELETED = "orphan_deleted"
    ORPHAN_GONE = "orphan_gone"
    # Of a person, a team or the record itself.
    EXPORTED = "exported"
    SIGNED_IN = "signed_in"
    SIGNED_OUT = "signed_out"
    SESSIONS_ENDED = "sessions_ended"
    # Of who may what: written by accounts.rights only.
    NAME_CHANGED = "name_changed"
    ADDRESS_CHANGED = "address_changed"
    ADMIN_GIVEN = "admin_given"
    ADMIN_REMOVED = "admin_removed"
    ACCOUNT_OPENED = "account_opened"
    ACCOUNT_CLOSED = "account_closed"
    PERSON_FORGOTTEN = "person_forgotten"
    TEAM_MADE = "team_made"
    TEAM_RENAMED = "team_renamed"
    TEAM_DELETED = "team_deleted"
    DAYS_CHANGED = "days_changed"
    ROLE_GIVEN = "role_given"
    ROLE_CHANGED = "role_changed"
    ROLE_REMOVED = "role_removed"
    PLACE_TAKEN = "place_taken"
    ITWIN_GIVEN = "itwin_given"
    ITWIN_MOVED = "itwin_moved"
    ITWIN_REMOVED = "itwin_removed"
    # What was refused.
    DECISION_REFUSED = "decision_refused"
    SIGN_IN_FAILED = "sign_in_failed"
    CSRF_REFUSED = "csrf_refused"


class NotificationKind(models.TextChoices):
    """What a person is told by e-mail."""

    REQUESTED = "requested", "A fork awaits approval"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    EXPIRED = "expired", "Expired"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    SIGN_IN = "sign_in", "Sign in again"
    UNKNOWN_STATE = "unknown_state", "A platform state that nobody here knows"


MOVES: dict[State, set[State]] = {
    State.AWAITING_APPROVAL: {State.QUEUED, State.REJECTED, State.EXPIRED, State.CANCELLED},
    # FAILED: the approval no longer fits what would be sent. EXPIRED: the requester never signed in again.
    State.QUEUED: {State.SUBMITTING, State.CANCELLED, State.EXPIRED, State.FAILED},
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
CANCELLABLE = {State.AWAITING_APPROVAL, State.QUEUED}
