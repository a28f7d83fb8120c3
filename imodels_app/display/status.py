"""What people read about an operation: badge, tone, icon, one line, and what to do next. No queries.

The tables of status_table.py, filled in with names, numbers and times by formats.py.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from imodels_app.display import links
from imodels_app.display.estimates import UsualDuration
from imodels_app.display.formats import deadline, file_size, first_name, lasted, moment, ordinal, thousands, weekday
from imodels_app.display.status_table import (
    ADMISSION,
    BASELINE_STATES,
    CODES,
    FAILURE_HEADLINES,
    FAILURES,
    ORPHANS,
    PLATFORM_STATES,
    PREVIEW,
    STATUSES,
    StatusRow,
)
from imodels_app.limits import rate_limits
from imodels_app.limits.fair_queue import QueuePosition
from imodels_app.models import Attempt, Decision, Operation, Orphan
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import (
    UNDECIDED,
    ChangesetSelection,
    Kind,
    OrphanState,
    Outcome,
    State,
    Verdict,
    WaitReason,
    Who,
)

# Whoever is first and goes within this time needs no number.
A_MOMENT = timedelta(seconds=6)


@dataclass(frozen=True)
class StatusText(StatusRow):
    """Words about one operation, filled in. share: percent of the usual time used, None if nothing is known."""

    share: int | None = None
    share_of: str = "Usual time used"

    @property
    def sentence(self) -> str:
        """For screen readers: Running, usually 2 to 5 min more."""
        return f"{self.badge}, {self.line}" if self.line else self.badge


def platform_state_text(state: str) -> str:
    """What the platform means by the state of an operation."""
    return PLATFORM_STATES.get(state, "a state that iModel Desk does not know")


def describe(
    operation: Operation, now: datetime, usual: UsualDuration | None = None, position: QueuePosition | None = None
) -> StatusText:
    """Badge, tone, icon, line and remedy of an operation as it is now.

    place: where it stands in the queue, if that is known
    """
    row = _row(operation, now, usual, position)
    texts = FAILURES[failure(operation)] if operation.state == State.FAILED else STATUSES[row]
    filled = _values(operation, now, usual) | _position(position, now) | _progress(operation, now)
    return StatusText(
        badge=texts.badge,
        tone=texts.tone,
        icon=texts.icon,
        line=texts.line.format_map(filled),
        remedy=texts.remedy.format_map(filled),
        short=texts.short.format_map(filled),
        share=_share(operation, now, usual),
        share_of="Sent" if operation.state == State.UPLOADING else "Usual time used",
    )


def describe_orphan(orphan: Orphan) -> StatusText:
    """The same about the iModel that a failed operation left on the platform."""
    texts = ORPHANS[OrphanState(orphan.state)]
    filled = {
        "name": isolated(orphan.operation.name),
        "deleter": isolated(first_name(orphan.requested_by_name)) or "nobody",
    }
    stands = orphan.note if orphan.state in (OrphanState.LEFT, OrphanState.DELETING) else ""
    return StatusText(
        badge=texts.badge,
        tone="bad" if orphan.state == OrphanState.LEFT and stands else texts.tone,
        icon=texts.icon,
        line=(stands or texts.line.format_map(filled)).rstrip("."),
        remedy=texts.remedy,
    )


def headline(operation: Operation) -> str:
    """One sentence that says what a failure means."""
    filled = {
        "name": isolated(operation.name),
        "itwin": _itwin(operation),
        "source": _source(operation),
        "parts": _parts(operation),
        "up_to": f" at changeset {operation.changeset_index}" if operation.changeset_index else "",
        "person": isolated(operation.requested_by_name),
        "file": isolated(operation.file_name) or "the file",
    }
    text = FAILURE_HEADLINES[failure(operation)].format_map(filled)
    return text[:1].upper() + text[1:]


def _parts(operation: Operation) -> str:
    """What a request names: Harbour Bridge and Main Bridge."""
    return f"{_itwin(operation)} and {_source(operation)}" if operation.source_id else _itwin(operation)


def _itwin(operation: Operation) -> str:
    return isolated(operation.itwin_name) or "the iTwin"


def _source(operation: Operation) -> str:
    return isolated(operation.source_name) or "the source"


def was_refused(operation: Operation) -> bool:
    """The platform made nothing of it: the request can be changed and sent again."""
    return operation.state == State.FAILED and not operation.imodel_id and operation.failure_code != "approvalVoid"


def needs(operation: Operation) -> str:
    """Which permission on which iTwin the platform asks for. Source: the create, clone and fork pages."""
    target, source = _itwin(operation), isolated(operation.source_itwin_name) or "the source’s iTwin"
    if operation.kind == Kind.TEMPLATE:
        return f"imodels_manage in {target} and imodels_read in {source}"
    if not operation.source_id or operation.source_itwin_id == operation.itwin_id:
        return f"imodels_manage in {target}"
    return f"imodels_manage in {source} and in {target}"


def _row(operation: Operation, now: datetime, usual: UsualDuration | None, position: QueuePosition | None) -> str:
    """Which row of the table fits."""
    state = State(operation.state)
    if position and state == State.QUEUED:
        return "queued" if is_next(position, now) else f"queued:{position.turn.reason or WaitReason.SPACED}"
    if state == State.RUNNING and not operation.wait_reason:
        return _running_row(operation, now, usual)
    if state == State.UPLOADING and not operation.wait_reason and operation.upload.is_sent:
        return "uploading:sent"
    waiting = f"{state}:{operation.wait_reason}"
    return waiting if waiting in STATUSES else str(state)


def _running_row(operation: Operation, now: datetime, usual: UsualDuration | None) -> str:
    if is_unknown(operation):
        return "running:unknown"
    if operation.usable_at:
        return "running:usable"
    return "running:slow" if usual and elapsed(operation, now) > usual.most[1] else "running"


def is_unknown(operation: Operation) -> bool:
    """Whether the platform's word for it is one that we do not know: it may be its last one, so nothing is promised."""
    state = operation.platform_state
    return operation.state == State.RUNNING and bool(state) and state not in PLATFORM_STATES


