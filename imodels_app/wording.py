"""What people read about an operation: badge, tone, icon, one line, and what to do next. Words and times, no queries.

The words are a table, so that each state has exactly one badge. Curly brackets are filled in by tell().
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from imodels_app.estimates import Usual
from imodels_app.models import Attempt, Operation
from imodels_app.states import Kind, Outcome, Shell, State, Wait, Wish
from imodels_app.turns import Place

PREVIEW = " Fork is a closed preview of the platform, which lets only selected applications fork."
# Whoever is first and goes within this time needs no number.
A_MOMENT = timedelta(seconds=6)
FOLLOWED_FOR = "24 h"
TELL_THE_ADMINISTRATOR = (
    "Read the platform’s own message below and try again. "
    "If it fails twice, write to your administrator with the operation id."
)


DELETE_THE_SHELL = "Delete the shell, which keeps the name “{name}” taken, and make it again."
FILE_IS_KEPT = "The file is kept here for a day and need not be uploaded again."


@dataclass(frozen=True)
class Words:
    """One row of the table. tone: "" (calm), move, good, ask (a person has to act) or bad."""

    badge: str
    tone: str
    icon: str
    line: str
    remedy: str


@dataclass(frozen=True)
class Told(Words):
    """Words about one operation, filled in. share: percent of the usual time used, None if nothing is known."""

    share: int | None = None
    share_of: str = "Usual time used"

    @property
    def sentence(self) -> str:
        """For screen readers: Running, usually 2 to 5 min more."""
        return f"{self.badge}, {self.line}" if self.line else self.badge


WORDS: dict[str, Words] = {
    "awaiting_approval": Words(
        "Awaiting approval",
        "ask",
        "st-approval",
        "{team} decides until {until}",
        "Withdraw it, or remind the leads.",
    ),
    "queued": Words("Queued", "", "st-queued", "sent in a moment", "Nothing to do. It is sent in a moment."),
    "queued:rate_limit": Words(
        "Queued",
        "",
        "st-queued",
        "the {bucket} of this minute are used, until {until}",
        "Nothing to do. It is sent as soon as the budget allows.",
    ),
    "queued:turn": Words(
        "Queued",
        "",
        "st-queued",
        "{place} in the queue, about {start}",
        "Nothing to do. People share the {bucket} of a minute and take turns. It is sent by itself.",
    ),
    "queued:platform_down": Words(
        "Queued",
        "",
        "st-queued",
        "platform not answering, next try {until}",
        "Nothing to do. It is tried again until it works.",
    ),
    "queued:provider_down": Words(
        "Queued",
        "",
        "st-queued",
        "sign-in service not answering, next try {until}",
        "Nothing to do. It is tried again until it works.",
    ),
    "queued:same_name": Words(
        "Queued",
        "",
        "st-queued",
        "another “{name}” comes first",
        "Waits for the other one, or cancel and choose another name.",
    ),
    "queued:sign_in": Words(
        "Waiting for sign-in",
        "ask",
        "st-signin",
        "{person} must sign in again, until {until}",
        "Sign in. It goes on by itself.",
    ),
    "submitting": Words(
        "Submitting", "move", "st-submitting", "request sent, waiting for the answer", "Nothing to do."
    ),
    "submitting:lost_answer": Words(
        "Checking",
        "move",
        "search",
        "the answer was lost, looking for “{name}”",
        "Nothing to do. It is never sent twice.",
    ),
    "submitting:sign_in": Words(
        "Waiting for sign-in",
        "ask",
        "st-signin",
        "{person} must sign in again to look for “{name}”",
        "Sign in. It goes on by itself, and is never sent twice.",
    ),
    "uploading": Words(
        "Uploading",
        "move",
        "st-uploading",
        "{sent} of {size}",
        "You can leave. The file is safe here and goes up by itself.{link}",
    ),
    "uploading:sent": Words(
        "Uploading",
        "move",
        "st-uploading",
        "the file is up, the platform is being told",
        "Nothing to do. The platform may need a moment to see the file.",
    ),
    "uploading:storage_down": Words(
        "Uploading",
        "move",
        "st-uploading",
        "storage not answering, next try {until}",
        "Nothing to do. What has arrived stays there, and the rest is tried again until it works.{link}",
    ),
    "uploading:platform_down": Words(
        "Uploading",
        "move",
        "st-uploading",
        "platform not answering, next try {until}",
        "Nothing to do. The file is safe, and it is tried again until it works.",
    ),
    "uploading:provider_down": Words(
        "Uploading",
        "move",
        "st-uploading",
        "sign-in service not answering, next try {until}",
        "Nothing to do. The file is safe, and it is tried again until it works.",
    ),
    "uploading:rate_limit": Words(
        "Uploading",
        "move",
        "st-uploading",
        "calls of this minute are used, next try {until}",
        "Nothing to do. It goes on as soon as the budget allows.",
    ),
    "uploading:sign_in": Words(
        "Waiting for sign-in",
        "ask",
        "st-signin",
        "{person} must sign in again to finish the upload",
        "Sign in. It goes on by itself.",
    ),
    "running": Words(
        "Running",
        "move",
        "st-running",
        "{estimate}",
        "You can leave. It is all here when you come back.",
    ),
    "running:slow": Words(
        "Running",
        "move",
        "st-running",
        "longer than usual, 9 of 10 end within {most}",
        f"Nothing to do. We keep asking for {FOLLOWED_FOR}.",
    ),
    "running:platform_down": Words(
        "Running",
        "move",
        "st-running",
        "platform not answering, next look {until}",
        "Nothing to do. The platform works on; we look again until it answers.",
    ),
    "running:provider_down": Words(
        "Running",
        "move",
        "st-running",
        "sign-in service not answering, next look {until}",
        "Nothing to do. The platform works on; we look again until it answers.",
    ),
    "running:rate_limit": Words(
        "Running",
        "move",
        "st-running",
        "calls of this minute are used, next look {until}",
        "Nothing to do. The platform works on; we look again as soon as the budget allows.",
    ),
    "running:sign_in": Words(
        "Waiting for sign-in",
        "ask",
        "st-signin",
        "the platform works on; {person} must sign in again to see how it ends",
        "Sign in. It goes on by itself.",
    ),
    "running:not_permitted": Words(
        "Running",
        "move",
        "st-running",
        "{person} may not look at it, next look {until}",
        "Following it needs imodels_webview in {itwin}. Ask an administrator there; the platform works on.",
    ),
    "running:unknown": Words(
        "Running",
        "move",
        "st-running",
        "the platform calls it “{platform_state}”",
        "Nothing to do. iModel Desk does not know this word of the platform’s, and keeps asking until it does.",
    ),
    "running:usable": Words(
        "Usable now",
        "good",
        "st-usable",
        "still finishing{finishing}",
        "Open it now. Aids for viewing and authoring still arrive.",
    ),
    "succeeded": Words("Succeeded", "good", "st-succeeded", "took {took}", "Open it, or make one from it."),
    "rejected": Words(
        "Rejected", "", "st-rejected", "{decider}{comment}", "Read the comment. Ask again if things have changed."
    ),
    "expired": Words(
        "Expired", "", "st-expired", "nobody decided within {patience}", "Ask again, or speak with a lead."
    ),
    "expired:sign_in": Words(
        "Expired",
        "",
        "st-expired",
        "{person} did not sign in again in time",
        "Sign in and ask for the same again.",
    ),
    "cancelled": Words("Cancelled", "", "st-cancelled", "by {canceller} before it was sent", "Same again."),
}

FAILURES: dict[str, Words] = {
    code: Words(badge, "bad", "st-failed", line, remedy)
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
            f"{DELETE_THE_SHELL} {FILE_IS_KEPT}",
        ),
        (
            "uploadLinkLost",
            "Failed: no upload link",
            "the platform told no place for the file",
            f"{DELETE_THE_SHELL} {FILE_IS_KEPT}",
        ),
        (
            "uploadLinkForeign",
            "Failed: upload link not used",
            "it leads where nothing may be sent",
            f"Write to your administrator with the operation id. {FILE_IS_KEPT}",
        ),
        (
            "uploadRefused",
            "Failed: file not taken",
            "the platform’s storage refused it",
            f"{DELETE_THE_SHELL} If it fails twice, write to your administrator. {FILE_IS_KEPT}",
        ),
        (
            "baselineSizeMismatch",
            "Failed: size differs",
            "another size arrived than was announced",
            f"The size cannot be changed later. {DELETE_THE_SHELL} {FILE_IS_KEPT}",
        ),
        (
            "baselineFileMissing",
            "Failed: file not found",
            "the platform does not find the file",
            f"It was sent twice. {DELETE_THE_SHELL} {FILE_IS_KEPT}",
        ),
        (
            "uploadAbandoned",
            "Failed: nobody signed in",
            "the requester did not sign in again in time",
            f"{DELETE_THE_SHELL} {FILE_IS_KEPT}",
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
            "the platform tells no reason",
            "Try again. If it fails twice, write to your administrator with the operation id.",
        ),
        (
            "vanished",
            "Failed: vanished",
            "the platform no longer knows this iModel",
            "Somebody deleted it, or it was never finished. Ask for the same again.",
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
            "change what the platform names",
            "Change what the platform names above, and send it again.",
        ),
        *(
            (
                code,
                "Failed: a fault of ours",
                "iModel Desk sent what the platform does not take",
                "This is a fault of iModel Desk, not yours. Write to your administrator with the operation id.",
            )
            for code in ("UnsupportedMediaType", "RequestTooLarge")
        ),
        (
            "approvalVoid",
            "Failed: approval void",
            "what would be sent is not what was approved",
            "Ask for approval again.",
        ),
        (
            "",
            "Failed",
            "{said}",
            TELL_THE_ADMINISTRATOR,
        ),
    )
}
# What a failure left on the platform. The line is what is in the way, where something is.
SHELLS: dict[Shell, Words] = {
    Shell.LEFT: Words(
        "Left over", "", "cube", "keeps the name “{name}” taken", "Delete it, or choose another name for the next one."
    ),
    Shell.DELETING: Words(
        "Deleting", "move", "trash", "asked for by {deleter}", "Nothing to do. It is tried until the platform answers."
    ),
    Shell.USABLE: Words(
        "Usable after all",
        "ask",
        "st-usable",
        "it can be opened, so it was not deleted",
        "Open it. If nobody needs it, delete it all the same.",
    ),
    Shell.DELETED: Words("Deleted", "good", "trash", "by {deleter}, the name “{name}” is free", "Make it again."),
    Shell.GONE: Words("Gone already", "good", "trash", "the name “{name}” is free", "Make it again."),
}
# What the platform says of a baseline file, beside the operation's state. The platform's word -> badge and sentence.
BASELINE_STATES = {
    "waitingForFile": ("Waiting for the file", "the platform does not have it yet"),
    "initializationScheduled": ("Being read", "the platform makes an iModel from it"),
    "initialized": ("Read", "the iModel was made from it"),
    "initializationFailed": ("Not readable", "no iModel could be made from it"),
    "fileIsBriefcase": ("A briefcase", "a personal working copy, not a snapshot"),
}
_CODES = {code.casefold(): code for code in FAILURES}
# What a status means when no envelope with a code came with it. 404 and 409 have several causes, and rows of their own.
# Source: the responses of the create, clone and fork pages.
_CODES |= {
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
    "uploadLinkExpired": "The platform’s upload link ended before the file was there, and it gives no other.",
    "uploadLinkLost": "The platform’s answer was lost, and with it the only link for the file.",
    "uploadLinkForeign": "The platform named a place for the file to which iModel Desk sends nothing.",
    "uploadRefused": "The platform’s storage did not take the file.",
    "baselineSizeMismatch": "The file that arrived is not of the size that was announced.",
    "baselineFileMissing": "The platform does not find the file, though its storage acknowledged it.",
    "uploadAbandoned": "{person} did not sign in again in time, so {file} never went up.",
    "stagedFileMissing": "The file was removed before it could be sent.",
    "fileIsBriefcase": "The file is a briefcase, not a snapshot.",
    "initializationFailed": "The platform could not make an iModel from what it was given.",
    "failed": "The platform began to make “{name}” and gave it up. It tells no reason.",
    "vanished": "The platform no longer knows this iModel.",
    "InsufficientPermissions": "{person} may not do this in {itwin}.",
    "iTwinNotFound": "The platform does not know {itwin}, or {person} cannot see it.",
    "iModelNotFound": "The platform does not know {source}, or {person} cannot see it.",
    "ChangesetNotFound": "{source} does not have the changeset that was asked for.",
    "sourceNotReady": "The platform has not finished {source}, so nothing can be made from it yet.",
    "404": "The platform did not find {parts}, or {person} cannot see them. It did not say which.",
    "409": "The name “{name}” is taken in {itwin}, or {source} is not ready. The platform did not say which.",
    "InvalidiModelsRequest": "The platform did not take what was asked for.",
    "UnsupportedMediaType": "The platform did not understand the request.",
    "RequestTooLarge": "The platform did not take a request of this size.",
    "approvalVoid": "What would be sent is not what was approved, so it was not sent.",
    "": "The platform did not make “{name}”.",
}


# The platform's own words, and what they mean.
# Source: https://developer.bentley.com/apis/imodels-v2/operations/get-create-imodel-operation/
PLATFORM_STATES: dict[str, str] = {
    "scheduled": "waits its turn, or is being made",
    "waitingForFile": "its file has not been uploaded",
    "successful": "complete",
    "failed": "came to nothing",
    "mainIModelIsMissingFederationGuids": "elements of the main iModel have no FederationGuid",
    # The same, as older texts have it.
    "sourceIsMissingFederationGuids": "elements of the main iModel have no FederationGuid",
}


def platform_words(state: str) -> str:
    """What the platform means by the state of an operation."""
    return PLATFORM_STATES.get(state, "a word that iModel Desk does not know")


def tell(operation: Operation, now: datetime, usual: Usual | None = None, place: Place | None = None) -> Told:
    """Badge, tone, icon, line and remedy of an operation as it is now.

    place: where it stands in the queue, if that is known
    """
    row = _row(operation, now, usual, place)
    words = FAILURES[failure(operation)] if operation.state == State.FAILED else WORDS[row]
    filled = _filling(operation, now, usual) | _standing(place, now)
    return Told(
        badge=words.badge,
        tone=words.tone,
        icon=words.icon,
        line=words.line.format_map(filled),
        remedy=words.remedy.format_map(filled),
        share=_share(operation, now, usual),
        share_of="Sent" if operation.state == State.UPLOADING else "Usual time used",
    )


def tell_shell(operation: Operation) -> Told:
    """The same about the iModel that a failed operation left on the platform."""
    words = SHELLS[Shell(operation.shell)]
    filled = {"name": operation.name, "deleter": first_name(operation.shell_by_name) or "nobody"}
    stands = operation.shell_note if operation.shell in (Shell.LEFT, Shell.DELETING) else ""
    return Told(
        badge=words.badge,
        tone="bad" if operation.shell == Shell.LEFT and stands else words.tone,
        icon=words.icon,
        line=(stands or words.line.format_map(filled)).rstrip("."),
        remedy=words.remedy,
    )


def headline(operation: Operation) -> str:
    """One sentence that says what a failure means."""
    filled = {
        "name": operation.name,
        "itwin": operation.itwin_name or "the iTwin",
        "source": operation.source_name or "the source",
        "parts": _parts(operation),
        "up_to": f" at changeset {operation.changeset_index}" if operation.changeset_index else "",
        "person": operation.requested_by_name,
        "file": operation.file_name or "the file",
    }
    text = FAILURE_HEADLINES[failure(operation)].format_map(filled)
    return text[:1].upper() + text[1:]


def _parts(operation: Operation) -> str:
    """What a request names: Harbour Bridge and Main Bridge."""
    itwin = operation.itwin_name or "the iTwin"
    return f"{itwin} and {operation.source_name or 'the source'}" if operation.source_id else itwin


def was_refused(operation: Operation) -> bool:
    """The platform made nothing of it: the request can be changed and sent again."""
    return operation.state == State.FAILED and not operation.imodel_id and operation.failure_code != "approvalVoid"


def needs(operation: Operation) -> str:
    """Which permission on which iTwin the platform asks for. Source: the create, clone and fork pages."""
    target, source = operation.itwin_name or "the iTwin", operation.source_itwin_name or "the source’s iTwin"
    if operation.kind == Kind.TEMPLATE:
        return f"imodels_manage in {target} and imodels_read in {source}"
    if not operation.source_id or operation.source_itwin_id == operation.itwin_id:
        return f"imodels_manage in {target}"
    return f"imodels_manage in {source} and in {target}"


def _row(operation: Operation, now: datetime, usual: Usual | None, place: Place | None) -> str:
    """Which row of the table fits."""
    state = State(operation.state)
    if place and state == State.QUEUED:
        return "queued" if is_next(place, now) else "queued:turn"
    if state == State.RUNNING and not operation.wait_reason:
        return _running_row(operation, now, usual)
    if state == State.UPLOADING and not operation.wait_reason and operation.is_sent:
        return "uploading:sent"
    if state == State.EXPIRED and operation.wait_reason == Wait.SIGN_IN:
        return "expired:sign_in"
    waiting = f"{state}:{operation.wait_reason}"
    return waiting if waiting in WORDS else str(state)


def _running_row(operation: Operation, now: datetime, usual: Usual | None) -> str:
    if operation.usable_at:
        return "running:usable"
    if operation.platform_state and operation.platform_state not in PLATFORM_STATES:
        return "running:unknown"
    return "running:slow" if usual and _elapsed(operation, now) > usual.most else "running"


def is_next(place: Place, now: datetime) -> bool:
    """Whether it starts so soon that nobody needs to be told when."""
    return place.number == 1 and place.start - now <= A_MOMENT


def _standing(place: Place | None, now: datetime) -> dict[str, str]:
    return {"place": nth(place.number), "start": moment(place.start, now)} if place else {}


def failure(operation: Operation) -> str:
    """The row of the table; the platform is not sure about the capitals of its codes."""
    return _CODES.get(operation.failure_code.casefold(), "")


def _filling(operation: Operation, now: datetime, usual: Usual | None) -> dict[str, str]:
    """Every word that a row may ask for."""
    until = operation.expires_at if operation.state == State.AWAITING_APPROVAL else operation.wait_until
    remaining = remains(operation, now, usual)
    return {
        "team": operation.team.name,
        "until": _until(operation, until, now) if until else "later",
        "platform_state": operation.platform_state,
        "bucket": {"clone": "clones", "fork": "forks"}.get(operation.kind, "creations"),
        "name": operation.name,
        "itwin": operation.itwin_name or "the iTwin",
        "person": first_name(operation.requested_by_name),
        "estimate": remaining or "the platform is working on it",
        "finishing": f", {remaining}" if remaining else "",
        "most": lasted(usual.most) if usual else "",
        "took": lasted(operation.finished_at - operation.accepted_at)
        if operation.finished_at and operation.accepted_at
        else "no time",
        "decider": first_name(operation.decided_by_name),
        "comment": f": “{operation.decision_comment}”" if operation.decision_comment else "",
        "patience": _days(operation.team.approval_days),
        "canceller": first_name(getattr(operation, "cancelled_by", None) or operation.requested_by_name),
        "permission": _permission(operation),
        "needs": needs(operation),
        "file": operation.file_name or "the file",
        "sent": file_size(operation.sent_bytes),
        "size": file_size(operation.file_size or 0),
        "link": _link_time(operation, now),
        "preview": PREVIEW if operation.kind == Kind.FORK else "",
        "source": operation.source_name or "the source",
        "parts": _parts(operation),
        "said": f"the platform said: “{operation.failure_message}”"
        if operation.failure_message
        else f"the platform said: {operation.failure_code or 'nothing'}",
    }


def _link_time(operation: Operation, now: datetime) -> str:
    return f" The platform takes it until {moment(operation.upload_until, now)}." if operation.upload_until else ""


def _until(operation: Operation, until: datetime, now: datetime) -> str:
    """A wait for a person that lasts days needs no minutes."""
    if operation.wait_reason == Wait.SIGN_IN and until - now > timedelta(days=1):
        return day_time(until).rsplit(" ", 1)[0]
    return moment(until, now)


def remains(operation: Operation, now: datetime, usual: Usual | None) -> str:
    """usually 2 to 5 min more; empty when nothing can be said."""
    if usual is None or operation.accepted_at is None:
        return ""
    elapsed = _elapsed(operation, now)
    low, high = usual.half - elapsed, usual.most - elapsed
    if high <= timedelta(0):
        return ""
    if high < timedelta(minutes=1):
        return "usually less than a minute more"
    least, most = max(_minutes(low), 0), max(_minutes(high), 1)
    if least >= most:
        return f"usually {most} min more"
    return f"usually {least} to {most} min more" if least else f"usually up to {most} min more"


def _minutes(time: timedelta) -> int:
    return round(time.total_seconds() / 60)


def _elapsed(operation: Operation, now: datetime) -> timedelta:
    return now - (operation.accepted_at or operation.created_at)


def _share(operation: Operation, now: datetime, usual: Usual | None) -> int | None:
    if operation.state == State.UPLOADING and operation.file_size:
        return 100 * operation.sent_bytes // operation.file_size
    if operation.state != State.RUNNING or usual is None or not usual.most:
        return None
    return usual.share(_elapsed(operation, now))


def _permission(operation: Operation) -> str:
    for detail in operation.failure_details:
        for word in str(detail.get("message", "")).replace("'", " ").replace(".", " ").split():
            if word.startswith("imodels_"):
                return word
    return "imodels_manage" if operation.kind == Kind.EMPTY else "a permission"


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"


def attempt_words(attempt: Attempt) -> str:
    """What became of one POST: Accepted after 1.8 s."""
    if attempt.outcome == Outcome.PENDING:
        return "No answer yet"
    after = f" after {(attempt.answered_at - attempt.sent_at).total_seconds():.1f} s" if attempt.answered_at else ""
    return f"{Outcome(attempt.outcome).label}{after}"


# The way of one operation


@dataclass(frozen=True)
class Step:
    """One stretch of the way. value: percent, None when it goes on and nobody knows how far."""

    label: str
    value: int | None
    is_here: bool = False


def steps(operation: Operation, told: Told) -> list[Step]:
    """The way from asked to succeeded; empty when it ended elsewhere."""
    here = _STEP_OF.get(State(operation.state))
    if here is None:
        return []
    if operation.usable_at and here == "Running":
        here = "Succeeded"
    needs_approval = operation.state == State.AWAITING_APPROVAL or operation.decided_by_id is not None
    labels = ["Asked", *(["Approved"] if needs_approval else []), "Sent"]
    labels += [*(["Uploading"] if _has_file(operation) else []), "Running", "Usable now", "Succeeded"]
    if operation.state == State.SUCCEEDED:
        return [Step(label, 100) for label in labels]
    at = labels.index(here)
    value = told.share if operation.state in (State.RUNNING, State.UPLOADING) else 0
    done, coming = labels[:at], labels[at + 1 :]
    return [Step(label, 100) for label in done] + [Step(here, value, True)] + [Step(label, 0) for label in coming]


_STEP_OF = {
    State.AWAITING_APPROVAL: "Approved",
    State.QUEUED: "Sent",
    State.SUBMITTING: "Sent",
    State.UPLOADING: "Uploading",
    State.RUNNING: "Running",
    State.SUCCEEDED: "Succeeded",
}


def _has_file(operation: Operation) -> bool:
    return operation.kind == Kind.BASELINE or operation.state == State.UPLOADING


def doing(operation: Operation) -> str:
    """What is going on, as a headline."""
    if operation.state == State.RUNNING and operation.usable_at:
        return "The iModel can be used while the platform finishes"
    if operation.state == State.RUNNING and operation.changeset_index and operation.kind == Kind.TEMPLATE:
        return f"The platform makes one baseline of {thin(operation.changeset_index)} changesets"
    if operation.state == State.RUNNING and operation.changeset_index and operation.preserve_history is not False:
        return f"The platform is copying {thin(operation.changeset_index)} changesets"
    return {
        State.AWAITING_APPROVAL: f"{operation.team.name} decides about it",
        State.QUEUED: "It waits to be sent",
        State.SUBMITTING: "The request is out",
        State.UPLOADING: "The file is on its way to the platform",
        State.RUNNING: "The platform is making the iModel",
        State.SUCCEEDED: f"{operation.name} is ready",
    }.get(State(operation.state), "")


def basis(operation: Operation, usual: Usual | None, now: datetime) -> str:
    """What the estimate rests on; empty when there is nothing to estimate."""
    if operation.state != State.RUNNING:
        return ""
    if usual is None:
        return "The platform tells no percentage, and too few earlier ones are known to say how long it usually takes."
    return (
        f"The platform tells no percentage. The bar compares {lasted(_elapsed(operation, now))} with the last "
        f"{usual.count} {_which(operation, usual)}: half took {lasted(usual.half)}, "
        f"nine in ten under {lasted(usual.most)}."
    )


def _which(operation: Operation, usual: Usual) -> str:
    """The earlier ones that an estimate rests on: clones of Main Bridge."""
    if operation.kind == Kind.TEMPLATE:
        return f"iModels from the template {usual.source}" if usual.source else "iModels from templates"
    if not operation.source_id:
        return f"{kind_word(operation.kind)} iModels"
    kinds = f"{kind_word(operation.kind).lower()}s"
    return f"{kinds} of {usual.source}" if usual.source else kinds


# Names


def kind_word(kind: str) -> str:
    """One word for a table cell."""
    return "Baseline" if kind == Kind.BASELINE else Kind(kind).label


def made_from(operation: Operation) -> str:
    """from Main Bridge @ 118; empty when it is made from nothing."""
    if operation.file_name:
        return f"from {operation.file_name}"
    if not operation.source_id:
        return ""
    at = up_to(operation)
    return f"from {operation.source_name or operation.source_id}" + (f" @ {at}" if at else "")


def up_to(operation: Operation) -> str:
    """118, baseline or the first digits of a changeset id; empty when all is copied."""
    if operation.changeset_wish == Wish.BASELINE or operation.changeset_index == 0:
        return "baseline"
    if operation.changeset_index is not None:
        return str(operation.changeset_index)
    return operation.changeset_id[:8]


def origin(operation: Operation) -> str:
    """What its source is called."""
    return {Kind.FORK: "Main iModel", Kind.TEMPLATE: "Template iModel"}.get(Kind(operation.kind), "Source iModel")


def origin_verb(operation: Operation) -> str:
    """What was done to its source: forked, cloned, or taken as a template."""
    return {Kind.FORK: "forked", Kind.TEMPLATE: "as template"}.get(Kind(operation.kind), "cloned")


def edge(operation: Operation) -> str:
    """How it came from its source: forked at #118, cloned at its baseline, cloned."""
    at = up_to(operation)
    if not at:
        return origin_verb(operation)
    where = "its baseline" if at == "baseline" else f"#{at}" if operation.changeset_index else at
    return f"{origin_verb(operation)} at {where}"


