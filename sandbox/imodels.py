"""The iModels API, version 2, but for creation.py, baseline.py and changesets.py.

https://developer.bentley.com/apis/imodels-v2/overview/
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox import errors, request_bodies
from sandbox import world as w
from sandbox.api import (
    json_body,
    may_see,
    me,
    ordered,
    page_of,
    remember_first,
    require_on_itwin,
    viewable_imodel,
    visible_imodel,
    visible_itwin,
    wants_representation,
)
from sandbox.errors import Detail
from sandbox.imodel_json import imodel_json, user_url
from sandbox.platform import current

imodels = Blueprint("imodels", __name__, url_prefix="/imodels")


# -- details, list, update, delete -------------------------------------------------------------------------------


@imodels.get("/<imodel_id>")
def get_imodel_details(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-details/"""
    return jsonify({"iModel": imodel_json(viewable_imodel(imodel_id))})


def _minimal(imodel: w.IModel) -> dict[str, Any]:
    data_center = current().world.itwins[imodel.itwin_id].data_center
    return {"id": imodel.id, "displayName": imodel.name, "dataCenterLocation": data_center}


def _shown(imodel: w.IModel) -> dict[str, Any]:
    return imodel_json(imodel) if wants_representation() else _minimal(imodel)


def _refuse(detail: Detail) -> errors.Refusal:
    return errors.invalid_request("get iModels", detail)


@imodels.get("")
def get_itwin_imodels() -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-itwin-imodels/"""
    if not request.args.get("iTwinId"):
        raise _refuse(Detail("MissingRequiredParameter", "Required parameter is missing.", "iTwinId"))
    state = request.args.get("state")
    if state not in (None, "initialized", "notInitialized"):
        raise _refuse(Detail("InvalidValue", f"'{state}' is not a valid 'state' value.", "state"))
    world = current().world
    itwin = visible_itwin(request.args["iTwinId"])
    require_on_itwin(itwin.id, w.WEBVIEW)
    seen_since = world.clock() - world.switches.list_lag_s
    found = [world.advance(m) for m in world.imodels_of(itwin.id) if may_see(m) and m.created_at <= seen_since]
    found = [imodel for imodel in found if _passes(imodel, state)]
    found = ordered(found, {"name": _by_name, "createdDateTime": _by_age}, _refuse, default="name")
    return page_of(found, "iModels", _shown, refuse=_refuse)


def _by_name(imodel: w.IModel) -> str:
    return imodel.name.casefold()


def _by_age(imodel: w.IModel) -> float:
    return imodel.created_at


def _passes(imodel: w.IModel, state: str | None) -> bool:
    """``name`` is exact, capitals and all; ``$search`` is a substring of name or description, whatever its case."""
    name, search = request.args.get("name"), request.args.get("$search", "").casefold()
    if state is not None and imodel.state != state:
        return False
    if name is not None and imodel.name != name:
        return False
    return search in imodel.name.casefold() or search in (imodel.description or "").casefold()


@imodels.patch("/<imodel_id>")
def update_imodel(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/update-imodel/"""
    change = request_bodies.read_update(json_body("update iModel"))
    world = current().world
    with world.lock:
        imodel = visible_imodel(imodel_id)
        require_on_itwin(imodel.itwin_id, w.MANAGE)
        name = change.get("name", imodel.name)
        if world.name_is_taken(name, imodel.itwin_id, by_other_than=imodel.id):
            raise errors.imodel_exists()
        for attribute, value in change.items():
            setattr(imodel, attribute, value)
    world.changed()
    return jsonify({"iModel": imodel_json(imodel)})


@imodels.delete("/<imodel_id>")
def delete_imodel(imodel_id: str) -> Response:
    """Also while it is being created; then its operation is gone too.

    https://developer.bentley.com/apis/imodels-v2/operations/delete-imodel/
    """
    imodel = visible_imodel(imodel_id)
    require_on_itwin(imodel.itwin_id, w.DELETE)
    current().world.delete_imodel(imodel.id)
    return Response(status=204)


