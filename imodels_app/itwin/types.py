"""What the platform answers, as frozen records. from_json is strict about what we rely on and ignores the rest."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

from imodels_app.itwin import errors
from imodels_app.runtime import foreign_text

_GUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_GUID_IN_PATH = re.compile(rf"/imodels/({_GUID})(?![0-9a-f-])", re.IGNORECASE)
_USER_IN_PATH = re.compile(r"/users/([^/?#]+)/?$")
T = TypeVar("T")
_ID = re.compile(r"[a-z0-9-]+")
# An address as it may stand in a request: nothing that would have to be encoded.
_ADDRESS = re.compile(r"[!-~]+")


class Malformed(errors.Unavailable):
    """A success whose body is not what is documented: no news, ask again."""

    def __init__(self, what: str) -> None:
        super().__init__(f"The platform's answer has no {what}.", retry_after_s=15.0)


class Found(list[T]):
    """Things of a list, and whether these are all that the platform has of it."""

    def __init__(self, items: Iterable[T] = (), *, is_all: bool = False) -> None:
        super().__init__(items)
        self.is_all = is_all

    def cut_at(self, most: int) -> "Found[T]":
        return Found(self[:most], is_all=self.is_all and len(self) <= most)


@dataclass(frozen=True)
class ITwin:
    """Source: https://developer.bentley.com/apis/itwins/operations/get-my-itwins/"""

    id: str
    name: str
    number: str
    status: str
    data_center: str
    account_id: str = ""

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> Self:
        return cls(
            id=_id(item),
            name=_name(item, "displayName"),
            number=_text(item, "number"),
            status=_text(item, "status") or "Active",
            data_center=_text(item, "dataCenterLocation"),
            account_id=_text(item, "iTwinAccountId").lower(),
        )


