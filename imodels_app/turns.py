"""Whose turn it is. People are served one after another, however many requests one of them has queued."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Max, Min

from imodels_app.models import Attempt, Operation
from imodels_app.states import Kind

# Whoever was last served longer ago than this counts as not served.
MEMORY = timedelta(hours=1)

KINDS = {"clone": [Kind.CLONE], "fork": [Kind.FORK], "create": [Kind.EMPTY, Kind.TEMPLATE, Kind.BASELINE]}


class NotYet(Exception):
    """Somebody else is served before. first: the operation that goes next."""

    def __init__(self, first: UUID) -> None:
        super().__init__(first)
        self.first = first


def first_in_turn(bucket: str, now: datetime) -> Operation | None:
    """The operation of this budget that goes next: the oldest of whoever was served least recently."""
    ready = Operation.objects.ready(now).filter(kind__in=KINDS[bucket]).order_by()
    oldest = dict(ready.values_list("requested_by").annotate(Min("created_at")))
    if not oldest:
        return None
    never = now - MEMORY
    served = dict(
        Attempt.objects.filter(bucket=bucket, sent_at__gt=never)
        .values_list("operation__requested_by")
        .annotate(Max("sent_at"))
    )
    person = min(oldest, key=lambda who: (served.get(who, never), oldest[who]))
    return ready.filter(requested_by=person).order_by("created_at", "pk").first()
