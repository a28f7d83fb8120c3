"""One destination's step: send what the audit log has beyond its place, in messages of up to a hundred events.

Each has a lease, a place and a pace of its own, so that one that is slow or down delays nobody. At least once: what may
have arrived is sent again, and each event has the id that it had.

Events are CloudEvents 1.0, as a batch in JSON; messages are signed as Standard Webhooks say (webhooks.post).
Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md#4-json-batch-format
"""

import json
import logging
import time
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from imodels_app.accounts import encryption, streams
from imodels_app.audit import export, log
from imodels_app.models import Destination, Event, LogLeaf
from imodels_app.notifications import webhooks
from imodels_app.runtime import clock
from imodels_app.runtime.backoff import backoff
from imodels_app.runtime.timing import STREAM_LEASE, STREAM_ROUND_S

log_ = logging.getLogger(__name__)
BATCH = 100
# So many lines of the log are looked through at a time for a destination that gets some events only.
WINDOW = 1000
# After a failure, doubled each time.
FIRST_GAP, LONGEST_GAP = timedelta(seconds=5), timedelta(minutes=10)
CONTENT_TYPE = "application/cloudevents-batch+json; charset=utf-8"


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
    except (webhooks.Down, webhooks.Refused, encryption.KeyMissing) as no:
        _postpone(row, no)
        return
    Destination.objects.filter(pk=pk, due_at=lease).update(due_at=clock.now())


def _send_next(row: Destination, address: str, key: bytes) -> bool:
    """One message; whether there may be another one. What has come to its end meanwhile is not sent."""
    events, end = _next(row)
    if end == row.position:
        return False
    if events:
        message_id, body = f"{row.pk}.{row.position}.{end}", json.dumps([*map(cloud_event, events)]).encode()
        webhooks.post(address, body, message_id=message_id, key=key, headers={"Content-Type": CONTENT_TYPE})
    return _move(row, end, clock.now() if events else row.sent_at)


def _next(row: Destination) -> tuple[list[Event], int]:
    """The events of the next message, and the line behind it."""
    verbs = streams.verbs_of(row)
    leaves = LogLeaf.objects.filter(pk__gte=row.position).order_by("pk")[: WINDOW if verbs else BATCH]
    lines = dict(leaves.values_list("event_id", "index"))
    # By number, not by a join: a sequence of lines is cheap to find, whatever the database knows of the tables.
    found = Event.objects.filter(pk__in=lines).select_related("leaf")
    events = sorted(found.filter(verb__in=verbs) if verbs else found, key=lambda event: lines[event.pk])[:BATCH]
    last = lines[events[-1].pk] if len(events) == BATCH else max(lines.values(), default=row.position - 1)
    return events, last + 1


def _move(row: Destination, end: int, sent_at: datetime | None) -> bool:
    """Whether it still was at its place, and ours to move."""
    ours = Destination.objects.filter(pk=row.pk, position=row.position, due_at=row.due_at)
    is_ours = bool(ours.update(position=end, sent_at=sent_at, failures=0, note=""))
    row.position, row.failures = end, 0
    return is_ours


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
