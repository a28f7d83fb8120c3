"""Blob storage behind the upload links: one PUT, or blocks and a block list.

https://learn.microsoft.com/rest/api/storageservices/put-blob (put-block, put-block-list). Errors are XML, as Azure's.
No Authorization header belongs here: the right is in the link.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from flask import Blueprint, Response, g, request

from sandbox.platform import current
from sandbox.storage_files import CHUNK

storage = Blueprint("storage", __name__, url_prefix="/storage")
MOST_BLOCKS = 50_000


class BlobRefused(Exception):
    """Ends a request with Azure's XML."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.code, self.message = status, code, message

    def answer(self) -> Response:
        xml = (
            '<?xml version="1.0" encoding="utf-8"?>'
            f"<Error><Code>{self.code}</Code><Message>{self.message}</Message></Error>"
        )
        return Response(xml, self.status, {**_headers(), "x-ms-error-code": self.code}, mimetype="application/xml")


storage.register_error_handler(BlobRefused, lambda refused: refused.answer())


def _headers() -> dict[str, str]:
    return {"x-ms-request-id": secrets.token_hex(16), "x-ms-version": "2019-07-07"}


@storage.put("/<path:name>")
def put_blob(name: str) -> Response:
    """Write the blob, or a block of it, or put its blocks together, by ``comp``."""
    if "X-Goog-Algorithm" in request.args:
        return _put_google(name)
    _check_signature(name, "w")
    comp = request.args.get("comp")
    if comp == "block":
        return _put_block(name)
    if comp == "blocklist":
        return _put_block_list(name)
    if comp:
        raise BlobRefused(400, "InvalidQueryParameterValue", "Value for comp is not supported.")
    return _put_whole(name)


@storage.get("/<path:name>")
def get_blob(name: str) -> Response:
    """Download, by a link with the permission to read. An upload link has it not."""
    _check_signature(name, "r")
    size = current().blobs.size(name)
    if size is None:
        raise BlobRefused(404, "BlobNotFound", "The specified blob does not exist.")
    headers = {**_headers(), "Content-Length": str(size)}
    return Response(current().blobs.read(name), 200, headers, mimetype="application/octet-stream")


def _check_signature(name: str, permission: str) -> None:
    """403 for a wrong or expired signature, and for a Bearer token where none belongs."""
    about = {key: request.args.get(key, "") for key in ("sv", "se", "sr", "sp")}
    signature = current().blobs.signature(name, about)
    genuine = secrets.compare_digest(signature.encode(), request.args.get("sig", "").encode())
    if not genuine or "Authorization" in request.headers or _has_expired(about["se"]):
        message = "Server failed to authenticate the request. Make sure the value of the signature is correct."
        raise BlobRefused(403, "AuthenticationFailed", message)
    if permission not in about["sp"]:
        message = "This request is not authorized to perform this operation using this permission."
        raise BlobRefused(403, "AuthorizationPermissionMismatch", message)


def _has_expired(ends: str) -> bool:
    return current().blobs.clock() >= datetime.fromisoformat(ends).timestamp()


def _put_whole(name: str) -> Response:
    if request.headers.get("x-ms-blob-type") != "BlockBlob":
        raise BlobRefused(400, "MissingRequiredHeader", "x-ms-blob-type must be BlockBlob.")
    _check_length(current().blobs.single_put_limit)
    _write(lambda chunks: current().blobs.write(name, chunks))
    return _created()


def _put_google(name: str) -> Response:
    """A signed address of Google Cloud Storage: one PUT, of exactly the headers that were signed, and no blocks.

    https://cloud.google.com/storage/docs/access-control/signed-urls
    """
    about = {key: request.args.get(key, "") for key in ("X-Goog-Date", "X-Goog-Expires", "X-Goog-SignedHeaders")}
    signature = current().blobs.google_signature(name, about)
    genuine = secrets.compare_digest(signature.encode(), request.args.get("X-Goog-Signature", "").encode())
    begins = datetime.strptime(about["X-Goog-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    if not genuine or "Authorization" in request.headers:
        raise BlobRefused(403, "SignatureDoesNotMatch", "The request signature does not match.")
    if current().blobs.clock() >= begins + int(about["X-Goog-Expires"]):
        raise BlobRefused(400, "ExpiredToken", "The provided token has expired.")
    if "comp" in request.args or any(key.lower().startswith("x-ms-") for key in request.headers.keys()):  # noqa: SIM118
        raise BlobRefused(400, "MalformedSecurityHeader", "A header was included that was not in the signed headers.")
    if request.content_length is None:
        raise BlobRefused(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
    _write(lambda chunks: current().blobs.write(name, chunks))
    return Response(status=200, headers={"ETag": f'"{secrets.token_hex(16)}"'})


def _put_block(name: str) -> Response:
    block_id = _block_id(request.args.get("blockid", ""))
    _check_length(current().blobs.block_limit)
    if any(len(known) != len(block_id) for known in current().blobs.block_ids(name)):
        raise BlobRefused(400, "InvalidBlobOrBlock", "All block ids of a blob must have the same length.")
    _write(lambda chunks: current().blobs.write_block(name, block_id, chunks))
    return _created()


def _put_block_list(name: str) -> Response:
    try:
        listed = [_block_id(entry.text or "") for entry in ET.fromstring(request.get_data())]
    except ET.ParseError:
        raise BlobRefused(400, "InvalidXmlDocument", "XML specified is not syntactically valid.") from None
    if len(listed) > MOST_BLOCKS:
        raise BlobRefused(400, "BlockListTooLong", "The block list may not contain more than 50,000 blocks.")
    try:
        current().blobs.commit(name, listed)
    except KeyError:
        raise BlobRefused(400, "InvalidBlockList", "The specified block list is invalid.") from None
    return _created()


def _created() -> Response:
    return Response(status=201, headers={**_headers(), "ETag": f'"0x{secrets.token_hex(8).upper()}"'})


def _block_id(text: str) -> bytes:
    try:
        block_id = base64.b64decode(text, validate=True)
    except binascii.Error:
        block_id = b""
    if not 1 <= len(block_id) <= 64:
        raise BlobRefused(400, "InvalidQueryParameterValue", "blockid must be base64 of 1 to 64 bytes.")
    return block_id


def _check_length(limit: int) -> None:
    if request.content_length is None:
        raise BlobRefused(411, "MissingContentLengthHeader", "The Content-Length header was not specified.")
    if request.content_length > limit:
        raise BlobRefused(413, "RequestBodyTooLarge", "The request body is too large.")


def _write(write: Callable[[Iterable[bytes]], int]) -> None:
    """Store the body piece by piece. A body that ends early leaves nothing."""

    def pieces() -> Iterable[bytes]:
        left, speed = request.content_length or 0, current().world.switches.storage_bytes_per_s
        fault, g.entry.received = g.fault, 0
        step = CHUNK if speed is None else max(1, min(CHUNK, int(speed / 20)))
        while left:
            if fault and fault.cut_after is not None and g.entry.received >= fault.cut_after:
                fault.hold()
                request.environ["sandbox.cut"] = True
                raise BlobRefused(400, "IncompleteBody", "Cut on purpose.")
            if fault and fault.cut_after is not None:
                step = min(step, fault.cut_after - g.entry.received)
            piece = request.stream.read(min(step, left))
            if not piece:
                break
            left -= len(piece)
            g.entry.received += len(piece)
            if speed:
                current().stopping.wait(len(piece) / speed)
            yield piece
        if left:
            raise BlobRefused(400, "IncompleteBody", "The request body is shorter than Content-Length.")

    write(pieces())
