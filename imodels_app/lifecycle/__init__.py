"""The only writer of an operation's state. Every move writes its history in the same transaction.

Verbs are what people ask for (request, edit, approve, reject, cancel) and what workers do (lease, claim, wait,
requeue); participles are what the platform told us (accepted, succeeded, failed).
"""

from imodels_app.lifecycle._transition import (
    ApprovalLapsed,
    ApprovalVoid,
    Conflict,
    FileTaken,
    NameInFlight,
    NotAllowed,
)
from imodels_app.lifecycle.authority import ask_who_is_left, follow_rights, requester_gone
from imodels_app.lifecycle.decisions import approve, bypass, cancel, reject, request_changes, require_waiting
from imodels_app.lifecycle.editing import edit
from imodels_app.lifecycle.intake import request
from imodels_app.lifecycle.orphans import (
    confirm_deletion,
    delete_orphan,
    deleting_orphan,
    lease_orphan,
    orphan_ended,
    postpone_deletion,
)
from imodels_app.lifecycle.progress import accepted, completed, failed, listed, polled, succeeded, unlist, usable
from imodels_app.lifecycle.starting import start_at
from imodels_app.lifecycle.submission import answered, claim, confirm_claim, lease, operation_for, send_again
from imodels_app.lifecycle.talking import comment, look, look_away
from imodels_app.lifecycle.uploads import (
    file_missing,
    file_sent,
    lease_upload,
    link_refused,
    link_renewed,
    release_upload,
    renew_upload_lease,
    restart_upload,
)
from imodels_app.lifecycle.waits import (
    expire,
    lapse,
    remind,
    requeue,
    reschedule_after_clock_jump,
    set_aside,
    wait,
    wake_after_sign_in,
    wake_all_signed_in,
)

__all__ = [
    "ApprovalLapsed",
    "ApprovalVoid",
    "Conflict",
    "FileTaken",
    "NameInFlight",
    "NotAllowed",
    "accepted",
    "answered",
    "approve",
    "ask_who_is_left",
    "bypass",
    "cancel",
    "claim",
    "comment",
    "completed",
    "confirm_claim",
    "confirm_deletion",
    "delete_orphan",
    "deleting_orphan",
    "edit",
    "expire",
    "failed",
    "file_missing",
    "file_sent",
    "follow_rights",
    "lapse",
    "lease",
    "lease_orphan",
    "lease_upload",
    "link_refused",
    "link_renewed",
    "listed",
    "look",
    "look_away",
    "operation_for",
    "orphan_ended",
    "polled",
    "postpone_deletion",
    "reject",
    "release_upload",
    "remind",
    "renew_upload_lease",
    "request",
    "request_changes",
    "requester_gone",
    "requeue",
    "require_waiting",
    "reschedule_after_clock_jump",
    "restart_upload",
    "send_again",
    "set_aside",
    "start_at",
    "succeeded",
    "unlist",
    "usable",
    "wait",
    "wake_after_sign_in",
    "wake_all_signed_in",
]
