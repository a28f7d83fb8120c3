"""The iTwins, Users and Access Control APIs, as far as a dashboard of iModels asks them.

https://developer.bentley.com/apis/itwins/overview/ , https://developer.bentley.com/apis/users/overview/ ,
https://developer.bentley.com/apis/access-control-v2/overview/
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox import errors
from sandbox import world as w
from sandbox.api import me, ordered, page_of, remember_first, visible_itwin, wants_representation, whole_number
from sandbox.errors import Detail
from sandbox.platform import current

itwins = Blueprint("itwins", __name__, url_prefix="/itwins")
users = Blueprint("users", __name__, url_prefix="/users")
access_control = Blueprint("access_control", __name__, url_prefix="/accesscontrol")

STATUSES = ("Active", "Inactive", "Trial")
SUB_CLASSES = ("Project", "Asset", "Program", "Portfolio", "WorkPackage", "Account")
FIELDS: dict[str, Callable[[w.ITwin], str | None]] = {
    "status": lambda itwin: itwin.status,
    "type": lambda itwin: itwin.type,
    "number": lambda itwin: itwin.number,
    "displayName": lambda itwin: itwin.display_name,
    "parentId": lambda itwin: itwin.parent_id,
    "iTwinAccountId": lambda itwin: itwin.account_id,
}


# -- iTwins ------------------------------------------------------------------------------------------------------


@itwins.get("")
def get_my_itwins() -> Response:
    """https://developer.bentley.com/apis/itwins/operations/get-my-itwins/"""
    world = current().world
    mine = [itwin for itwin in world.itwins.values() if me() in itwin.members]
    return _page(mine)


@itwins.get("/<itwin_id>")
def get_itwin(itwin_id: str) -> Response:
    """https://developer.bentley.com/apis/itwins/operations/get-itwin/"""
    return jsonify({"iTwin": _itwin_json(visible_itwin(itwin_id), full=True)})


@itwins.get("/<itwin_id>/account")
def get_itwin_account(itwin_id: str) -> Response:
    """https://developer.bentley.com/apis/itwins/operations/get-itwin-account/"""
    account = current().world.itwins.get(visible_itwin(itwin_id).account_id)
    if account is None:
        raise errors.not_found("iTwin")
    return jsonify({"iTwin": _itwin_json(account, full=True)})


@itwins.get("/myprimaryaccount")
def get_my_primary_account() -> Response:
    """https://developer.bentley.com/apis/itwins/operations/get-my-primary-account/"""
    world = current().world
    person = world.people.get(me())
    for itwin in world.itwins.values():
        if person and itwin.sub_class == "Account" and itwin.display_name == person.organization:
            return jsonify({"iTwin": _itwin_json(itwin, full=True)})
    raise errors.not_found("iTwin")


@itwins.get("/recents")
def get_my_recently_used_itwins() -> Response:
    """At most 25, newest first. https://developer.bentley.com/apis/itwins/operations/get-my-recently-used-itwins/"""
    return _my_list(current().world.recents, in_order=True)


@itwins.post("/recents/<itwin_id>")
def add_itwin_to_my_recents(itwin_id: str) -> Response:
    """https://developer.bentley.com/apis/itwins/operations/add-itwin-to-my-recents/"""
    return _put_on_my_list(current().world.recents, itwin_id, at_most=25)


@itwins.get("/favorites")
def get_my_favorite_itwins() -> Response:
    """https://developer.bentley.com/apis/itwins/operations/get-my-favorite-itwins/"""
    return _my_list(current().world.favorites, in_order=False)


@itwins.post("/favorites/<itwin_id>")
def add_itwin_to_my_favorites(itwin_id: str) -> Response:
    """https://developer.bentley.com/apis/itwins/operations/add-itwin-to-my-favorites/"""
    return _put_on_my_list(current().world.favorites, itwin_id)


@itwins.delete("/favorites/<itwin_id>")
def remove_itwin_from_my_favorites(itwin_id: str) -> Response:
    """https://developer.bentley.com/apis/itwins/operations/remove-itwin-from-my-favorites/"""
    itwin, world = visible_itwin(itwin_id), current().world
    with world.lock:
        world.favorites[_list_key()] = [key for key in world.favorites.get(_list_key(), []) if key != itwin.id]
    world.changed()
    return Response(status=204)