def is_next(position: QueuePosition, now: datetime) -> bool:
    """Whether it starts so soon that nobody needs to be told when."""
    return position.number == 1 and position.start - now <= A_MOMENT


def _position(position: QueuePosition | None, now: datetime) -> dict[str, str]:
    """Its place, and until when the whole queue waits, which its own row need not know yet."""
    if position is None:
        return {"position": "waiting for its turn"}
    place = f"{ordinal(position.number)} in the queue, about {moment(position.start, now)}"
    return {"position": place, "until": moment(position.turn.at, now)}


def failure(operation: Operation) -> str:
    """The row of the table; the platform is not sure about the capitals of its codes."""
    return CODES.get(operation.failure_code.casefold(), "")


def _values(operation: Operation, now: datetime, usual: UsualDuration | None) -> dict[str, str]:
    """Every word that a row may ask for."""
    until = operation.expires_at if operation.state in UNDECIDED else operation.wait_until
    remaining = time_remaining(operation, now, usual)
    decision = operation.last_decision
    bucket = rate_limits.bucket_of(operation.kind)
    return {
        "team": isolated(operation.team.name),
        "askers": askers(operation),
        "decides": "decides" if operation.asked == f" {Who.LEADS} " else "decide",
        "until": _until(operation, until, now) if until else "later",
        "soon": moment(until, now) if until else "later",
        "platform_state": operation.platform_state,
        "bucket": rate_limits.NAMES[bucket],
        "limit": str(rate_limits.limit(bucket)),
        "turns": "People take turns, and it is sent automatically.",
        "usable": "The iModel can be used. " if operation.usable_at else "",
        "use_it": "Open it, or make one from it." if links.open_url(operation) else "Make one from it.",
        "name": isolated(operation.name),
        "itwin": _itwin(operation),
        "person": isolated(first_name(operation.requested_by_name)),
        "estimate": remaining or "the platform is working on it",
        "finishing": f", {remaining}" if remaining else "",
        "most": usual.most[0] if usual else "",
        "within": lasted(usual.most[1]) if usual else "",
        "took": lasted(operation.finished_at - operation.accepted_at)
        if operation.finished_at and operation.accepted_at
        else "no time",
        "decider": isolated(first_name(decision.by_name)) if decision else "",
        "comment": f": “{isolated(decision.comment)}”" if decision and decision.comment else "",
        "patience": _days(operation.plan.decide_days(operation.team.approval_days)),
        "canceller": isolated(first_name(getattr(operation, "cancelled_by", None) or operation.requested_by_name)),
        "permission": _permission(operation),
        "needs": needs(operation),
        "file": isolated(operation.file_name) or "the file",
        "preview": PREVIEW if operation.kind == Kind.FORK else "",
        "admission": ADMISSION,
        "source": _source(operation),
        "parts": _parts(operation),
        "said": f"the platform said: “{isolated(operation.failure_message)}”"
        if operation.failure_message
        else f"the platform said: {operation.failure_code or 'nothing'}",
    }