@imodels.get("/<imodel_id>/permissions")
def get_imodel_permissions(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-permissions/"""
    imodel = visible_imodel(imodel_id)
    granted = current().world.permissions_on_imodel(me(), imodel)
    return jsonify({"permissions": [name for name in granted if name in w.EVERY_IMODEL_PERMISSION]})


@imodels.get("/<imodel_id>/thumbnail")
def get_imodel_thumbnail(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-thumbnail/ ; no iModel here has one."""
    viewable_imodel(imodel_id)
    raise errors.not_found("Thumbnail")


# -- users -------------------------------------------------------------------------------------------------------


@imodels.get("/<imodel_id>/users")
def get_imodel_users(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-users/"""
    imodel = viewable_imodel(imodel_id)
    people = [current().world.people[person_id] for person_id in sorted(_users_of(imodel))]
    keys = {"givenName": lambda p: p.given_name.casefold(), "surname": lambda p: p.family_name.casefold()}
    people = ordered(people, keys, _refuse, default="givenName")
    return page_of(people, "users", lambda person: _user_json(imodel, person), refuse=_refuse)


@imodels.get("/<imodel_id>/users/<user_id>")
def get_imodel_user(imodel_id: str, user_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-user-details/"""
    imodel = viewable_imodel(imodel_id)
    if user_id.lower() not in _users_of(imodel):
        raise errors.not_found("User")
    return jsonify({"user": _user_json(imodel, current().world.people[user_id.lower()])})


def _users_of(imodel: w.IModel) -> set[str]:
    """Who has worked on the iModel, or may."""
    world = current().world
    pushed = {changeset.creator_id for changeset in world.changesets_of(imodel)}
    ids = {imodel.creator_id, *pushed, *world.itwins[imodel.itwin_id].members}
    return {person_id for person_id in ids if person_id in world.people}


def _user_json(imodel: w.IModel, person: w.Person) -> dict[str, Any]:
    pushes = [c for c in current().world.changesets_of(imodel) if c.creator_id == person.id]
    return {
        "id": person.id,
        "displayName": person.email,
        "givenName": person.given_name,
        "surname": person.family_name,
        "email": person.email,
        "statistics": {
            "pushedChangesetsCount": len(pushes),
            "lastChangesetPushDate": w.written(pushes[-1].pushed_at) if pushes else None,
            "createdVersionsCount": sum(1 for v in imodel.named_versions if v.creator_id == person.id),
            "briefcasesCount": 0,
        },
        "_links": {"self": {"href": user_url(imodel, person.id)}},
    }


# -- favourites and recents --------------------------------------------------------------------------------------


@imodels.get("/favorites")
def get_favorite_imodels() -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-favorite-imodels/"""
    return _my_list(current().world.favorites)


@imodels.put("/favorites/<imodel_id>")
def add_imodel_to_favorites(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/add-imodel-to-favorites/"""
    return _put_on_my_list(current().world.favorites, imodel_id)


@imodels.delete("/favorites/<imodel_id>")
def remove_imodel_from_favorites(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/remove-imodel-from-favorites/"""
    return _take_off_my_list(current().world.favorites, imodel_id)


@imodels.get("/recents")
def get_recent_imodels() -> Response:
    """At most 25, newest first: https://developer.bentley.com/apis/imodels-v2/operations/get-recent-imodels/"""
    return _my_list(current().world.recents)


@imodels.post("/recents/<imodel_id>")
def add_imodel_to_recents(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/add-imodel-to-recents/"""
    return _put_on_my_list(current().world.recents, imodel_id, at_most=25)


@imodels.delete("/recents/<imodel_id>")
def remove_imodel_from_recents(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/remove-imodel-from-recents/"""
    return _take_off_my_list(current().world.recents, imodel_id)


def _list_key() -> str:
    return f"imodels:{me()}"


def _my_list(lists: dict[str, list[str]]) -> Response:
    world, itwin_id = current().world, request.args.get("iTwinId")
    if itwin_id:
        itwin_id = visible_itwin(itwin_id).id
    found = [world.imodels[key] for key in lists.get(_list_key(), []) if key in world.imodels]
    found = [imodel for imodel in found if may_see(imodel) and itwin_id in (None, imodel.itwin_id)]
    return page_of(found, "iModels", _shown, refuse=_refuse)


def _put_on_my_list(lists: dict[str, list[str]], imodel_id: str, at_most: int | None = None) -> Response:
    imodel, world = visible_imodel(imodel_id), current().world
    with world.lock:
        lists[_list_key()] = remember_first(lists.get(_list_key(), []), imodel.id, at_most=at_most)
    world.changed()
    return Response(status=204)


def _take_off_my_list(lists: dict[str, list[str]], imodel_id: str) -> Response:
    imodel, world = visible_imodel(imodel_id), current().world
    with world.lock:
        lists[_list_key()] = [known for known in lists.get(_list_key(), []) if known != imodel.id]
    world.changed()
    return Response(status=204)
