"""Reads the bodies of create, clone, fork and update, and says everything that is wrong with them at once.

Rules: https://developer.bentley.com/apis/imodels-v2/operations/create-imodel/ (and clone-imodel, fork-imodel).
A property nobody has heard of is refused (Switches.strict): a caller that misspells one should learn it here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox import errors
from sandbox.errors import Detail
from sandbox.platform import current

CREATION_MODES = {"empty": "empty", "fromimodelversion": "template", "frombaseline": "baseline"}
CREATE = {
    "iTwinId",
    "name",
    "description",
    "extent",
    "template",
    "baselineFile",
    "creationMode",
    "geographicCoordinateSystem",
    "containersEnabled",
}
CLONE = {"iTwinId", "name", "description", "changesetId", "changesetIndex", "containersEnabled"}
LONGEST = 255
EVERY_CONTAINER = 0b111  # schema sync, code store, view store
LARGEST_INT64 = 2**63 - 1


@dataclass
class CreationRequest:
    """A request body that is in order. ``None`` means: not given."""

    kind: str
    itwin_id: str
    name: str | None = None
    description: str | None = None
    extent: dict[str, Any] | None = None
    template_id: str | None = None
    changeset_id: str | None = None
    changeset_index: int | None = None
    baseline_size: int | None = None
    queued: bool = False
    preserve_history: bool = False
    containers_enabled: int = 0


def read_creation(body: dict[str, Any]) -> CreationRequest:
    """Create iModel. Description may be null or blank."""
    wrong = [*_unknown(body, CREATE), *_itwin_id(body), *_name(body, required=True)]
    wrong += [*_description(body, blank_is_fine=True), *_extent(body)]
    wrong += [*_template(body), *_baseline_file(body), *_creation_mode(body), *_coordinate_system(body)]
    wrong += _containers(body)
    if wrong:
        raise errors.invalid_request("create iModel", *wrong)
    template, baseline = body.get("template") or {}, body.get("baselineFile") or {}
    return CreationRequest(
        kind="template" if template else "baseline" if baseline else "empty",
        itwin_id=body["iTwinId"],
        name=body["name"],
        description=body.get("description"),
        extent=body.get("extent"),
        template_id=template.get("iModelId"),
        changeset_id=template.get("changesetId"),
        baseline_size=baseline.get("size"),
        queued=body.get("creationMode") is not None,
        containers_enabled=body.get("containersEnabled") or 0,
    )


def read_copy(body: dict[str, Any], doing: str) -> CreationRequest:
    """Clone iModel and Fork iModel. A description must not be blank; name and description come from the source."""
    kind = doing.split()[0]
    known = CLONE | ({"preserveHistory"} if kind == "fork" else set())
    wrong = [*_unknown(body, known), *_itwin_id(body), *_name(body, required=False)]
    wrong += [*_description(body, blank_is_fine=False), *_changeset(body), *_preserve_history(body)]
    wrong += _containers(body)
    if wrong:
        raise errors.invalid_request(doing, *wrong)
    return CreationRequest(
        kind=kind,
        itwin_id=body["iTwinId"],
        name=body.get("name"),
        description=body.get("description"),
        changeset_id=body.get("changesetId"),
        changeset_index=body.get("changesetIndex"),
        preserve_history=bool(body.get("preserveHistory")),
        containers_enabled=body.get("containersEnabled") or 0,
    )


def read_update(body: dict[str, Any]) -> dict[str, Any]:
    """Update iModel: at least one of name, description, extent."""
    known = {"name", "description", "extent"}
    wrong = [*_unknown(body, known), *_description(body, blank_is_fine=True), *_extent(body)]
    if "name" in body:
        wrong += _name(body, required=True)
    if not body:
        wrong.append(Detail("InvalidRequestBody", "At least one property must be provided."))
    if wrong:
        raise errors.invalid_request("update iModel", *wrong)
    return {name: value for name, value in body.items() if name in known}


# -- one property each -------------------------------------------------------------------------------------------


def _unknown(body: dict[str, Any], known: set[str]) -> list[Detail]:
    unknown = [name for name in body if name not in known] if current().world.switches.strict else []
    return [Detail("InvalidValue", f"Property '{name}' is not known.", name) for name in unknown]


def _missing(target: str) -> Detail:
    return Detail("MissingRequiredProperty", "Required property is missing.", target)


def _invalid(target: str, value: object, why: str) -> Detail:
    return Detail("InvalidValue", f"'{value}' is not a valid '{target}' value. {why}", target)


def _itwin_id(body: dict[str, Any]) -> list[Detail]:
    value = body.get("iTwinId")
    if value is None:
        return [_missing("iTwinId")]
    if not isinstance(value, str) or not value.strip():
        return [_invalid("iTwinId", value, "The value must be an id.")]
    return []


def _name(body: dict[str, Any], *, required: bool) -> list[Detail]:
    value = body.get("name")
    if value is None:
        return [_missing("name")] if required else []
    return _text("name", value, blank_is_fine=False)


def _description(body: dict[str, Any], *, blank_is_fine: bool) -> list[Detail]:
    value = body.get("description")
    return [] if value is None else _text("description", value, blank_is_fine=blank_is_fine)


def _text(target: str, value: object, *, blank_is_fine: bool) -> list[Detail]:
    if not isinstance(value, str):
        return [_invalid(target, value, "The value must be a string.")]
    if not blank_is_fine and not value.strip():
        return [_invalid(target, value, "The value cannot be empty or consist only of whitespace characters.")]
    if len(value) > LONGEST:
        message = f"Provided '{target}' value is not valid. The value exceeds allowed {LONGEST} characters."
        return [Detail("InvalidValue", message, target)]
    return []


def _extent(body: dict[str, Any]) -> list[Detail]:
    """Two corners, each with both numbers. That south-west lies south-west is not insisted upon."""
    extent = body.get("extent")
    if extent is None:
        return []
    if not isinstance(extent, dict) or set(extent) != {"southWest", "northEast"}:
        return [Detail("InvalidValue", "Provided 'extent' value is not valid. Both corners are required.", "extent")]
    wrong = []
    for corner in extent.values():
        for name, most in (("latitude", 90), ("longitude", 180)):
            value = corner.get(name) if isinstance(corner, dict) else None
            if isinstance(value, bool) or not isinstance(value, int | float) or not -most <= value <= most:
                message = f"Provided 'extent' value is not valid. Valid '{name}' value range is -{most} to {most}."
                wrong.append(Detail("InvalidValue", message, "extent"))
    return list({detail.message: detail for detail in wrong}.values())


def _template(body: dict[str, Any]) -> list[Detail]:
    template = body.get("template")
    if template is None:
        return []
    if not isinstance(template, dict) or set(template) - {"iModelId", "changesetId"}:
        return [Detail("InvalidValue", "Provided 'template' value is not valid.", "template")]
    if not isinstance(template.get("iModelId"), str):
        return [_missing("template.iModelId")]
    if not isinstance(template.get("changesetId"), str | None):
        return [_invalid("template.changesetId", template["changesetId"], "The value must be an id.")]
    return []


def _baseline_file(body: dict[str, Any]) -> list[Detail]:
    baseline = body.get("baselineFile")
    if baseline is None:
        return []
    if body.get("template") is not None:
        message = "Properties 'template' and 'baselineFile' cannot be provided together."
        return [Detail("MutuallyExclusivePropertiesProvided", message)]
    if not isinstance(baseline, dict) or set(baseline) - {"size"}:
        return [Detail("InvalidValue", "Provided 'baselineFile' value is not valid.", "baselineFile")]
    if "size" not in baseline:
        return [_missing("baselineFile.size")]
    if not _is_whole(baseline["size"]) or baseline["size"] <= 0:
        return [_invalid("baselineFile.size", baseline["size"], "The value must be a positive integer.")]
    return []


def _creation_mode(body: dict[str, Any]) -> list[Detail]:
    """Optional now. The client spells fromIModelVersion, the page fromiModelVersion; both are taken."""
    mode = body.get("creationMode")
    if mode is None:
        return []
    kind = CREATION_MODES.get(str(mode).lower())
    if kind is None:
        return [_invalid("creationMode", mode, "Valid values are empty, fromiModelVersion, fromBaseline.")]
    for wanted, name in (("template", "template"), ("baseline", "baselineFile")):
        if kind == wanted and body.get(name) is None:
            return [_missing(name)]
        if kind != wanted and body.get(name) is not None:
            return [_invalid("creationMode", mode, f"It does not go with '{name}'.")]
    return []


def _coordinate_system(body: dict[str, Any]) -> list[Detail]:
    system = body.get("geographicCoordinateSystem")
    if system is None or (isinstance(system, dict) and isinstance(system.get("horizontalCRSId"), str)):
        return []
    message = "Provided 'geographicCoordinateSystem' value is not valid."
    return [Detail("InvalidValue", message, "geographicCoordinateSystem")]


def _containers(body: dict[str, Any]) -> list[Detail]:
    """Flags, reserved for internal use; the official client sends them with every creation."""
    value = body.get("containersEnabled")
    if value is None or (_is_whole(value) and 0 <= value <= EVERY_CONTAINER):
        return []
    return [_invalid("containersEnabled", value, f"The value must be between 0 and {EVERY_CONTAINER}.")]


def _changeset(body: dict[str, Any]) -> list[Detail]:
    """changesetId "" and changesetIndex 0 mean none; both given is an error, null counts as not given."""
    changeset_id, index = body.get("changesetId"), body.get("changesetIndex")
    wrong = []
    if changeset_id is not None and index is not None:
        message = "Properties 'changesetId' and 'changesetIndex' cannot be provided together."
        wrong.append(Detail("MutuallyExclusivePropertiesProvided", message))
    if not isinstance(changeset_id, str | None):
        wrong.append(_invalid("changesetId", changeset_id, "The value must be a string."))
    if index is not None and (not _is_whole(index) or not 0 <= index <= LARGEST_INT64):
        wrong.append(_invalid("changesetIndex", index, "The value must be a non-negative integer."))
    return wrong


def _preserve_history(body: dict[str, Any]) -> list[Detail]:
    value = body.get("preserveHistory")
    return (
        [] if isinstance(value, bool | None) else [_invalid("preserveHistory", value, "The value must be a boolean.")]
    )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