@dataclass(frozen=True)
class UploadLink:
    """Where the bytes of a baseline file go. The address is a secret: whoever has it may write there.

    storage_type  "azure", or "google"
    """

    href: str = field(repr=False)
    storage_type: str = "azure"

    @classmethod
    def from_json(cls, link: object) -> Self | None:
        """From _links.upload; None when the platform gives none, or one that is no address."""
        href = link.get("href") if isinstance(link, dict) else None
        if not isinstance(link, dict) or not isinstance(href, str) or not _ADDRESS.fullmatch(href):
            return None
        try:
            urlsplit(href)
        except ValueError:
            return None
        return cls(href=href, storage_type=_text(link, "storageType").lower() or "azure")

    @property
    def until(self) -> datetime | None:
        """When it ends by its own words: Azure's se, or Google's date and seconds. None when it does not say."""
        query = {key.lower(): values[0] for key, values in parse_qs(urlsplit(self.href).query).items()}
        begins, lasts_s = query.get("x-goog-date", ""), query.get("x-goog-expires", "")
        if begins and lasts_s.isdecimal():
            try:
                at = datetime.strptime(begins, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return at + timedelta(seconds=min(int(lasts_s[:10]), 10**9))
            except (ValueError, OverflowError):
                return None
        return instant(query.get("se"))


BASELINE_STATES = {
    "waitingForFile",
    "initializationScheduled",
    "initialized",
    "initializationFailed",
    "fileIsBriefcase",
}


@dataclass(frozen=True)
class BaselineFile:
    """state: one of BASELINE_STATES, or a word that is not documented. size: None when it is not told.

    Source: https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-baseline-file-details/
    """

    state: str
    size: int | None

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> Self:
        state, size = _text(item, "state", most=64), item.get("fileSize")
        if not state:
            raise Malformed("baselineFile")
        return cls(state=state, size=size if isinstance(size, int) and not isinstance(size, bool) else None)


@dataclass(frozen=True)
class IModel:
    """Source: https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-details/

    is_initialized  usable; may come before its create operation is over
    creator_id      the platform's id of the person who made it, "" when not told
    is_secured      it has permissions of its own, beside those of its iTwin
    upload          where its baseline file goes, as long as the platform tells
    """

    id: str
    name: str
    description: str
    itwin_id: str
    is_initialized: bool
    created_at: datetime | None
    last_push_at: datetime | None
    creator_id: str
    data_center: str
    is_secured: bool = False
    upload: UploadLink | None = None

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> Self:
        links = _object(item, "_links")
        found = _USER_IN_PATH.search(_text(_object(links, "creator"), "href", most=2000))
        return cls(
            id=_id(item),
            name=_text(item, "name") or _name(item, "displayName"),
            description=_text(item, "description", most=foreign_text.PARAGRAPH),
            itwin_id=_text(item, "iTwinId").lower(),
            is_initialized=item.get("state") == "initialized",
            created_at=instant(item.get("createdDateTime")),
            last_push_at=instant(item.get("lastChangesetPushDateTime")),
            creator_id=found.group(1) if found else "",
            data_center=_text(item, "dataCenterLocation"),
            is_secured=item.get("isSecured") is True,
            upload=UploadLink.from_json(links.get("upload")),
        )


@dataclass(frozen=True)
class Changeset:
    """is_whole: its file has arrived. Source: .../imodels-v2/operations/get-imodel-changesets/"""

    id: str
    index: int
    description: str
    pushed_at: datetime | None
    creator_id: str
    is_whole: bool = True

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> Self:
        return cls(
            id=_id(item, most=40),
            index=_whole(item, "index"),
            description=_text(item, "description", most=foreign_text.PARAGRAPH),
            pushed_at=instant(item.get("pushDateTime")),
            creator_id=_text(item, "creatorId"),
            is_whole=item.get("state") != "waitingForFile",
        )


@dataclass(frozen=True)
class NamedVersion:
    """changeset_index 0, changeset_id "": on the baseline.

    Source: .../imodels-v2/operations/get-imodel-named-versions/
    """

    id: str
    name: str
    changeset_index: int
    description: str = ""
    is_hidden: bool = False
    changeset_id: str = ""

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> Self:
        return cls(
            id=_id(item),
            name=_name(item, "displayName"),
            changeset_index=_whole(item, "changesetIndex"),
            description=_text(item, "description", most=foreign_text.PARAGRAPH),
            is_hidden=item.get("state") == "hidden",
            changeset_id=_text(item, "changesetId", most=40),
        )


@dataclass(frozen=True)
class CreateOperation:
    """A Create iModel Operation. state is the platform's word, known to us or not.

    made_from  id of the source or main iModel, "" when it is neither clone nor fork, or is not told
    Source: https://developer.bentley.com/apis/imodels-v2/operations/get-create-imodel-operation/
    """

    state: str
    is_clone: bool
    is_fork: bool
    made_from: str
    changeset_id: str
    relationship_id: str

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Self:
        operation = _object(body, "createOperation")
        state = _text(operation, "state", most=64)
        if not state:
            raise Malformed("createOperation")
        cloned, forked = _object(operation, "clonedFrom"), _object(operation, "forkedFrom")
        source = cloned or forked
        made_from = _text(source, "iModelId").lower()
        return cls(
            state=state,
            is_clone=operation.get("clonedFrom") is not None,
            is_fork=operation.get("forkedFrom") is not None,
            made_from=made_from if re.fullmatch(_GUID, made_from) else "",
            changeset_id=_text(source, "changesetId").lower(),
            relationship_id=_text(forked, "relationshipId", most=64),
        )


def imodel_id_in(address: str) -> str:
    """The iModel's id in an address of the platform's, absolute or relative; "" when there is none.

    Only the id is taken: requests are built from our own base address, never from a host an answer names.
    """
    found = _GUID_IN_PATH.search(address)
    return found.group(1).lower() if found else ""


def instant(text: object) -> datetime | None:
    """An ISO 8601 time with none to seven decimals, as aware UTC; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):  # no time, or one before the first year or after the last
        return None


def _id(item: dict[str, Any], *, most: int = 36) -> str:
    """In small letters. Never cleaned: two different ones could become the same."""
    value = item.get("id") if isinstance(item, dict) else None
    if not isinstance(value, str) or len(value) > most or not _ID.fullmatch(value.lower()):
        raise Malformed("id")
    return value.lower()


def _name(item: dict[str, Any], key: str) -> str:
    """What shows nothing could not be picked: then its id stands for it."""
    return _text(item, key) or _text(item, "id")


def _text(item: dict[str, Any], key: str, *, most: int = foreign_text.LINE) -> str:
    value = item.get(key)
    return foreign_text.cleaned(value, most=most) if isinstance(value, str) else ""


def _object(item: dict[str, Any], key: str) -> dict[str, Any]:
    value = item.get(key)
    return value if isinstance(value, dict) else {}


def _whole(item: dict[str, Any], key: str) -> int:
    value = item.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise Malformed(key)
    return value
