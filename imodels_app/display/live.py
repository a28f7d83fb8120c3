"""Live pages: a poll asks what it has missed, and hears nothing, or the parts that differ from those it shows.

look() is the first half: one query by index for changes that this page may show. Without any nothing else is asked, and
nothing is drawn. After one the page is read anew, and LivePage.render() compares each part with a digest of it that the
page's token brings along; a page of which nothing differs gets a new token alone.
"""

import hashlib
import json
import math
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Self
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from imodels_app import eligibility
from imodels_app.display.banners import Banners
from imodels_app.models import Mark, Membership, Operation, User
from imodels_app.models.changes import (
    ASKING,
    MISSED,
    OF_RIGHTS_OR_OUTAGE,
    QUEUED,
    Condition,
    of_person,
    seen_by,
)
from imodels_app.states import FINISHED, UNDECIDED, OrphanState, State

# Something moves on its own; a person has to act; all is at rest.
MOVING_S, WAITING_S, RESTING_S = 2, 5, 30
# What somebody else decides is to be seen within two seconds, and the answer takes its time as well.
DECIDING_S = 1
HIDDEN_S = 60
# Estimates and bars move by themselves: while something runs, the page is drawn anew this often.
REDRAWN_EVERY_S = 20
# In a token: the page shows places in the queue, which change with everybody's operations.
QUEUE = "q"
# The header that brings a new token to a page of which nothing differs.
SEEN = "Seen"


@dataclass(frozen=True)
class Token:
    """What a page shows, as the next poll brings it along.

    until  when something of it changes by time alone
    extra  what it depends on besides: QUEUE, or nothing
    parts  digests by name, those of rows in their order
    """

    mark: Mark
    at: int
    until: int
    extra: str
    parts: Mapping[str, str]

    def __str__(self) -> str:
        parts = ".".join(f"{name}*{value}" for name, value in self.parts.items())
        return "~".join(map(str, (self.mark, self.at, self.until, self.extra, parts)))

    @classmethod
    def read(cls, text: str) -> Self | None:
        """None for what makes no sense: then everything is new."""
        try:
            mark, at, until, extra, parts = text.split("~")
            pairs = (part.split("*") for part in parts.split("."))
            return cls(Mark.read(mark), int(at), int(until), extra, dict(pairs))
        except ValueError:
            return None

    def has_run_out(self, now: datetime) -> bool:
        """Whether a page that shows this has to be read anew, whatever has changed."""
        seconds = now.timestamp()
        return not self.at <= seconds < min(self.until, self.at + MISSED.total_seconds())


@dataclass(frozen=True)
class LivePage:
    """A page that is to be read and drawn. mark: where its next poll goes on; seen: what it shows now."""

    request: HttpRequest
    user: User
    now: datetime
    mark: Mark
    seen: Token | None

    def render(
        self,
        page: str,
        fragment: str,
        context: dict[str, Any],
        *,
        parts: Mapping[str, object],
        rows: Mapping[UUID, object] | None = None,
        times: Iterable[datetime] = (),
        extra: str = "",
    ) -> HttpResponse:
        """The whole page, or for a poll the parts that differ.

        page, fragment  templates; both find in `fresh` the names of the parts to draw
        parts           by name what can be read in them, as plain values
        rows            the same of rows, in their order; "rows" is fresh when one came, went or moved
        times           when something of this changes by time alone
        """
        banners, waiting = Banners.of(self.user, self.now), eligibility.waiting_for(self.user).count()
        shown = {_key(pk): _digest(value) for pk, value in (rows or {}).items()}
        frame = {"banners": banners.visible_state, "waiting": waiting, "rows": list(shown)}
        digests = {name: _digest(value) for name, value in {**frame, **parts}.items()} | shown
        until = math.ceil(min((*times, midnight(self.now))).timestamp())
        token = Token(self.mark, int(self.now.timestamp()), until, extra, digests)
        before = self.seen.parts if self.seen else {}
        fresh = {name for name, digest in digests.items() if before.get(name) != digest}
        if not fresh:
            return HttpResponse(status=204, headers={SEEN: str(token)})
        changed = {pk for pk in rows or () if _key(pk) in fresh}
        shared = {"seen": token, "now": self.now, "banners": banners, "waiting_for_me": waiting}
        shared |= {"fresh": fresh, "changed": changed}
        return render(self.request, fragment if is_fragment(self.request) else page, context | shared)


def look(request: HttpRequest, user: User, now: datetime, of: Condition, **known: object) -> LivePage | None:
    """None for a poll that has missed nothing: 204. Otherwise read the page now, not before.

    of     changes of operations that this page may show; those of its frame (banners, bar) come by themselves
    known  parts that no row tells
    """
    seen = Token.read(request.GET.get("seen", "")) if is_poll(request) else None
    if seen and not seen.has_run_out(now):
        is_known = all(seen.parts.get(name) == _digest(value) for name, value in known.items())
        if is_known and not _has_missed(seen, user, of):
            return None
    return LivePage(request, user, now, Mark.now(), seen)


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks, for the live parts alone."""
    return bool(getattr(request, "htmx", False))


def is_poll(request: HttpRequest) -> bool:
    """Whether the page asks by itself, not a person: only its polls say what is shown."""
    return is_fragment(request) and "seen" in request.GET


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


def row_facts(row: Operation, now: datetime) -> list[object]:
    """What changes with what is read of a row. Of an upload that is the progress: its lease is renewed each second."""
    sent = row.upload.sent_bytes if hasattr(row, "upload") else None
    orphan = row.orphan.version if hasattr(row, "orphan") else None
    return [str(row.pk), row.version, sent, orphan, len(list(times([row], now)))]


def times(rows: Iterable[Operation], now: datetime) -> Iterator[datetime]:
    """When what is read of these rows changes by time alone: a time comes, or is less than an hour off."""
    for row in rows:
        for at in (row.wait_until, row.expires_at):
            if at:
                yield from (moment for moment in (at - timedelta(hours=1), at) if moment > now)
        if _is_moving(row):
            # From now on, not at the same moment for everybody.
            yield now + timedelta(seconds=REDRAWN_EVERY_S)


def midnight(now: datetime) -> datetime:
    """When today is over for whoever reads the page."""
    tomorrow = timezone.localtime(now).date() + timedelta(days=1)
    return timezone.make_aware(datetime.combine(tomorrow, time.min))


def tick(rows: Iterable[Operation], now: datetime) -> list[object]:
    """Today, and what rises while something runs, so that estimates stay true."""
    moving = int(now.timestamp() // REDRAWN_EVERY_S) if any(map(_is_moving, rows)) else 0
    return [timezone.localtime(now).date(), moving]


def _is_moving(row: Operation) -> bool:
    return row.state in (State.RUNNING, State.SUBMITTING, State.UPLOADING)


def _has_missed(seen: Token, user: User, of: Condition) -> bool:
    shown = of | OF_RIGHTS_OR_OUTAGE | of_person(user) | (ASKING & seen_by(user))
    return (shown | QUEUED if seen.extra == QUEUE else shown).has_missed(seen.mark)


def _digest(value: object) -> str:
    digest = hashlib.blake2b(json.dumps(value, default=str).encode(), digest_size=6).digest()
    return urlsafe_b64encode(digest).decode()


def _key(pk: UUID) -> str:
    """A row's name in a token: those of one page differ."""
    return urlsafe_b64encode(pk.bytes[-6:]).decode()
