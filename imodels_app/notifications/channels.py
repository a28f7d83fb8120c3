"""How notifications leave: over a mail server, or a chat's webhook, each left alone while it is down."""

import logging
import smtplib
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import F, Q

from imodels_app.models import CircuitBreaker
from imodels_app.notifications.texts import Mail
from imodels_app.runtime import clock
from imodels_app.runtime.backoff import backoff

log = logging.getLogger(__name__)

MAIL = "mail"
# One round: longer than it may take, so that no second worker begins before it is over.
LEASE = timedelta(seconds=60)
# After a failure, doubled each time.
SHORTEST, LONGEST = timedelta(seconds=30), timedelta(hours=1)
# What the server refuses for one message itself, and what is the connection's fault.
REFUSED = (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError, smtplib.SMTPSenderRefused)
DOWN = (OSError, smtplib.SMTPException)


def connect() -> BaseEmailBackend:
    """A connection for one round, to be opened and closed by the caller."""
    return get_connection(timeout=settings.EMAIL_TIMEOUT)


def send(to: str, mail: Mail, message_id: UUID, *, connection: BaseEmailBackend) -> None:
    """One e-mail, or one of REFUSED, or of DOWN. message_id: the same for each repeat, so that mailboxes can tell."""
    host = urlsplit(settings.DASHBOARD_URL).hostname
    headers = {"Auto-Submitted": "auto-generated", "Message-ID": f"<{message_id}@{host}>"}
    message = EmailMultiAlternatives(mail.subject, mail.text, to=[to], headers=headers, connection=connection)
    message.attach_alternative(mail.html, "text/html")
    message.send()


def to_chat(webhook_id: int) -> str:
    """The name of the way to one chat."""
    return f"chat-{webhook_id}"


def take_lease(now: datetime, name: str = MAIL) -> bool:
    """Whether this worker may send now: nobody else does, and the receiver is not being left alone."""
    CircuitBreaker.objects.get_or_create(name=name)
    free = CircuitBreaker.objects.filter(Q(open_until=None) | Q(open_until__lte=now), name=name)
    return bool(free.update(open_until=now + LEASE))


def record_success(name: str = MAIL) -> None:
    """The round is over, and the next may begin at once."""
    CircuitBreaker.objects.filter(name=name).update(failures=0, failing_since=None, open_until=None)


def record_failure(trouble: Exception, name: str = MAIL) -> None:
    """Leave it alone, longer after each failure."""
    now = clock.now()
    row = CircuitBreaker.objects.get(name=name)
    gap = backoff(row.failures, first=SHORTEST, longest=LONGEST)
    log.warning("%s does not answer (%s); next try in %d s", name, type(trouble).__name__, gap.total_seconds())
    CircuitBreaker.objects.filter(name=name).update(
        failures=F("failures") + 1, failing_since=row.failing_since or now, open_until=now + gap
    )
