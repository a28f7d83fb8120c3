"""One look at an iTwin for iModels that were made, renamed or deleted outside iModel Desk.

It asks with the token of a lead who lets it (accounts/watches.py), and then compares with what was there last. Each
difference is one event, written in one transaction with what is there now: a look that is cut off has told nothing, and
is done again. A list never says that something is gone, because it leaves out what the lead may not see; so that is
asked about by its id.
"""

import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from imodels_app import gateway
from imodels_app.audit import events
from imodels_app.itwin import Platform, errors
from imodels_app.itwin.types import IModel
from imodels_app.limits import rate_limits
from imodels_app.models import KnownITwin, Operation, OperationQuerySet, SeenIModel, Team, User, Watch, WatchedITwin
from imodels_app.runtime import clock, failpoints
from imodels_app.runtime.timing import OUTSIDE_LEASE, PLATFORM_CLOCK_DIFFERENCE
from imodels_app.states import NO_LONGER_THERE, OrphanState, State, Verb

log = logging.getLogger(__name__)
NIGHT_HOUR = 2
AGAIN_AFTER = timedelta(minutes=10)
PAGE, MOST_PAGES = 1000, 20
# Of what the list does not show, so many are asked about by one look.
MOST_ASKED = 100
# Of what was hidden from the lead before; it may have been shown, or deleted, since.
MOST_HIDDEN_ASKED = 10
# The desk itself deletes it, or has told that it is gone.
DELETED_HERE = {OrphanState.DELETING, *NO_LONGER_THERE}
STILL_THERE = Q(state=State.SUCCEEDED) | Q(orphan__state__in=[OrphanState.LEFT, OrphanState.USABLE])


def look(itwin_id: str) -> None:
    """See what is new in an iTwin. Any number of callers may ask; without a watch of its team nothing is asked."""
    row = WatchedITwin.objects.due(clock.now()).filter(pk=itwin_id).first()
    leased_until = clock.now() + OUTSIDE_LEASE
    if row is None or not _move(row.due_at, row, leased_until):
        return
    watches = list(Team.looking_after(itwin_id).watches.usable().select_related("team", "person"))
    if not watches:
        _move(leased_until, row, _next_night())
        return
    try:
        seen = _Look(row, watches[row.refused % len(watches)]).ask()
    except (gateway.MustWait, errors.Refused) as no:
        log.info("No look at what is new in iTwin %s: %s", itwin_id, no)
        # What is down or limited passes; what this lead may not see, another may.
        until = max(no.until, clock.now() + AGAIN_AFTER) if isinstance(no, gateway.MustWait) else _again(row, watches)
        _move(leased_until, row, until, refused=row.refused + 1)
        return
    with transaction.atomic():
        night = _next_night()
        if _move(leased_until, row, night, refused=0, looked_at=clock.now()):
            seen.tell()
            if seen.is_cut:
                _move(night, row, clock.now() + AGAIN_AFTER)
            failpoints.reach("outside.told")


def _again(row: WatchedITwin, watches: list[Watch]) -> datetime:
    is_last = (row.refused + 1) % len(watches) == 0
    return _next_night() if is_last else clock.now() + AGAIN_AFTER


def _move(was: datetime, row: WatchedITwin, due_at: datetime, **facts: object) -> bool:
    """Whether it was still ours to move."""
    return bool(WatchedITwin.objects.filter(pk=row.pk, due_at=was).update(due_at=due_at, **facts))


def _next_night() -> datetime:
    """At two o'clock, in the time zone of the desk."""
    now = clock.now().astimezone(timezone.get_default_timezone())
    tonight = now.replace(hour=NIGHT_HOUR, minute=0, second=0, microsecond=0)
    return tonight if tonight > now else tonight + timedelta(days=1)


