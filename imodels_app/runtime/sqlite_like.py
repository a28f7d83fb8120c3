"""SQLite's LIKE as PostgreSQL compares: "örtliche" finds "Örtliche". Its own knows the capitals of ASCII only.

Every icontains and iexact goes through it, so no search needs a column of its own. What the lists of operations and
events search for is looked up by trigrams before (models.search).
"""

import re
from functools import lru_cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from imodels_app.runtime.foreign_text import folded


def teach(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """A receiver of connection_created."""
    if connection.vendor == "sqlite":
        for arguments in (2, 3):
            connection.connection.create_function("like", arguments, _like, deterministic=True)


def _like(pattern: object, value: object, escape: str = "") -> bool | None:
    """SQLite gives the pattern first."""
    if pattern is None or value is None:
        return None
    return _compiled(str(pattern), escape).fullmatch(folded(str(value))) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str, escape: str) -> re.Pattern[str]:
    parts = re.findall(f"{re.escape(escape)}.|." if escape else ".", folded(pattern), re.DOTALL)
    wildcards = {"%": ".*", "_": "."}
    return re.compile("".join(wildcards.get(part) or re.escape(part[-1]) for part in parts), re.DOTALL)
