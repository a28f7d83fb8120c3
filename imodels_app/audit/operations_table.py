"""Operations as a table for spreadsheets: one line each."""

from collections.abc import Iterable, Iterator
from dataclasses import astuple
from datetime import datetime
from typing import Any

from django.utils import timezone

from imodels_app.audit.verify_export import SEPARATORS, written
from imodels_app.display import formats, identity
from imodels_app.models import Operation

CELLS = (
    *("name", "kind", "state", "itwin", "itwin_id", "source", "source_id"),
    *("requested_by", "requested_by_email", "requested_by_issuer", "requested_by_subject", "requested_by_id"),
    # Instants in UTC, and the first of them also in the zone of whoever exports it.
    *("requested_at", "requested_at_local", "ended_at", "imodel_id", "code", "operation_id"),
)


def written_out(operations: Iterable[Operation]) -> Iterator[str]:
    yield "\ufeff"  # so that spreadsheets read UTF-8
    yield from written([CELLS, *map(_cells, operations)], SEPARATORS["comma"])


def _cells(one: Operation) -> tuple[Any, ...]:
    local_time = timezone.localtime(one.created_at).isoformat(timespec="seconds")
    return (
        *(one.name, one.kind, one.state, one.itwin_name, one.itwin_id, one.source_name, one.source_id),
        *(one.requested_by_name, *astuple(identity.of_requester(one))),
        *(formats.iso(one.created_at), local_time, _instant(one.finished_at), one.imodel_id, one.failure_code, one.pk),
    )


def _instant(moment: datetime | None) -> str:
    return formats.iso(moment) if moment else ""