def _list_key() -> str:
    return f"itwins:{me()}"


def _my_list(lists: dict[str, list[str]], *, in_order: bool) -> Response:
    world = current().world
    known = [world.itwins[key] for key in lists.get(_list_key(), []) if key in world.itwins]
    return _page([itwin for itwin in known if me() in itwin.members], in_order=in_order)


def _put_on_my_list(lists: dict[str, list[str]], itwin_id: str, at_most: int | None = None) -> Response:
    itwin, world = visible_itwin(itwin_id), current().world
    with world.lock:
        lists[_list_key()] = remember_first(lists.get(_list_key(), []), itwin.id, at_most=at_most)
    world.changed()
    return Response(status=204)


def _page(found: list[w.ITwin], *, in_order: bool = False) -> Response:
    """Filter, sort and page a list of iTwins. ``in_order``: keep the order it has."""
    _check_query()
    found = [itwin for itwin in found if _passes(itwin)]
    if not in_order or "$orderby" in request.args:
        keys = {"displayName": lambda itwin: itwin.display_name.casefold(), "number": lambda itwin: itwin.number}
        keys["createdDateTime"] = lambda itwin: itwin.created_at
        found = ordered(found, keys, errors.invalid_itwins_request, parameter="$orderby", default="displayName")
    most, full = _max_return(), wants_representation()
    answer = page_of(
        found,
        "iTwins",
        lambda itwin: _itwin_json(itwin, full=full),
        refuse=errors.invalid_itwins_request,
        at_most=most,
    )
    answer.headers["X-Max-Return"] = str(most)
    return answer


def _check_query() -> None:
    """The documented 422s: which parameters exclude each other, and unknown values."""
    args = request.args
    excluded = [
        ("status" in args and "includeInactive" in args, "status and includeInactive exclude each other."),
        (
            "$search" in args and ("number" in args or "displayName" in args),
            "$search and number or displayName exclude each other.",
        ),
        (
            "$filter" in args and any(name in args for name in (*FIELDS, "$search")),
            "$filter and the simple query parameters exclude each other.",
        ),
    ]
    for holds, message in excluded:
        if holds:
            raise errors.invalid_itwins_request(Detail("MutuallyExclusiveParametersProvided", message))
    if args.get("status", "Active").capitalize() not in STATUSES:
        raise errors.invalid_itwins_request(Detail("InvalidValue", "Unknown status.", "status"))
    for sub_class in _sub_classes():
        if sub_class not in SUB_CLASSES:
            raise errors.invalid_itwins_request(Detail("InvalidValue", "Unknown subClass.", "subClass"))
    whole_number("$top", 100, 1, 1000, errors.invalid_itwins_request)


def _sub_classes() -> list[str]:
    return [part.strip() for part in request.args.get("subClass", "").split(",") if part.strip()]


def _passes(itwin: w.ITwin) -> bool:
    """Inactive iTwins are left out unless asked for."""
    args = request.args
    inactive_too = args.get("includeInactive", "").lower() == "true" or args.get("status", "").lower() == "inactive"
    if itwin.status == "Inactive" and not inactive_too:
        return False
    if _sub_classes() and itwin.sub_class not in _sub_classes():
        return False
    for name, value_of in FIELDS.items():
        if name in args and (value_of(itwin) or "").casefold() != args[name].casefold():
            return False
    search = (_filter_text() or args.get("$search", "")).casefold()
    return search in itwin.display_name.casefold() or search in itwin.number.casefold()


def _filter_text() -> str | None:
    """Of OData's language ``$filter`` knows one form here: contains(displayName,'x'), with or without tolower()."""
    text = request.args.get("$filter")
    if text is None:
        return None
    found = re.fullmatch(r"contains\((?:tolower\()?displayName\)?,\s*'([^']*)'\)", text.strip(), re.IGNORECASE)
    if found is None:
        raise errors.invalid_itwins_request(Detail("InvalidValue", "Only contains(displayName,'...').", "$filter"))
    return found[1]