def _progress(operation: Operation, now: datetime) -> dict[str, str]:
    """How far an upload is, and how long its link lasts."""
    if operation.state != State.UPLOADING:
        return {}
    upload = operation.upload
    link = f" The platform accepts it until {deadline(upload.link_until, now)}." if upload.link_until else ""
    return {"sent": file_size(upload.sent_bytes), "size": file_size(operation.file_size or 0), "link": link}


def askers(operation: Operation) -> str:
    """Who decides now: Bridge team; named people and administrators."""
    words = operation.asked.split()
    said = [isolated(operation.team.name)] if Who.LEADS in words else []
    said += ["the people whom a rule names"] if any(word.isdecimal() for word in words) else []
    said += ["administrators"] if Who.ADMINS in words else []
    return " or ".join(said)


def _until(operation: Operation, until: datetime, now: datetime) -> str:
    """A person's deadline names its zone; one that is days away needs no minutes."""
    if operation.wait_reason == WaitReason.SIGN_IN and until - now > timedelta(days=1):
        return weekday(timezone.localtime(until), now)
    is_deadline = operation.state in UNDECIDED or operation.wait_reason == WaitReason.SIGN_IN
    return (deadline if is_deadline else moment)(until, now)


def time_remaining(operation: Operation, now: datetime, usual: UsualDuration | None) -> str:
    """usually 2 to 5 min more; empty when nothing can be said."""
    if usual is None or operation.accepted_at is None:
        return ""
    passed = elapsed(operation, now)
    low, high = usual.remaining(passed)
    if passed > usual.most[1] or high <= timedelta(0):
        return ""
    if high < timedelta(minutes=1):
        return "usually less than a minute more"
    least, most = max(_minutes(low), 0), max(_minutes(high), 1)
    if least >= most:
        return f"usually {most} min more"
    return f"usually {least} to {most} min more" if least else f"usually up to {most} min more"


def _minutes(time: timedelta) -> int:
    return round(time.total_seconds() / 60)


def elapsed(operation: Operation, now: datetime) -> timedelta:
    """How long the platform has been at it."""
    return now - (operation.accepted_at or operation.created_at)


def _share(operation: Operation, now: datetime, usual: UsualDuration | None) -> int | None:
    if operation.state == State.UPLOADING and operation.file_size:
        return 100 * operation.upload.sent_bytes // operation.file_size
    if operation.state != State.RUNNING or is_unknown(operation) or usual is None or not usual.p90:
        return None
    return usual.share(elapsed(operation, now))


def _permission(operation: Operation) -> str:
    for detail in operation.failure_details:
        for word in str(detail.get("message", "")).replace("'", " ").replace(".", " ").split():
            if word.startswith("imodels_"):
                return word
    return "imodels_manage" if operation.kind == Kind.EMPTY else "a permission"


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"


