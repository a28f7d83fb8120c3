"""What the cache holds: JSON, never pickle, so that whoever writes into Redis makes us execute nothing.

What JSON does not know (sets, tuples, times, the platform's records) is an object with its type's name, and only the
types that are named here come back.
"""

import json
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from imodels_app.itwin import types
from imodels_app.requesting import card_facts
from imodels_app.requesting.sources import Origin, Source

TYPE = "$"
_OURS = (Origin, Source, card_facts.Known, card_facts.PlatformFacts, card_facts.Target, card_facts.Newer)
_RECORDS: dict[str, Any] = {name: kind for name, kind in vars(types).items() if is_dataclass(kind)}
_RECORDS |= {kind.__name__: kind for kind in _OURS}
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
    if name in _RECORDS:
        return {TYPE: name, **{one.name: _packed(getattr(value, one.name)) for one in fields(value)}}  # type: ignore[arg-type]
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
