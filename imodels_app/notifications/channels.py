"""How a notification leaves: by e-mail, over a mail server that is left alone while it is down."""

import logging
import smtplib
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import F, Q

from imodels_app.models import CircuitBreaker
from imodels_app.runtime import clock
from imodels_app.runtime.backoff import backoff

log = logging.getLogger(__name__)

MAIL = "mail"
# One round: longer than it may take, so that no second worker begins before it is over.
LEASE = timedelta(seconds=60)
# After a failure of the mail server, doubled each time.
SHORTEST, LONGEST = timedelta(seconds=30), timedelta(hours=1)
# What the server refuses for one message itself, and what is the connection's fault.
REFUSED = (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError, smtplib.SMTPSenderRefused)
DOWN = (OSError, smtplib.SMTPException)


def connect() -> BaseEmailBackend:
    """A connection for one round, opened by the first message and closed by the caller."""
    return get_connection(timeout=settings.EMAIL_TIMEOUT)


def send(to: str, subject: str, text: str, *, connection: BaseEmailBackend) -> None:
    """One e-mail, or one of REFUSED, or of DOWN."""
    headers = {"Auto-Submitted": "auto-generated"}
    EmailMessage(subject, text, to=[to], headers=headers, connection=connection).send()


def take_lease(now: datetime) -> bool:
    """Whether this worker may send now: nobody else does, and the mail server is not being left alone."""
    CircuitBreaker.objects.get_or_create(name=MAIL)
    free = CircuitBreaker.objects.filter(Q(open_until=None) | Q(open_until__lte=now), name=MAIL)
    return bool(free.update(open_until=now + LEASE))


def record_success() -> None:
    """The round is over, and the next may begin at once."""
    CircuitBreaker.objects.filter(name=MAIL).update(failures=0, failing_since=None, open_until=None)


def record_failure(trouble: Exception) -> None:
    """Leave the mail server alone, longer after each failure."""
    now = clock.now()
    row = CircuitBreaker.objects.get(name=MAIL)
    gap = backoff(row.failures, first=SHORTEST, longest=LONGEST)
    log.warning("The mail server does not answer (%s); next try in %d s", type(trouble).__name__, gap.total_seconds())
    CircuitBreaker.objects.filter(name=MAIL).update(
        failures=F("failures") + 1, failing_since=row.failing_since or now, open_until=now + gap
    )
