"""The platform as one person sees it: a method for each call, results typed, errors by errors.py's tree."""

import unicodedata
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import quote

import requests

from imodels_app.itwin import errors
from imodels_app.itwin.http import V1, Connection, json_in
from imodels_app.itwin.types import (
    BaselineFile,
    Changeset,
    CreateOperation,
    IModel,
    ITwin,
    Malformed,
    NamedVersion,
    UploadLink,
    imodel_id_in,
)
from imodels_app.runtime import foreign_text
from imodels_app.runtime.timing import READ_TIMEOUT_S


class Platform:
    """Calls with one person's access token.

    base_url        root of the platform's APIs, https://api.bentley.com
    read_timeout_s  how long to wait for an answer; short where a person waits too
    correlation_id, before_request, around_call  as in http.Connection
    """

    def __init__(
        self,
        base_url: str,
        access_token: str,
        *,
        read_timeout_s: float = READ_TIMEOUT_S,
        correlation_id: str = "",
        before_request: Callable[[], None] = lambda: None,
        around_call: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._http = Connection(
            base_url,
            access_token,
            read_timeout_s=read_timeout_s,
            correlation_id=correlation_id,
            before_request=before_request,
            around_call=around_call,
        )

    @property
    def now(self) -> datetime | None:
        """The time at the platform, to about a second; None before its first answer."""
        return self._http.now

    # Making iModels

    def start(self, path: str, body: str) -> str:
        """Send a create, clone or fork request and return the id of the iModel being made.

        path, body  as spec.py builds them; body is sent byte for byte

        Nothing here is repeated: the platform has no idempotency key. Raises Refused (NameTaken, NotReady,
        NotFound, Forbidden, Invalid, SignedOut), Unavailable, AnswerLost.
        Source: https://developer.bentley.com/apis/imodels-v2/operations/ create-imodel, clone-imodel, fork-imodel
        """
        return self.start_with_file(path, body)[0]

    def start_with_file(
        self, path: str, body: str, *, before_send: Callable[[], None] = lambda: None
    ) -> tuple[str, UploadLink | None]:
        """As start(), and where the baseline file that the request announced goes; None when the answer names none.

        before_send  called right before the request leaves; what it raises keeps it from leaving
        """
        answer = self._http.post(path, body, before_send=before_send)
        imodel_id = _new_imodel_id(answer)
        if not imodel_id:
            raise errors.AnswerLost(f"The platform answered {answer.status_code} without the new iModel's id.")
        return imodel_id, _upload_link(answer)

    def complete_baseline(self, imodel_id: str) -> BaselineFile:
        """Say that the baseline file is in the storage. Safe to repeat: the second time it is Invalid (InvalidChange).

        Raises NotFound (no such file there, or not yet), NotReady (DataConflict: not the announced size),
        Forbidden, Invalid, SignedOut, Unavailable, AnswerLost. Source:
        https://developer.bentley.com/apis/imodels-v2/operations/complete-imodel-baseline-file-upload/
        """
        answer = self._http.post(f"/imodels/{quote(imodel_id, safe='')}/baselinefile", "{}")
        try:
            return BaselineFile.from_json(_part(json_in(answer) or {}, "baselineFile"))
        except Malformed as odd:
            raise errors.AnswerLost("The platform's answer has no baseline file.") from odd

    def baseline_file(self, imodel_id: str) -> BaselineFile:
        """Source: https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-baseline-file-details/"""
        return self._http.get(
            f"/imodels/{quote(imodel_id, safe='')}/baselinefile", read=_one("baselineFile", BaselineFile)
        )

    def create_operation(self, imodel_id: str) -> CreateOperation:
        """How far the making of an iModel is.

        Source: https://developer.bentley.com/apis/imodels-v2/operations/get-create-imodel-operation/
        """
        return self._http.get(f"/imodels/{quote(imodel_id, safe='')}/operations/create", read=CreateOperation.from_json)

    def delete_imodel(self, imodel_id: str, *, before_send: Callable[[], None] = lambda: None) -> None:
        """Delete it for good. Needs imodels_delete; asked again for what is gone, it raises NotFound.

        before_send  called right before the request leaves; what it raises keeps it from leaving

        Source: https://developer.bentley.com/apis/imodels-v2/operations/delete-imodel/
        """
        self._http.delete(f"/imodels/{quote(imodel_id, safe='')}", before_send=before_send)

    # Looking at iModels

    def imodel(self, imodel_id: str) -> IModel:
        """Source: https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-details/"""
        return self._http.get(f"/imodels/{quote(imodel_id, safe='')}", read=_one("iModel", IModel))

    def imodels(
        self, itwin_id: str, *, name: str = "", search: str = "", top: int = 100, newest: bool = False
    ) -> list[IModel]:
        """The first page of an iTwin's iModels. name: exact; search: part of name or description; newest: these first.

        Source: https://developer.bentley.com/apis/imodels-v2/operations/get-itwin-imodels/
        """
        query: dict[str, Any] = {"iTwinId": itwin_id, "$top": top}
        query |= {"$orderBy": "createdDateTime desc"} if newest else {}
        # Whether there is one of this name decides what is sent again: then none may be left out.
        read = _all("iModels", IModel) if name else _many("iModels", IModel)

        def ask(words: dict[str, str]) -> list[IModel]:
            return self._http.get("/imodels", query | words, prefer="representation", read=read)

        return _in_each_spelling({"name": name, "$search": search}, ask)

    def recent_imodels(self) -> list[IModel]:
        """The person's own recent iModels, newest first, at most 25."""
        return self._http.get("/imodels/recents", prefer="representation", read=_many("iModels", IModel))

    def favourite_imodels(self) -> list[IModel]:
        """Source: https://developer.bentley.com/apis/imodels-v2/operations/get-favorite-imodels/"""
        return self._http.get("/imodels/favorites", prefer="representation", read=_many("iModels", IModel))

    def imodel_permissions(self, imodel_id: str) -> frozenset[str]:
        """The person's own permissions on an iModel: its own if it has any, else those of its iTwin.

        Source: https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-permissions/
        """
        return self._http.get(f"/imodels/{quote(imodel_id, safe='')}/permissions", read=_permissions)

    def people(self, imodel_id: str) -> dict[str, str]:
        """Names of the people who work on an iModel, by their ids.

        Source: https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-users/
        """
        path = f"/imodels/{quote(imodel_id, safe='')}/users"
        return self._http.get(path, {"$top": 1000}, read=lambda body: dict(map(_named, _items(body, "users"))))

    def changesets(self, imodel_id: str, *, top: int = 25, before: int | None = None) -> list[Changeset]:
        """The newest changesets, newest first. before: only those with a smaller index.

        Source: https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-changesets/
        """
        query: dict[str, Any] = {"$top": top, "$orderBy": "index desc"}
        if before is not None:
            query["lastIndex"] = max(before - 1, 0)
        return self._http.get(
            f"/imodels/{quote(imodel_id, safe='')}/changesets", query, read=_many("changesets", Changeset)
        )

    def changeset(self, imodel_id: str, id_or_index: str) -> Changeset:
        """One changeset by its 40-digit id or its index."""
        path = f"/imodels/{quote(imodel_id, safe='')}/changesets/{quote(id_or_index, safe='')}"
        return self._http.get(path, read=_one("changeset", Changeset))

    def named_versions(self, imodel_id: str, *, search: str = "", top: int = 50) -> list[NamedVersion]:
        """Newest first, hidden ones too. search: part of the name.

        Source: https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-named-versions/
        """
        query: dict[str, Any] = {"$top": top, "$orderBy": "changesetIndex desc"}
        path, read = f"/imodels/{quote(imodel_id, safe='')}/namedversions", _many("namedVersions", NamedVersion)

        def ask(words: dict[str, str]) -> list[NamedVersion]:
            return self._http.get(path, query | words, prefer="representation", read=read)

        return _in_each_spelling({"$search": search}, ask)

    # iTwins

    def itwin(self, itwin_id: str) -> ITwin:
        """Source: https://developer.bentley.com/apis/itwins/operations/get-itwin/"""
        return self._http.get(f"/itwins/{quote(itwin_id, safe='')}", accept=V1, read=_one("iTwin", ITwin))

    def itwins(self, *, search: str = "", top: int = 100) -> list[ITwin]:
        """The first page of the person's active projects and assets; of a search, the inactive ones too.

        Source: https://developer.bentley.com/apis/itwins/operations/get-my-itwins/
        """
        query: dict[str, Any] = {"subClass": "Project,Asset", "$top": top}
        if search:
            query["includeInactive"] = "true"

        def ask(words: dict[str, str]) -> list[ITwin]:
            return self._http.get(
                "/itwins/", query | words, accept=V1, prefer="representation", read=_many("iTwins", ITwin)
            )

        return _in_each_spelling({"$search": search}, ask)

    def recent_itwins(self) -> list[ITwin]:
        """The person's own recent iTwins, newest first, at most 25.

        Source: https://developer.bentley.com/apis/itwins/operations/get-my-recent-itwins/
        """
        return self._own_itwins("recents")

    def favourite_itwins(self) -> list[ITwin]:
        """Source: https://developer.bentley.com/apis/itwins/operations/get-my-favorite-itwins/"""
        return self._own_itwins("favorites")

    def _own_itwins(self, which: str) -> list[ITwin]:
        return self._http.get(
            f"/itwins/{which}",
            {"subClass": "Project,Asset"},
            accept=V1,
            prefer="representation",
            read=_many("iTwins", ITwin),
        )

    def permissions(self, itwin_id: str) -> frozenset[str]:
        """The person's own permissions on an iTwin.

        Source: https://developer.bentley.com/apis/access-control-v2/operations/get-iTwin-permissions/
        """
        return self._http.get(f"/accesscontrol/itwins/{quote(itwin_id, safe='')}/permissions", read=_permissions)


def _new_imodel_id(answer: requests.Response) -> str:
    """From the two headers of a 202, or from the body of a 201; "" when none tells it."""
    for header in ("Create-iModel-Operation", "Location"):
        found = imodel_id_in(answer.headers.get(header, ""))
        if found:
            return found
    try:
        return IModel.from_json(_part(json_in(answer) or {}, "iModel")).id
    except Malformed:
        return ""


def _upload_link(answer: requests.Response) -> UploadLink | None:
    try:
        return IModel.from_json(_part(json_in(answer) or {}, "iModel")).upload
    except Malformed:
        return None


def _permissions(body: dict[str, Any]) -> frozenset[str]:
    """By the documentation's names; the official client spells one of them with a hyphen (imodels-delete)."""
    listed = body.get("permissions")
    words = map(foreign_text.cleaned, listed if isinstance(listed, list) else [])
    return frozenset(word.replace("-", "_") for word in words)


def _named(user: dict[str, Any]) -> tuple[str, str]:
    user_id, display_name, first, last = (
        foreign_text.cleaned(user.get(key)) for key in ("id", "displayName", "givenName", "surname")
    )
    return user_id.lower(), f"{first} {last}".strip() or display_name


class _Readable(Protocol):
    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Self: ...


T = TypeVar("T", bound=_Readable)


def _one(name: str, kind: type[T]) -> Callable[[dict[str, Any]], T]:
    """How to read an answer that holds one thing under a name."""
    return lambda body: kind.from_json(_part(body, name))


def _all(name: str, kind: type[T]) -> Callable[[dict[str, Any]], list[T]]:
    """How to read a list. One item that cannot be read makes the whole answer Malformed."""

    def read(body: dict[str, Any]) -> list[T]:
        items = _items(body, name)
        if len(items) < len(body[name]):
            raise Malformed(name)
        return [kind.from_json(item) for item in items]

    return read


def _many(name: str, kind: type[T]) -> Callable[[dict[str, Any]], list[T]]:
    """How to read a list that people pick from: what cannot be read is left out, and hides nothing else."""

    def read(body: dict[str, Any]) -> list[T]:
        found = []
        for item in _items(body, name):
            with suppress(Malformed):
                found.append(kind.from_json(item))
        return found

    return read


Item = TypeVar("Item", ITwin, IModel, NamedVersion)


def _in_each_spelling(words: dict[str, str], ask: Callable[[dict[str, str]], list[Item]]) -> list[Item]:
    """What is found for these words of a query, composed or not: the platform need not take both for the same."""
    composed = {key: unicodedata.normalize("NFC", word) for key, word in words.items() if word}
    decomposed = {key: unicodedata.normalize("NFD", word) for key, word in composed.items()}
    found = {item.id: item for item in ask(composed)}
    if decomposed != composed:
        found |= {item.id: item for item in ask(decomposed)}
    return list(found.values())


def _part(body: dict[str, Any], name: str) -> dict[str, Any]:
    part = body.get(name)
    if not isinstance(part, dict):
        raise Malformed(name)
    return part


def _items(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The records of a list; what is none is left out."""
    items = body.get(name)
    if not isinstance(items, list):
        raise Malformed(name)
    return [item for item in items if isinstance(item, dict)]
