"""Create, clone and fork of the iModels API, and the create operation: how each is asked for and how long it takes."""

from __future__ import annotations

from flask import Blueprint, Response, g, jsonify

from sandbox import errors, request_bodies
from sandbox import world as w
from sandbox.api import (
    json_body,
    me,
    require_on_itwin,
    viewable_imodel,
    visible_imodel,
    visible_itwin,
)
from sandbox.errors import Detail
from sandbox.imodel_json import imodel_json
from sandbox.platform import current

creation = Blueprint("creation", __name__, url_prefix="/imodels")

# How long things take at speed 1, in seconds.
EMPTY_S, TEMPLATE_S, CLONE_S, CHANGESET_S, FORK_WITHOUT_GUIDS_S = 6.0, 20.0, 10.0, 0.25, 8.0
FORK_IS_SLOWER, HISTORY_IS_SLOWER = 1.5, 2.2


# -- create ------------------------------------------------------------------------------------------------------


@creation.post("")
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


@creation.post("/<imodel_id>/clone")
def clone_imodel(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/clone-imodel/"""
    requested = request_bodies.read_copy(json_body("clone iModel"), "clone iModel")
    return _copy(imodel_id, requested)


@creation.post("/<imodel_id>/fork")
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


@creation.get("/<imodel_id>/operations/create")
def get_create_imodel_operation(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-create-imodel-operation/"""
    world = current().world
    imodel = viewable_imodel(imodel_id)
    if world.clock() < imodel.created_at + world.switches.operation_lag_s:
        raise errors.not_found("iModel")
    creation = world.advance(imodel, is_poll=True).creation
    state, origin = creation.state, {"clonedFrom": creation.cloned_from, "forkedFrom": creation.forked_from}
    return jsonify({"createOperation": {"state": state, **origin}})
