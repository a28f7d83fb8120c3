"""Addresses of people in events can be dropped, and nothing else of an event: the proofs of the log still hold."""

from collections.abc import Iterator
from typing import Any

from django.db import connection, transaction
from django.db.models import Func, JSONField, Q, QuerySet

from imodels_app.audit import events, log
from imodels_app.audit.verify_export import PERSONAL
from imodels_app.models import Event, LogLeaf
from imodels_app.runtime import clock
from imodels_app.states import Verb

PAGE = 500


# Without addresses, as the trigger of the table has it (migrations/_address_triggers.py).
DATA = {
    "sqlite": "json_remove(%(expressions)s, '$.address', '$.client')",
    "postgresql": "(%(expressions)s - 'address' - 'client')",
}


@transaction.atomic
def drop(chosen: QuerySet[Event], note: str, **facts: Any) -> int:
    """Drop e-mail addresses, addresses and browsers of these events with the salts that prove them; of how many.

    Only who owns the tables may. What is not in the log yet keeps its addresses. note and facts: whose, for the event.
    """
    log.add_events()
    number, data = 0, Func("data", template=DATA[connection.vendor], output_field=JSONField())
    has_some = ~Q(actor_email="") | Q(data__has_any_keys=PERSONAL[1:])
    for page in _pages(chosen.filter(has_some, leaf__salt__isnull=False)):
        LogLeaf.objects.filter(event__in=page).update(salt=None)
        number += Event.objects.filter(pk__in=page).update(actor_email="", data=data)
    if number:
        said = f"{number:,} events: {note}"
        events.record(Verb.ADDRESSES_DROPPED, at=clock.now(), note=said, count=number, **facts)
    return number


def _pages(rows: QuerySet[Event]) -> Iterator[list[int]]:
    after = 0
    while page := list(rows.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:PAGE]):
        yield page
        after = page[-1]