def history(operation: Operation) -> str:
    """What becomes of the main iModel's changesets in a fork."""
    if operation.preserve_history is None:
        return ""
    if not operation.preserve_history:
        return "Squashed into the baseline"
    return f"Preserved, {thin(operation.changeset_index)} changesets" if operation.changeset_index else "Preserved"


def baseline_words(operation: Operation) -> tuple[str, str]:
    """Badge and sentence of what the platform says about the baseline file; a word that we do not know as it is."""
    return BASELINE_STATES.get(operation.baseline_state, (operation.baseline_state, ""))


def short_id(whole: object) -> str:
    """A GUID or hash as one recognises it: 91c4d2ab…07be."""
    text = str(whole)
    return f"{text[:8]}…{text[-4:]}" if len(text) > 14 else text


def lower_first(text: str) -> str:
    """For the middle of a sentence: failed: FederationGuids missing."""
    return text[:1].lower() + text[1:]


def first_name(name: str) -> str:
    return name.split()[0] if name.split() else name


def short_name(name: str) -> str:
    """Mara L."""
    words = name.split()
    return f"{words[0]} {words[-1][0]}." if len(words) > 1 else name


# Times and numbers


def nth(number: int) -> str:
    """1st, 2nd, 3rd, 11th, 1 002nd"""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{thin(number)}{ending}"


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%H:%M}"


