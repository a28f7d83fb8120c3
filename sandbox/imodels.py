"""The iModels API, version 2: https://developer.bentley.com/apis/imodels-v2/overview/"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, jsonify, request

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
    whole_number,
)
from sandbox.errors import Detail
from sandbox.platform import current

imodels = Blueprint("imodels", __name__, url_prefix="/imodels")

# How long things take at speed 1, in seconds.
EMPTY_S, TEMPLATE_S, BASELINE_S, CLONE_S, CHANGESET_S, FORK_WITHOUT_GUIDS_S = 6.0, 20.0, 15.0, 10.0, 0.25, 8.0
FORK_IS_SLOWER, HISTORY_IS_SLOWER = 1.5, 2.2
SQLITE_HEADER = b"SQLite format 3\x00"


# -- create ------------------------------------------------------------------------------------------------------


@imodels.post("")
def create_imodel() -> tuple[Response, int]:
    """Empty, from a template or from a baseline file.

    Without creationMode an empty iModel is initialized in the answer; with "empty" it is queued.
    https://developer.bentley.com/apis/imodels-v2/operations/create-imodel/
    """
    requested = request_bodies.read_creation(json_body("create iModel"))
    world = current().world
    with world.lock:
        itwin = visible_itwin(requested.itwin_id)
        require_on_itwin(itwin.id, w.MANAGE)
        if requested.template_id is not None:
            _check_template(requested, itwin)
        if world.name_is_taken(requested.name or "", itwin.id):
            raise errors.imodel_exists()
        imodel = _new_imodel(requested, itwin.id, _creation_of(requested))
        if requested.kind == "template":
            world.schedule(imodel.creation, takes_s=TEMPLATE_S)
        elif requested.kind == "empty" and requested.queued:
            world.schedule(imodel.creation, takes_s=EMPTY_S)
        elif requested.kind == "empty":
            imodel.state = "initialized"
        world.add_imodel(imodel)
    return jsonify({"iModel": imodel_json(imodel, just_made=True)}), 201


def _check_template(requested: request_bodies.CreationRequest, itwin: w.ITwin) -> None:
    """A template must be visible (404), readable (403), ready (409) and in the same data center (422)."""
    world = current().world
    template = visible_imodel(requested.template_id)
    if w.READ not in world.permissions_on_imodel(me(), template):
        raise errors.insufficient_permissions()
    if not template.initialized:
        raise errors.source_not_initialized()
    _changesets_up_to(template, requested.changeset_id or "", None)
    if world.itwins[template.itwin_id].data_center != itwin.data_center:
        message = "Source and target iTwins must be in the same data center."
        raise errors.invalid_request("create iModel", Detail("InvalidValue", message, "template"))


def _creation_of(requested: request_bodies.CreationRequest) -> w.Creation:
    world = current().world
    if requested.kind == "empty" and not requested.queued:
        return w.Creation("empty")
    if requested.kind == "baseline":
        origin = {"baseline_size": requested.baseline_size, "baseline_state": "waitingForFile"}
        return world.new_creation("baseline", state=w.WAITING_FOR_FILE, **origin)
    return world.new_creation(requested.kind)


def _new_imodel(requested: request_bodies.CreationRequest, itwin_id: str, creation: w.Creation) -> w.IModel:
    imodel_id = w.new_id()
    g.entry.imodel_id = imodel_id
    return w.IModel(
        id=imodel_id,
        itwin_id=itwin_id,
        name=requested.name or "",
        description=requested.description,
        creator_id=me(),
        created_at=current().world.clock(),
        creation=creation,
        state="notInitialized",
        extent=requested.extent,
        timeline=imodel_id,
        containers_enabled=requested.containers_enabled,
    )


# -- clone and fork ----------------------------------------------------------------------------------------------


@imodels.post("/<imodel_id>/clone")
def clone_imodel(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/clone-imodel/"""
    requested = request_bodies.read_copy(json_body("clone iModel"), "clone iModel")
    return _copy(imodel_id, requested)


@imodels.post("/<imodel_id>/fork")
def fork_imodel(imodel_id: str) -> Response:
    """Closed preview: applications that are not on the list meet 403 (Switches.fork_preview).

    https://developer.bentley.com/apis/imodels-v2/operations/fork-imodel/
    """
    requested = request_bodies.read_copy(json_body("fork iModel"), "fork iModel")
    if not current().world.switches.fork_preview:
        raise errors.insufficient_permissions()
    return _copy(imodel_id, requested)


