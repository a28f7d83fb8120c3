"""What exists on the stand-in platform, and how the creation of an iModel advances.

A creation is a plan: when the iModel becomes ``initialized`` and when its operation ends, as instants of the wall
clock. Looking (``World.settle``) applies what is due, so nothing runs in the background and a restart loses nothing.
Tests replace the clock: ``advance_manually`` (only finish() and initialize() move things) or ``advance_by_polls``.
States: https://developer.bentley.com/apis/imodels-v2/operations/get-create-imodel-operation/
"""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

WEBVIEW, READ, WRITE, MANAGE, DELETE = (
    "imodels_webview",
    "imodels_read",
    "imodels_write",
    "imodels_manage",
    "imodels_delete",
)
EVERY_IMODEL_PERMISSION = [WEBVIEW, READ, WRITE, MANAGE, DELETE]

SCHEDULED, WAITING_FOR_FILE, SUCCESSFUL, FAILED, MISSING_GUIDS = (
    "scheduled",
    "waitingForFile",
    "successful",
    "failed",
    "mainIModelIsMissingFederationGuids",
)
BASELINE_FAILURES = ("initializationFailed", "fileIsBriefcase")
STUCK = "stuck"  # an outcome of ours: the operation stays scheduled for ever


@dataclass
class Person:
    """Somebody who can sign in; ``id`` is the ``sub`` of the tokens and the id in ``creator`` links."""

    key: str
    id: str
    given_name: str
    family_name: str
    email: str
    about: str = ""
    organization: str = "Harbour Engineering"
    email_verified: bool | None = True  # None: the provider does not tell

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}"


@dataclass
class ITwin:
    """https://developer.bentley.com/apis/itwins/operations/get-itwin/ ; ``members`` maps person id to permissions."""

    id: str
    display_name: str
    number: str
    sub_class: str = "Project"
    itwin_class: str = "Endeavor"
    type: str | None = None
    status: str = "Active"
    data_center: str = "East US"
    account_id: str = ""
    location: str = ""
    latitude: float | None = None
    longitude: float | None = None
    time_zone: str | None = None
    parent_id: str | None = None
    created_at: float = 0.0
    created_by: str = ""
    members: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Changeset:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-changesets/"""

    id: str
    index: int
    parent_id: str
    description: str
    creator_id: str
    pushed_at: float
    file_size: int
    containing_changes: int = 0
    group_id: str | None = None
    state: str = "fileUploaded"
    application: str = "OpenBridge Modeler"


@dataclass
class NamedVersion:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-named-versions/

    ``changeset_index`` 0 means: on the baseline.
    """

    id: str
    name: str
    description: str | None
    changeset_index: int
    created_at: float
    creator_id: str
    state: str = "visible"


@dataclass
class Creation:
    """The Create iModel Operation of one iModel, and the plan by which it advances."""

    kind: str
    state: str = SUCCESSFUL
    outcome: str = SUCCESSFUL
    initialized_at: float | None = None
    ends_at: float | None = None
    polls_left: int | None = None
    cloned_from: dict[str, str] | None = None
    forked_from: dict[str, str] | None = None
    baseline_size: int | None = None
    baseline_state: str | None = None


