"""Changesets and named versions of the iModels API."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox import errors
from sandbox import world as w
from sandbox.api import (
    ordered,
    page_of,
    viewable_imodel,
    wants_representation,
    whole_number,
)
from sandbox.errors import Detail
from sandbox.imodel_json import user_url
from sandbox.platform import current

changesets = Blueprint("changesets", __name__, url_prefix="/imodels")


@changesets.get("/<imodel_id>/changesets")
def get_imodel_changesets(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-changesets/"""
    imodel = viewable_imodel(imodel_id)
    after, last = whole_number("afterIndex", 0, 0, None, _refuse), whole_number("lastIndex", 2**62, 0, None, _refuse)
    found = [c for c in current().world.changesets_of(imodel) if after < c.index <= last]
    found = ordered(found, {"index": lambda changeset: changeset.index}, _refuse, default="index")
    full = wants_representation()
    return page_of(found, "changesets", lambda c: _changeset_json(imodel, c, full=full), refuse=_refuse)


@changesets.get("/<imodel_id>/changesets/<id_or_index>")
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
        "creator": {"href": user_url(imodel, changeset.creator_id)},
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


@changesets.get("/<imodel_id>/namedversions")
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


@changesets.get("/<imodel_id>/namedversions/<version_id>")
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
            "creator": {"href": user_url(imodel, version.creator_id)},
            "changeset": {"href": changeset_url} if changeset_url else None,
        },
    }


def _version_url(imodel: w.IModel, version: w.NamedVersion) -> str:
    return f"{current().issuer}/imodels/{imodel.id}/namedversions/{version.id}"


def _refuse(detail: Detail) -> errors.Refusal:
    return errors.invalid_request("get iModels", detail)
