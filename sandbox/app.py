"""The sandbox as a Flask app: what it answers to, and the way of each request through journal, faults and checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from sandbox import api, errors
from sandbox.baseline import baseline
from sandbox.catcher import catcher
from sandbox.changesets import changesets
from sandbox.creation import creation
from sandbox.errors import Refusal
from sandbox.faults import FOREIGN_HOST, Fault
from sandbox.identity import identity
from sandbox.imodels import imodels
from sandbox.itwins import access_control, itwins, users
from sandbox.journal import Entry
from sandbox.pages import pages
from sandbox.platform import Platform, current
from sandbox.storage import BlobRefused, storage


def build_app(platform: Platform) -> Flask:
    """Every API of one platform, its identity provider and its pages."""
    app = Flask("sandbox", root_path=str(Path(__file__).parent), static_folder=None)
    app.url_map.strict_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["sandbox"] = platform
    for blueprint in (imodels, creation, baseline, changesets, itwins, users, access_control, storage, identity):
        app.register_blueprint(blueprint)
    for blueprint in (pages, catcher):
        app.register_blueprint(blueprint)
    app.before_request(_arrive)
    app.after_request(_leave)
    app.register_error_handler(Refusal, _refused)
    app.register_error_handler(HTTPException, _no_such_path)
    return app


def _arrive() -> Response | None:
    """Write the request down, let a fault strike, then check token, limits and version."""
    g.fault = None
    if request.path.startswith("/sandbox"):
        g.entry = None
        return None
    g.entry = current().journal.add(_entry())
    g.fault = current().faults.take(request.method, request.path, request.query_string.decode("latin-1"))
    if g.fault and g.fault.before_handling:
        g.entry.faulty = True
        return _strike(g.fault)
    if api.is_api(request.path):
        if (request.content_length or 0) > api.LARGEST_BODY:
            raise errors.request_too_large()
        api.admit()
    return None


def _leave(answer: Response) -> Response:
    """Let a fault spoil the answer, and write down what became of the request."""
    if g.get("entry") is None:
        return answer
    fault = g.fault
    if not answer.is_streamed and not answer.get_data():
        answer.headers.pop("Content-Type", None)  # an answer without a body has no type
    if fault and not fault.before_handling:
        answer = _spoil(fault, answer)
    g.entry.status = None if request.environ.get("sandbox.cut") else answer.status_code
    return answer


def _entry() -> Entry:
    """The request without its secrets: no headers, no signature, no form of the identity provider but its grant."""
    query = [
        (key, "..." if key in ("sig", "X-Goog-Signature") else value)
        for key, value in parse_qsl(request.query_string.decode("latin-1"))
    ]
    body: Any = None
    text = None
    if request.path.startswith("/connect"):
        query, body = [], request.form.get("grant_type")
    elif api.is_api(request.path) and 0 < (request.content_length or 0) <= api.LARGEST_BODY:
        body, text = _readable(request.get_data()), request.get_data().decode("utf-8", "replace")
    return Entry(
        at=current().world.clock(),
        method=request.method,
        path=request.path,
        query=urlencode(query, safe="$"),
        body=body,
        text=text,
        correlation_id=request.headers.get("X-Correlation-Id"),
        headers=tuple(sorted(request.headers.keys())) if request.path.startswith("/storage") else (),
    )


def _readable(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw[:2000].decode("utf-8", "replace")


def _strike(fault: Fault) -> Response:
    """A fault instead of handling."""
    fault.hold()
    if fault.hang_s:
        current().stopping.wait(fault.hang_s)
    if fault.hang_s or fault.cut:
        return _cut(Response(status=500))
    _wait(fault.slow_s)
    answer = _fault_answer(fault)
    answer.headers.update(fault.headers)
    retry_after = fault.retry_after_header()
    if retry_after is not None:
        answer.headers["Retry-After"] = retry_after
    return _cut(answer) if fault.lost_answer else answer


def _fault_answer(fault: Fault) -> Response:
    status = fault.status or 500
    if fault.body is None and request.path.startswith("/storage"):
        code = {403: "AuthenticationFailed", 500: "InternalError", 503: "ServerBusy"}.get(status, "InvalidInput")
        return BlobRefused(status, code, "The request did not work.").answer()
    if fault.body is None:
        return _refused(_documented(status))
    if isinstance(fault.body, str):
        kind = "text/html" if fault.body.lstrip().startswith("<") else "application/json"
        return Response(fault.body, status, content_type=fault.headers.get("Content-Type", kind))
    return Response(json.dumps(fault.body), status, mimetype="application/json")


def _documented(status: int) -> Refusal:
    """The error the pages show for a status."""
    known = {
        401: errors.unauthorized(),
        403: errors.insufficient_permissions(),
        404: errors.not_found("iModel"),
        409: errors.imodel_exists(),
        413: errors.request_too_large(),
        415: errors.unsupported_media_type(),
        429: errors.too_many_requests(api.rate_limit_code()),
    }
    return known.get(status, Refusal(status, "Unknown", "An unexpected error happened."))


def _spoil(fault: Fault, answer: Response) -> Response:
    """A fault after handling."""
    fault.hold()
    _wait(fault.slow_s)
    if fault.location:
        _bend_links(fault.location, answer)
    if fault.answered:
        answer = _fault_answer(fault)
    if fault.truncated:
        whole = answer.get_data()
        answer.set_data(whole[: len(whole) // 2])
    answer.headers.update(fault.headers)
    return _cut(answer) if fault.lost_answer else answer


def _bend_links(how: str, answer: Response) -> None:
    for name in ("Location", "Create-iModel-Operation"):
        href = answer.headers.get(name)
        if href is None:
            continue
        path = href.removeprefix(current().issuer)
        if how == "missing":
            del answer.headers[name]
        else:
            answer.headers[name] = path if how == "relative" else FOREIGN_HOST + path
            answer.autocorrect_location_header = False


def _wait(seconds: float) -> None:
    if seconds:
        current().stopping.wait(seconds)


def _cut(answer: Response) -> Response:
    """Have the connection shut before a byte of the answer leaves."""
    request.environ["sandbox.cut"] = True
    return answer


def _refused(refusal: Refusal) -> Response:
    return Response(json.dumps(refusal.as_json()), refusal.status, refusal.headers, mimetype="application/json")


def _no_such_path(problem: HTTPException) -> Response:
    """What no page describes: an unknown path, or a method it does not have."""
    if problem.response is not None:
        return problem.response  # type: ignore[return-value]
    status = problem.code or 500
    code = {404: "ResourceNotFound", 405: "MethodNotAllowed"}.get(status, problem.name.replace(" ", ""))
    return _refused(Refusal(status, code, problem.description or problem.name))