def _copy(source_id: str, requested: request_bodies.CreationRequest) -> Response:
    """Start a clone or a fork: 202 without a body, two headers."""
    world = current().world
    with world.lock:
        source = viewable_imodel(source_id)
        target = visible_itwin(requested.itwin_id)
        require_on_itwin(source.itwin_id, w.MANAGE)
        require_on_itwin(target.id, w.MANAGE)
        if not source.initialized:
            raise errors.source_not_initialized()
        count, changeset_id = _changesets_up_to(source, requested.changeset_id, requested.changeset_index)
        requested.name = requested.name or source.name
        requested.description = source.description if requested.description is None else requested.description
        requested.extent = source.extent
        if world.name_is_taken(requested.name, target.id):
            raise errors.imodel_exists()
        copy = _new_imodel(requested, target.id, _copy_creation(requested, source, changeset_id))
        copy.has_federation_guids = source.has_federation_guids
        if requested.kind == "clone" or requested.preserve_history:
            copy.timeline, copy.changeset_count = source.timeline, count
        world.schedule(copy.creation, takes_s=_copy_takes_s(requested, source, count))
        world.add_imodel(copy)
    url = f"{current().issuer}/imodels/{copy.id}"
    return Response(status=202, headers={"Location": url, "Create-iModel-Operation": f"{url}/operations/create"})


def _changesets_up_to(source: w.IModel, changeset_id: str | None, index: int | None) -> tuple[int, str]:
    """How many changesets to copy, and the id of the last: "" and 0 mean none, neither means all."""
    changesets = current().world.changesets_of(source)
    if changeset_id is None and index is None:
        return len(changesets), changesets[-1].id if changesets else ""
    if changeset_id == "" or index == 0:
        return 0, ""
    for changeset in changesets:
        if changeset.id == (changeset_id or "").lower() or changeset.index == index:
            return changeset.index, changeset.id
    raise errors.not_found("Changeset")


def _copy_creation(requested: request_bodies.CreationRequest, source: w.IModel, changeset_id: str) -> w.Creation:
    origin = {"iModelId": source.id, "changesetId": changeset_id}
    if requested.kind == "clone":
        return current().world.new_creation("clone", cloned_from=origin)
    creation = current().world.new_creation("fork", forked_from=origin | {"relationshipId": w.new_id()})
    if not source.has_federation_guids and creation.outcome == w.SUCCESSFUL:
        creation.outcome = w.MISSING_GUIDS
    return creation


def _copy_takes_s(requested: request_bodies.CreationRequest, source: w.IModel, count: int) -> float:
    takes_s = CLONE_S + CHANGESET_S * count
    if requested.kind == "clone":
        return takes_s
    if not source.has_federation_guids:
        return FORK_WITHOUT_GUIDS_S
    return takes_s * (HISTORY_IS_SLOWER if requested.preserve_history else FORK_IS_SLOWER)


