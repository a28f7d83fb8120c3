"""What all APIs of the platform share: who calls, how often, in which version, page by page.

https://developer.bentley.com/apis/overview/ (authorization, rate limits, errors), and "Request headers" of any page.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import Response, g, jsonify, request

from sandbox import errors
from sandbox.errors import Detail
from sandbox.platform import Platform, current
from sandbox.world import MANAGE, WEBVIEW, IModel, ITwin

T = TypeVar("T")
API_PATHS = ("/imodels", "/itwins", "/users", "/accesscontrol")
LARGEST_BODY = 1024 * 1024
LOWER_LIMITS = {"create imodel": "create", "clone imodel": "clone", "fork imodel": "fork"}


def is_api(path: str) -> bool:
    return path.startswith(tuple(f"{root}/" for root in API_PATHS)) or path in API_PATHS


def admit() -> None:
    """Let a request of an API in: a valid token (401), within the limits (429), in a known version (422).

    Runs before every handler. Raises errors.Refusal.
    """
    authenticate()
    stay_within_limits()
    check_accept()
    check_correlation_id()


def authenticate() -> None:
    """401 codes: HeaderNotFound without the header, Unauthorized for any token that is not good (any longer)."""
    header = request.headers.get("Authorization")
    if not header:
        raise errors.header_not_found()
    kind, _, token = header.partition(" ")
    if kind.lower() != "bearer" or not token:
        raise errors.unauthorized("Header Authorization is malformed. Access denied.")
    caller = current().grants.caller(token.strip())
    if caller is None:
        raise errors.unauthorized()
    g.entry.person, g.entry.client_id = caller.person_id, caller.client_id
    if "itwin-platform" not in caller.scope.split():
        raise errors.unauthorized("The access token lacks the scope itwin-platform. Access denied.")
    g.caller = caller


def stay_within_limits() -> None:
    """https://developer.bentley.com/apis/overview/rate-limits/ ; the limits belong to the client id."""
    platform = current()
    operation = operation_name()
    exceeded = platform.limits.count(g.caller.client_id, LOWER_LIMITS.get(operation))
    if exceeded is None:
        return
    refusal = errors.too_many_requests(rate_limit_code())
    refusal.headers = {
        "Retry-After": str(exceeded.retry_after_s),
        "ITwinPlatform-RateLimited-Tier": platform.limits.tier.capitalize(),
        "ITwinPlatform-RateLimited-API": request.path.split("/")[1],
        "ITwinPlatform-RateLimited-Operation": "all" if exceeded.bucket == "all" else operation,
        "ITwinPlatform-RateLimited-Application": g.caller.client_id,
    }
    raise refusal


def rate_limit_code() -> str:
    """TooManyRequests on the pages of create, clone, fork and complete; RateLimitExceeded on all others."""
    named = operation_name() in {*LOWER_LIMITS, "complete baseline file upload"}
    return "TooManyRequests" if named else "RateLimitExceeded"


def operation_name() -> str:
    """The operation's name on its page, from the name of its handler: clone_imodel -> "clone imodel"."""
    return (request.endpoint or "unknown").rpartition(".")[2].replace("_", " ")


def check_accept() -> None:
    """Accept carries the API's version: v2 for iModels and Access Control, v1 for iTwins and Users.

    The pages call the header required and say of no value how it is refused. The client's list has the codes
    MissingRequiredHeader and InvalidHeaderValue, so those are sent, within the API's own 422. ``*/*``, which HTTP
    libraries send of their own accord, counts as missing: no caller that means it sends it.
    """
    version = "v2" if request.path.startswith(("/imodels", "/accesscontrol")) else "v1"
    wanted = f"application/vnd.bentley.itwin-platform.{version}+json"
    sent = request.headers.get("Accept", "").strip()
    if sent in ("", "*/*"):
        raise _header_refused(Detail("MissingRequiredHeader", f"Header Accept must be {wanted}.", "Accept"))
    if wanted not in [part.partition(";")[0].strip().lower() for part in sent.split(",")]:
        raise _header_refused(Detail("InvalidHeaderValue", f"Header Accept must be {wanted}.", "Accept"))


def check_correlation_id() -> None:
    """X-Correlation-Id is optional, and a GUID. That another value is refused is our answer, see Switches.strict."""
    sent = request.headers.get("X-Correlation-Id")
    if sent is None or not current().world.switches.strict:
        return
    try:
        uuid.UUID(sent)
    except ValueError:
        message = "Header X-Correlation-Id must be a GUID."
        raise _header_refused(Detail("InvalidHeaderValue", message, "X-Correlation-Id")) from None


def _header_refused(detail: Detail) -> errors.Refusal:
    if request.path.startswith("/imodels"):
        return errors.invalid_request("process request", detail)
    return errors.invalid_itwins_request(detail)


# -- bodies ------------------------------------------------------------------------------------------------------


def json_body(doing: str) -> dict[str, Any]:
    """The JSON object of a POST or PATCH. 415 for another media type, 422 for none or no JSON."""
    if request.mimetype != "application/json":
        if not request.get_data():
            raise errors.invalid_request(doing, Detail("MissingRequestBody", "Request body was not provided."))
        raise errors.unsupported_media_type()
    raw = request.get_data()
    if not raw.strip():
        raise errors.invalid_request(doing, Detail("MissingRequestBody", "Request body was not provided."))
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        message = "Failed to parse request body. Make sure it is a valid JSON."
        raise errors.invalid_request(doing, Detail("InvalidRequestBody", message))
    return body


