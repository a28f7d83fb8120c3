"""What an e-mail says: subject, text, and a link to the page where one can act. Several messages are a line each."""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urljoin

from django.conf import settings
from django.urls import reverse

from imodels_app.display import formats, identity, links, status, timeline
from imodels_app.models import Event, Notification, Operation
from imodels_app.notifications import html, recipients
from imodels_app.runtime import clock
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import TO_DECIDE, Kind, NotificationKind, State, Verb, Verdict, WaitReason, Who

_LINKS = {
    **dict.fromkeys(TO_DECIDE, "Review and decide"),
    NotificationKind.CHANGES_REQUESTED: "Change it and send it again",
    NotificationKind.SIGN_IN: "Sign in",
    NotificationKind.FAILED: "What to do next",
}
# Of a decision, with the comment of whoever decided.
_TELL_WHY = {
    NotificationKind.APPROVED,
    NotificationKind.REJECTED,
    NotificationKind.CHANGES_REQUESTED,
    NotificationKind.DECIDED,
    NotificationKind.BYPASSED,
}
_TO_DECIDE = "You must be signed in to decide; nobody can decide from this e-mail."
_WHY = {
    **dict.fromkeys(TO_DECIDE, f"You get this because {{askers}} {{decides}} about this. {_TO_DECIDE}"),
    **dict.fromkeys(
        (NotificationKind.DECIDED, NotificationKind.BYPASSED, NotificationKind.ENDED, NotificationKind.START_SET),
        "You get this because you may decide about this, or have decided.",
    ),
    NotificationKind.SUBSCRIBED: "You get this because you asked to be told about this one.",
    **dict.fromkeys(
        (NotificationKind.UNKNOWN_STATE, NotificationKind.ESCALATED),
        "You get this because you are an administrator of iModel Desk.",
    ),
    NotificationKind.COMMENTED: "You get this because you requested this, or have written about it.",
}
_WHY_REQUESTER = "You get this because you requested {name}."
_WHY_SEVERAL = (
    "You get this because you requested these, lead their team, or are an administrator. They came within a short "
    "time, so they are in one e-mail."
)
_SIGN_IN = (
    "Your sign-in has expired, so {name} and anything else you requested is waiting. Nothing is lost. "
    "It continues as soon as you sign in."
)
_UNKNOWN_STATE = (
    "The platform calls the state of {what}, which {requester} requested, “{platform_state}”. iModel Desk does not "
    "know whether that is an end, so it keeps checking. See what became of the iModel on the platform, and whether a "
    "newer iModel Desk knows the word. You are told once, however many operations have this state."
)
_TEXTS: dict[NotificationKind, tuple[str, str]] = {
    NotificationKind.REQUESTED: (
        "{who} requests a fork of {source}{decide_by}",
        "{requester} wants to fork {source}{up_to} into {itwin}, as {name}.\n\n{requester} is {identity}.",
    ),
    NotificationKind.APPROVED: (
        "{decider} approved {name}",
        "{decider_name} approved {what}. It is sent automatically.",
    ),
    NotificationKind.REJECTED: ("{decider} rejected {name}", "{decider_name} rejected {what}. Nothing was sent."),
    NotificationKind.CHANGES_REQUESTED: (
        "{decider} asks you to change {name}",
        "{decider_name} asks for changes to {what}. Nothing was sent. Change it and send it again{decide_by}.",
    ),
    NotificationKind.EDITED: (
        "{who} changed {name}{decide_by}",
        "{requester} changed {what}. Approvals given before no longer count.\n\n{changes}",
    ),
    NotificationKind.DECIDED: (
        "{decider} decided on {name}: {verdict}",
        "{decider_name} decided on {what}, which {requester} requested: {verdict}. Nothing is left to do for you.",
    ),
    NotificationKind.BYPASSED: (
        "{decider} bypassed the approval of {name}",
        "{decider_name}, an administrator, let {what}, which {requester} requested, proceed without its approvals.",
    ),
    NotificationKind.APPROVAL_LAPSED: (
        "{name} has to be approved again{decide_by}",
        "{What} was approved, but could not be sent in time, so the approval is void. It waits for a decision again.",
    ),
    NotificationKind.START_SET: (
        "{decider} set when {name} starts",
        "{decider_name} set when {what}, which {requester} requested, is sent at the earliest: {start}.",
    ),
    NotificationKind.HALF_WAY: (
        "{name} still waits{decide_by}",
        "Half of the time to decide on {what}, which {requester} requested, is over.",
    ),
    NotificationKind.LAST_DAY: (
        "{name} expires soon{decide_by}",
        "{What}, which {requester} requested, expires unless somebody acts in time.",
    ),
    NotificationKind.ESCALATED: (
        "Nothing is decided: {name}{decide_by}",
        "Half of the time to decide on {what}, which {requester} requested, is over. {askers} {decides}: ask them.",
    ),
    NotificationKind.COMMENTED: ("{writer} wrote about {name}", "{writer} wrote about {what}:"),
    NotificationKind.SENT: ("{name} was sent", "{What} was sent to the platform, which is making it."),
    NotificationKind.ENDED: (
        "{name} has ended: {outcome}",
        "{What}, which {requester} requested, has ended: {outcome}. Nothing is left to do for you.",
    ),
    NotificationKind.SUBSCRIBED: (
        "{name} has ended: {outcome}",
        "{What}, which {requester} requested, has ended: {outcome}.",
    ),
    NotificationKind.EXPIRED: (
        "{name} expired: nobody decided",
        "Nobody decided on {what} in time. Nothing was sent. Request it again, or talk to a lead.",
    ),
    NotificationKind.SUCCEEDED: ("{name} is ready", "{What} is ready in {itwin}. It took {took}."),
    NotificationKind.FAILED: ("{name} was not made: {badge}", "{headline}\n\n{remedy}"),
    NotificationKind.SIGN_IN: ("Sign in again so that {name} can continue", _SIGN_IN),
    NotificationKind.UNKNOWN_STATE: (
        "{name}: the platform reports “{platform_state}”, a state that iModel Desk does not know",
        _UNKNOWN_STATE,
    ),
}
# To its requester, of what somebody else called off.
_CANCELLED = ("{decider} cancelled {name}", "{decider_name} cancelled {what}. Nothing was sent.")
# Of what is no fork.
_REQUESTED = (
    "{who} requests {what}{decide_by}",
    "{requester} wants to make {what}{up_to} in {itwin}.\n\n{requester} is {identity}.",
)
_EXPIRED = {
    WaitReason.SIGN_IN: (
        "{name} expired: you did not sign in again",
        "{What} waited for your sign-in, and time ran out. Sign in and request it again.",
    ),
    WaitReason.NOBODY_DECIDES: (
        "{name} expired: nobody is left who may decide",
        "Nobody is left who may decide on {what}. Nothing was sent. {remedy}",
    ),
}


