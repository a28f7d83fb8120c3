"""What the platform answers, as frozen records. from_json is strict about what we rely on and ignores the rest."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

from imodels_app.itwin import errors

_GUID_IN_PATH = re.compile(r"/imodels/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![0-9a-f-])", re.IGNORECASE)
_USER_IN_PATH = re.compile(r"/users/([^/?#]+)/?$")
T = TypeVar("T")


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

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> Self:
        return cls(
            id=_id(item),
            name=_text(item, "displayName"),
            number=_text(item, "number"),
            status=_text(item, "status") or "Active",
            data_center=_text(item, "dataCenterLocation"),
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
        if not isinstance(link, dict) or not _text(link, "href"):
            return None
        try:
            urlsplit(link["href"])
        except ValueError:
            return None
        return cls(href=link["href"], storage_type=_text(link, "storageType").lower() or "azure")

    @property
    def until(self) -> datetime | None:
        """When it ends by its own words: Azure's se, or Google's date and seconds. None when it does not say."""
        query = {key.lower(): values[0] for key, values in parse_qs(urlsplit(self.href).query).items()}
        begins, lasts_s = query.get("x-goog-date", ""), query.get("x-goog-expires", "")
        if begins and lasts_s.isdecimal():
            try:
                at = datetime.strptime(begins, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            except ValueError:
                return None
            return at + timedelta(seconds=min(int(lasts_s), 10**9))
        return instant(query.get("se"))


@dataclass(frozen=True)
class BaselineFile:
    """state: waitingForFile, initializationScheduled, initialized, initializationFailed or fileIsBriefcase.

    Source: https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-baseline-file-details/
    """

    state: str
    size: int | None

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> Self:
        if not _text(item, "state"):
            raise Malformed("baselineFile")
        size = item.get("fileSize")
        return cls(state=item["state"], size=size if isinstance(size, int) else None)


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
        links = item.get("_links") or {}
        creator = (links.get("creator") or {}).get("href") or ""
        found = _USER_IN_PATH.search(creator)
        return cls(
            id=_id(item),
            name=_text(item, "name") or _text(item, "displayName"),
            description=_text(item, "description"),
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
            id=_id(item),
            index=_whole(item, "index"),
            description=_text(item, "description"),
            pushed_at=instant(item.get("pushDateTime")),
            creator_id=_text(item, "creatorId"),
            is_whole=item.get("state") != "waitingForFile",
        )


@dataclass(frozen=True)
class NamedVersion:
    """changeset_index 0: on the baseline. Source: .../imodels-v2/operations/get-imodel-named-versions/"""

    id: str
    name: str
    changeset_index: int
    description: str = ""
    is_hidden: bool = False

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> Self:
        return cls(
            id=_id(item),
            name=_text(item, "displayName"),
            changeset_index=_whole(item, "changesetIndex"),
            description=_text(item, "description"),
            is_hidden=item.get("state") == "hidden",
        )


@dataclass(frozen=True)
class CreateOperation:
    """A Create iModel Operation. state is the platform's word, known to us or not.

    made_from  id of the source or main iModel, "" when it is neither clone nor fork
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
        operation = body.get("createOperation")
        if not isinstance(operation, dict) or not isinstance(operation.get("state"), str):
            raise Malformed("createOperation")
        cloned, forked = operation.get("clonedFrom") or {}, operation.get("forkedFrom") or {}
        source = cloned or forked
        return cls(
            state=operation["state"],
            is_clone=bool(cloned),
            is_fork=bool(forked),
            made_from=str(source.get("iModelId") or "").lower(),
            changeset_id=str(source.get("changesetId") or "").lower(),
            relationship_id=str(forked.get("relationshipId") or ""),
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
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _id(item: dict[str, Any]) -> str:
    value = item.get("id") if isinstance(item, dict) else None
    if not isinstance(value, str) or not value:
        raise Malformed("id")
    return value.lower()


def _text(item: dict[str, Any], key: str) -> str:
    value = item.get(key)
    return value if isinstance(value, str) else ""


def _whole(item: dict[str, Any], key: str) -> int:
    value = item.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Malformed(key)
    return value
