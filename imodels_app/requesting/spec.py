"""A creation spec: what a person asked for, checked and resolved, and the exact request it becomes.

One place builds the request, so that what is previewed, what is approved and what is sent are the same bytes.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from imodels_app.approvals.plan import canonical
from imodels_app.states import ChangesetSelection, Kind

# What approvals of requests from before there were rules are bound to, in the place of a plan.
POLICY_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ITwinRef:
    """An iTwin as the platform names it: lower-case id and display name. What is not known is empty."""

    id: str
    name: str = ""
    number: str = ""
    account_id: str = ""
    region: str = ""


@dataclass(frozen=True, kw_only=True)
class IModelRef:
    """An iModel with the iTwin it lives in. is_secured: it has permissions of its own; None, not known."""

    id: str
    name: str = ""
    itwin: ITwinRef
    is_secured: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Extent:
    """A rectangle on the Earth, in degrees. The platform takes corners the wrong way round as they are."""

    south: float
    west: float
    north: float
    east: float

    def __str__(self) -> str:
        return f"{self.south}, {self.west} to {self.north}, {self.east}"

    @property
    def json(self) -> dict[str, Any]:
        return {
            "southWest": {"latitude": self.south, "longitude": self.west},
            "northEast": {"latitude": self.north, "longitude": self.east},
        }


@dataclass(frozen=True, kw_only=True)
class CreationSpec:
    """One iModel to be made.

    name             1-255 characters, unique within the iTwin. Always sent: it is how a lost answer is settled
    description      up to 255 characters; "" sends none, and the platform takes the source's for a clone or fork
    source           the source (clone), main (fork) or template iModel; None for an empty one
    up_to            how far to copy; None for an empty one
    changeset_id     40 hex digits, for Wish.CHANGESET; what a template is asked for by
    changeset_index  for Wish.LATEST (as seen when it was asked for) and Wish.CHANGESET; 0 is the baseline
    preserve_history forks only: copy changesets one by one (True) or squash them into the baseline (False)
    extent           empty ones and templates; None sends none
    file_size        baseline files: their exact size in bytes; None for any other kind
    creation_mode    empty ones, templates and baseline files: the newer documentation's property; "" sends none
    crs              empty ones: id of the horizontal coordinate system, as "EPSG:25832"; "" sends none
    """

    kind: Kind
    itwin: ITwinRef
    name: str
    description: str = ""
    source: IModelRef | None = None
    up_to: ChangesetSelection | None = None
    changeset_id: str = ""
    changeset_index: int | None = None
    preserve_history: bool | None = None
    extent: Extent | None = None
    file_name: str = ""
    file_size: int | None = None
    creation_mode: str = ""
    crs: str = ""
    reason: str = ""

    @property
    def path(self) -> str:
        """Below the platform's root.

        Source: https://developer.bentley.com/apis/imodels-v2/operations/ create-imodel, clone-imodel, fork-imodel
        """
        if self.source is None or self.kind == Kind.TEMPLATE:
            return "/imodels"
        return f"/imodels/{self.source.id}/{self.kind.value}"

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"iTwinId": self.itwin.id, "name": self.name}
        if self.description:
            body["description"] = self.description
        if self.extent:
            body["extent"] = self.extent.json
        body |= self._template() if self.kind == Kind.TEMPLATE else self._changeset()
        if self.file_size is not None:
            body["baselineFile"] = {"size": self.file_size}
        if self.preserve_history is not None:
            body["preserveHistory"] = self.preserve_history
        if self.creation_mode:
            body["creationMode"] = self.creation_mode
        if self.crs:
            body["geographicCoordinateSystem"] = {"horizontalCRSId": self.crs}
        return body

    @property
    def body_text(self) -> str:
        """The bytes that are sent, as text."""
        return json.dumps(self.body, ensure_ascii=False, indent=2)

    def fingerprint(self, requester: str, plan: dict[str, Any] | None = None) -> str:
        """SHA-256 of all that an approval is bound to. requester: the person's id, as text."""
        return fingerprint(self.path, self.body_text, requester, plan or {})

    def _template(self) -> dict[str, Any]:
        # Here the platform knows ids only, and none means the baseline without any changeset.
        template = {"iModelId": self.source.id if self.source else ""}
        if self.changeset_id:
            template["changesetId"] = self.changeset_id
        return {"template": template}

    def _changeset(self) -> dict[str, Any]:
        # Compared with None and by name, never by truth: "", 0 and absent are three different requests.
        match self.up_to:
            case ChangesetSelection.BASELINE:
                return {"changesetId": ""}
            case ChangesetSelection.LATEST:
                return {"changesetIndex": self.changeset_index}
            case ChangesetSelection.CHANGESET if self.changeset_index is not None:
                return {"changesetIndex": self.changeset_index}
            case ChangesetSelection.CHANGESET:
                return {"changesetId": self.changeset_id}
            case _:
                return {}


def extent_in(body_text: str) -> Extent | None:
    """The extent that a stored request asks for."""
    return extent_of(json.loads(body_text))


def extent_of(body: dict[str, Any]) -> Extent | None:
    extent = body.get("extent")
    if not extent:
        return None
    low, high = extent["southWest"], extent["northEast"]
    return Extent(south=low["latitude"], west=low["longitude"], north=high["latitude"], east=high["longitude"])


def crs_in(body_text: str) -> str:
    """The horizontal coordinate system that a stored request asks for, or ""."""
    return str((json.loads(body_text).get("geographicCoordinateSystem") or {}).get("horizontalCRSId", ""))


def fingerprint(path: str, body_text: str, requester: str, plan: dict[str, Any]) -> str:
    """SHA-256 (hex) of method, path, body, requester and approval plan, unambiguous because it is JSON."""
    whole = json.dumps(["POST", path, body_text, requester, canonical(plan) if plan else POLICY_VERSION])
    return hashlib.sha256(whole.encode()).hexdigest()
