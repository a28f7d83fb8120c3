"""The words for every state, failure and orphaned iModel, as tables: each has exactly one badge. Data: nothing here
runs.

Curly brackets are filled in by status.py.
"""

from dataclasses import dataclass
from functools import partial

from imodels_app.states import OrphanState

PREVIEW = " Fork is in closed preview: the platform lets only selected applications fork."
ADMISSION = (
    "Ask an administrator of iModel Desk to have it admitted to Bentley’s closed preview of forks, then send it again. "
    "A clone needs no admission."
)
FOLLOWED_FOR = "24 h"
ASK_AN_ADMINISTRATOR = (
    "Read the platform’s message and try again. If it fails twice, send your administrator the operation id."
)


MAKE_IT_AGAIN = "Make it again once the orphaned iModel is deleted; it keeps the name “{name}” taken."
FILE_STAYS = "The file is kept here for a day and need not be uploaded again."


@dataclass(frozen=True)
class StatusRow:
    """One row of the table. tone: "" (calm), move, good, ask (a person has to act) or bad.

    short  the line where there is little room, in a table; "" where the line is short itself
    """

    badge: str
    tone: str
    icon: str
    line: str
    remedy: str
    short: str = ""


# Badge, tone and icon of what has several rows.
_queued = partial(StatusRow, "Queued", "", "st-queued")
_checking = partial(StatusRow, "Checking", "move", "search")
_uploading = partial(StatusRow, "Uploading", "move", "st-uploading")
_running = partial(StatusRow, "Running", "move", "st-running")
_signed_out = partial(StatusRow, "Waiting for sign-in", "ask", "st-signin")
_expired = partial(StatusRow, "Expired", "", "st-expired")