@dataclass
class _Look:
    """What one lead sees of one iTwin, and what is new in it. is_cut: some of it is left to the next look."""

    row: WatchedITwin
    watch: Watch
    found: dict[str, IModel] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    is_cut: bool = False

    def ask(self) -> "_Look":
        """All questions to the platform. Raises MustWait and Refused."""
        platform = gateway.for_person(self.watch.person)
        listed = platform.imodels(self.row.pk, top=PAGE, pages=MOST_PAGES, newest=True)
        self.found = {imodel.id: imodel for imodel in listed}
        # Of a list that is cut nobody knows what else there is.
        missing = self._missing() if listed.is_all else []
        for imodel_id in missing:
            if not rate_limits.polls_left(clock.now()):  # what is to be sent comes first
                self.is_cut = True
                break
            self._ask_for(platform, imodel_id)
        if self.gone:  # to who has lost all rights meanwhile everything is gone: then this raises
            platform.imodels(self.row.pk, top=1)
        return self

    def _missing(self) -> list[str]:
        """What should be in the list, and is not: as many as one look asks about."""
        known = SeenIModel.objects.filter(itwin_id=self.row.pk)
        shown, hidden = (
            known.filter(gone_at=None, is_hidden=one).values_list("pk", flat=True) for one in (False, True)
        )
        # What the desk has made since, and nobody has seen yet.
        made = self._made.filter(STILL_THERE, finished_at__gt=self.row.since).values_list("imodel_id", flat=True)
        new = set(made).difference(known.values_list("pk", flat=True))
        lost, unseen = {*shown, *new} - set(self.found), sorted(set(hidden) - set(self.found))
        self.is_cut = len(lost) > MOST_ASKED
        some = random.sample(unseen, min(len(unseen), MOST_HIDDEN_ASKED))
        return [*sorted(lost)[:MOST_ASKED], *some]

    def _ask_for(self, platform: Platform, imodel_id: str) -> None:
        try:
            self.found[imodel_id] = platform.imodel(imodel_id)
        except errors.NotFound:
            self.gone.add(imodel_id)
        except errors.Forbidden:  # it is there
            self.hidden.add(imodel_id)

    # What is new

    def tell(self) -> None:
        """Compare, write down what there is now, and an event for each difference."""
        seen = {one.pk: one for one in SeenIModel.objects.filter(itwin_id=self.row.pk)}
        for imodel in self.found.values():
            if imodel.id not in seen and not self._is_undecided(imodel):
                seen[imodel.id] = self._first_sight(imodel)
            if imodel.id in seen:
                self._compare(seen[imodel.id], imodel.name)
        for imodel_id in sorted(self.gone):
            self._no_longer_there(seen.get(imodel_id) or self._unseen(imodel_id))
        for imodel_id in sorted(self.hidden):
            _save(seen.get(imodel_id) or self._unseen(imodel_id), is_hidden=True)

    def _is_undecided(self, imodel: IModel) -> bool:
        """It may be what a request of the desk makes whose answer has not come yet."""
        since = self._sending_since
        is_undecided = since is not None and _is_after(imodel.created_at, since) and imodel.id not in self._ours
        self.is_cut |= is_undecided
        return is_undecided

    def _first_sight(self, imodel: IModel) -> SeenIModel:
        ours = self._ours.get(imodel.id)
        if ours is None and _is_after(imodel.created_at, self.row.since):
            self._tell_made(imodel)
        name = ours.name if ours else imodel.name
        return SeenIModel.objects.create(imodel_id=imodel.id, itwin_id=self.row.pk, name=name)

    def _tell_made(self, imodel: IModel) -> None:
        maker = User.objects.filter(subject=imodel.creator_id).first() if imodel.creator_id else None
        by = f", by {maker.name if maker else imodel.creator_id}" if imodel.creator_id else ""
        facts = {"creator": imodel.creator_id, "person": maker.pk if maker else None}
        facts["made_at"] = imodel.created_at.isoformat() if imodel.created_at else None
        self._record(Verb.MADE_OUTSIDE, imodel.id, imodel.name, by, **facts)

    def _unseen(self, imodel_id: str) -> SeenIModel:
        """What the desk has made and was in no list."""
        return SeenIModel(imodel_id=imodel_id, itwin_id=self.row.pk, name=self._ours[imodel_id].name)

    def _compare(self, seen: SeenIModel, name: str) -> None:
        if seen.gone_at:
            gone = seen.gone_at.isoformat()
            self._record(Verb.RETURNED_OUTSIDE, seen.pk, name, f", gone since {gone[:10]}", gone_since=gone)
        if seen.name != name:
            self._record(Verb.RENAMED_OUTSIDE, seen.pk, name, f", was {seen.name}", before=seen.name, after=name)
        if seen.name != name or seen.is_hidden or seen.gone_at:
            _save(seen, name=name, is_hidden=False, gone_at=None)

    def _no_longer_there(self, seen: SeenIModel) -> None:
        ours = self._ours.get(seen.pk)
        if not (ours and hasattr(ours, "orphan") and ours.orphan.state in DELETED_HERE):
            self._record(Verb.DELETED_OUTSIDE, seen.pk, seen.name)
        elif ours.orphan.state == OrphanState.DELETING:  # its own step says what became of it
            return
        _save(seen, gone_at=clock.now())

    def _record(self, verb: Verb, imodel_id: str, name: str, more: str = "", **facts: Any) -> None:
        where = f" in {self._itwin_name}" if self._itwin_name else ""
        facts |= {"itwin": self.row.pk, "imodel": imodel_id, "name": name, "watcher": self.watch.person_id}
        note, ours = f"{name}{where}{more}", self._ours.get(imodel_id)
        events.record(verb, at=clock.now(), operation=ours, team=self.watch.team, note=note, **facts)

    # What the desk itself does

    @property
    def _made(self) -> OperationQuerySet:
        return Operation.objects.filter(itwin_id=self.row.pk).exclude(imodel_id="")

    @cached_property
    def _ours(self) -> dict[str, Operation]:
        """By the iModels that they made; read after the list was."""
        return {one.imodel_id: one for one in _in_parts(self._made, {*self.found, *self.gone, *self.hidden})}

    @cached_property
    def _sending_since(self) -> datetime | None:
        sending = Operation.objects.filter(itwin_id=self.row.pk, imodel_id="", state=State.SUBMITTING)
        first = sending.order_by("created_at").first()
        return first.created_at if first else None

    @cached_property
    def _itwin_name(self) -> str:
        known = KnownITwin.objects.filter(pk=self.row.pk).first()
        return known.name if known else ""


def _save(seen: SeenIModel, **facts: Any) -> None:
    for name, value in facts.items():
        setattr(seen, name, value)
    seen.save()


def _is_after(made_at: datetime | None, since: datetime) -> bool:
    """Who says nothing, or little, may have been later: the clock is another one."""
    return made_at is None or made_at > since - PLATFORM_CLOCK_DIFFERENCE


def _in_parts(rows: OperationQuerySet, ids: Iterable[str]) -> Iterable[Operation]:
    """No database takes any number of parameters."""
    wanted = sorted(ids)
    for start in range(0, len(wanted), PAGE):
        part = rows.filter(imodel_id__in=wanted[start : start + PAGE])
        yield from part.select_related("orphan", "team").order_by("created_at")