def clock_s(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%H:%M:%S}"


def day_time(moment: datetime) -> str:
    """Fri 20 Nov 17:00"""
    local = timezone.localtime(moment)
    return f"{local:%a} {local.day} {local:%b %H:%M}"


def moment(at: datetime, now: datetime | None = None) -> str:
    """The least that is exact enough: 10:42:50 within the hour, 10:45 today, Fri 20 Nov 17:00, 20 Nov 2025."""
    now = now or timezone.now()
    if abs(at - now) < timedelta(hours=1):
        return clock_s(at)
    local, here = timezone.localtime(at), timezone.localtime(now)
    if local.date() == here.date():
        return clock(at)
    return day_time(at) if abs(at - now) < timedelta(days=300) else f"{local.day} {local:%b %Y}"


def exact(moment: datetime) -> str:
    """Fri 20 Nov 2026 17:00:05 UTC"""
    local = timezone.localtime(moment)
    return f"{local:%a} {local.day} {local:%b %Y %H:%M:%S %Z}"


def audit_time(moment: datetime) -> str:
    """20 Nov 10:38:12; with the year when it is another one."""
    local = timezone.localtime(moment)
    year = "" if local.year == timezone.localtime().year else f" {local.year}"
    return f"{local.day} {local:%b}{year} {local:%H:%M:%S}"