@imodels.get("/<imodel_id>/operations/create")
def get_create_imodel_operation(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-create-imodel-operation/"""
    world = current().world
    imodel = viewable_imodel(imodel_id)
    if world.clock() < imodel.created_at + world.switches.operation_lag_s:
        raise errors.not_found("iModel")
    creation = world.advance(imodel, is_poll=True).creation
    state, origin = creation.state, {"clonedFrom": creation.cloned_from, "forkedFrom": creation.forked_from}
    return jsonify({"createOperation": {"state": state, **origin}})


# -- baseline file -----------------------------------------------------------------------------------------------


@imodels.get("/<imodel_id>/baselinefile")
def get_imodel_baseline_file(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-baseline-file-details/"""
    imodel = viewable_imodel(imodel_id)
    return jsonify({"baselineFile": _baseline_json(imodel)})


@imodels.post("/<imodel_id>/baselinefile")
def complete_baseline_file_upload(imodel_id: str) -> Response:
    """Confirm the upload. The size must be the announced one; what is no SQLite file fails to initialize later.

    https://developer.bentley.com/apis/imodels-v2/operations/complete-imodel-baseline-file-upload/
    """
    if request.get_data() and request.mimetype != "application/json":
        raise errors.unsupported_media_type()
    world = current().world
    with world.lock:
        imodel = visible_imodel(imodel_id)
        require_on_itwin(imodel.itwin_id, w.MANAGE)
        creation = imodel.creation
        _baseline_json(imodel)  # 404 if there is none
        if creation.baseline_state != "waitingForFile":
            detail = Detail("InvalidChange", "Baseline File upload is not in progress.")
            raise errors.invalid_request("complete Baseline File upload", detail)
        size = current().blobs.size(blob_name(imodel))
        if size is None or current().blobs.age_s(blob_name(imodel)) < world.switches.blob_lag_s:
            raise errors.not_found("File")
        if size != creation.baseline_size:
            raise errors.data_conflict()
        creation.outcome = _judge(imodel, creation.outcome)
        creation.baseline_state = "initializationScheduled"
        world.schedule(creation, takes_s=BASELINE_S + size / 50_000_000)
    world.changed()
    answer = _baseline_json(imodel)
    answer["_links"]["download"] = None
    return jsonify({"baselineFile": answer})


def _judge(imodel: w.IModel, outcome: str) -> str:
    """An iModel file is an SQLite file. Of ours: one that says "briefcase" right after the header is a briefcase."""
    head = current().blobs.head(blob_name(imodel))
    if outcome != w.SUCCESSFUL:
        return outcome
    if not head.startswith(SQLITE_HEADER):
        return "initializationFailed"
    return "fileIsBriefcase" if b"briefcase" in head.lower() else w.SUCCESSFUL


def blob_name(imodel: w.IModel) -> str:
    return f"baselines/{imodel.id}/{imodel.id}.bim"


def _baseline_json(imodel: w.IModel) -> dict[str, Any]:
    creation, world = imodel.creation, current().world
    if creation.baseline_size is None and not imodel.initialized:
        raise errors.not_found("BaselineFile")
    download = None
    if creation.baseline_state == "initialized" and w.READ in world.permissions_on_imodel(me(), imodel):
        link = current().blobs.link(current().issuer, blob_name(imodel), permissions="r", life_s=1200)
        download = {"href": link, "storageType": "azure"}
    return {
        "id": imodel.id,
        "displayName": f"{imodel.id}.bim",
        "fileSize": creation.baseline_size or 12563,
        "state": creation.baseline_state or "initialized",
        "_links": {"creator": {"href": _user_url(imodel, imodel.creator_id)}, "download": download},
    }


# -- details, list, update, delete -------------------------------------------------------------------------------


@imodels.get("/<imodel_id>")
def get_imodel_details(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-details/"""
    return jsonify({"iModel": imodel_json(viewable_imodel(imodel_id))})


def imodel_json(imodel: w.IModel, *, just_made: bool = False) -> dict[str, Any]:
    """The full representation. ``upload`` and ``complete`` appear in the answer of a creation only, if not switched."""
    world, url = current().world, f"{current().issuer}/imodels/{imodel.id}"
    last_push = world.last_push_at(imodel)
    links: dict[str, Any] = {
        "creator": {"href": _user_url(imodel, imodel.creator_id)},
        "changesets": {"href": f"{url}/changesets"},
        "namedVersions": {"href": f"{url}/namedversions"},
        "upload": None,
        "complete": None,
    }
    wanted = world.switches.upload_link if just_made else world.switches.new_upload_link
    if wanted and imodel.creation.baseline_state == "waitingForFile":
        links |= {"upload": _upload_link(imodel), "complete": {"href": f"{url}/baselinefile"}}
    return {
        "id": imodel.id,
        "displayName": imodel.name,
        "dataCenterLocation": world.itwins[imodel.itwin_id].data_center,
        "name": imodel.name,
        "description": imodel.description,
        "state": imodel.state,
        "createdDateTime": w.written(imodel.created_at),
        "lastChangesetPushDateTime": w.written(last_push) if last_push else None,
        "iTwinId": imodel.itwin_id,
        "isSecured": imodel.is_secured,
        "extent": imodel.extent,
        "containersEnabled": imodel.containers_enabled,
        "_links": links,
    }


def _upload_link(imodel: w.IModel) -> dict[str, str]:
    switches, blobs, name = current().world.switches, current().blobs, blob_name(imodel)
    if switches.storage_type == "google":
        link = blobs.google_link(current().issuer, name, life_s=switches.upload_link_life_s)
    else:
        link = blobs.link(current().issuer, name, permissions="cw", life_s=switches.upload_link_life_s)
    return {"href": link, "storageType": switches.storage_type}


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


# -- changesets and named versions -------------------------------------------------------------------------------


@imodels.get("/<imodel_id>/changesets")
def get_imodel_changesets(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-changesets/"""
    imodel = viewable_imodel(imodel_id)
    after, last = whole_number("afterIndex", 0, 0, None, _refuse), whole_number("lastIndex", 2**62, 0, None, _refuse)
    found = [c for c in current().world.changesets_of(imodel) if after < c.index <= last]
    found = ordered(found, {"index": lambda changeset: changeset.index}, _refuse, default="index")
    full = wants_representation()
    return page_of(found, "changesets", lambda c: _changeset_json(imodel, c, full=full), refuse=_refuse)


@imodels.get("/<imodel_id>/changesets/<id_or_index>")
def get_changeset(imodel_id: str, id_or_index: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-changeset-details/"""
    imodel = viewable_imodel(imodel_id)
    for changeset in current().world.changesets_of(imodel):
        if id_or_index.lower() in (changeset.id, str(changeset.index)):
            return jsonify({"changeset": _changeset_json(imodel, changeset, full=True)})
    raise errors.not_found("Changeset")


def _changeset_json(imodel: w.IModel, changeset: w.Changeset, *, full: bool) -> dict[str, Any]:
    url = f"{current().issuer}/imodels/{imodel.id}/changesets/{changeset.id}"
    links: dict[str, Any] = {
        "self": {"href": url},
        "creator": {"href": _user_url(imodel, changeset.creator_id)},
    }
    item = {
        "id": changeset.id,
        "displayName": str(changeset.index),
        "description": changeset.description,
        "index": changeset.index,
        "parentId": changeset.parent_id,
        "creatorId": changeset.creator_id,
        "pushDateTime": w.written(changeset.pushed_at, digits=0),
        "state": changeset.state,
        "containingChanges": changeset.containing_changes,
        "fileSize": changeset.file_size,
        "briefcaseId": 2,
        "groupId": changeset.group_id,
        "_links": links,
    }
    if full:
        named = next((v for v in imodel.named_versions if v.changeset_index == changeset.index), None)
        item["application"] = {"id": "imodel-sandbox", "name": changeset.application}
        item["synchronizationInfo"] = None
        links["namedVersion"] = {"href": _version_url(imodel, named)} if named else None
        links["currentOrPrecedingCheckpoint"] = {"href": f"{url}/checkpoint"}
        links["download"] = None
    return item


@imodels.get("/<imodel_id>/namedversions")
def get_imodel_named_versions(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-named-versions/"""
    imodel = viewable_imodel(imodel_id)
    name, search = request.args.get("name"), request.args.get("$search", "").casefold()
    found = [v for v in imodel.named_versions if name in (None, v.name) and search in v.name.casefold()]
    found = [v for v in found if request.args.get("state") in (None, v.state)]
    keys = {"changesetIndex": lambda v: v.changeset_index, "createdDateTime": lambda v: v.created_at}
    found = ordered(found, keys, _refuse, default="changesetIndex")
    full = wants_representation()
    return page_of(found, "namedVersions", lambda v: _version_json(imodel, v, full=full), refuse=_refuse)


@imodels.get("/<imodel_id>/namedversions/<version_id>")
def get_named_version(imodel_id: str, version_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-named-version-details/"""
    imodel = viewable_imodel(imodel_id)
    for version in imodel.named_versions:
        if version.id == version_id.lower():
            return jsonify({"namedVersion": _version_json(imodel, version, full=True)})
    raise errors.not_found("NamedVersion")


def _version_json(imodel: w.IModel, version: w.NamedVersion, *, full: bool) -> dict[str, Any]:
    timeline = current().world.timelines.get(imodel.timeline, [])
    changeset_id = timeline[version.changeset_index - 1].id if version.changeset_index else None
    item: dict[str, Any] = {
        "id": version.id,
        "displayName": version.name,
        "changesetId": changeset_id,
        "changesetIndex": version.changeset_index,
    }
    if not full:
        return item
    changeset_url = f"{current().issuer}/imodels/{imodel.id}/changesets/{changeset_id}" if changeset_id else None
    return item | {
        "name": version.name,
        "description": version.description,
        "createdDateTime": w.written(version.created_at),
        "state": version.state,
        "application": {"id": "imodel-sandbox", "name": "OpenBridge Modeler"},
        "_links": {
            "creator": {"href": _user_url(imodel, version.creator_id)},
            "changeset": {"href": changeset_url} if changeset_url else None,
        },
    }


def _version_url(imodel: w.IModel, version: w.NamedVersion) -> str:
    return f"{current().issuer}/imodels/{imodel.id}/namedversions/{version.id}"


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
        "_links": {"self": {"href": _user_url(imodel, person.id)}},
    }


def _user_url(imodel: w.IModel, person_id: str) -> str:
    return f"{current().issuer}/imodels/{imodel.id}/users/{person_id}"


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