# What keeps a worker from the platform is the same whatever it was to do there; what goes on meanwhile is not.
_IN_THE_WAY = {
    "rate_limit": "the platform allows no more requests until {until}",
    "platform_down": "platform not answering, next try {until}",
    "refused": "the platform refuses to answer, next try {until}",
    "provider_down": "sign-in service not answering, next try {until}",
    "token": "access token being refreshed, next try {until}",
    "key_missing": "this worker lacks a key, next try {until}",
}
_MEANWHILE = {
    "queued": (_queued, "It is retried until it works."),
    "submitting": (_checking, "The answer was lost; we check for it and never send twice."),
    "uploading": (_uploading, "The file is safe, and the upload is retried until it works."),
    "running": (_running, "The platform is still working; we check again until it answers."),
}
STATUSES: dict[str, StatusRow] = {
    **{
        f"{state}:{reason}": row(line=line, remedy=f"Nothing to do. {remedy}")
        for state, (row, remedy) in _MEANWHILE.items()
        for reason, line in _IN_THE_WAY.items()
    },
    "awaiting_approval": StatusRow(
        "Awaiting approval",
        "ask",
        "st-approval",
        "{askers} {decides} by {until}",
        "Until then {person} can change or withdraw it.",
        "until {soon}",
    ),
    "changes_requested": StatusRow(
        "Changes requested",
        "ask",
        "st-approval",
        "{decider}{comment}; to be changed by {until}",
        "Change it and send it again, or withdraw it.",
        "until {soon}{comment}",
    ),
    "queued": _queued("sent in a moment", "Nothing to do. It will be sent in a moment."),
    "queued:spaced": _queued(
        "{position}", "Nothing to do. The {limit} {bucket} of a minute are spaced evenly. {turns}"
    ),
    "queued:own_limit": _queued(
        "this minute’s {limit} {bucket} are sent; {position}",
        "Nothing to do. The platform allows {limit} {bucket} a minute. {turns}",
    ),
    "queued:rate_limit": _queued(
        "platform’s limit until {until}; {position}",
        "Nothing to do. The platform answered that its rate limit is reached (429), and asked to wait. {turns}",
    ),
    "queued:same_name": _queued(
        "another “{name}” comes first", "Wait for the other one, or cancel and choose another name."
    ),
    "queued:not_before": _queued("not to be sent before {until}", "Nothing to do. It is sent by itself then."),
    "queued:sign_in": _signed_out("{person} must sign in again by {until}", "Sign in, and it continues."),
    "submitting": StatusRow(
        "Submitting", "move", "st-submitting", "request sent, waiting for the answer", "Nothing to do."
    ),
    "submitting:lost_answer": _checking(
        "the answer was lost, checking for “{name}”", "Nothing to do. It is never sent twice."
    ),
    "submitting:not_permitted": StatusRow(
        "Checking",
        "ask",
        "st-signin",
        "the answer was lost, and {person} may not check for “{name}”",
        "Give {person} access to {itwin} again. It is checked every two minutes, and never sent twice.",
    ),
    "submitting:sign_in": _signed_out(
        "{person} must sign in again to check for “{name}”", "Sign in, and it continues. It is never sent twice."
    ),
    "uploading": _uploading(
        "{sent} of {size}", "You can leave. The file is safe here and is uploaded automatically.{link}"
    ),
    "uploading:sent": _uploading(
        "file uploaded, telling the platform", "Nothing to do. The platform may need a moment to see the file."
    ),
    "uploading:storage_down": _uploading(
        "storage not answering, next try {until}",
        "Nothing to do. What was uploaded stays there, and the rest is retried until it works.{link}",
    ),
    "uploading:not_permitted": StatusRow(
        "Uploading",
        "ask",
        "st-signin",
        "{person} may not continue in {itwin}, next try {until}",
        "Give {person} access to {itwin} again. The file is safe, and the upload is retried until it works.",
    ),
    "uploading:sign_in": _signed_out("{person} must sign in again to finish the upload", "Sign in, and it continues."),
    "running": _running("{estimate}", "You can leave. It is all here when you come back."),
    "running:slow": _running(
        "longer than usual, {most} finish within {within}", f"Nothing to do. We keep checking for {FOLLOWED_FOR}."
    ),
    "running:sign_in": _signed_out(
        "still running; {person} must sign in again to see the result", "Sign in, and it continues."
    ),
    "running:not_permitted": _running(
        "{person} may not view it, next check {until}",
        "Following it needs imodels_webview in {itwin}. Ask an administrator there; the platform is still working.",
    ),
    "running:unknown": StatusRow(
        "Unknown state",
        "ask",
        "warning",
        "the platform calls it “{platform_state}”",
        "{usable}iModel Desk does not know this state. It has told the administrators, and keeps checking. "
        "Ask one of them before you make it again: this one may still come.",
    ),
    "running:usable": StatusRow(
        "Usable now",
        "good",
        "st-usable",
        "still finishing{finishing}",
        "{use_it} Viewing and authoring aids will follow.",
    ),
    "succeeded": StatusRow("Succeeded", "good", "st-succeeded", "{took} on the platform", "{use_it}"),
    "rejected": StatusRow(
        "Rejected",
        "",
        "st-rejected",
        "{decider}{comment}",
        "Read the comment. Request it again if things have changed.",
    ),
    "cancelled:account_closed": StatusRow(
        "Cancelled",
        "",
        "st-cancelled",
        "not sent, the account of {person} is closed",
        "Somebody else can request it again.",
    ),
    **{
        f"{state}:account_closed": StatusRow(
            "Waiting for somebody",
            "ask",
            "lock",
            "the account of {person} is closed, and no lead or administrator who is signed in may view it",
            "A lead of {team} or an administrator with access to {itwin} has to sign in. It is checked again {until}.",
        )
        for state in ("submitting", "running")
    },
    "expired": _expired("nobody decided within {patience}", "Request it again, or talk to a lead."),
    "expired:nobody_decides": _expired(
        "nobody is left who may decide", "Ask an administrator to name a lead, and request it again."
    ),
    "expired:sign_in": _expired("{person} did not sign in again in time", "Sign in and request it again."),
    "cancelled": StatusRow("Cancelled", "", "st-cancelled", "by {canceller} before it was sent", "Request it again."),
}

