"""One destination's step: send what the audit log has beyond its place, in messages of up to a hundred events.

Each has a lease, a place and a pace of its own, so that one that is slow or down delays nobody. At least once: what may
have arrived is sent again, and each event has the id that it had.

Events are CloudEvents 1.0, as a batch in JSON; messages are signed as Standard Webhooks say (webhooks.post).
Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md#4-json-batch-format
"""

import json
import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from imodels_app.accounts import encryption, streams
from imodels_app.audit import export, log
from imodels_app.models import Destination, Event, LogHead, LogLeaf
from imodels_app.notifications import webhooks
from imodels_app.runtime import clock
from imodels_app.runtime.backoff import backoff
from imodels_app.runtime.timing import STREAM_LEASE, STREAM_ROUND_S
from imodels_app.states import Verb

log_ = logging.getLogger(__name__)
# Of one message, but for an event that is larger by itself.
BATCH, MOST_BYTES = 100, 256 * 1024
TOO_LARGE = 413
# So many lines of the log are looked through at a time for a destination that gets some events only.
WINDOW = 1000
# After a failure, doubled each time.
FIRST_GAP, LONGEST_GAP = timedelta(seconds=5), timedelta(minutes=10)
CONTENT_TYPE = "application/cloudevents-batch+json; charset=utf-8"


class Shorter(Exception):
    """The audit log has fewer lines than were sent: it was cut off. Its text can be shown."""


def send(pk: int) -> None:
    """Send for a while. Any number of callers may ask."""
    row = Destination.objects.due(clock.now()).filter(pk=pk).first()
    lease = clock.now() + STREAM_LEASE
    if row is None or not Destination.objects.filter(pk=pk, due_at=row.due_at).update(due_at=lease):
        return
    row.due_at = lease
    stop_at = time.monotonic() + STREAM_ROUND_S
    try:
        address, key = encryption.decrypt(row.url), streams.key_of(encryption.decrypt(row.key))
        while time.monotonic() < stop_at and _send_next(row, address, key):
            pass
    except (webhooks.Down, webhooks.Refused, encryption.KeyMissing, Shorter) as no:
        _postpone(row, no)
        return
    Destination.objects.filter(pk=pk, due_at=lease).update(due_at=clock.now())


def _send_next(row: Destination, address: str, key: bytes) -> bool:
    """One message; whether there may be another one. What has come to its end meanwhile is not sent."""
    events, end = _next(row)
    if end == row.position or (events and not _begin(row, end)):
        return False
    if events:
        message_id, body = f"{row.pk}.{row.position}.{end}", json.dumps([*map(cloud_event, events)]).encode()
        try:
            webhooks.post(address, body, message_id=message_id, key=key, headers={"Content-Type": CONTENT_TYPE})
        except webhooks.Refused as no:
            if no.status != TOO_LARGE or len(events) == 1:
                raise
            return _send_fewer(row, len(events) // 2)
    return _move(row, end, events)


def _next(row: Destination) -> tuple[list[Event], int]:
    """The events of the next message, and the line behind it. One that is under way is sent as it was."""
    _check_length(row)
    verbs, most = streams.verbs_of(row), row.most or BATCH
    leaves = LogLeaf.objects.filter(pk__gte=row.position).order_by("pk")
    if row.end is not None:
        leaves = leaves.filter(pk__lt=row.end)
    lines = dict(leaves.values_list("event_id", "index")[: WINDOW if verbs else most])
    # By number, not by a join: a sequence of lines is cheap to find, whatever the database knows of the tables.
    found = Event.objects.filter(pk__in=lines).select_related("leaf")
    events = sorted(found.filter(verb__in=verbs) if verbs else found, key=lambda event: lines[event.pk])
    taken = events if row.end is not None else list(_fitting(events[:most]))
    is_cut = len(taken) < len(events) or len(taken) == most
    last = lines[taken[-1].pk] if is_cut else max(lines.values(), default=row.position - 1)
    return taken, row.end if row.end is not None and taken else last + 1


def _check_length(row: Destination) -> None:
    size = LogHead.objects.order_by("-size").values_list("size", flat=True).first() or 0
    if row.position > size:
        sentence = f"The audit log has {size:,} lines, and {row.position:,} were sent: lines are missing."
        raise Shorter(f"{sentence} Have manage.py verify_audit check it.")


def _fitting(events: list[Event]) -> Iterator[Event]:
    """As many as one message may have, and one at least."""
    room = MOST_BYTES
    for number, event in enumerate(events):
        room -= len(json.dumps(cloud_event(event)))
        if number and room < 0:
            return
        yield event


def _begin(row: Destination, end: int) -> bool:
    """Keep where the message ends: should its answer get lost, the same one is sent again, whatever has come since."""
    row.end = end
    return bool(_ours(row).update(end=end))


def _send_fewer(row: Destination, most: int) -> bool:
    """The receiver takes no message as large as this one: until it is switched on again, so many events at most."""
    row.end, row.most = None, most
    return bool(_ours(row).update(end=None, most=most))


def _move(row: Destination, end: int, events: list[Event]) -> bool:
    """Whether it still was at its place, and ours to move."""
    heads = [event.pk for event in events if event.verb == Verb.HEAD_SENT]
    facts: dict[str, Any] = {"sent_at": clock.now()} if events else {}
    facts |= {"head": heads[-1]} if heads else {}
    is_ours = bool(_ours(row).update(position=end, end=None, failures=0, note="", **facts))
    row.position, row.end, row.failures = end, None, 0
    return is_ours


def _ours(row: Destination) -> QuerySet[Destination]:
    """The row, while it is where we read it, and under our lease."""
    return Destination.objects.filter(pk=row.pk, position=row.position, due_at=row.due_at)


def _postpone(row: Destination, no: Exception) -> None:
    """Nothing is passed over: what is refused for good waits until an administrator has it go on elsewhere."""
    gap = backoff(row.failures, first=FIRST_GAP, longest=LONGEST_GAP)
    asked = timedelta(seconds=min(getattr(no, "retry_after_s", None) or 0, LONGEST_GAP.total_seconds()))
    log_.warning("Destination %s: %s Next try in %d s", row.pk, no, max(gap, asked).total_seconds())
    facts = {"failures": row.failures + 1, "note": str(no)[:255], "due_at": clock.now() + max(gap, asked)}
    Destination.objects.filter(pk=row.pk, due_at=row.due_at).update(**facts)


def cloud_event(event: Event) -> dict[str, Any]:
    """One event with what the log holds of it. sequence: its line, without gaps where all events are sent."""
    about = {"subject": str(event.operation_id)} if event.operation_id else {}
    return {
        "specversion": "1.0",
        "id": str(event.pk),
        "source": f"{settings.DASHBOARD_URL}/audit/",
        "type": f"imodel-desk.{event.verb}",
        "time": log.instant(event.at),
        "datacontenttype": "application/json",
        "sequence": f"{event.leaf.index:020}",
        "data": export.as_logged(event),
    } | about