def _max_return() -> int:
    """X-Max-Return, 1-10000, default 1000: paging silently stops there."""
    text = request.headers.get("X-Max-Return", "1000")
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        message = "Header X-Max-Return must be between 1 and 10000."
        raise errors.invalid_itwins_request(Detail("InvalidHeaderValue", message, "X-Max-Return"))
    return int(text)


def _itwin_json(itwin: w.ITwin, *, full: bool) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": itwin.id,
        "class": itwin.itwin_class,
        "subClass": itwin.sub_class,
        "type": itwin.type,
        "number": itwin.number,
        "displayName": itwin.display_name,
        "iTwinAccountId": itwin.account_id or None,
    }
    if not full:
        return item
    return item | {
        "geographicLocation": itwin.location or None,
        "latitude": itwin.latitude,
        "longitude": itwin.longitude,
        "ianaTimeZone": itwin.time_zone,
        "dataCenterLocation": itwin.data_center,
        "status": itwin.status,
        "parentId": itwin.parent_id or itwin.account_id or None,
        "imageName": None,
        "image": None,
        "createdDateTime": w.written(itwin.created_at, digits=0).replace("Z", "+00:00"),
        "createdBy": itwin.created_by,
        "lastModifiedDateTime": w.written(itwin.created_at, digits=0).replace("Z", "+00:00"),
        "lastModifiedBy": itwin.created_by,
    }


# -- users -------------------------------------------------------------------------------------------------------


@users.get("/me")
def get_me() -> Response:
    """https://developer.bentley.com/apis/users/operations/get-me/"""
    person = current().world.people.get(me())
    if person is None:
        raise errors.not_found("User")  # a service application is no user
    extra = {"displayName": person.email, "alternateEmail": None, "phone": None, "city": None, "country": None}
    return jsonify({"user": _user_json(person) | extra | {"language": "en", "createdDateTime": "2021-03-01T08:00:00Z"}})


@users.get("")
def get_users() -> Response:
    """People of the caller's organization, by 3 to 200 characters. https://developer.bentley.com/apis/users/"""
    search = request.args.get("$search", "")
    if not 3 <= len(search) <= 200:
        raise errors.invalid_itwins_request(Detail("InvalidValue", "3 to 200 characters.", "$search"))
    return jsonify(
        {"users": [_user_json(person) for person in _colleagues() if search.casefold() in _search_words(person)]}
    )


@users.post("/getbyidlist")
def get_users_by_id_list() -> Response:
    ids = request.get_json(silent=True)
    if not isinstance(ids, list):
        raise errors.invalid_itwins_request(Detail("InvalidRequestBody", "A JSON array of ids is expected."))
    wanted = {str(one).lower() for one in ids}
    return jsonify({"users": [_user_json(person) for person in _colleagues() if person.id in wanted]})


def _colleagues() -> list[w.Person]:
    people = current().world.people
    myself = people.get(me())
    return [person for person in people.values() if myself and person.organization == myself.organization]


def _search_words(person: w.Person) -> str:
    return f"{person.name} {person.email}".casefold()


def _user_json(person: w.Person) -> dict[str, Any]:
    return {
        "id": person.id,
        "givenName": person.given_name,
        "surname": person.family_name,
        "email": person.email,
        "organizationName": person.organization,
    }


# -- access control ----------------------------------------------------------------------------------------------


@access_control.get("/itwins/<itwin_id>/permissions")
def get_my_itwin_permissions(itwin_id: str) -> Response:
    """The caller's own. https://developer.bentley.com/apis/access-control-v2/operations/get-iTwin-permissions/"""
    itwin = current().world.itwins.get(itwin_id.lower())
    if itwin is None or me() not in itwin.members:
        raise errors.Refusal(404, "ItwinNotFound", "Requested iTwin is not available.")
    return jsonify({"permissions": itwin.members[me()]})


@access_control.get("/itwins/permissions")
def get_all_permissions() -> Response:
    """https://developer.bentley.com/apis/access-control-v2/operations/get-all-permissions/"""
    return jsonify({"permissions": [*w.EVERY_IMODEL_PERMISSION, "administration_manage_roles"]})
