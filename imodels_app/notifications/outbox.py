"""What people are told by e-mail: written down with the change it tells of, and sent apart from it.

write() makes a row in the transaction of the state change, so nothing is told that did not happen and nothing that
happened goes untold. send_due() is a worker's step. It has a lease, so however many workers there are, a mail server
that hangs holds up one of them for some seconds at most; one that is down is left alone for longer and longer, and no
operation ever waits for it. A worker that dies in between may send a message twice, and never not at all.
"""

import logging
import smtplib
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import F, Q
from django.urls import reverse

from imodels_app.display import formats, status
from imodels_app.models import CircuitBreaker, Notification, Operation, TokenSet, User
from imodels_app.runtime import clock
from imodels_app.runtime.backoff import backoff
from imodels_app.states import NotificationKind, State, WaitReason

log = logging.getLogger(__name__)

MAIL = "mail"
# One round: longer than it may take, so that no second worker begins before it is over.
LEASE = timedelta(seconds=60)
ROUND_S = 15.0
ROUND_SIZE = 50
# After a failure, doubled each time: of the mail server, and of one message that it does not take.
SHORTEST, LONGEST = timedelta(seconds=30), timedelta(hours=1)
FIRST_GAP, LONGEST_GAP = timedelta(minutes=2), timedelta(hours=4)
GIVEN_UP_AFTER = timedelta(days=3)


def enqueue(operation: Operation, kind: NotificationKind) -> None:
    """Put down whom to tell. Call in the transaction of the change."""
    now = clock.now()
    people = (
        operation.team.leads()
        if kind == NotificationKind.REQUESTED
        else User.objects.filter(pk=operation.requested_by_id)
    )
    for person in people:
        if kind == NotificationKind.REQUESTED and person.pk == operation.requested_by_id:
            continue
        if not _may_be_notified(person) or (kind == NotificationKind.SIGN_IN and _was_notified(person)):
            continue
        Notification.objects.create(to=person, operation=operation, kind=kind, written_at=now, due_at=now)


def send_due() -> None:
    """Send what is due, if nobody else does so now and the mail server is not being left alone."""
    now = clock.now()
    due = Notification.objects.due(now).select_related("to", "operation__team", "operation__requested_by")
    due = due.prefetch_related("operation__decisions")
    if not due.exists() or not _take_lease(now):
        return
    connection = get_connection(timeout=settings.EMAIL_TIMEOUT)
    try:
        connection.open()
        _send_round(list(due.order_by("due_at", "pk")[:ROUND_SIZE]), connection)
    except (OSError, smtplib.SMTPException) as down:
        _leave_alone(down)
    else:
        CircuitBreaker.objects.filter(name=MAIL).update(failures=0, failing_since=None, open_until=None)
    finally:
        connection.close()


def _send_round(messages: list[Notification], connection: BaseEmailBackend) -> None:
    """Send one after another, for a while. Raises what two in a row met: that is the server, not a message."""
    stop_at, last_failed = time.monotonic() + ROUND_S, False
    for message in messages:
        if time.monotonic() > stop_at:
            return
        try:
            _send(message, connection)
        except (OSError, smtplib.SMTPException):
            if last_failed:
                raise
            # It may have been the message. If it was the server, it does not answer now either.
            last_failed = True
            connection.close()
            connection.open()
        else:
            last_failed = False


def subject_and_text(message: Notification) -> tuple[str, str]:
    """The words of a message. No token, no secret: a link, and whoever follows it has to be signed in."""
    operation, kind = message.operation, NotificationKind(message.kind)
    filled = _values(operation)
    subject, text = _TEXTS[kind]
    if kind == NotificationKind.EXPIRED and operation.wait_reason == WaitReason.SIGN_IN:
        subject, text = _EXPIRED_SIGNED_OUT
    link = settings.DASHBOARD_URL + _page(operation, kind)
    why = _WHY_LEAD if kind == NotificationKind.REQUESTED else _WHY_REQUESTER
    parts = [text.format_map(filled), _quote(operation, kind), f"{_LINKS.get(kind, 'Details')}: {link}"]
    whole = "\n\n".join(part for part in [*parts, why.format_map(filled)] if part)
    return " ".join(subject.format_map(filled).split()), whole + "\n"


def is_current(message: Notification) -> bool:
    """Whether it is still worth telling: what was asked may be decided, and who should sign in may have."""
    if message.kind == NotificationKind.REQUESTED:
        return message.operation.state == State.AWAITING_APPROVAL
    if message.kind == NotificationKind.SIGN_IN:
        return message.operation.wait_reason == WaitReason.SIGN_IN and not message.operation.is_finished
    return True


# Whom


def _may_be_notified(person: User) -> bool:
    return person.is_active and person.wants_mail and bool(person.email)


def _was_notified(person: User) -> bool:
    """Whether this person was asked to sign in since their sign-in was last good: once is enough for all that waits."""
    token_set = TokenSet.objects.filter(user=person).first()
    earlier = Notification.objects.filter(to=person, kind=NotificationKind.SIGN_IN)
    if token_set:
        earlier = earlier.filter(written_at__gt=token_set.refused_since or token_set.obtained_at)
    return earlier.exists()


# Sending