# Lines of one e-mail; the pages have the others.
MOST_LINES = 100


class Mail(NamedTuple):
    """An e-mail, as text and as HTML with the same words."""

    subject: str
    text: str
    html: str


def mail(messages: Sequence[Notification]) -> Mail:
    """What one e-mail tells. No token, no secret: links, and whoever follows one has to be signed in."""
    subject, text = subject_and_text(messages)
    links = {_link(message) for message in messages} | {_all()}
    acts = [act for message in messages if message.operation for act in _next_acts(message.operation)]
    return Mail(subject, text, html.from_text(subject, text, links | {act.rpartition(" ")[2] for act in acts}))


def subject_and_text(messages: Sequence[Notification]) -> tuple[str, str]:
    """The words of an e-mail."""
    if len(messages) == 1:
        return _of_one(messages[0])
    subjects = [(_of_one(message)[0], _link(message)) for message in messages[:MOST_LINES]]
    lines = [f"- {subject}\n  {link}" for subject, link in subjects]
    more = len(messages) - len(lines)
    if more:
        lines.append(f"{more} more: {_all()}")
    why = f"{_WHY_SEVERAL} {_TO_DECIDE}" if any(map(_asks, messages)) else _WHY_SEVERAL
    return f"{subjects[0][0]}, and {len(messages) - 1} more", "\n\n".join([*lines, why]) + "\n"


