"""What the cache holds: JSON, never pickle, so that whoever writes into Redis makes us execute nothing.

What JSON does not know (sets, tuples, times, the platform's records) is an object with its type's name, and only the
types that are listed here come back.
"""

import dataclasses
import json
from datetime import datetime
from typing import Any

from imodels_app.itwin import types
from imodels_app.requesting.sources import Origin

TYPE = "$"
_RECORDS = {
    record.__name__: record
    for record in (
        *(types.Changeset, types.CreateOperation, types.IModel, types.ITwin, types.NamedVersion, types.UploadLink),
        Origin,
    )
}
_COLLECTIONS: dict[str, Any] = {"tuple": tuple, "set": set, "frozenset": frozenset}


class JsonSerializer:
    """For Django's Redis cache. What it cannot read, an older version's or somebody else's, counts as not there."""

    def dumps(self, value: object) -> str:
        return json.dumps(_packed(value))

    def loads(self, data: bytes) -> Any:
        try:
            return json.loads(data, object_hook=_unpacked)
        except (ValueError, TypeError, KeyError, RecursionError):
            return None


def _packed(value: object) -> object:
    name = type(value).__name__
    if name in _RECORDS and dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return {TYPE: name, **{field: _packed(getattr(value, field)) for field in names}}
    if isinstance(value, datetime):
        return {TYPE: "datetime", "at": value.isoformat()}
    if name in _COLLECTIONS:
        return {TYPE: name, "of": [_packed(one) for one in value]}  # type: ignore[attr-defined]
    if isinstance(value, list):
        return [_packed(one) for one in value]
    if isinstance(value, dict):
        return {key: _packed(one) for key, one in value.items()}
    return value


def _unpacked(found: dict[str, Any]) -> Any:
    name = found.pop(TYPE, None)
    if name is None:
        return found
    if name == "datetime":
        return datetime.fromisoformat(found["at"])
    if name in _COLLECTIONS:
        return _COLLECTIONS[name](found["of"])
    return _RECORDS[name](**found)
