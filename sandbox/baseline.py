"""The baseline file of the iModels API: what is known of it, and the end of its upload."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox import errors
from sandbox import world as w
from sandbox.api import (
    me,
    require_on_itwin,
    viewable_imodel,
    visible_imodel,
)
from sandbox.errors import Detail
from sandbox.imodel_json import blob_name, user_url
from sandbox.platform import current

baseline = Blueprint("baseline", __name__, url_prefix="/imodels")

BASELINE_S = 15.0  # at speed 1
SQLITE_HEADER = b"SQLite format 3\x00"


@baseline.get("/<imodel_id>/baselinefile")
def get_imodel_baseline_file(imodel_id: str) -> Response:
    """https://developer.bentley.com/apis/imodels-v2/operations/get-imodel-baseline-file-details/"""
    imodel = viewable_imodel(imodel_id)
    return jsonify({"baselineFile": _baseline_json(imodel)})


@baseline.post("/<imodel_id>/baselinefile")
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
        "_links": {"creator": {"href": user_url(imodel, imodel.creator_id)}, "download": download},
    }
