"""The platform's way of saying no.

Every error travels as ``{"error": {"code", "message", "details"?}}``; see "Error Response" on any operation's page,
e.g. https://developer.bentley.com/apis/imodels-v2/operations/create-imodel/
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Detail:
    """One line of ``error.details``: what is wrong with which property."""

    code: str
    message: str
    target: str | None = None

    def as_json(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message} | ({"target": self.target} if self.target else {})


@dataclass
class Refusal(Exception):
    """Ends a request with the documented envelope."""

    status: int
    code: str
    message: str
    details: list[Detail] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details:
            error["details"] = [detail.as_json() for detail in self.details]
        return {"error": error}


def header_not_found() -> Refusal:
    return Refusal(
        401, "HeaderNotFound", "Header Authorization was not found in the request. Access denied.", headers=CHALLENGE
    )


def unauthorized(why: str = "") -> Refusal:
    return Refusal(401, "Unauthorized", why or INVALID_TOKEN, headers=CHALLENGE)


def insufficient_permissions() -> Refusal:
    return Refusal(403, "InsufficientPermissions", "The user has insufficient permissions for the requested operation.")


def not_found(what: str) -> Refusal:
    """``what`` is the platform's name of the thing: iTwin, iModel, Changeset, NamedVersion, User, BaselineFile..."""
    words = re.sub(r"(?<=[a-z]{2})(?=[A-Z])", " ", what)  # NamedVersion: "Named Version", but iModel stays
    return Refusal(404, f"{what}NotFound", f"Requested {words} is not available.")


def imodel_exists() -> Refusal:
    return Refusal(409, "iModelExists", "iModel with the same name already exists within the iTwin.")


def source_not_initialized() -> Refusal:
    """The second 409 of clone and fork. The pages name no code for it, and show only that of the first."""
    return Refusal(409, "iModelNotInitialized", "The source iModel is not initialized.")


def data_conflict() -> Refusal:
    return Refusal(409, "DataConflict", "File size provided during iModel creation does not match actual file size.")


def unsupported_media_type() -> Refusal:
    return Refusal(415, "UnsupportedMediaType", "Media Type is not supported.")


def request_too_large() -> Refusal:
    return Refusal(413, "RequestTooLarge", "The request is too large.")


def invalid_request(doing: str, *details: Detail) -> Refusal:
    """422 of the iModels API. ``doing`` completes "Cannot ...": "create iModel", "clone iModel"."""
    return Refusal(422, "InvalidiModelsRequest", f"Cannot {doing}.", list(details))


def invalid_itwins_request(*details: Detail) -> Refusal:
    """422 of the iTwins API: https://developer.bentley.com/apis/itwins/operations/get-my-itwins/"""
    return Refusal(422, "InvalidiTwinsRequest", "Request contains invalid values.", list(details))


def too_many_requests(code: str) -> Refusal:
    """429 carries TooManyRequests on the create, clone, fork and complete pages, RateLimitExceeded on the others."""
    return Refusal(429, code, RATE_LIMIT_MESSAGES[code])


CHALLENGE = {"WWW-Authenticate": "Bearer"}
INVALID_TOKEN = (
    "Access denied due to invalid access_token. "
    "Make sure that issuer is correct, the token is not expired and is not corrupted."
)
RATE_LIMIT_MESSAGES = {
    "TooManyRequests": "More requests were received than the subscription rate-limit allows.",
    "RateLimitExceeded": "The client sent more requests than allowed by this API for the current tier of the client.",
}