def _asks(message: Notification) -> bool:
    """Whether its reader is asked to decide; of the same kinds the requester is told, and who had approved before."""
    operation = message.operation
    if operation is None or message.kind not in TO_DECIDE or message.to_id == operation.requested_by_id:
        return False
    return message.kind != NotificationKind.EDITED or recipients.is_asked(message.to, operation)


def _all() -> str:
    return f"{settings.DASHBOARD_URL}{reverse('imodels:operation-list')}"


def _of_one(message: Notification) -> tuple[str, str]:
    if message.operation is None:
        return _about_head(message) if message.kind == Verb.HEAD_SENT else _about_rights(message)
    operation, kind = message.operation, NotificationKind(message.kind)
    filled = values(operation, message.event) | {"changes": _changes(message), "writer": _writer(message)}
    subject, text = _TEXTS[kind]
    if kind == NotificationKind.REQUESTED and operation.kind != Kind.FORK:
        subject, text = _REQUESTED
    if kind == NotificationKind.EXPIRED:
        subject, text = _EXPIRED.get(WaitReason(operation.wait_reason), (subject, text))
    is_own = message.to_id == operation.requested_by_id
    if kind == NotificationKind.ENDED and is_own:
        subject, text = _CANCELLED
    is_told = kind in TO_DECIDE and not _asks(message)
    why = _WHY.get(NotificationKind.DECIDED if is_told else kind, _WHY_REQUESTER)
    if is_own and (is_told or kind in (NotificationKind.ENDED, NotificationKind.START_SET)):
        why = _WHY_REQUESTER
    link = f"{'Details' if is_told else _LINKS.get(kind, 'Details')}: {_link(message)}"
    parts = [text.format_map(filled), _quote(message, operation, kind), "\n".join([*_next_acts(operation), link])]
    whole = "\n\n".join(part for part in [*parts, why.format_map(filled)] if part)
    return " ".join(subject.format_map(filled).split()), whole + "\n"


def _about_head(message: Notification) -> tuple[str, str]:
    """The head stands in the subject, which is all that is left of a message among several."""
    facts = _event(message).data
    head = f"{facts['size']}:{facts['root']}"
    text = (
        f"The audit log of iModel Desk has {formats.thousands(facts['size'])} events. Its head is\n\n{head}\n\n"
        "Keep this e-mail: whoever changes these events later, even in the database, cannot keep this head. "
        f"To check it:\n\nmanage.py verify_audit --head {head}\n\nAudit: {_link(message)}"
    )
    return f"Head of the audit log: {head}", f"{text}\n\n{_WHY[NotificationKind.UNKNOWN_STATE]}\n"


def _event(message: Notification) -> Event:
    if message.event is None:
        raise ValueError("A notification is about an operation, or about an event.")
    return message.event


def _about_rights(message: Notification) -> tuple[str, str]:
    event = _event(message)
    who = f"{event.actor_name} ({event.actor_email})" if event.actor_email else event.actor_name or "iModel Desk"
    about = f" in {event.team_name}" if event.team_name else ""
    what = timeline.VERBS[event.verb][0]
    text = f"{what}{about}, by {who}:\n\n{event.note}\n\nApprovals: {_link(message)}"
    why = "You get this because you are an administrator, or lead a team that this is about."
    return " ".join(f"{what}{about}: {event.note}".split()), f"{text}\n\n{why}\n"


_WHAT = {
    Kind.EMPTY: "the empty iModel “{name}”",
    Kind.TEMPLATE: "the iModel “{name}” from the template {source}",
    Kind.BASELINE: "the iModel “{name}” from a baseline file",
    Kind.CLONE: "the clone of {source} “{name}”",
    Kind.FORK: "the fork of {source} “{name}”",
}


