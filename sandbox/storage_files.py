"""Blobs on disk, written in pieces so that memory stays constant, and the signatures that open them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlencode

CHUNK = 1024 * 1024
MIB = 1024 * 1024
SIGNED_VERSION = "2019-07-07"


class BlobFiles:
    """A folder of blobs; a blob's uncommitted blocks lie in a folder beside it."""

    def __init__(self, folder: Path | None = None) -> None:
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="sandbox-blobs-")
        self.folder = folder or Path(self._temporary.name)  # type: ignore[union-attr]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.change_key()
        self.clock = time.time
        self.restore_limits()

    def change_key(self) -> None:
        """Links are signed anew from now on; those of before open nothing."""
        self.key = secrets.token_bytes(32)

    def restore_limits(self) -> None:
        """What one request may carry: https://learn.microsoft.com/rest/api/storageservices/put-blob#remarks"""
        self.single_put_limit = 256 * MIB
        self.block_limit = 100 * MIB

    def path(self, name: str) -> Path:
        return self.folder / hashlib.sha256(name.encode()).hexdigest()[:32]

    def size(self, name: str) -> int | None:
        path = self.path(name)
        return path.stat().st_size if path.exists() else None

    def head(self, name: str, count: int = 128) -> bytes:
        with self.path(name).open("rb") as blob:
            return blob.read(count)

    def write(self, name: str, chunks: Iterable[bytes]) -> int:
        """Write a whole blob; drops its uncommitted blocks. Returns its size."""
        size = self._write(self.path(name), chunks)
        self.path(name).with_suffix(".list").unlink(missing_ok=True)
        shutil.rmtree(self._blocks(name), ignore_errors=True)
        return size

    def age_s(self, name: str) -> float:
        """How long ago the blob was written."""
        return self.clock() - self.path(name).stat().st_mtime

    def write_block(self, name: str, block_id: bytes, chunks: Iterable[bytes]) -> int:
        folder = self._blocks(name)
        folder.mkdir(exist_ok=True)
        return self._write(folder / block_id.hex(), chunks)

    def block_ids(self, name: str) -> set[bytes]:
        folder = self._blocks(name)
        if not folder.is_dir():
            return set()
        return {bytes.fromhex(path.name) for path in folder.iterdir() if "." not in path.name}

    def commit(self, name: str, block_ids: list[bytes]) -> int:
        """Put blocks together in this order. Raises KeyError for a block that was not uploaded.

        The blocks of what is there already may be named again: of the same list nothing else is asked for here.
        """
        folder, listed = self._blocks(name), self.path(name).with_suffix(".list")
        if not self.block_ids(name) and listed.exists() and listed.read_bytes() == b"\n".join(block_ids):
            return self.size(name) or 0
        if not set(block_ids) <= self.block_ids(name):
            raise KeyError("block")

        def content() -> Iterable[bytes]:
            for block_id in block_ids:
                yield from self._read(folder / block_id.hex())

        size = self.write(name, content())
        listed.write_bytes(b"\n".join(block_ids))
        return size

    def read(self, name: str) -> Iterable[bytes]:
        return self._read(self.path(name))

    def clear(self) -> None:
        """Drop every blob. What is still being written may come or go meanwhile, as on any disk."""
        self.restore_limits()
        for path in self.folder.iterdir():
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._temporary:
            self._temporary.cleanup()

    def _blocks(self, name: str) -> Path:
        return self.path(name).with_suffix(".blocks")

    def _write(self, path: Path, chunks: Iterable[bytes]) -> int:
        part, size = path.with_suffix(f".{secrets.token_hex(4)}.part"), 0
        try:
            with part.open("wb") as blob:
                for chunk in chunks:
                    blob.write(chunk)
                    size += len(chunk)
            os.utime(part, (self.clock(), self.clock()))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return size

    def _read(self, path: Path) -> Iterable[bytes]:
        with path.open("rb") as blob:
            while chunk := blob.read(CHUNK):
                yield chunk

    # -- links ---------------------------------------------------------------------------------------------------

    def link(self, base: str, name: str, *, permissions: str, life_s: float, now: float | None = None) -> str:
        """A link that carries its own right, as a shared access signature does: sv, se, sr, sp, sig."""
        ends = datetime.fromtimestamp((now or self.clock()) + life_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        about = {"sv": SIGNED_VERSION, "se": ends, "sr": "b", "sp": permissions}
        return f"{base}/storage/{quote(name)}?" + urlencode({**about, "sig": self.signature(name, about)})

    def google_link(self, base: str, name: str, *, life_s: float) -> str:
        """A link as Google's: when it was signed, for how many seconds, and for which headers."""
        begins = datetime.fromtimestamp(self.clock() + min(life_s, 0), UTC).strftime("%Y%m%dT%H%M%SZ")
        about = {"X-Goog-Date": begins, "X-Goog-Expires": str(int(max(life_s, 0))), "X-Goog-SignedHeaders": "host"}
        signed = {**about, "X-Goog-Signature": self.google_signature(name, about)}
        return f"{base}/storage/{quote(name)}?" + urlencode({"X-Goog-Algorithm": "GOOG4-RSA-SHA256", **signed})

    def google_signature(self, name: str, about: dict[str, str]) -> str:
        signed = "\n".join([name, about["X-Goog-Date"], about["X-Goog-Expires"], about["X-Goog-SignedHeaders"]])
        return hmac.digest(self.key, signed.encode(), "sha256").hex()

    def signature(self, name: str, about: dict[str, str]) -> str:
        signed = "\n".join([name, about["sv"], about["se"], about["sr"], about["sp"]])
        return base64.b64encode(hmac.digest(self.key, signed.encode(), "sha256")).decode()
