"""The sandbox's own page, and the same verbs as JSON: ``GET /sandbox/``, ``POST /sandbox/do/<verb>``."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from typing import Any

from flask import Blueprint, Response, jsonify, redirect, render_template, request

from sandbox import world as w
from sandbox.controls import Controls, controls_of
from sandbox.platform import current

pages = Blueprint("pages", __name__, url_prefix="/sandbox")

PRESETS: dict[str, dict[str, Any]] = {
    "Server error 503": {"status": 503},
    "HTML error page 502": {"status": 502, "body": "<html><body><h1>502 Bad Gateway</h1></body></html>"},
    "Answer lost (handled, then cut)": {"lost_answer": True},
    "Cut before handling": {"cut": True},
    "Slow by 8 s": {"slow_s": 8},
    "Hang for 60 s": {"hang_s": 60},
    "429, wait 20 s": {"status": 429, "retry_after": 20},
    "429, wait until a date": {"status": 429, "retry_after": "date:20"},
    "429, wait a year": {"status": 429, "retry_after": 31536000},
    "429 without Retry-After": {"status": 429},
    "Token counts as expired": {"expired_token": True},
    "JSON cut short": {"truncated": True},
    "No Location header": {"location": "missing"},
    "Relative Location header": {"location": "relative"},
    "Location on a foreign host": {"location": "foreign"},
}
PLACES = {
    "any creation": ("POST", r"^/imodels($|/[^/]+/(clone|fork)$)"),
    "create": ("POST", r"^/imodels$"),
    "clone": ("POST", r"/clone$"),
    "fork": ("POST", r"/fork$"),
    "look at an operation": ("GET", r"/operations/create$"),
    "any API call": ("*", r"^/(imodels|itwins|users|accesscontrol)"),
    "token endpoint": ("POST", r"^/connect/token$"),
    "upload": ("PUT", r"^/storage/"),
}
OUTCOMES = ["successful", "failed", "mainIModelIsMissingFederationGuids", "fileIsBriefcase", "initializationFailed"]


@pages.get("/")
def control_page() -> str:
    world = current().world
    made = [world.advance(imodel) for imodel in list(world.imodels.values())]
    under_way = [m for m in made if m.creation.state in (w.SCHEDULED, w.WAITING_FOR_FILE)]
    return render_template(
        "control.html",
        platform=current(),
        world=world,
        under_way=under_way,
        newest=sorted(made, key=lambda imodel: -imodel.created_at)[:12],
        presets=list(PRESETS),
        places=list(PLACES),
        outcomes=[*OUTCOMES, w.STUCK],
        entries=current().journal.entries[-30:][::-1],
        written=w.written,
    )


@pages.get("/imodels/<itwin_id>/<imodel_id>")
def imodel(itwin_id: str, imodel_id: str) -> str | tuple[str, int]:
    """Where a viewer or portal would open an iModel: what the world knows of it."""
    world = current().world
    found = world.imodels.get(imodel_id)
    if found is None or found.itwin_id != itwin_id:
        return render_template("message.html", title="No such iModel", message="It may have been deleted."), 404
    return render_template("imodel.html", imodel=world.advance(found), world=world, written=w.written)


@pages.get("/journal")
def journal() -> Response:
    return jsonify([entry.as_json() for entry in current().journal.entries])


@pages.get("/world")
def world() -> Response:
    """The ids and people other programs may rely on, and the demo client."""
    controls = Controls(current())
    people = {person.key: asdict(person) for person in current().world.people.values()}
    client = {"client_id": controls.client_id, "client_secret": controls.client_secret}
    return jsonify({"ids": current().world.ids, "people": people, **client})


@pages.post("/do/<verb>")
def do(verb: str) -> Response:
    """Call a verb with JSON, answered as JSON; or with a form, answered by the page."""
    verbs = controls_of()
    if verb not in verbs:
        return _answer({"error": f"no such verb: {verb}"}, 404)
    by_form = request.mimetype != "application/json"
    try:
        arguments = _from_form(verb) if by_form else (request.get_json(silent=True) or {})
        answer = verbs[verb](Controls(current()), **arguments)
    except (TypeError, ValueError, KeyError) as problem:
        return _answer({"error": f"{type(problem).__name__}: {problem}"}, 400)
    if by_form:
        return redirect("/sandbox/", 303)  # type: ignore[return-value]
    return _answer({"answer": _plain(answer)}, 200)


def _answer(body: dict[str, Any], status: int) -> Response:
    return Response(json.dumps(body), status, mimetype="application/json")


def _plain(answer: Any) -> Any:
    return asdict(answer) if is_dataclass(answer) and not isinstance(answer, type) else answer


def _from_form(verb: str) -> dict[str, Any]:
    """What the page's forms mean. A fault is chosen by its preset and place."""
    form = {key: value for key, value in request.form.items() if value != ""}
    if verb == "fault":
        method, path = PLACES[form["place"]]
        how = dict(PRESETS[form["preset"]])
        how |= {"for_s": float(form["for_s"])} if "for_s" in form else {"times": int(form.get("times", "1"))}
        return {"method": method, "path": path, **how}
    if verb == "switch":
        return {name: _value(value) for name, value in form.items()}
    if verb == "advance_by_clock":
        return {"speed": float(form["speed"])}
    return dict(form)


def _value(text: str) -> Any:
    return {"true": True, "false": False}.get(text) if text in ("true", "false") else float(text)
