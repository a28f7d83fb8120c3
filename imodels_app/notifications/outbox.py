"""What people are told by e-mail: written down with the change it tells of, and sent apart from it.

enqueue() makes a row in the transaction of the state change, so nothing is told that did not happen and nothing that
happened goes untold. Nobody is flooded: a message waits until nothing more has come for its reader for some seconds,
and what has come by then is one e-mail. Of those there are so many an hour, then longer ones.

send_due() is a worker's step. It has a lease, so however many workers there are, a mail server that hangs holds up one
of them for some seconds at most; one that is down is left alone for longer and longer, and no operation ever waits for
it. A worker that dies in between may send a message twice, and never not at all.
"""

import logging
import time
from datetime import datetime, timedelta

from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import F, Min

from imodels_app.models import Notification, Operation, TokenSet, User
from imodels_app.notifications import channels, texts
from imodels_app.runtime import clock
from imodels_app.runtime.backoff import backoff
from imodels_app.states import NotificationKind, State, WaitReason

log = logging.getLogger(__name__)

# How long a round goes on, far within its lease (channels.LEASE), and for how many messages.
ROUND_S = 15.0
ROUND_SIZE = 50
# An e-mail waits until nothing more has come for its reader for so long, and no longer than this.
QUIET_FOR, COLLECTED_FOR = timedelta(seconds=10), timedelta(minutes=2)
# E-mails to one person an hour, and messages in one e-mail. The rest comes with the next one.
MAILS_AN_HOUR, MESSAGES_A_MAIL = 20, 500
# After a message was not taken, doubled each time.
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
        Notification.objects.create(to=person, operation=operation, kind=kind, written_at=now, due_at=now + QUIET_FOR)


def send_due() -> None:
    """Send what is due, if nobody else does so now and the mail server is not being left alone."""
    now = clock.now()
    due = Notification.objects.due(now)
    if not due.exists() or not channels.take_lease(now):
        return
    # Whoever has waited longest comes first.
    people = due.values("to").annotate(since=Min("due_at")).order_by("since", "to").values_list("to", flat=True)
    stop_at = time.monotonic() + ROUND_S
    connection = channels.connect()
    try:
        for person_id in people[:ROUND_SIZE]:
            if time.monotonic() > stop_at:
                break
            _send(_collected(person_id, now), connection)
    except channels.DOWN as down:
        channels.record_failure(down)
    else:
        channels.record_success()
    finally:
        connection.close()


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
    """Whether this person was asked to sign in since they last did: once is enough for all that waits."""
    token_set = TokenSet.objects.filter(user=person).first()
    earlier = Notification.objects.filter(to=person, kind=NotificationKind.SIGN_IN)
    return (earlier.filter(written_at__gt=token_set.obtained_at) if token_set else earlier).exists()


# Sending


def _collected(person_id: int, now: datetime) -> list[Notification]:
    """What one e-mail to this person tells now; nothing while more is coming, or when they had enough this hour."""
    waiting = Notification.objects.due(now + QUIET_FOR).filter(to=person_id).order_by("written_at", "pk")
    oldest = waiting.first()
    if oldest is None:
        return []
    is_quiet = not waiting.filter(due_at__gt=now).exists()
    if not is_quiet and oldest.written_at > now - COLLECTED_FOR:
        return []
    until = _enough_until(person_id, now)
    if until:
        waiting.update(due_at=until)
        return []
    waiting = waiting.select_related("to", "operation__team", "operation__requested_by")
    return list(waiting.prefetch_related("operation__decisions")[:MESSAGES_A_MAIL])


def _enough_until(person_id: int, now: datetime) -> datetime | None:
    """Until when a person gets no more e-mail; None when they may have one now. Messages of one were sent at once."""
    hour = timedelta(hours=1)
    sent = Notification.objects.filter(to=person_id, sent_at__gt=now - hour).order_by("-sent_at")
    latest = list(sent.values_list("sent_at", flat=True).distinct()[:MAILS_AN_HOUR])
    return latest[-1] + hour if len(latest) == MAILS_AN_HOUR and latest[-1] else None


def _send(messages: list[Notification], connection: BaseEmailBackend) -> None:
    """One e-mail. What the server refuses for itself is tried again later; what breaks the connection is raised."""
    now = clock.now()
    claimed = [message for message in messages if _claim(message, now)]
    if not claimed:
        return
    rows = Notification.objects.filter(pk__in=[message.pk for message in claimed])
    subject, text = texts.subject_and_text(claimed)
    try:
        channels.send(claimed[0].to.email, subject, text, connection=connection)
    except channels.REFUSED as refused:
        log.warning("The mail server did not take message %s: %s", claimed[0].pk, type(refused).__name__)
    except ValueError as odd:
        # A header that cannot be written, as an address with a line break. No later try could.
        log.warning("Message %s cannot be sent: %s", claimed[0].pk, type(odd).__name__)
        rows.update(due_at=None)
    except channels.DOWN:
        # Not their fault: they keep their turn.
        rows.update(due_at=now, tries=F("tries") - 1)
        raise
    else:
        rows.update(sent_at=clock.now(), due_at=None)


def _claim(message: Notification, now: datetime) -> bool:
    """Whether this worker is the one that sends it, and it is still worth telling."""
    mine = Notification.objects.filter(pk=message.pk, due_at=message.due_at)
    if not is_current(message) or not _may_be_notified(message.to):
        mine.update(due_at=None)
        return False
    return bool(mine.update(due_at=_next_try(message, now), tries=F("tries") + 1))


def _next_try(message: Notification, now: datetime) -> datetime | None:
    gap = backoff(message.tries, first=FIRST_GAP, longest=LONGEST_GAP)
    return now + gap if now + gap < message.written_at + GIVEN_UP_AFTER else None
