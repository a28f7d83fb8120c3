"""What people are told by e-mail: written down with the change it tells of, and sent apart from it. With it goes what
their teams' chats are told (chats.py).

enqueue() makes a row in the transaction of the state change, so nothing is told that did not happen and nothing that
happened goes untold. Nobody is flooded: a message waits until nothing more has come for its reader for some seconds,
and what has come by then is one e-mail. Of those there are so many an hour, then longer ones.

send_due() is a worker's step. It has a lease, so however many workers there are, a mail server that hangs holds up one
of them for some seconds at most; one that is down is left alone for longer and longer, and no operation ever waits for
it. A worker that dies in between may send an e-mail twice, with one Message-ID, and never not at all.
"""

import logging
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import uuid4

from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import F, Min, QuerySet
from django.utils import timezone

from imodels_app.display import status
from imodels_app.models import Event, Notification, Operation, User
from imodels_app.notifications import channels, chats, recipients, texts
from imodels_app.notifications.recipients import Recipients
from imodels_app.runtime import clock, failpoints
from imodels_app.runtime.backoff import backoff
from imodels_app.states import TO_DECIDE, NotificationKind, State, WaitReason

log = logging.getLogger(__name__)

# How long a round goes on, far within its lease (channels.LEASE), and for how many messages.
ROUND_S = 15.0
ROUND_SIZE = 50
# An e-mail waits until nothing more has come for its reader for so long, and no longer than this.
QUIET_FOR, COLLECTED_FOR = timedelta(seconds=10), timedelta(minutes=2)
# The hour of the daily e-mail, where its reader is.
DIGEST_AT = 7
# E-mails to one person an hour, and messages in one e-mail. The rest comes with the next one.
MAILS_AN_HOUR, MESSAGES_A_MAIL = 20, 500
# After a message was not taken, doubled each time.
FIRST_GAP, LONGEST_GAP = timedelta(minutes=2), timedelta(hours=4)
GIVEN_UP_AFTER = timedelta(days=3)
# What others than the requester read of an operation, as long as they may see it.
_TO_OTHERS = {
    *(NotificationKind.EDITED, NotificationKind.DECIDED, NotificationKind.BYPASSED, NotificationKind.START_SET),
    *(NotificationKind.COMMENTED, NotificationKind.ENDED, NotificationKind.SUBSCRIBED),
}


def enqueue(told: Recipients, *, operation: Operation, event: Event) -> None:
    """Put down whom to tell of a change: recipients.of(). Call in the transaction of the change."""
    now = clock.now()
    Notification.objects.bulk_create(
        Notification(
            to=person, operation=operation, event=event, kind=kind, written_at=now, due_at=_due(person, kind, now)
        )
        for person, kind in told.items()
        if _may_be_notified(person, kind)
    )
    chats.enqueue(operation, event)


def enqueue_about(event: Event, people: Iterable[User | None]) -> None:
    """Put down who is told of an event that is about no operation. Call in the transaction of the event."""
    now = clock.now()
    Notification.objects.bulk_create(
        Notification(to=person, event=event, kind=event.verb, written_at=now, due_at=now + QUIET_FOR)
        for person in people
        if person and _may_be_notified(person, event.verb)
    )


def send_due() -> None:
    """Send what is due, if nobody else does so now and the mail server is not being left alone."""
    now = clock.now()
    due = Notification.objects.due(now)
    if not due.exists() or not channels.take_lease(now):
        return
    # Whoever has waited longest comes first.
    people = due.values("to").annotate(since=Min("due_at")).order_by("since", "to").values_list("to", flat=True)
    connection = channels.connect()
    try:
        connection.open()
        _send_round(list(people[:ROUND_SIZE]), connection)
    except channels.DOWN as down:
        channels.record_failure(down)
    else:
        channels.record_success()
    finally:
        connection.close()


def _send_round(people: list[int], connection: BaseEmailBackend) -> None:
    """Send to one after another, for a while. Raises what two in a row met: that is the server, not an e-mail."""
    stop_at, last_failed = time.monotonic() + ROUND_S, False
    for person_id in people:
        if time.monotonic() > stop_at:
            return
        try:
            _send(_collected(person_id, clock.now()), connection)
        except channels.DOWN:
            if last_failed:
                raise
            # It may have been the e-mail. If it was the server, it does not answer now either.
            last_failed = True
            connection.close()
            connection.open()
        else:
            last_failed = False