FAILURES: dict[str, StatusRow] = {
    code: StatusRow(badge, "bad", "st-failed", line, remedy)
    for code, badge, line, remedy in (
        (
            "iModelExists",
            "Failed: name taken",
            "choose another name",
            "“{name}” is already in {itwin}. Change the name, and send it again.",
        ),
        (
            "mainIModelIsMissingFederationGuids",
            "Failed: FederationGuids missing",
            "add them first",
            "Add the missing FederationGuids to the main iModel, then fork again from the new changeset.",
        ),
        (
            "uploadLinkExpired",
            "Failed: upload link expired",
            "the file did not arrive in time",
            f"{MAKE_IT_AGAIN} {FILE_STAYS}",
        ),
        (
            "uploadLinkLost",
            "Failed: no upload link",
            "the platform gave no link for the file",
            f"{MAKE_IT_AGAIN} {FILE_STAYS}",
        ),
        (
            "uploadLinkForeign",
            "Failed: upload link not used",
            "it points to an address that is not allowed",
            f"Send your administrator the operation id. {FILE_STAYS}",
        ),
        (
            "uploadRefused",
            "Failed: file refused",
            "the platform’s storage refused it",
            f"{MAKE_IT_AGAIN} If it fails twice, tell your administrator. {FILE_STAYS}",
        ),
        (
            "baselineSizeMismatch",
            "Failed: size differs",
            "not the size that was announced",
            f"The size cannot be changed later. {MAKE_IT_AGAIN} {FILE_STAYS}",
        ),
        (
            "baselineFileMissing",
            "Failed: file not found",
            "the platform cannot find the file",
            f"It was sent twice. {MAKE_IT_AGAIN} {FILE_STAYS}",
        ),
        (
            "uploadAbandoned",
            "Failed: not signed in",
            "the requester did not sign in again in time",
            f"{MAKE_IT_AGAIN} {FILE_STAYS}",
        ),
        (
            "accountClosed",
            "Failed: account closed",
            "the account of {person} was closed before the file was there",
            "Somebody else can request it again, once the orphaned iModel is deleted.",
        ),
        (
            "stagedFileMissing",
            "Failed: file gone",
            "{file} is no longer here",
            "Choose the file and send it again.",
        ),
        (
            "fileIsBriefcase",
            "Failed: file is a briefcase",
            "upload a snapshot",
            "The file is a briefcase, a personal working copy. Export a snapshot from the original and upload that.",
        ),
        (
            "initializationFailed",
            "Failed: not initialized",
            "the file could not be read as an iModel",
            "Open the file in your design tool, save it as a new iModel, and upload that.",
        ),
        (
            "failed",
            "Failed",
            "the platform gives no reason",
            "Try again. If it fails twice, send your administrator the operation id.",
        ),
        (
            "vanished",
            "Failed: vanished",
            "the platform no longer knows this iModel",
            "Somebody deleted it, or it was never finished. Request it again.",
        ),
        (
            "InsufficientPermissions",
            "Failed: not permitted",
            "{permission} is missing in {itwin}",
            "It needs {needs}. Ask an administrator there, then send it again.{preview}",
        ),
        (
            "iTwinNotFound",
            "Failed: iTwin not found",
            "missing, or not visible to {person}",
            "Pick another iTwin, or ask for access to {itwin}, then send it again.",
        ),
        (
            "iModelNotFound",
            "Failed: source not found",
            "missing, or not visible to {person}",
            "Pick another iModel, or ask for access to {source}, then send it again.",
        ),
        (
            "ChangesetNotFound",
            "Failed: changeset not found",
            "pick another changeset",
            "Pick another changeset of {source}, and send it again.",
        ),
        (
            "sourceNotReady",
            "Failed: source not ready",
            "{source} is still being made",
            "Wait until the platform has finished {source}, then send it again.",
        ),
        (
            "404",
            "Failed: not found",
            "missing, or not visible to {person}",
            "Pick {parts} again, or ask for access to them, then send it again.",
        ),
        (
            "409",
            "Failed: conflict",
            "the name is taken, or {source} is not ready",
            "Choose another name, or wait until the platform has finished {source}. Then send it again.",
        ),
        (
            "InvalidiModelsRequest",
            "Failed: not accepted",
            "correct what the platform names",
            "Correct what the platform names, and send it again.",
        ),
        (
            "applicationMayNotFork",
            "Failed: iModel Desk may not fork",
            "the platform lets only selected applications fork",
            "{person} has the permissions; what is missing is iModel Desk’s. {admission}",
        ),
        *(
            (
                code,
                "Failed: our error",
                "the platform does not accept what iModel Desk sent",
                "This is an error in iModel Desk, not yours. Send your administrator the operation id.",
            )
            for code in ("UnsupportedMediaType", "RequestTooLarge")
        ),
        (
            "answerUnrecorded",
            "Failed: answer not stored",
            "the platform’s answer is not known, and nothing was made",
            "Try again. If it fails twice, send your administrator the operation id.",
        ),
        (
            "approvalVoid",
            "Failed: approval void",
            "the request differs from what was approved",
            "Request approval again.",
        ),
        (
            "",
            "Failed",
            "{said}",
            ASK_AN_ADMINISTRATOR,
        ),
    )
}
# What a failure left on the platform. The line is what is in the way, where something is.
ORPHANS: dict[OrphanState, StatusRow] = {
    OrphanState.LEFT: StatusRow(
        "Orphaned", "", "cube", "keeps the name “{name}” taken", "Delete it, or choose another name for the next one."
    ),
    OrphanState.DELETING: StatusRow(
        "Deleting",
        "move",
        "trash",
        "requested by {deleter}",
        "Nothing to do. It is retried until the platform answers.",
    ),
    OrphanState.USABLE: StatusRow(
        "Usable after all",
        "ask",
        "st-usable",
        "it can be used, so it was not deleted",
        "Ask whether somebody uses it. If nobody needs it, delete it anyway.",
    ),
    OrphanState.DELETED: StatusRow(
        "Deleted", "good", "trash", "by {deleter}, the name “{name}” is free", "Make it again."
    ),
    OrphanState.GONE: StatusRow("Already gone", "good", "trash", "the name “{name}” is free", "Make it again."),
}
# What the platform says of a baseline file, beside the operation's state. The platform's word -> badge and sentence.
BASELINE_STATES = {
    "waitingForFile": ("Waiting for the file", "the platform does not have it yet"),
    "initializationScheduled": ("Being read", "the platform is making an iModel from it"),
    "initialized": ("Read", "the iModel was made from it"),
    "initializationFailed": ("Not readable", "no iModel could be made from it"),
    "fileIsBriefcase": ("A briefcase", "a personal working copy, not a snapshot"),
}
CODES = {code.casefold(): code for code in FAILURES}
# What a status means when no envelope with a code came with it. 404 and 409 have several causes, and rows of their own.
# Source: the responses of the create, clone and fork pages.
CODES |= {
    "403": "InsufficientPermissions",
    "413": "RequestTooLarge",
    "415": "UnsupportedMediaType",
    "422": "InvalidiModelsRequest",
}
# What it means when only a person of the same team, or the source, can help: said above the steps.
FAILURE_HEADLINES = {
    "iModelExists": "An iModel named “{name}” is already in {itwin}.",
    "mainIModelIsMissingFederationGuids": (
        "{source} has elements without a FederationGuid, so it cannot be forked{up_to}."
    ),
    "uploadLinkExpired": "The platform’s upload link expired before the file was there, and it gives no other.",
    "uploadLinkLost": "The platform’s answer was lost, and with it the only link for the file.",
    "uploadLinkForeign": "The platform’s upload link points to an address that iModel Desk does not send to.",
    "uploadRefused": "The platform’s storage refused the file.",
    "baselineSizeMismatch": "The file that arrived is not the size that was announced.",
    "baselineFileMissing": "The platform cannot find the file, though its storage acknowledged it.",
    "uploadAbandoned": "{person} did not sign in again in time, so {file} was never uploaded.",
    "accountClosed": "The account of {person} was closed, so {file} was not uploaded.",
    "stagedFileMissing": "The file was removed before it could be sent.",
    "fileIsBriefcase": "The file is a briefcase, not a snapshot.",
    "initializationFailed": "The platform could not make an iModel from what it was given.",
    "failed": "The platform began to make “{name}” and gave up. It gives no reason.",
    "vanished": "The platform no longer knows this iModel.",
    "InsufficientPermissions": "{person} may not do this in {itwin}.",
    "applicationMayNotFork": "Not {person}, but iModel Desk itself may not fork yet, whoever asks.",
    "iTwinNotFound": "The platform does not know {itwin}, or {person} cannot see it.",
    "iModelNotFound": "The platform does not know {source}, or {person} cannot see it.",
    "ChangesetNotFound": "{source} does not have the requested changeset.",
    "sourceNotReady": "The platform has not finished {source}, so nothing can be made from it yet.",
    "404": "The platform did not find {parts}, or {person} cannot see them. It did not say which.",
    "409": "The name “{name}” is taken in {itwin}, or {source} is not ready. The platform did not say which.",
    "InvalidiModelsRequest": "The platform did not accept the request.",
    "UnsupportedMediaType": "The platform did not understand the request.",
    "RequestTooLarge": "The platform did not accept a request of this size.",
    "answerUnrecorded": "What the platform answered could not be stored, and “{name}” is not there.",
    "approvalVoid": "The request differs from what was approved, so it was not sent.",
    "": "The platform did not make “{name}”.",
}


# The platform's own words, and what they mean.
# Source: https://developer.bentley.com/apis/imodels-v2/operations/get-create-imodel-operation/
PLATFORM_STATES: dict[str, str] = {
    "scheduled": "waiting its turn, or being made",
    "waitingForFile": "its file has not been uploaded",
    "successful": "complete",
    "failed": "the platform gave up",
    "mainIModelIsMissingFederationGuids": "elements of the main iModel have no FederationGuid",
    # The same, as older texts have it.
    "sourceIsMissingFederationGuids": "elements of the main iModel have no FederationGuid",
}