def attempt_text(attempt: Attempt) -> str:
    """What became of one POST: Accepted after 1.8 s."""
    if attempt.outcome == Outcome.PENDING:
        return "No answer yet"
    after = f" after {(attempt.answered_at - attempt.sent_at).total_seconds():.1f} s" if attempt.answered_at else ""
    return f"{Outcome(attempt.outcome).label}{after}"


# Names


def kind_label(kind: str) -> str:
    """One word for a table cell."""
    return "Baseline" if kind == Kind.BASELINE else Kind(kind).label


def made_from(operation: Operation) -> str:
    """from Main Bridge @ 118; empty when it is made from nothing."""
    if operation.file_name:
        return f"from {isolated(operation.file_name)}"
    if not operation.source_id:
        return ""
    at = up_to(operation)
    return f"from {isolated(operation.source_name or operation.source_id)}" + (f" @ {at}" if at else "")


def up_to(operation: Operation) -> str:
    """118, baseline or the first digits of a changeset id; empty when all is copied."""
    if operation.changeset_selection == ChangesetSelection.BASELINE or operation.changeset_index == 0:
        return "baseline"
    if operation.changeset_index is not None:
        return str(operation.changeset_index)
    return operation.changeset_id[:8]


def what_is_asked(operation: Operation) -> str:
    """Fork Main Bridge as “Pier 7”."""
    name, source = isolated(operation.name), isolated(operation.source_name) or "an iModel"
    if operation.kind in (Kind.FORK, Kind.CLONE):
        return f"{operation.get_kind_display()} {source} as “{name}”"
    made_of = f" from {source}" if operation.kind == Kind.TEMPLATE else ""
    return f"Make “{name}”{made_of}"


def verdict_text(decision: Decision) -> str:
    """What somebody did, after their name."""
    texts = {
        Verdict.CHANGES_REQUESTED: "asked for changes",
        Verdict.BYPASSED: "let it proceed without the approvals it needs",
    }
    return texts.get(Verdict(decision.verdict), decision.verdict)


def origin(operation: Operation) -> str:
    """What its source is called."""
    return {Kind.FORK: "Main iModel", Kind.TEMPLATE: "Template iModel"}.get(Kind(operation.kind), "Source iModel")


def origin_verb(operation: Operation) -> str:
    """What was done to its source: forked, cloned, or taken as a template."""
    return {Kind.FORK: "forked", Kind.TEMPLATE: "as template"}.get(Kind(operation.kind), "cloned")


def lineage_label(operation: Operation) -> str:
    """How it came from its source, or was to come: forked at #118, to be cloned at its baseline, cloned."""
    at, verb = up_to(operation), origin_verb(operation)
    if not operation.imodel_id and operation.kind != Kind.TEMPLATE:
        verb = f"{'was ' if operation.is_finished else ''}to be {verb}"
    if not at:
        return verb
    where = "its baseline" if at == "baseline" else f"#{at}" if operation.changeset_index else at
    return f"{verb} at {where}"


def elsewhere(operation: Operation) -> str:
    """Into which other part of the platform it goes: iTwin; iTwin and account; iTwin, account and region."""
    *first, last = ["iTwin", *operation.elsewhere.split()]
    return f"{', '.join(first)} and {last}" if first else last


def fork_history(operation: Operation) -> str:
    """What becomes of the main iModel's changesets in a fork."""
    if operation.preserve_history is None:
        return ""
    if not operation.preserve_history:
        return "Squashed into the baseline"
    return f"Preserved, {thousands(operation.changeset_index)} changesets" if operation.changeset_index else "Preserved"


def baseline_text(operation: Operation) -> tuple[str, str]:
    """Badge and sentence of what the platform says about the baseline file; a word that we do not know as it is."""
    return BASELINE_STATES.get(operation.baseline_state, (operation.baseline_state, ""))