def is_current(message: Notification) -> bool:
    """Whether it is still worth telling: what was asked may be decided, and who should sign in may have."""
    operation = message.operation
    if operation is None:
        return True
    is_own = message.to_id == operation.requested_by_id
    if (
        message.kind in _TO_OTHERS
        and not is_own
        and not Operation.objects.visible_to(message.to).filter(pk=operation.pk).exists()
    ):
        return False
    if message.kind == NotificationKind.EDITED and operation.decisions.filter(by=message.to_id).exists():
        return True
    if message.kind in TO_DECIDE and not is_own:
        return operation.state == State.AWAITING_APPROVAL and recipients.is_asked(message.to, operation)
    if message.kind in (NotificationKind.DECIDED, NotificationKind.ENDED):
        return is_own or _knows_of(message.to, operation)
    if message.kind == NotificationKind.ESCALATED:
        return operation.state == State.AWAITING_APPROVAL and message.to.is_admin
    if message.kind == NotificationKind.SIGN_IN:
        return operation.wait_reason == WaitReason.SIGN_IN and not operation.is_finished
    if message.kind == NotificationKind.UNKNOWN_STATE:
        return status.is_unknown(operation)
    return True


def _knows_of(person: User, operation: Operation) -> bool:
    """Whether this person was asked: whom no e-mail has reached yet needs none about the end either."""
    was_told = operation.messages.filter(to=person, sent_at__isnull=False)
    return was_told.exists() or operation.decisions.filter(by=person).exists()


def _due(person: User, kind: str, now: datetime) -> datetime:
    """Soon; or the next morning, by the reader's own clock, with whatever else they want once a day."""
    if not person.reads_daily(kind):
        return now + QUIET_FOR
    here = now.astimezone(person.zone or timezone.get_default_timezone())
    morning = here.replace(hour=DIGEST_AT, minute=0, second=0, microsecond=0)
    return morning if morning > here else morning + timedelta(days=1)


def _may_be_notified(person: User, kind: str) -> bool:
    return person.is_active and person.wants_mail and bool(person.email) and not person.mutes(kind)


# Sending


def _collected(person_id: int, now: datetime) -> list[Notification]:
    """What one e-mail to this person tells now; nothing while more is coming, or when they had enough this hour."""
    waiting = Notification.objects.due(now + QUIET_FOR).filter(to=person_id).order_by("written_at", "pk")
    oldest = waiting.first()
    if oldest is None:
        return []
    if oldest.mail:  # it was tried: the same once more, and what has come since is the next one
        return _ready(waiting.filter(mail=oldest.mail))
    waiting = waiting.filter(mail=None)
    is_quiet = not waiting.filter(due_at__gt=now).exists()
    if not is_quiet and oldest.written_at > now - COLLECTED_FOR:
        return []
    until = _enough_until(person_id, now)
    if until:
        waiting.update(due_at=until)
        return []
    return _ready(waiting)


def _ready(waiting: QuerySet[Notification]) -> list[Notification]:
    waiting = waiting.select_related("to", "event", "operation__team", "operation__requested_by")
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
    mail_id = claimed[0].mail or uuid4()
    rows.update(mail=mail_id)
    try:
        with timezone.override(claimed[0].to.zone):
            mail = texts.mail(claimed)
        channels.send(claimed[0].to.email, mail, mail_id, connection=connection)
        failpoints.reach("outbox.sent")
    except channels.REFUSED as refused:
        log.warning("The mail server did not take message %s: %s", claimed[0].pk, type(refused).__name__)
    except ValueError as odd:
        # A header that cannot be written, as an address with a line break. No later try could.
        log.warning("Message %s cannot be sent: %s", claimed[0].pk, type(odd).__name__)
        rows.update(due_at=None)
    except channels.DOWN:
        # Perhaps not their fault: they are never given up for it, and others go first.
        rows.update(due_at=now + FIRST_GAP, tries=F("tries") - 1)
        raise
    except Exception:
        log.exception("Message %s cannot be written; the others are sent", claimed[0].pk)
    else:
        rows.update(sent_at=clock.now(), due_at=None)


def _claim(message: Notification, now: datetime) -> bool:
    """Whether this worker is the one that sends it, and it is still worth telling."""
    mine = Notification.objects.filter(pk=message.pk, due_at=message.due_at)
    if not is_current(message) or not _may_be_notified(message.to, message.kind):
        mine.update(due_at=None)
        return False
    return bool(mine.update(due_at=_next_try(message, now), tries=F("tries") + 1))


def _next_try(message: Notification, now: datetime) -> datetime | None:
    gap = backoff(message.tries, first=FIRST_GAP, longest=LONGEST_GAP)
    return now + gap if now + gap < message.written_at + GIVEN_UP_AFTER else None