def history_time(moment: datetime, now: datetime | None = None) -> str:
    """Exact seconds: 10:38:12 today, 20 Nov 10:38:12 on other days."""
    local = timezone.localtime(moment)
    if local.date() == timezone.localtime(now).date():
        return clock_s(moment)
    return f"{local.day} {local:%b %H:%M:%S}"


def lasted(time: timedelta) -> str:
    """42 s, 4 min 12 s, 2 h 40 min, 3 d"""
    seconds = max(round(time.total_seconds()), 0)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min" + (f" {seconds % 60} s" if seconds % 60 else "")
    if seconds < 86400:
        return f"{seconds // 3600} h" + (f" {seconds % 3600 // 60} min" if seconds % 3600 // 60 else "")
    return f"{seconds // 86400} d"


def age(at: datetime, now: datetime | None = None) -> str:
    """How long ago, in one unit: 3 s, 38 min, 1 h, 2 d. live.js counts on, in the same words."""
    seconds = max(int(((now or timezone.now()) - at).total_seconds()), 0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def file_size(size: int) -> str:
    """12 KiB, 300 MiB, 2.1 GiB; upload.js says it in the same way."""
    if size < 1024:
        return f"{size} bytes"
    amount, unit = _in_unit(size)
    return f"{_short(size / amount)} {unit}"


def arrived(received: int, size: int) -> str:
    """120 of 300 MiB, both in the unit of the whole."""
    amount, unit = _in_unit(size)
    return f"{_short(received / amount)} of {_short(size / amount)} {unit}"


def _in_unit(size: int) -> tuple[int, str]:
    return next(((amount, unit) for amount, unit in _UNITS if size >= amount), _UNITS[-1])


def _short(number: float) -> str:
    """At most one digit after the point, and none from 100 on."""
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}".removesuffix(".0")


def thin(number: int) -> str:
    """18 204, with a narrow space that does not break."""
    return f"{number:,}".replace(",", "\u202f")
