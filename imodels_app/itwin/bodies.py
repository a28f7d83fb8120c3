"""How the platform's JSON is read: one thing under a name, or a list of them, and where the next page is."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import parse_qs

from imodels_app.itwin.types import Malformed


class _Readable(Protocol):
    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Self: ...


T = TypeVar("T", bound=_Readable)


def one(name: str, kind: type[T]) -> Callable[[dict[str, Any]], T]:
    """How to read an answer that holds one thing under a name."""
    return lambda body: kind.from_json(part(body, name))


def every(name: str, kind: type[T]) -> Callable[[dict[str, Any]], list[T]]:
    """How to read a list. One item that cannot be read makes the whole answer Malformed."""

    def read(body: dict[str, Any]) -> list[T]:
        records = items(body, name)
        if len(records) < len(body[name]):
            raise Malformed(name)
        return [kind.from_json(record) for record in records]

    return read


def many(name: str, kind: type[T]) -> Callable[[dict[str, Any]], list[T]]:
    """How to read a list that people pick from: what cannot be read is left out, and hides nothing else."""

    def read(body: dict[str, Any]) -> list[T]:
        found = []
        for item in items(body, name):
            with suppress(Malformed):
                found.append(kind.from_json(item))
        return found

    return read


def following(body: dict[str, Any]) -> dict[str, str] | None:
    """What to ask besides for the page after this one; None at the end, nothing where the link cannot be followed.

    Only that is taken: requests are built from our own base address, never from one that an answer names.
    """
    links = body.get("_links")
    link = links.get("next") if isinstance(links, dict) else None
    if not isinstance(link, dict) or not isinstance(link.get("href"), str):
        return None
    query = parse_qs(link["href"].partition("?")[2])
    return {name: query[name][0] for name in ("$skip", "$continuationToken") if name in query}


def part(body: dict[str, Any], name: str) -> dict[str, Any]:
    found = body.get(name)
    if not isinstance(found, dict):
        raise Malformed(name)
    return found


def items(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The records of a list; what is none is left out."""
    found = body.get(name)
    if not isinstance(found, list):
        raise Malformed(name)
    return [item for item in found if isinstance(item, dict)]