def values(operation: Operation, event: Event | None) -> dict[str, str]:
    """What a sentence about an operation may name. event: what is told; who decided, and how, is read there."""
    now = clock.now()
    earlier = status.describe(operation, now)
    name, source = isolated(operation.name), isolated(operation.source_name) or "an iModel"
    what = _WHAT[Kind(operation.kind)].format(name=name, source=source)
    up_to = status.up_to(operation)
    start, end = operation.accepted_at, operation.finished_at
    decider = (event.actor_name or "iModel Desk") if event else ""
    verdict = Verdict.APPROVED if event and event.verb == Verb.AGREED else event.verb if event else ""
    return {
        "name": name,
        "what": what,
        "What": what[:1].upper() + what[1:],
        "who": isolated(formats.first_name(operation.requested_by_name)),
        "requester": isolated(operation.requested_by_name),
        "identity": identity.of_requester(operation).email or "an account without a confirmed address",
        "source": source,
        "up_to": f" up to {'changeset ' if up_to.isdecimal() else ''}{up_to}" if up_to else "",
        "itwin": isolated(operation.itwin_name) or "its iTwin",
        "askers": status.askers(operation),
        "decides": "decides" if operation.asked == f" {Who.LEADS} " else "decide",
        "verdict": Verdict(verdict).label.lower() if verdict in Verdict.values else "",
        "outcome": earlier.badge,
        "until": formats.deadline(operation.expires_at, now) if operation.expires_at else "",
        "decide_by": f" (decide by {formats.deadline(operation.expires_at, now)})" if operation.expires_at else "",
        "decider": isolated(formats.first_name(decider)),
        "decider_name": isolated(decider),
        "start": formats.deadline(operation.not_before, now) if operation.not_before else "as soon as it may be",
        "took": formats.lasted(end - start) if start and end else "no time",
        "badge": earlier.badge.removeprefix("Failed").lstrip(": ") or "the platform refused it",
        "headline": status.headline(operation) if operation.state == State.FAILED else "",
        "remedy": earlier.remedy,
        "platform_state": operation.platform_state,
    }


def _changes(message: Notification) -> str:
    """What an edit changed, as a diff."""
    changes = message.event.data.get("changes", []) if message.event else []
    lines = [(one["what"], isolated(one["before"]) or "none", isolated(one["after"]) or "none") for one in changes]
    return "\n".join(f"{what}:\n- {before}\n+ {after}" for what, before, after in lines)


def _writer(message: Notification) -> str:
    return isolated(message.event.actor_name) if message.event else ""


def _quote(message: Notification, operation: Operation, kind: NotificationKind) -> str:
    """What somebody wrote for this reader."""
    if kind == NotificationKind.COMMENTED:
        words = message.event.note if message.event else ""
    elif kind in TO_DECIDE:
        words = operation.reason
    elif kind in _TELL_WHY and message.event:
        words = message.event.note
    elif kind == NotificationKind.FAILED and operation.failure_message:
        return f"The platform said: “{isolated(operation.failure_message)}”"
    else:
        words = ""
    return f"“{isolated(words)}”" if words else ""


def _next_acts(operation: Operation) -> list[str]:
    """What can be done with what was made. Each is a link to a page: nothing is done from an e-mail."""
    acts = {
        "Open": links.open_url(operation),
        "Clone it": links.copy_url(operation, Kind.CLONE),
        "Fork it": links.copy_url(operation, Kind.FORK),
        "The iModel": links.imodel_url(operation.imodel_id) if operation.is_usable else "",
    }
    return [f"{act}: {urljoin(settings.DASHBOARD_URL, url)}" for act, url in acts.items() if url]


def _link(message: Notification) -> str:
    if message.operation is None:
        page = "audit" if message.kind == Verb.HEAD_SENT else "approval-list"
        return settings.DASHBOARD_URL + reverse(f"imodels:{page}")
    on_card = message.kind in TO_DECIDE | {NotificationKind.COMMENTED, NotificationKind.ESCALATED}
    return page_of(message.operation, to_decide=on_card)


def page_of(operation: Operation, *, to_decide: bool) -> str:
    """The address of its card, or of its own page."""
    name = "imodels:approval-detail" if to_decide and operation.plan.asks_people else "imodels:operation-detail"
    return settings.DASHBOARD_URL + reverse(name, args=[operation.pk])