# -- who may see and do what ---------------------------------------------------------------------------------------


def me() -> str:
    person_id: str = g.caller.person_id
    return person_id


def visible_itwin(itwin_id: object) -> ITwin:
    """The iTwin, if the caller is a member; otherwise 404, as if it did not exist."""
    itwin = current().world.itwins.get(str(itwin_id).lower())
    if itwin is None or me() not in itwin.members:
        raise errors.not_found("iTwin")
    return itwin


def visible_imodel(imodel_id: object) -> IModel:
    """The iModel, if the caller is a member of its iTwin (404) and may view it (403)."""
    world = current().world
    imodel = world.imodels.get(str(imodel_id).lower())
    if imodel is None or me() not in world.itwins[imodel.itwin_id].members:
        raise errors.not_found("iModel")
    if not may_see(imodel):
        raise errors.insufficient_permissions()
    return world.advance(imodel)


def viewable_imodel(imodel_id: object) -> IModel:
    """For what asks for imodels_webview on the iModel itself: where it has permissions of its own, to manage its iTwin
    is not enough (403), though lists name it.
    """
    imodel = visible_imodel(imodel_id)
    if WEBVIEW not in current().world.permissions_on_imodel(me(), imodel):
        raise errors.insufficient_permissions()
    return imodel


def may_see(imodel: IModel) -> bool:
    """In a list: whoever manages the iTwin sees all."""
    world = current().world
    if MANAGE in world.permissions_on_itwin(me(), imodel.itwin_id):
        return True
    return WEBVIEW in world.permissions_on_imodel(me(), imodel)


def require_on_itwin(itwin_id: str, permission: str) -> None:
    if permission not in current().world.permissions_on_itwin(me(), itwin_id):
        raise errors.insufficient_permissions()


# -- lists -------------------------------------------------------------------------------------------------------


def wants_representation() -> bool:
    return "return=representation" in request.headers.get("Prefer", "").replace(" ", "").lower()


def page_of(
    found: Sequence[T],
    plural: str,
    as_json: Callable[[T], dict[str, Any]],
    *,
    refuse: Callable[[Detail], errors.Refusal],
    at_most: int | None = None,
) -> Response:
    """One page of a list and the links to its neighbours.

    ``$top`` 1-1000, default 100. With ``$continuationToken`` (empty at first) ``next`` carries a token, and there is
    no ``prev``; otherwise ``next`` carries ``$skip``. ``at_most``: paging silently stops there.
    https://developer.bentley.com/apis/imodels-v2/operations/get-itwin-imodels/
    """
    platform = current()
    top = whole_number("$top", 100, 1, 1000, refuse)
    by_token = "$continuationToken" in request.args
    if by_token and "$skip" in request.args:
        raise refuse(Detail("MutuallyExclusiveParametersProvided", "$skip and $continuationToken exclude each other."))
    start = _token_value(refuse) if by_token else whole_number("$skip", 0, 0, None, refuse)
    if platform.world.switches.page_size_cap:
        top = min(top, platform.world.switches.page_size_cap)
    if at_most is not None:
        found = found[:at_most]
    items = [as_json(item) for item in found[start : start + top]]
    more = start + top < len(found)
    links = {
        "self": {"href": _page_url(platform, top, start, by_token)},
        "prev": {"href": _page_url(platform, top, max(0, start - top), False)} if start and not by_token else None,
        "next": {"href": _page_url(platform, top, start + top, by_token)} if more else None,
    }
    return jsonify({plural: items, "_links": links})


def whole_number(
    name: str, default: int, least: int, most: int | None, refuse: Callable[[Detail], errors.Refusal]
) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least or (most is not None and value > most):
        limits = f"between {least} and {most}" if most is not None else f"{least} or more"
        raise refuse(Detail("InvalidValue", f"'{text}' is not a valid '{name}' value. It must be {limits}.", name))
    return value


def _token_value(refuse: Callable[[Detail], errors.Refusal]) -> int:
    token = request.args["$continuationToken"]
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("after:"))
    except ValueError:
        message = "'$continuationToken' value is not valid."
        raise refuse(Detail("InvalidValue", message, "$continuationToken")) from None


def _page_url(platform: Platform, top: int, start: int, by_token: bool) -> str:
    query = [(key, value) for key, value in request.args.items() if key not in ("$top", "$skip", "$continuationToken")]
    if by_token:
        token = base64.urlsafe_b64encode(f"after:{start}".encode()).decode() if start else ""
        query.append(("$continuationToken", token))
    else:
        query.append(("$skip", str(start)))
    return f"{platform.issuer}{request.path}?" + urlencode([*query, ("$top", str(top))], safe="$")


def ordered(
    found: list[T],
    keys: dict[str, Callable[[T], Any]],
    refuse: Callable[[Detail], errors.Refusal],
    *,
    parameter: str = "$orderBy",
    default: str,
) -> list[T]:
    """Sort by ``property`` or ``property desc``, several joined by commas."""
    for part in reversed((request.args.get(parameter) or default).split(",")):
        name, _, direction = part.strip().partition(" ")
        if name not in keys or direction.strip().lower() not in ("", "asc", "desc"):
            raise refuse(Detail("InvalidValue", f"'{part}' is not a valid '{parameter}' value.", parameter))
        found = sorted(found, key=keys[name], reverse=direction.strip().lower() == "desc")
    return found


def remember_first(ids: list[str], new: str, *, at_most: int | None = None) -> list[str]:
    """``new`` in front, each id once."""
    return [new, *(known for known in ids if known != new)][:at_most]
