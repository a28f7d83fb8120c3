"""How an iModel is shown in answers, and the addresses in it."""

from __future__ import annotations

from typing import Any

from sandbox import world as w
from sandbox.platform import current


def imodel_json(imodel: w.IModel, *, just_made: bool = False) -> dict[str, Any]:
    """The full representation. ``upload`` and ``complete`` appear in the answer of a creation only, if not switched."""
    world, url = current().world, f"{current().issuer}/imodels/{imodel.id}"
    last_push = world.last_push_at(imodel)
    links: dict[str, Any] = {
        "creator": {"href": user_url(imodel, imodel.creator_id)},
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


def user_url(imodel: w.IModel, person_id: str) -> str:
    return f"{current().issuer}/imodels/{imodel.id}/users/{person_id}"


def blob_name(imodel: w.IModel) -> str:
    return f"baselines/{imodel.id}/{imodel.id}.bim"
