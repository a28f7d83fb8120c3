"""The platform as one person sees it: a method for each call, results typed, errors by errors.py's tree."""

import unicodedata
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

import requests

from imodels_app.itwin import bodies, errors
from imodels_app.itwin.http import V1, V2, Call, Connection, json_in
from imodels_app.itwin.types import (
    BaselineFile,
    Changeset,
    CreateOperation,
    Found,
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
        around_call: Callable[[Call], AbstractContextManager[object]] = nullcontext,
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
            return BaselineFile.from_json(bodies.part(json_in(answer) or {}, "baselineFile"))
        except Malformed as odd:
            raise errors.AnswerLost("The platform's answer has no baseline file.") from odd

    def baseline_file(self, imodel_id: str) -> BaselineFile:
        """Source: https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-baseline-file-details/"""
        return self._http.get(
            f"/imodels/{quote(imodel_id, safe='')}/baselinefile", read=bodies.one("baselineFile", BaselineFile)
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
        return self._http.get(f"/imodels/{quote(imodel_id, safe='')}", read=bodies.one("iModel", IModel))

    def imodels(
        self,
        itwin_id: str,
        *,
        name: str = "",
        search: str = "",
        top: int = 100,
        pages: int = 1,
        newest: bool = False,
    ) -> Found[IModel]:
        """An iTwin's iModels. name: exact; search: part of name or description; pages: read no more than so many;
        newest: these first.

        Source: https://developer.bentley.com/apis/imodels-v2/operations/get-itwin-imodels/
        """
        query: dict[str, Any] = {"iTwinId": itwin_id, "$top": top}
        query |= {"$orderBy": "createdDateTime desc"} if newest else {}
        # Whether there is one of this name decides what is sent again: then none may be left out.
        read = bodies.every("iModels", IModel) if name else bodies.many("iModels", IModel)
        return self._list("/imodels", query, {"name": name, "$search": search}, read, pages=pages)

    def being_made(self, itwin_id: str) -> Found[IModel]:
        """Those of an iTwin's iModels that are not initialized, as far as this person sees them.

        Source: https://developer.bentley.com/apis/imodels-v2/operations/get-itwin-imodels/
        """
        query = {"iTwinId": itwin_id, "state": "notInitialized", "$top": 1000}
        return self._list("/imodels", query, {}, bodies.every("iModels", IModel))

    def recent_imodels(self) -> list[IModel]:
        """The person's own recent iModels, newest first, at most 25."""
        return self._http.get("/imodels/recents", prefer="representation", read=bodies.many("iModels", IModel))

    def favourite_imodels(self) -> list[IModel]:
        """Source: https://developer.bentley.com/apis/imodels-v2/operations/get-favorite-imodels/"""
        return self._http.get("/imodels/favorites", prefer="representation", read=bodies.many("iModels", IModel))

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
        return self._http.get(path, {"$top": 1000}, read=lambda body: dict(map(_named, bodies.items(body, "users"))))

    def changesets(self, imodel_id: str, *, top: int = 25, before: int | None = None) -> list[Changeset]:
        """The newest changesets, newest first. before: only those with a smaller index.

        Source: https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-changesets/
        """
        query: dict[str, Any] = {"$top": top, "$orderBy": "index desc"}
        if before is not None:
            query["lastIndex"] = max(before - 1, 0)
        return self._http.get(
            f"/imodels/{quote(imodel_id, safe='')}/changesets", query, read=bodies.many("changesets", Changeset)
        )

    def changeset(self, imodel_id: str, id_or_index: str) -> Changeset:
        """One changeset by its 40-digit id or its index."""
        path = f"/imodels/{quote(imodel_id, safe='')}/changesets/{quote(id_or_index, safe='')}"
        return self._http.get(path, read=bodies.one("changeset", Changeset))

    def named_versions(
        self, imodel_id: str, *, name: str = "", search: str = "", top: int = 50, pages: int = 1
    ) -> Found[NamedVersion]:
        """Newest first, hidden ones too. name, search and pages: as in imodels(), but of the name alone.

        Source: https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-named-versions/
        """
        query, words = {"$top": top, "$orderBy": "changesetIndex desc"}, {"name": name, "$search": search}
        path = f"/imodels/{quote(imodel_id, safe='')}/namedversions"
        return self._list(path, query, words, bodies.many("namedVersions", NamedVersion), pages=pages)

    def named_version(self, imodel_id: str, version_id: str) -> NamedVersion:
        """Source: https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-named-version-details/"""
        path = f"/imodels/{quote(imodel_id, safe='')}/namedversions/{quote(version_id, safe='')}"
        return self._http.get(path, read=bodies.one("namedVersion", NamedVersion))

    # People

    def me(self) -> tuple[str, str]:
        """Id and e-mail address of the person whose token this is; "" for what is not told.

        Source: https://developer.bentley.com/apis/users/operations/get-me/
        """
        return self._http.get("/users/me", accept=V1, read=lambda body: _id_and_address(bodies.part(body, "user")))

    # iTwins

    def itwin(self, itwin_id: str) -> ITwin:
        """Source: https://developer.bentley.com/apis/itwins/operations/get-itwin/"""
        return self._http.get(f"/itwins/{quote(itwin_id, safe='')}", accept=V1, read=bodies.one("iTwin", ITwin))

    def itwins(self, *, name: str = "", number: str = "", search: str = "", top: int = 100) -> Found[ITwin]:
        """The first page of the person's active projects and assets; of those asked for, the inactive ones too.

        name, number  exact
        search        part of one of them, and goes together with neither

        Source: https://developer.bentley.com/apis/itwins/operations/get-my-itwins/
        """
        query: dict[str, Any] = {"subClass": "Project,Asset", "$top": top}
        words = {"displayName": name, "number": number, "$search": search}
        if any(words.values()):
            query["includeInactive"] = "true"
        return self._list("/itwins/", query, words, bodies.many("iTwins", ITwin), accept=V1)

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
            read=bodies.many("iTwins", ITwin),
        )

    def permissions(self, itwin_id: str) -> frozenset[str]:
        """The person's own permissions on an iTwin.

        Source: https://developer.bentley.com/apis/access-control-v2/operations/get-iTwin-permissions/
        """
        return self._http.get(f"/accesscontrol/itwins/{quote(itwin_id, safe='')}/permissions", read=_permissions)

    def _list(
        self,
        path: str,
        query: dict[str, Any],
        words: dict[str, str],
        read: Callable[[dict[str, Any]], "list[Item]"],
        *,
        pages: int = 1,
        accept: str = V2,
    ) -> "Found[Item]":
        """What is found for these words of a query, composed or not: the platform need not take both for the same."""
        found = [self._pages(path, query | spelled, read, pages=pages, accept=accept) for spelled in _spellings(words)]
        items = {item.id: item for part in found for item in part}
        return Found(items.values(), is_all=all(part.is_all for part in found))

    def _pages(
        self,
        path: str,
        query: dict[str, Any],
        read: Callable[[dict[str, Any]], "list[Item]"],
        *,
        pages: int,
        accept: str,
    ) -> "Found[Item]":
        """Page by page. One that is full may be the last that is given out (X-Max-Return), and yet not the end."""
        found: Found[Item] = Found()
        for _ in range(pages):
            page, following = self._http.get(
                path,
                query,
                accept=accept,
                prefer="representation",
                read=lambda body: (read(body), bodies.following(body)),
            )
            found += page
            if not following:
                found.is_all = following is None and len(page) < query["$top"]
                break
            query = query | following
        return found


def _new_imodel_id(answer: requests.Response) -> str:
    """From the two headers of a 202, or from the body of a 201; "" when none tells it."""
    for header in ("Create-iModel-Operation", "Location"):
        found = imodel_id_in(answer.headers.get(header, ""))
        if found:
            return found
    try:
        return IModel.from_json(bodies.part(json_in(answer) or {}, "iModel")).id
    except Malformed:
        return ""


def _upload_link(answer: requests.Response) -> UploadLink | None:
    try:
        return IModel.from_json(bodies.part(json_in(answer) or {}, "iModel")).upload
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


def _id_and_address(user: dict[str, Any]) -> tuple[str, str]:
    return str(user.get("id") or "").lower(), str(user.get("email") or "")


Item = TypeVar("Item", ITwin, IModel, NamedVersion)


def _spellings(words: dict[str, str]) -> list[dict[str, str]]:
    """The words of a query with their letters composed, and, where that differs, decomposed."""
    composed = {key: unicodedata.normalize("NFC", word) for key, word in words.items() if word}
    decomposed = {key: unicodedata.normalize("NFD", word) for key, word in composed.items()}
    return [composed] if decomposed == composed else [composed, decomposed]
