"""A page that polls: what it has shown, whether that has changed, and how soon to ask again. Rows come by to_show()."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from imodels_app.display.banners import Banners
from imodels_app.models import Membership, Operation, User
from imodels_app.states import FINISHED, UNDECIDED, OrphanState, State

# Something moves on its own; a person has to act; all is at rest.
MOVING_S, WAITING_S, RESTING_S = 2, 5, 30
# What somebody else decides is to be seen within two seconds, and the answer takes its time as well.
DECIDING_S = 1
HIDDEN_S = 60


@dataclass(frozen=True)
class LivePage:
    """A live page as it is now. seen: the token of what it shows, which the next poll brings along.

    waiting_for_me: how many requests wait for this person's decision
    """

    request: HttpRequest
    now: datetime
    banners: Banners
    waiting_for_me: int
    seen: str

    @property
    def is_fragment(self) -> bool:
        """Whether htmx asks, for the live parts alone."""
        return bool(getattr(self.request, "htmx", False))

    @property
    def is_unchanged(self) -> bool:
        """Whether this is a poll that has missed nothing: 204."""
        return self.is_fragment and self.request.GET.get("seen") == self.seen

    def render(self, page: str, fragment: str, context: dict[str, Any]) -> HttpResponse:
        """page, fragment: templates of the whole page, and of its live parts."""
        shared = {"seen": self.seen, "now": self.now, "banners": self.banners, "waiting_for_me": self.waiting_for_me}
        return render(self.request, fragment if self.is_fragment else page, context | shared)


def is_poll(request: HttpRequest) -> bool:
    """Whether the page asks by itself, not a person: only its polls say what is shown."""
    return bool(getattr(request, "htmx", False)) and "seen" in request.GET


def page(request: HttpRequest, user: User, now: datetime, rows: Iterable[Operation], *extra: object) -> LivePage:
    """The page that shows these rows, and extra (as token() takes it), under its banners and its bar."""
    banners, waiting = Banners.of(user, now), Operation.objects.waiting_for(user).count()
    return LivePage(request, now, banners, waiting, token(rows, banners.visible_state, waiting, *extra))


def token(rows: Iterable[Operation], *extra: object) -> str:
    """A short text that changes whenever what the page shows changes.

    extra: whatever else the page shows that is not in the rows, as plain values (counts, what is left of rate limits).
    """
    shown = [[str(row.pk), *_shown(row)] for row in rows]
    return hashlib.sha256(json.dumps([shown, extra], default=str).encode()).hexdigest()[:16]


def pace(rows: Iterable[Operation]) -> int:
    """Seconds until the next look."""
    rows = list(rows)
    states = {State(row.state) for row in rows}
    if any(is_deleting(row) for row in rows) or states - FINISHED - UNDECIDED:
        return MOVING_S
    return WAITING_S if states & UNDECIDED else RESTING_S


def hidden_pace(user: User) -> int:
    """Seconds until the next look while nobody sees the page; 0 is never. A lead reads in its title what waits."""
    return HIDDEN_S if user.membership_set.filter(role=Membership.Role.LEAD).exists() else 0


def is_deleting(row: Operation) -> bool:
    """Whether what it left is being deleted."""
    return hasattr(row, "orphan") and row.orphan.state == OrphanState.DELETING


def _shown(row: Operation) -> Iterator[int]:
    """What changes with what is seen of a row. Of an upload that is the progress: its lease is renewed each second."""
    yield row.version
    if hasattr(row, "upload"):
        yield row.upload.sent_bytes
    if hasattr(row, "orphan"):
        yield row.orphan.version