def _send(message: Notification, connection: BaseEmailBackend) -> None:
    """One message. What does not go is tried again later; what broke the connection is raised, too."""
    now = clock.now()
    if not is_current(message) or not _may_be_notified(message.to):
        Notification.objects.filter(pk=message.pk).update(due_at=None)
        return
    mine = Notification.objects.filter(pk=message.pk, due_at=message.due_at)
    if not mine.update(due_at=_next_try(message, now), tries=F("tries") + 1):
        return
    headers = {"Auto-Submitted": "auto-generated"}
    try:
        subject, text = subject_and_text(message)
        EmailMessage(subject, text, to=[message.to.email], headers=headers, connection=connection).send()
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as refused:
        log.warning("The mail server did not take message %s: %s", message.pk, type(refused).__name__)
    except (OSError, smtplib.SMTPException):
        # Perhaps not this message's fault: it is never given up for it, and others go first.
        Notification.objects.filter(pk=message.pk).update(due_at=now + FIRST_GAP, tries=message.tries)
        raise
    except Exception:
        log.exception("Message %s cannot be written; the others are sent", message.pk)
    else:
        Notification.objects.filter(pk=message.pk).update(sent_at=clock.now(), due_at=None)


def _next_try(message: Notification, now: datetime) -> datetime | None:
    gap = backoff(message.tries, first=FIRST_GAP, longest=LONGEST_GAP)
    return now + gap if now + gap < message.written_at + GIVEN_UP_AFTER else None


def _take_lease(now: datetime) -> bool:
    CircuitBreaker.objects.get_or_create(name=MAIL)
    free = CircuitBreaker.objects.filter(Q(open_until=None) | Q(open_until__lte=now), name=MAIL)
    return bool(free.update(open_until=now + LEASE))


def _leave_alone(trouble: Exception) -> None:
    now = clock.now()
    row = CircuitBreaker.objects.get(name=MAIL)
    gap = backoff(row.failures, first=SHORTEST, longest=LONGEST)
    log.warning("The mail server does not answer (%s); next try in %d s", type(trouble).__name__, gap.total_seconds())
    CircuitBreaker.objects.filter(name=MAIL).update(
        failures=F("failures") + 1, failing_since=row.failing_since or now, open_until=now + gap
    )


# Words

_LINKS = {
    NotificationKind.REQUESTED: "Review and decide",
    NotificationKind.SIGN_IN: "Sign in",
    NotificationKind.FAILED: "What to do next",
}
_WHY_LEAD = (
    "You get this because you are a lead of {team}. You must be signed in to decide; "
    "nobody can decide from this e-mail."
)
_WHY_REQUESTER = "You get this because you requested {name}."
_SIGN_IN = (
    "Your sign-in has expired, so {name} and anything else you requested is waiting. Nothing is lost. "
    "It continues as soon as you sign in."
)
_TEXTS: dict[NotificationKind, tuple[str, str]] = {
    NotificationKind.REQUESTED: (
        "{who} requests a fork of {source}{decide_by}",
        "{requester} wants to fork {source}{up_to} into {itwin}, as {name}.",
    ),
    NotificationKind.APPROVED: (
        "{decider} approved {name}",
        "{decider_name} approved {what}. It is sent automatically.",
    ),
    NotificationKind.REJECTED: ("{decider} rejected {name}", "{decider_name} rejected {what}. Nothing was sent."),
    NotificationKind.EXPIRED: (
        "{name} expired: nobody decided",
        "Nobody decided on {what} in time. Nothing was sent. Request it again, or talk to a lead.",
    ),
    NotificationKind.SUCCEEDED: ("{name} is ready", "{What} is ready in {itwin}. It took {took}."),
    NotificationKind.FAILED: ("{name} was not made: {badge}", "{headline}\n\n{remedy}"),
    NotificationKind.SIGN_IN: ("Sign in again so that {name} can continue", _SIGN_IN),
}
_EXPIRED_SIGNED_OUT = (
    "{name} expired: you did not sign in again",
    "{What} waited for your sign-in, and time ran out. Sign in and request it again.",
)


def _values(operation: Operation) -> dict[str, str]:
    now = clock.now()
    earlier = status.describe(operation, now)
    kind = status.kind_label(operation.kind).lower()
    origin = f" of {operation.source_name}" if operation.source_name else ""
    what = f"the {kind}{origin} “{operation.name}”"
    up_to = status.up_to(operation)
    start, end = operation.accepted_at, operation.finished_at
    decision = operation.last_decision
    return {
        "name": operation.name,
        "what": what,
        "What": what[:1].upper() + what[1:],
        "who": formats.first_name(operation.requested_by_name),
        "requester": operation.requested_by_name,
        "source": operation.source_name or "an iModel",
        "up_to": f" up to {'changeset ' if up_to.isdecimal() else ''}{up_to}" if up_to else "",
        "itwin": operation.itwin_name or "its iTwin",
        "team": operation.team.name,
        "decide_by": f" (decide by {formats.moment(operation.expires_at, now)})" if operation.expires_at else "",
        "decider": formats.first_name(decision.by_name) if decision else "",
        "decider_name": decision.by_name if decision else "",
        "took": formats.lasted(end - start) if start and end else "no time",
        "badge": earlier.badge.removeprefix("Failed").lstrip(": ") or "the platform refused it",
        "headline": status.headline(operation) if operation.state == State.FAILED else "",
        "remedy": earlier.remedy,
    }


def _quote(operation: Operation, kind: NotificationKind) -> str:
    """What somebody wrote for this reader."""
    if kind == NotificationKind.REQUESTED:
        words = operation.reason
    elif kind in (NotificationKind.APPROVED, NotificationKind.REJECTED) and operation.last_decision:
        words = operation.last_decision.comment
    elif kind == NotificationKind.FAILED and operation.failure_message:
        return f"The platform said: “{operation.failure_message}”"
    else:
        words = ""
    return f"“{words}”" if words else ""


def _page(operation: Operation, kind: NotificationKind) -> str:
    name = "imodels:approval-detail" if kind == NotificationKind.REQUESTED else "imodels:operation-detail"
    return reverse(name, args=[operation.pk])
