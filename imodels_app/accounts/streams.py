"""Destinations that the audit log is streamed to: administrators set them up, and each change is an event.

The log says in which order events come, whatever their numbers: what commits late is at its end. So a destination is a
place in it, and to send again is to go back.
"""

import base64
import binascii
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction

from imodels_app.accounts import encryption
from imodels_app.audit import events, log
from imodels_app.models import Destination, Event, LogLeaf, User
from imodels_app.notifications import webhooks
from imodels_app.runtime import clock
from imodels_app.states import EVENT_GROUPS, Verb

PREFIX, SHORTEST_KEY, LONGEST_KEY = "whsec_", 24, 64
# Leaves of about the same time, of which the first is looked for.
NEAR = 1000


class Lag(NamedTuple):
    """How many lines of the log are not sent yet, and since when the first of them has waited.

    missing  how many lines the log is shorter than what was sent: it was cut off
    """

    lines: int
    since: datetime | None
    missing: int = 0


def key_of(secret: str) -> bytes:
    """The bytes of a secret as Standard Webhooks write it: whsec_, and base64. ValueError if it is none."""
    try:
        key = base64.b64decode(secret.strip().removeprefix(PREFIX), validate=True)
    except binascii.Error as odd:
        raise ValueError(str(odd)) from odd
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise ValueError(f"{len(key)} bytes")
    return key


def make(*, by: User, name: str, url: str, secret: str, groups: Iterable[str]) -> Destination:
    """From now on; what happened before is sent by replay()."""
    with transaction.atomic():
        made = Destination.objects.create(
            name=name,
            host=webhooks.host_of(url),
            url=encryption.encrypt(url),
            key=encryption.encrypt(secret),
            events=sorted(groups),
            position=log.head().size,
            due_at=clock.now(),
        )
        _record(Verb.STREAM_MADE, made, by, f"{made.host}: {in_words(made)}")
    return made


def switch(one: Destination, *, by: User, is_on: bool) -> None:
    """Off, it keeps its place: on again, it gets what it missed."""
    with transaction.atomic():
        rows = Destination.objects.filter(pk=one.pk, due_at__isnull=is_on)
        if rows.update(due_at=clock.now() if is_on else None, failures=0, note="", most=None):
            _record(Verb.STREAM_SWITCHED, one, by, "on" if is_on else "off")


def replay(one: Destination, position: int, *, by: User) -> int:
    """Go on from a line of the log, counted from 0, be it sent or not; the line that is next. The events have the ids
    that they had.
    """
    with transaction.atomic():
        position = min(position, log.head().size)
        Destination.objects.filter(pk=one.pk).update(position=position, end=None, failures=0, note="")
        # A sender that is at work sees another place or lease, and lets go.
        Destination.objects.filter(pk=one.pk, due_at__isnull=False).update(due_at=clock.now())
        _record(Verb.STREAM_REPLAYED, one, by, f"from line {position + 1}", position=position, before=one.position)
    return position


def delete(one: Destination, *, by: User) -> None:
    with transaction.atomic():
        _record(Verb.STREAM_DELETED, one, by, one.host)
        one.delete()


def lag(one: Destination) -> Lag:
    lines = log.head().size - one.position
    if lines < 0:
        return Lag(0, None, -lines)
    next_one = Event.objects.filter(leaf__index=one.position).first() if lines else None
    return Lag(lines, next_one.at if next_one else None)


def in_words(one: Destination) -> str:
    return "; ".join(EVENT_GROUPS[word][0] for word in one.events if word in EVENT_GROUPS) or "All events"


def verbs_of(one: Destination) -> list[Verb]:
    """Which events it gets; none: all. The head of the log goes to every destination."""
    verbs = {verb for word in one.events if word in EVENT_GROUPS for verb in EVENT_GROUPS[word][1]}
    return sorted(verbs | {Verb.HEAD_SENT}) if one.events else []


def first_line(since: datetime) -> int:
    """Where what happened since then begins. The log's order is nearly that of time: some comes a little later."""
    near = Event.objects.filter(at__gte=since).order_by("at", "pk").values("pk")[:NEAR]
    first = LogLeaf.objects.filter(event__in=list(near.values_list("pk", flat=True))).order_by("index").first()
    return first.index if first else log.head().size


def _record(verb: Verb, one: Destination, by: User, note: str, **facts: Any) -> None:
    events.record(verb, at=clock.now(), by=by, note=f"{one.name}: {note}", destination=one.pk, **facts)
