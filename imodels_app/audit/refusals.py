"""What was refused, with address and client. An event each for who is signed in, up to so many an hour of what costs a
person nothing to repeat; the rest is one event per kind and ten minutes, with a count.

What people without a session cause is one event per kind, address and ten minutes, with a count; and however many
addresses they come from, so many an hour, the rest counted together. Anybody may knock as often as they like, and fills
no table. The count is a row (RefusedAccess) until its ten minutes are over.
"""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Value, When
from django.http import HttpRequest

from imodels_app.audit import events
from imodels_app.models import Event, Operation, RefusedAccess, User
from imodels_app.runtime import clock, foreign_text, request_context
from imodels_app.runtime.loops import for_each
from imodels_app.states import Verb

WINDOW = timedelta(minutes=10)
# A process that was held up may still count in a window that is over.
CLOSED_AFTER = WINDOW + timedelta(minutes=1)
# Two rows each in the end, the event and its line in the log, and those of "further addresses": fewer than 100.
MOST_AN_HOUR = 30
# Of one person who is signed in, of these each.
MOST_OF_A_PERSON, BY_ANYBODY = 20, {Verb.CSRF_REFUSED, Verb.ACCESS_REFUSED}
PERSON = "person "
# Of the browser's own words, and of a reason that anybody can make up.
NOTE_LENGTH = 200
DIFFERENT_REASONS = "for different reasons"


def record(verb: Verb, request: HttpRequest, *, note: str = "", operation: Operation | None = None) -> None:
    """Write down one refusal to whoever sent this request."""
    client = _printable(request.headers.get("User-Agent", ""))
    now = clock.now()
    if isinstance(request.user, User):
        if verb not in BY_ANYBODY or not _has_enough(verb, request.user, now):
            events.record(verb, at=now, by=request.user, operation=operation, note=note, client=client)
            return
        _count_once(verb, f"{PERSON}{request.user.pk}", now, client, note)
        return
    address = request_context.current().address
    is_new = not RefusedAccess.objects.filter(verb=verb, address=address, since=_window(now)).exists()
    # Once others are counted together, so is whoever is new.
    others = RefusedAccess.objects.filter(verb=verb, address="", since=_window(now))
    _count_once(verb, "" if is_new and (others.exists() or _is_full(now)) else address, now, client, note)


def close_windows(now: datetime) -> None:
    """Make events of what was counted in windows that are over."""
    over = RefusedAccess.objects.filter(since__lte=now - CLOSED_AFTER)
    for_each(over.values_list("pk", flat=True), partial(_close, now=now))


@transaction.atomic
def _close(pk: int, *, now: datetime) -> None:
    row = RefusedAccess.objects.select_for_update().filter(pk=pk).first()
    if row is None:
        return  # another worker was quicker
    row.delete()
    facts: dict[str, Any] = {"client": row.client, "count": row.count, "since": row.since.isoformat()}
    person = _person_of(row)
    address = row.address or "further addresses"
    facts |= {} if person else {"address": address}
    note = f"{row.count} in ten minutes, from {address}" + (f": {row.note}" if row.note else "")
    events.record(row.verb, at=now, by=person, note=note, **facts)


def _person_of(row: RefusedAccess) -> User | None:
    is_person = row.address.startswith(PERSON)
    return User.objects.filter(pk=row.address.removeprefix(PERSON)).first() if is_person else None


def _has_enough(verb: Verb, person: User, now: datetime) -> bool:
    """Whether the hour has all the single events of this person that it may have."""
    recent = Event.objects.filter(actor=person, at__gt=now - timedelta(hours=1), verb=verb)
    return recent.count() >= MOST_OF_A_PERSON


def _window(now: datetime) -> datetime:
    return now.replace(minute=now.minute - now.minute % 10, second=0, microsecond=0)


def _count_once(verb: Verb, address: str, now: datetime, client: str, note: str) -> None:
    """address: whose count it is; "" of all others."""
    first = {"client": client, "note": _printable(note)}
    since = _window(now)
    _, is_new = RefusedAccess.objects.get_or_create(verb=verb, address=address, since=since, defaults=first)
    if not is_new:
        _count(verb, address, since, first["note"])


def _count(verb: Verb, address: str, since: datetime, note: str) -> None:
    """What came for other reasons than the first makes its reason untrue."""
    same_reason = Case(When(note=note, then=F("note")), default=Value(DIFFERENT_REASONS))
    row = RefusedAccess.objects.filter(verb=verb, address=address, since=since)
    row.update(count=F("count") + 1, note=same_reason)


def _is_full(now: datetime) -> bool:
    """Whether this hour has all the rows that it may have, open or closed."""
    recent = now - timedelta(hours=1)
    closed = Event.objects.filter(at__gt=recent, actor=None, verb__in=[Verb.SIGN_IN_FAILED, Verb.CSRF_REFUSED])
    return RefusedAccess.objects.exclude(address__startswith=PERSON).count() + closed.count() >= MOST_AN_HOUR


def _printable(text: str) -> str:
    return foreign_text.cleaned(text, most=NOTE_LENGTH)
