"""Baseline files for tests, and what became of them in the sandbox's storage."""

import base64
import hashlib
import os
from collections.abc import Iterable
from urllib.parse import parse_qs, quote

KIB, MIB = 1024, 1024 * 1024
# A file's digest stands in its operation's description, so that the oracle knows it when the bytes are gone.
SHA = "sha256 "


def a_file(size: int = 300 * KIB) -> bytes:
    """Bytes that begin as an iModel does, and are otherwise like no others."""
    return b"SQLite format 3\0" + os.urandom(size - 16)


def digest(data: bytes) -> str:
    return SHA + hashlib.sha256(data).hexdigest()


def in_storage(sandbox, imodel_id: str) -> bytes | None:
    """What the storage has; None while no file is there."""
    name, blobs = f"baselines/{imodel_id}/{imodel_id}.bim", sandbox.platform.blobs
    return b"".join(blobs.read(name)) if blobs.size(name) is not None else None


def digest_in_storage(sandbox, imodel_id: str) -> str:
    """The same as digest() of what the storage has, which may be too large to hold."""
    found = hashlib.sha256()
    for piece in sandbox.platform.blobs.read(f"baselines/{imodel_id}/{imodel_id}.bim"):
        found.update(piece)
    return SHA + found.hexdigest()


def blocks(numbers: Iterable[int]) -> str:
    """A pattern of what the addresses of these blocks' requests have in them."""
    ids = (base64.b64encode(f"block-{number:06}".encode()).decode() for number in numbers)
    return "|".join(quote(block_id, safe="") for block_id in ids)


def puts(sandbox, comp: str = "") -> list:
    """Requests to the storage: whole files, or with comp="block" blocks."""
    found = [entry for entry in sandbox.journal if entry.path.startswith("/storage")]
    return [entry for entry in found if parse_qs(entry.query).get("comp", [""]) == [comp]]