@dataclass
class IModel:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-details/

    Its changesets are the first ``changeset_count`` of the timeline it shares with whatever it was cloned from.
    """

    id: str
    itwin_id: str
    name: str
    creator_id: str
    created_at: float
    creation: Creation
    description: str | None = None
    state: str = "initialized"
    extent: dict[str, Any] | None = None
    timeline: str = ""
    changeset_count: int = 0
    named_versions: list[NamedVersion] = field(default_factory=list)
    permissions: dict[str, list[str]] | None = None
    has_federation_guids: bool = True
    containers_enabled: int = 0

    @property
    def is_secured(self) -> bool:
        return self.permissions is not None

    @property
    def initialized(self) -> bool:
        return self.state == "initialized"


@dataclass
class Switches:
    """Both answers to what the documentation leaves open. Tests and the control page turn them."""

    failed_keeps_name: bool = True
    strict: bool = True  # refuse unknown properties of a body, and an X-Correlation-Id that is no GUID
    list_lag_s: float = 0.0  # a new iModel appears in lists only after this time
    operation_lag_s: float = 0.0  # and its operation answers 404 for so long
    page_size_cap: int | None = None  # "the server may return a different page size"
    fork_preview: bool = True  # is the client application on the list of the closed preview?
    upload_link_life_s: float = 1200.0
    new_upload_link: bool = False  # do later looks hand out an upload link while the file is waited for?
    upload_link: bool = True  # does the creation's own answer?
    storage_type: str = "azure"  # or "google"
    storage_bytes_per_s: float | None = None  # a slow line
    blob_lag_s: float = 0.0  # an uploaded file is found by the API only after this time


class World:
    """People, iTwins and iModels. ``lock`` guards every change and every look that may change something."""

    def __init__(self, *, speed: float = 1.0, clock: Callable[[], float] = time.time) -> None:
        self.lock = threading.RLock()
        self.speed_at_start = speed
        self.clock = clock
        self.changed: Callable[[], None] = lambda: None
        self.clear()

    def clear(self) -> None:
        self.people: dict[str, Person] = {}
        self.itwins: dict[str, ITwin] = {}
        self.imodels: dict[str, IModel] = {}
        self.timelines: dict[str, list[Changeset]] = {}
        self.favorites: dict[str, list[str]] = {}
        self.recents: dict[str, list[str]] = {}
        self.ids: dict[str, str] = {}
        self.switches = Switches()
        self.outcomes: list[str] = []
        self.speed = self.speed_at_start
        self.manual = False
        self.polls: int | None = None

    # -- finding -------------------------------------------------------------------------------------------------

    def person(self, key_or_id: str) -> Person:
        for person in self.people.values():
            if key_or_id in (person.key, person.id, person.email):
                return person
        raise KeyError(key_or_id)

    def permissions_on_itwin(self, person_id: str, itwin_id: str) -> list[str]:
        itwin = self.itwins.get(itwin_id)
        return itwin.members.get(person_id, []) if itwin else []

    def permissions_on_imodel(self, person_id: str, imodel: IModel) -> list[str]:
        """What the person may do here: the iModel's own permissions if any are configured, else the iTwin's."""
        if imodel.permissions is None:
            return self.permissions_on_itwin(person_id, imodel.itwin_id)
        return imodel.permissions.get(person_id, [])

    def imodels_of(self, itwin_id: str) -> list[IModel]:
        return [imodel for imodel in list(self.imodels.values()) if imodel.itwin_id == itwin_id]

    def imodels_named(self, name: str, itwin_id: str | None = None) -> list[IModel]:
        wanted = name.casefold()
        found = [imodel for imodel in list(self.imodels.values()) if imodel.name.casefold() == wanted]
        return [imodel for imodel in found if itwin_id in (None, imodel.itwin_id)]

    def name_is_taken(self, name: str, itwin_id: str, *, by_other_than: str | None = None) -> bool:
        """Names are unique within an iTwin whatever their case; a failed creation keeps its name unless switched."""
        for imodel in self.imodels_named(name, itwin_id):
            gone = imodel.creation.state in (FAILED, MISSING_GUIDS) and not self.switches.failed_keeps_name
            if imodel.id != by_other_than and not gone:
                return True
        return False

    def changesets_of(self, imodel: IModel) -> list[Changeset]:
        if not imodel.initialized:
            return []
        return self.timelines.get(imodel.timeline, [])[: imodel.changeset_count]

    def last_push_at(self, imodel: IModel) -> float | None:
        changesets = self.changesets_of(imodel)
        return changesets[-1].pushed_at if changesets else None

    # -- changing ------------------------------------------------------------------------------------------------

    def add_imodel(self, imodel: IModel) -> IModel:
        with self.lock:
            self.imodels[imodel.id] = imodel
        self.changed()
        return imodel

    def delete_imodel(self, imodel_id: str) -> None:
        with self.lock:
            self.imodels.pop(imodel_id, None)
        self.changed()

    def push_changeset(self, imodel_id: str, description: str = "Pushed while you were looking") -> Changeset:
        """Add a changeset, as somebody at work on the iModel would."""
        with self.lock:
            imodel = self.imodels[imodel_id]
            timeline = self._timeline_of_its_own(imodel)
            index = len(timeline) + 1
            changeset = Changeset(
                id=hashlib.sha1(f"{imodel.id}{index}{self.clock()}".encode()).hexdigest(),
                index=index,
                parent_id=timeline[-1].id if timeline else "",
                description=description,
                creator_id=imodel.creator_id,
                pushed_at=self.clock(),
                file_size=2048,
            )
            timeline.append(changeset)
            imodel.changeset_count = index
        self.changed()
        return changeset

    def _timeline_of_its_own(self, imodel: IModel) -> list[Changeset]:
        """The list to append to. Copied first when others see more of it, or it goes on beyond this iModel."""
        timeline = self.timelines.setdefault(imodel.timeline, [])
        if imodel.timeline != imodel.id or imodel.changeset_count != len(timeline):
            timeline = timeline[: imodel.changeset_count]
            imodel.timeline = imodel.id
            self.timelines[imodel.id] = timeline
        return timeline

    # -- how a creation advances ---------------------------------------------------------------------------------

    def new_creation(self, kind: str, *, state: str = SCHEDULED, **origin: Any) -> Creation:
        """A creation that has only been asked for. Its outcome is the next one on order, else ``successful``."""
        outcome = self.outcomes.pop(0) if self.outcomes else SUCCESSFUL
        return Creation(kind=kind, state=state, outcome=outcome, **origin)

    def schedule(self, creation: Creation, *, takes_s: float, initialized_after: float = 0.6) -> None:
        """Plan the end. ``initialized`` comes at a part of the way when all goes well."""
        creation.state = SCHEDULED
        if self.manual or creation.outcome == STUCK:
            return
        if self.polls is not None:
            creation.polls_left = self.polls
            return
        now, takes_s = self.clock(), takes_s / self.speed
        creation.ends_at = now + takes_s
        if creation.outcome == SUCCESSFUL:
            creation.initialized_at = now + takes_s * initialized_after

    def advance(self, imodel: IModel, *, is_poll: bool = False) -> IModel:
        """Apply what is due. ``is_poll`` marks a look at the operation, which is what looks are counted by."""
        with self.lock:
            creation, now = imodel.creation, self.clock()
            if creation.state != SCHEDULED:
                return imodel
            if is_poll and creation.polls_left is not None:
                creation.polls_left -= 1
                if creation.polls_left < 0:
                    self._end(imodel, creation.outcome)
                return imodel
            if creation.initialized_at is not None and now >= creation.initialized_at:
                self._initialize(imodel)
            if creation.ends_at is not None and now >= creation.ends_at:
                self._end(imodel, creation.outcome)
        return imodel

    def finish(self, imodel_id: str, state: str = SUCCESSFUL) -> None:
        """End an operation now, whatever the clock says."""
        with self.lock:
            self._end(self.imodels[imodel_id], state)

    def initialize(self, imodel_id: str) -> None:
        """Make an iModel usable while its operation goes on."""
        with self.lock:
            self._initialize(self.imodels[imodel_id])

    def _initialize(self, imodel: IModel) -> None:
        if not imodel.initialized:
            imodel.state = "initialized"
            self.changed()

    def _end(self, imodel: IModel, outcome: str) -> None:
        creation = imodel.creation
        creation.initialized_at = creation.ends_at = creation.polls_left = None
        creation.state = FAILED if outcome in BASELINE_FAILURES else outcome
        if outcome == SUCCESSFUL:
            self._initialize(imodel)
        if creation.baseline_size is not None:
            creation.baseline_state = _baseline_state(outcome)
        self.changed()

    # -- keeping -------------------------------------------------------------------------------------------------

    def as_json(self) -> dict[str, Any]:
        with self.lock:
            return {
                "people": [asdict(person) for person in self.people.values()],
                "itwins": [asdict(itwin) for itwin in self.itwins.values()],
                "imodels": [asdict(imodel) for imodel in self.imodels.values()],
                "timelines": {key: [asdict(c) for c in timeline] for key, timeline in self.timelines.items()},
                "favorites": {key: list(ids) for key, ids in self.favorites.items()},
                "recents": {key: list(ids) for key, ids in self.recents.items()},
                "ids": self.ids,
                "switches": asdict(self.switches),
            }

    def load(self, stored: dict[str, Any]) -> None:
        with self.lock:
            self.clear()
            self.people = {p["id"]: Person(**p) for p in stored["people"]}
            self.itwins = {t["id"]: ITwin(**t) for t in stored["itwins"]}
            self.imodels = {m["id"]: _imodel_from_json(m) for m in stored["imodels"]}
            self.timelines = {key: [Changeset(**c) for c in timeline] for key, timeline in stored["timelines"].items()}
            self.favorites, self.recents, self.ids = stored["favorites"], stored["recents"], stored["ids"]
            self.switches = Switches(**stored["switches"])


def new_id() -> str:
    return str(uuid.uuid4())


def written(instant: float, *, digits: int = 7) -> str:
    """An instant as the iModels API writes it: 2020-10-20T10:51:33.1700000Z, or without a fraction."""
    moment = datetime.fromtimestamp(instant, UTC)
    fraction = f".{moment.microsecond:06d}0" if digits else ""
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


def _baseline_state(outcome: str) -> str:
    if outcome == SUCCESSFUL:
        return "initialized"
    return outcome if outcome in BASELINE_FAILURES else "initializationFailed"


def _imodel_from_json(stored: dict[str, Any]) -> IModel:
    creation = Creation(**stored.pop("creation"))
    versions = [NamedVersion(**version) for version in stored.pop("named_versions")]
    return IModel(creation=creation, named_versions=versions, **stored)
