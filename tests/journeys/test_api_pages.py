"""The five pages of the platform's documentation as a table: each field, answer, status, code and state, and its way.

A row goes the way a person goes: the real form, the worker's step against the sandbox, and the page that is read then.
DOCUMENTED is what the pages list; that the table has a row for all of it, and for nothing else, is a test of its own.
Source: https://developer.bentley.com/apis/imodels-v2/operations/ create-imodel, complete-imodel-baseline-file-upload,
get-create-imodel-operation, clone-imodel, fork-imodel
"""

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.limits import fair_queue
from imodels_app.models import Operation, TokenSet, Upload
from imodels_app.runtime import clock
from imodels_app.runtime.timing import SIGN_IN_AFTER_REFUSALS
from imodels_app.states import State
from imodels_app.workers.poll import poll
from imodels_app.workers.reconcile import reconcile
from imodels_app.workers.submit import submit
from imodels_app.workers.upload import upload
from tests.people import HARBOUR, MAIN_BRIDGE

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]

CREATE, CLONE, FORK, FOLLOW = "create-imodel", "clone-imodel", "fork-imodel", "get-create-imodel-operation"
COMPLETE = "complete-baseline-file-upload"
REFUSALS = {"401 HeaderNotFound", "403 InsufficientPermissions", "415 UnsupportedMediaType", "429 TooManyRequests"}
COPY_REFUSALS = {
    "404 iTwinNotFound",
    "404 iModelNotFound",
    "404 ChangesetNotFound",
    "409 iModelExists",
    "409 not ready",
}
BODIES = {"422 InvalidRequestBody", "422 MissingRequiredProperty iTwinId", "422 InvalidValue name"}
COPY_FIELDS = {"iTwinId", "changesetId", "changesetId empty", "changesetIndex", "changesetIndex 0", "no changeset"}
COPY_ANSWERS = {"Location", "Create-iModel-Operation", "retry-after"}
HEADERS = {"Authorization", "Accept"}
DOCUMENTED: dict[str, set[str]] = {
    CREATE: HEADERS
    | {"Content-Type", "iTwinId", "name", "description", "description null", "extent", "southWest", "northEast"}
    | {"latitude", "longitude", "template", "template.iModelId", "template.changesetId"}
    | {"baselineFile", "baselineFile.size", "_links.upload", "_links.complete"}
    | {"201", "iModel.id", "state initialized", "state notInitialized", "retry-after"}
    | REFUSALS
    | {"404 iTwinNotFound", "409 iModelExists", "422 InvalidValue extent", "422 MissingRequiredProperty name"}
    | {"422 InvalidRequestBody"},
    CLONE: HEADERS | COPY_FIELDS | COPY_ANSWERS | {"name", "description", "202"} | REFUSALS | COPY_REFUSALS | BODIES,
    FORK: HEADERS
    | COPY_FIELDS
    | COPY_ANSWERS
    | {"name", "description", "preserveHistory true", "preserveHistory false", "202"}
    | {"state mainIModelIsMissingFederationGuids", "closed preview"}
    | REFUSALS
    | COPY_REFUSALS
    | BODIES,
    FOLLOW: HEADERS
    | {"200", "401 HeaderNotFound", "404 iModelNotFound", "429 RateLimitExceeded", "retry-after"}
    | {"state scheduled", "state successful", "state failed", "state waitingForFile"}
    | {"state mainIModelIsMissingFederationGuids", "clonedFrom.iModelId", "clonedFrom.changesetId"}
    | {"forkedFrom.iModelId", "forkedFrom.changesetId", "forkedFrom.relationshipId"}
    # What older texts, newer ones and other pages add to it.
    | {"state sourceIsMissingFederationGuids", "state unknown", "initialized before successful", "vanished"}
    | {"403 InsufficientPermissions"},
    COMPLETE: HEADERS
    | {"200", "401 HeaderNotFound", "403 InsufficientPermissions", "404 iModelNotFound", "409 DataConflict"}
    | {"422 InvalidChange", "429 TooManyRequests", "retry-after"}
    | {"state waitingForFile", "state initializationScheduled", "state initialized", "state initializationFailed"}
    | {"state fileIsBriefcase"},
}
# Members of the answer to a creation that nothing here reads. Of a baseline file's answer the state alone is read.
NOT_READ = {"displayName", "dataCenterLocation", "description", "isSecured", "extent", "containersEnabled"}
FILE = b"SQLite format 3\0" + bytes(2048)
SAID = "The platform’s own words."
ABSENT = object()
POSTED_TO = {
    "empty": r"^/imodels$",
    "baseline": r"^/imodels$",
    "template": r"^/imodels$",
    "clone": r"/clone$",
    "fork": r"/fork$",
}


class Desk:
    """Mara at her desk, the worker behind it, and the platform."""

    def __init__(self, client: Any, sandbox: Any, tomas: Any) -> None:
        self._client, self.sandbox, self._tomas = client, sandbox, tomas

    def ask(self, kind: str, **fields: Any) -> Operation:
        """Send the form, as it stands when Mara has typed these; a fork is approved by her lead."""
        usual: dict[str, Any] = {
            "form_id": str(uuid4()),
            "itwin": "Harbour Bridge",
            "name": "Pier 7",
            "description": "For the tender",
        }
        if kind == "baseline":
            usual |= {"file": SimpleUploadedFile("pier.bim", FILE)}
        elif kind != "empty":
            usual |= {"source": "Main Bridge", "up_to": "changeset", "changeset": "40"}
        if kind in ("empty", "template"):
            usual |= {"north": "55.68", "south": "55.55", "west": "12.6", "east": "12.9"}
        if kind == "fork":
            usual |= {"preserve_history": "on", "reason": "Try the retrofit of pier 7."}
        given = {name: value for name, value in (usual | fields).items() if value is not None}
        answer = self._client.post(reverse(f"imodels:request-{kind}"), given)
        assert answer.status_code == 303, text_of(answer.content.decode())
        operation = Operation.objects.get(pk=answer["Location"].rstrip("/").split("/")[-1])
        if operation.state == State.AWAITING_APPROVAL:
            lifecycle.approve(operation, by=self._tomas)
        return operation

    def refused_by_form(self, kind: str, **fields: str) -> str:
        usual: dict[str, Any] = {"form_id": str(uuid4()), "itwin": "Harbour Bridge", "name": "Pier 7"}
        answer = self._client.post(reverse(f"imodels:request-{kind}"), usual | fields)
        assert answer.status_code == 422
        return answer.content.decode()

    def send(self, operation: Operation) -> Operation:
        submit(operation.pk)
        operation.refresh_from_db()
        return operation

    def upload(self, operation: Operation) -> Operation:
        """One step of the uploader, whose time has come."""
        Upload.objects.exclude(due_at=None).update(due_at=clock.now())
        upload(operation.pk)
        operation.refresh_from_db()
        return operation

    def poll(self, operation: Operation) -> Operation:
        """One poll, whose time has come."""
        Operation.objects.exclude(due_at=None).update(due_at=clock.now())
        poll(operation.pk)
        operation.refresh_from_db()
        return operation

    def started(self, kind: str, **fields: str) -> Operation:
        operation = self.send(self.ask(kind, **fields))
        if kind == "baseline":
            assert operation.state == State.UPLOADING, operation.failure_message
            return operation
        assert operation.state == State.RUNNING, operation.failure_message
        return operation

    @property
    def sent(self) -> dict[str, Any]:
        return next(call.body for call in reversed(self.sandbox.journal) if call.method == "POST")

    def page(self, operation: Operation) -> str:
        return self._client.get(reverse("imodels:operation-detail", args=[operation.pk])).content.decode()

    def lineage(self, operation: Operation) -> str:
        return text_of(self._client.get(reverse("imodels:lineage", args=[operation.pk])).content.decode())

    def form_again(self, operation: Operation) -> str:
        asked = {"from": operation.pk}
        return self._client.get(reverse(f"imodels:request-{operation.kind}"), asked).content.decode()


@pytest.fixture
def desk(client, bridge_team, signed_in_mara, sandbox, tomas, settings, tmp_path) -> Desk:
    settings.STAGING_DIR = tmp_path / "staging"
    sandbox.advance_manually()
    client.force_login(signed_in_mara)
    return Desk(client, sandbox, tomas)


def text_of(page: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def badge_of(page: str) -> str:
    return text_of(re.search(r'<span id="badge".*?</span>\s*</span>', page, re.DOTALL)[0]).strip()


def told_at(page: str, field: str) -> str:
    """What the form says that the platform said, at a field or at the head."""
    pattern = r'role="alert">(.*?)</div>\s*</div>' if field == "head" else rf'id="{field}_refused">(.*?)</div>'
    found = re.search(pattern, page, re.DOTALL)
    return text_of(found[1]) if found else ""


# ---------- the kinds of rows ----------

Way = Callable[[Desk], None]


@dataclass(frozen=True)
class Row:
    page: str
    item: str
    way: Way


def sends(kind: str, path: str, value: object, shown: str, **given: str) -> Way:
    """What is typed reaches the body of the request (path: of its member), and is read on the page."""

    def way(desk: Desk) -> None:
        operation = desk.started(kind, **given)
        found: Any = desk.sent
        for name in path.split("."):
            found = found.get(name, ABSENT) if isinstance(found, dict) else ABSENT
        assert found == value
        assert shown in text_of(desk.page(operation))

    return way


def form_says(kind: str, field: str, words: str, **given: str) -> Way:
    """The form refuses it before anything is sent."""

    def way(desk: Desk) -> None:
        page = desk.refused_by_form(kind, **given)
        assert words in text_of(re.search(rf'id="{field}_msg">(.*?)</div>', page, re.DOTALL)[1])
        assert not Operation.objects.exists()

    return way


def both(*ways: Way) -> Way:
    def way(desk: Desk) -> None:
        for one in ways:
            one(desk)

    return way


def refused(
    kind: str, status: int, code: str, badge: str, field: str, words: str = "", detail: tuple[str, str] | None = None
) -> Way:
    """The platform says no: badge and sentence on the page, its words at the field of the form.

    detail: code and target of an entry of details[]
    """

    def way(desk: Desk) -> None:
        operation = desk.ask(kind)
        error: dict[str, Any] = {"code": code, "message": SAID}
        if detail:
            error["details"] = [{"code": detail[0], "message": SAID} | ({"target": detail[1]} if detail[1] else {})]
        desk.sandbox.fault("POST", POSTED_TO[kind], status=status, body=json.dumps({"error": error}))
        if (kind, status) == ("fork", 403):
            # Else it would be the application that may not fork.
            desk.sandbox.fault("GET", r"/permissions$", status=200, body=json.dumps({"permissions": []}), times=2)
        page = desk.page(desk.send(operation))
        assert (operation.state, badge_of(page)) == (State.FAILED, badge)
        assert SAID in text_of(page)
        assert words in text_of(page)
        assert SAID in told_at(desk.form_again(operation), field)

    return way


def refused_for_minutes() -> None:
    """Pretend that the platform has refused each token of everybody since long, refreshed ones, too."""
    TokenSet.objects.update(refused_since=clock.now() - 2 * SIGN_IN_AFTER_REFUSALS, refreshed_at=clock.now())


def signed_out(kind: str) -> Way:
    """401: the token is refreshed and the request sent; after minutes of it a sign-in is asked for. Nothing is lost."""

    def way(desk: Desk) -> None:
        error = json.dumps({"error": {"code": "HeaderNotFound", "message": SAID}})
        desk.sandbox.fault("POST", POSTED_TO[kind], status=401, body=error, times=2)
        operation = desk.send(desk.ask(kind))
        assert badge_of(desk.page(operation)) == "Queued"
        refused_for_minutes()
        Operation.objects.update(due_at=clock.now())
        long_ago = timezone.now() - timedelta(minutes=5)
        operation.attempts.update(sent_at=long_ago, answered_at=long_ago)
        desk.send(operation)
        page = text_of(desk.page(operation))
        assert badge_of(desk.page(operation)) == "Waiting for sign-in"
        assert "Mara must sign in again by" in page

    return way


@cache
def too_many(kind: str, code: str) -> Way:
    """429: it waits for exactly as long as the platform says, and says until when."""

    def way(desk: Desk) -> None:
        body = json.dumps({"error": {"code": code, "message": SAID}})
        operation = desk.ask(kind)
        desk.sandbox.fault("POST", POSTED_TO[kind], status=429, retry_after=400, body=body)
        page = text_of(desk.page(desk.send(operation)))
        assert badge_of(desk.page(operation)) == "Queued"
        assert timedelta(minutes=5) < operation.wait_until - timezone.now() < timedelta(minutes=7)
        place = fair_queue.positions([operation], timezone.now())[operation.pk]
        assert timedelta(seconds=0) <= place.start - operation.wait_until <= timedelta(seconds=10)
        assert f"1st in the queue, about {timezone.localtime(place.start):%H:%M:%S}" in page
        until = f"{timezone.localtime(operation.wait_until):%H:%M:%S}"
        assert f"platform’s limit until {until}; 1st in the queue" in page
        assert f"The platform’s rate limit is reached (429); it allows no more until {until}" in page
        assert re.search(rf"429 Not sent after [0-9.]+ s {SAID}", page)

    return way


def located(kind: str, how: str) -> Way:
    """The new iModel is found from one header alone; without any by its name. No foreign host is ever asked."""

    def way(desk: Desk) -> None:
        operation = desk.ask(kind)
        desk.sandbox.fault("POST", POSTED_TO[kind], location=how)
        desk.send(operation)
        if how == "missing":
            assert badge_of(desk.page(operation)) == "Checking"
            Operation.objects.update(due_at=clock.now())
            reconcile(operation.pk)
            operation.refresh_from_db()
        assert operation.imodel_id == desk.sandbox.imodels_named("Pier 7", HARBOUR)[0].id
        assert badge_of(desk.page(operation)) == "Running"

    return way


@cache
def taken(kind: str) -> Way:
    """The headers are right: the platform takes the request, as Mara's own."""

    def way(desk: Desk) -> None:
        operation = desk.started(kind)
        call = next(one for one in desk.sandbox.journal if one.method == "POST")
        assert (call.person, call.status) == (
            operation.requested_by.subject,
            201 if kind in ("empty", "template") else 202,
        )
        assert badge_of(desk.page(operation)) == "Running"

    return way


@cache
def ends(kind: str, state: str, badge: str, *words: str, source: str = "Main Bridge") -> Way:
    """The platform's word of a state, as the page shows it."""

    def way(desk: Desk) -> None:
        given = {} if kind == "empty" else {"source": source, "up_to": "baseline", "changeset": None}
        operation = desk.started(kind, **given)
        desk.sandbox.finish(operation.imodel_id, state=state)
        page = desk.page(desk.poll(operation))
        assert badge_of(page) == badge
        for words_ in words:
            assert words_ in text_of(page)

    return way


def adopted(kind: str) -> Way:
    """An answer that was lost: only what was made from the same source is taken for ours."""

    def way(desk: Desk) -> None:
        operation = desk.ask(kind)
        desk.sandbox.fault("POST", POSTED_TO[kind], lost_answer=True)
        desk.send(operation)
        Operation.objects.update(due_at=clock.now())
        reconcile(operation.pk)
        operation.refresh_from_db()
        assert operation.state == State.RUNNING
        assert "Found after the answer was lost" in text_of(desk.page(operation))

    return way


def descends(kind: str, verb: str) -> Way:
    """Where an iModel comes from is told by its create operation, and drawn."""

    def way(desk: Desk) -> None:
        made = desk.started(kind)
        desk.sandbox.finish(made.imodel_id)
        changeset = desk.sandbox.world.changesets_of(desk.sandbox.world.imodels[MAIN_BRIDGE])[39].id
        # As if it had been made beside the desk: its row is not there to tell.
        operation = desk.ask("clone", source=made.imodel_id, up_to="baseline", changeset=None, name="Pier 8")
        Operation.objects.filter(pk=made.pk).update(imodel_id="")
        assert f"{verb} at {changeset[:8]}" in desk.lineage(operation)

    return way


# ---------- the rows ----------


def create_rows() -> Iterator[tuple[str, Way]]:
    yield "iTwinId", sends("empty", "iTwinId", HARBOUR, "Harbour Bridge")
    yield (
        "name",
        both(
            form_says("empty", "name", "Give the new iModel a name", name=" "),
            sends("empty", "name", "Pier 7", "Pier 7"),
        ),
    )
    yield "description", sends("empty", "description", "For the tender", "For the tender")
    yield "description null", sends("empty", "description", ABSENT, "Pier 7", description="")
    corners = {
        "southWest": {"latitude": 55.55, "longitude": 12.6},
        "northEast": {"latitude": 55.68, "longitude": 12.9},
    }
    yield "extent", sends("empty", "extent", corners, "North 55.68°, south 55.55°, west 12.6°, east 12.9°")
    for corner, value in corners.items():
        yield corner, sends("template", f"extent.{corner}", value, "Extent")
    yield (
        "latitude",
        form_says("empty", "north", "between −90 and 90 degrees", north="90.5", south="1", west="1", east="2"),
    )
    yield (
        "longitude",
        form_says("empty", "east", "between −180 and 180 degrees", north="2", south="1", west="1", east="180.5"),
    )
    yield "template", sends("template", "template.iModelId", MAIN_BRIDGE, "Template iModel")
    yield "template.iModelId", refused("template", 404, "iModelNotFound", "Failed: source not found", "source")
    yield (
        "template.changesetId",
        _has_changeset_id,
    )
    yield "baselineFile", sends("baseline", "baselineFile", {"size": len(FILE)}, "pier.bim")
    yield "baselineFile.size", sends("baseline", "baselineFile.size", len(FILE), "2 KiB")
    yield "_links.upload", uploaded
    yield "_links.complete", uploaded
    yield "201", taken("empty")
    yield "iModel.id", taken("template")
    yield "state initialized", ends("empty", "successful", "Succeeded")
    yield "state notInitialized", ends("template", "scheduled", "Running", "waiting its turn, or being made")
    yield (
        "404 iTwinNotFound",
        refused("empty", 404, "iTwinNotFound", "Failed: iTwin not found", "itwin", "cannot see it"),
    )
    yield "409 iModelExists", refused("empty", 409, "iModelExists", "Failed: name taken", "name")
    yield "422 InvalidValue extent", detail("empty", "InvalidValue", "extent", "extent")
    yield "422 MissingRequiredProperty name", detail("empty", "MissingRequiredProperty", "name", "name")


def _has_changeset_id(desk: Desk) -> None:
    desk.started("template")
    assert re.fullmatch("[0-9a-f]{40}", desk.sent["template"]["changesetId"])


def copy_rows(kind: str) -> Iterator[tuple[str, Way]]:
    yield "iTwinId", sends(kind, "iTwinId", HARBOUR, "Harbour Bridge")
    yield (
        "name",
        both(form_says(kind, "name", "Give the new iModel a name", name=" "), sends(kind, "name", "Pier 7", "Pier 7")),
    )
    yield (
        "description",
        sends(kind, "description", "For the tender", "For the tender"),
    )
    hex40 = "0" * 39 + "a"
    yield "changesetId", refused_changeset(kind, hex40)
    yield "changesetId empty", sends(kind, "changesetId", "", "@ baseline", up_to="baseline", changeset=None)
    yield "changesetIndex", sends(kind, "changesetIndex", 40, "@ 40")
    yield "changesetIndex 0", sends(kind, "changesetIndex", 0, "@ baseline", changeset="0")
    yield (
        "no changeset",
        everything(kind)
        if kind == "clone"
        else sends(kind, "changesetIndex", 120, "@ 120", up_to="latest", changeset=None),
    )
    yield "202", taken(kind)
    yield "Location", located(kind, "relative")
    yield "Create-iModel-Operation", located(kind, "foreign")
    yield "404 iTwinNotFound", refused(kind, 404, "iTwinNotFound", "Failed: iTwin not found", "itwin", "cannot see it")
    yield "404 iModelNotFound", refused(kind, 404, "iModelNotFound", "Failed: source not found", "source")
    yield "404 ChangesetNotFound", refused(kind, 404, "ChangesetNotFound", "Failed: changeset not found", "changeset")
    yield "409 iModelExists", refused(kind, 409, "iModelExists", "Failed: name taken", "name")
    yield "409 not ready", refused(kind, 409, "iModelNotInitialized", "Failed: source not ready", "source")
    yield "422 MissingRequiredProperty iTwinId", detail(kind, "MissingRequiredProperty", "iTwinId", "itwin")
    yield "422 InvalidValue name", detail(kind, "InvalidValue", "name", "name")


def fork_rows() -> Iterator[tuple[str, Way]]:
    kept, squashed = "Preserved, 40 changesets", "Squashed into the baseline"
    yield "preserveHistory true", sends("fork", "preserveHistory", True, kept)
    yield "preserveHistory false", sends("fork", "preserveHistory", False, squashed, preserve_history=None)
    yield "state mainIModelIsMissingFederationGuids", without_guids
    yield "closed preview", closed_preview


def post_rows(kind: str) -> Iterator[tuple[str, Way]]:
    """What all three pages of a POST say."""
    yield "Authorization", taken(kind)
    yield "Accept", taken(kind)
    yield "401 HeaderNotFound", signed_out(kind)
    yield (
        "403 InsufficientPermissions",
        refused(
            kind, 403, "InsufficientPermissions", "Failed: not permitted", "head", "imodels_manage in Harbour Bridge"
        ),
    )
    yield (
        "415 UnsupportedMediaType",
        refused(kind, 415, "UnsupportedMediaType", "Failed: our error", "head", "an error in iModel Desk, not yours"),
    )
    yield "422 InvalidRequestBody", detail(kind, "InvalidRequestBody", "", "head")
    yield "429 TooManyRequests", too_many(kind, "TooManyRequests")
    yield "retry-after", too_many(kind, "TooManyRequests")


def detail(kind: str, code: str, target: str, field: str) -> Way:
    return refused(kind, 422, "InvalidiModelsRequest", "Failed: not accepted", field, detail=(code, target))


def refused_changeset(kind: str, changeset_id: str) -> Way:
    """A changeset is sent by its number, which the form finds by the id; a detail about changesetId is about both."""

    def way(desk: Desk) -> None:
        changeset = desk.sandbox.world.changesets_of(desk.sandbox.world.imodels[MAIN_BRIDGE])[39]
        operation = desk.ask(kind, changeset=changeset.id)
        assert (operation.changeset_id or operation.changeset_index) in (changeset.id, 40)
        body: dict[str, Any] = {"error": {"code": "InvalidiModelsRequest", "message": SAID}}
        body["error"] |= {"details": [{"code": "InvalidValue", "message": SAID, "target": "changesetId"}]}
        desk.sandbox.fault("POST", POSTED_TO[kind], status=422, body=json.dumps(body))
        assert SAID in told_at(desk.form_again(desk.send(operation)), "changeset")

    return way


def everything(kind: str) -> Way:
    """Neither property: all changesets, whatever is there when it runs."""

    def way(desk: Desk) -> None:
        desk.started(kind, up_to="everything", changeset=None)
        assert not {"changesetId", "changesetIndex"} & set(desk.sent)

    return way


def without_guids(desk: Desk) -> None:
    """Explained, with the way out: the documentation, and the form of the same fork."""
    operation = desk.started("fork", source="Old Quay", changeset="6")
    desk.sandbox.finish(operation.imodel_id, state="mainIModelIsMissingFederationGuids")
    page = desk.page(desk.poll(operation))
    assert badge_of(page) == "Failed: FederationGuids missing"
    assert "Old Quay has elements without a FederationGuid, so it cannot be forked at changeset 6." in text_of(page)
    assert "populate-federation-guids" in page
    assert f"{reverse('imodels:request-fork')}?from={operation.pk}" in page
    assert "Fork again" in text_of(page)
    assert "Delete the orphaned iModel" in text_of(page)


def closed_preview(desk: Desk) -> None:
    """An application that may not fork: the person has the permissions, so that is what the 403 means."""
    desk.sandbox.world.switches.fork_preview = False
    operation = desk.send(desk.ask("fork"))
    page = text_of(desk.page(operation))
    assert "Failed: iModel Desk may not fork" in page
    assert "Ask an administrator of iModel Desk" in page
    assert "Ask an administrator of iModel Desk" in told_at(desk.form_again(operation), "head")


# ---------- following ----------


def polled(desk: Desk, **fault: Any) -> tuple[Operation, str]:
    """A running clone after a look that met this fault."""
    operation = desk.poll(desk.started("clone"))
    desk.sandbox.fault("GET", r"/operations/create$", **fault)
    desk.poll(operation)
    return operation, text_of(desk.page(operation))


def follow_rows() -> Iterator[tuple[str, Way]]:
    at_work = ends("template", "scheduled", "Running", "waiting its turn, or being made")
    for item in ("Authorization", "Accept", "200", "state scheduled"):
        yield item, at_work
    yield "state successful", ends("clone", "successful", "Succeeded", "Pier 7 is ready")
    yield "state failed", ends("clone", "failed", "Failed", "It gives no reason.", "Delete the orphaned iModel")
    yield "state waitingForFile", ends("clone", "waitingForFile", "Running", "its file has not been uploaded")
    for name in ("mainIModelIsMissingFederationGuids", "sourceIsMissingFederationGuids"):
        yield f"state {name}", ends("fork", name, "Failed: FederationGuids missing", name, "Fork again")
    words = "the platform calls it “somethingNew”", "It has told the administrators"
    yield "state unknown", ends("clone", "somethingNew", "Unknown state", *words)
    yield "initialized before successful", usable_before
    yield "vanished", vanished
    yield "401 HeaderNotFound", follow_401
    yield "403 InsufficientPermissions", follow_403
    yield "404 iModelNotFound", follow_404
    yield "429 RateLimitExceeded", follow_429
    yield "retry-after", follow_429
    yield "clonedFrom.iModelId", adopted("clone")
    yield "forkedFrom.iModelId", adopted("fork")
    yield "clonedFrom.changesetId", descends("clone", "cloned")
    yield "forkedFrom.changesetId", descends("fork", "forked")
    yield "forkedFrom.relationshipId", relationship


def usable_before(desk: Desk) -> None:
    operation = desk.started("clone")
    desk.sandbox.initialize(operation.imodel_id)
    page = desk.page(desk.poll(operation))
    assert (operation.state, badge_of(page)) == (State.RUNNING, "Usable now")
    assert "The iModel can be used while the platform finishes" in text_of(page)


def vanished(desk: Desk) -> None:
    operation = desk.started("clone")
    desk.sandbox.world.delete_imodel(operation.imodel_id)
    long_ago = timezone.now() - timedelta(minutes=5)
    Operation.objects.update(accepted_at=long_ago, missing_since=long_ago)
    operation.refresh_from_db()
    page = desk.page(desk.poll(operation))
    assert badge_of(page) == "Failed: vanished"
    assert "The platform no longer knows this iModel." in text_of(page)
    assert "Delete the orphaned iModel" not in text_of(page)


def follow_401(desk: Desk) -> None:
    operation, page = polled(desk, status=401, times=2)
    assert badge_of(desk.page(operation)) == "Running"
    refused_for_minutes()
    page = desk.page(desk.poll(operation))
    assert badge_of(page) == "Waiting for sign-in"
    assert "still running; Mara must sign in again to see the result" in text_of(page)


def follow_403(desk: Desk) -> None:
    _, page = polled(desk, status=403)
    assert "Mara may not view it, next check" in page
    assert "Following it needs imodels_webview in Harbour Bridge." in page
    assert "The requester may not view it" in page


def follow_404(desk: Desk) -> None:
    operation, page = polled(desk, status=404)
    assert operation.state == State.RUNNING
    assert "Running" in page


def follow_429(desk: Desk) -> None:
    operation, page = polled(desk, status=429, retry_after=400)
    assert timedelta(minutes=5) < operation.wait_until - timezone.now() < timedelta(minutes=7)
    assert f"the platform allows no more requests until {timezone.localtime(operation.wait_until):%H:%M:%S}" in page


def relationship(desk: Desk) -> None:
    operation = desk.started("fork")
    desk.sandbox.finish(operation.imodel_id)
    relationship_id = desk.sandbox.world.imodels[operation.imodel_id].creation.forked_from["relationshipId"]
    assert relationship_id in desk.page(desk.poll(operation))


# ---------- a baseline file ----------


def uploaded(desk: Desk) -> None:
    """The bytes are where the link leads, the platform is told, and the link is nowhere to be read."""
    operation = desk.started("baseline")
    assert "sig=" not in desk.page(operation)
    desk.upload(operation)
    assert operation.state == State.RUNNING, operation.failure_message
    put = next(call for call in desk.sandbox.journal if call.method == "PUT")
    assert operation.imodel_id in put.path
    completed = [call.path for call in desk.sandbox.journal if call.method == "POST" and "baselinefile" in call.path]
    assert completed == [f"/imodels/{operation.imodel_id}/baselinefile"]


def completing(**fault: Any) -> Callable[[Desk], tuple[Operation, str]]:
    """What the page says after the platform was told that the file is there, and met this fault."""

    def way(desk: Desk) -> tuple[Operation, str]:
        operation = desk.started("baseline")
        desk.sandbox.fault("POST", r"/baselinefile$", **fault)
        desk.upload(operation)
        return operation, desk.page(operation)

    return way


def not_taken(status: int, code: str, badge: str, *words: str) -> Way:
    def way(desk: Desk) -> None:
        operation, page = completing(status=status, body=json.dumps({"error": {"code": code, "message": SAID}}))(desk)
        assert (operation.state, badge_of(page)) == (State.FAILED, badge)
        for words_ in (SAID, "Delete the orphaned iModel", *words):
            assert words_ in text_of(page)

    return way


def baseline_ends(state: str, badge: str, *words: str) -> Way:
    def way(desk: Desk) -> None:
        operation = desk.upload(desk.started("baseline"))
        desk.sandbox.finish(operation.imodel_id, state=state)
        page = desk.page(desk.poll(operation))
        assert badge_of(page) == badge
        for words_ in words:
            assert words_ in text_of(page)

    return way


def complete_rows() -> Iterator[tuple[str, Way]]:
    yield "Authorization", uploaded
    yield "Accept", uploaded
    yield "200", complete_200
    yield "state waitingForFile", lambda desk: _page_has(desk, desk.started("baseline"), "Waiting for the file")
    yield "state initializationScheduled", complete_200
    yield "state initialized", baseline_ends("successful", "Succeeded", "Read")
    yield (
        "state initializationFailed",
        baseline_ends("initializationFailed", "Failed: not initialized", "Not readable", "Delete the orphaned iModel"),
    )
    yield (
        "state fileIsBriefcase",
        baseline_ends(
            "fileIsBriefcase", "Failed: file is a briefcase", "Export a snapshot", "Delete the orphaned iModel"
        ),
    )
    yield "401 HeaderNotFound", complete_401
    yield "403 InsufficientPermissions", complete_403
    yield "404 iModelNotFound", complete_404
    yield (
        "409 DataConflict",
        not_taken(409, "DataConflict", "Failed: size differs", "The size cannot be changed later."),
    )
    yield "422 InvalidChange", complete_422
    yield "429 TooManyRequests", complete_429
    yield "retry-after", complete_429


def _page_has(desk: Desk, operation: Operation, words: str) -> None:
    assert words in text_of(desk.page(operation))


def complete_200(desk: Desk) -> None:
    operation = desk.upload(desk.started("baseline"))
    page = desk.page(operation)
    assert badge_of(page) == "Running"
    assert "Being read" in text_of(page)


def complete_401(desk: Desk) -> None:
    operation, page = completing(status=401, times=2)(desk)
    assert badge_of(page) == "Uploading"
    refused_for_minutes()
    page = desk.page(desk.upload(operation))
    assert badge_of(page) == "Waiting for sign-in"
    assert "Mara must sign in again to finish the upload" in text_of(page)


def complete_403(desk: Desk) -> None:
    """Rights may come back: it is asked again, and nothing is lost meanwhile."""
    operation, page = completing(status=403, body=json.dumps({"error": {"code": "InsufficientPermissions"}}))(desk)
    assert badge_of(page) == "Uploading"
    desk.upload(operation)
    assert operation.state == State.RUNNING


def complete_404(desk: Desk) -> None:
    """Perhaps only late: looked again, sent again, and then told."""
    operation, page = completing(status=404, times=99)(desk)
    assert badge_of(page) == "Uploading"
    for _ in range(20):
        desk.upload(operation)
    page = desk.page(operation)
    assert badge_of(page) == "Failed: file not found"
    assert "Delete the orphaned iModel" in text_of(page)


def complete_422(desk: Desk) -> None:
    """It was told before: the state of the file tells, and it goes on."""
    detail_ = {"code": "InvalidChange", "message": SAID}
    body = {"error": {"code": "InvalidiModelsRequest", "message": SAID, "details": [detail_]}}
    operation = desk.started("baseline")
    desk.sandbox.fault("POST", r"/baselinefile$", status=422, body=json.dumps(body))
    desk.sandbox.world.imodels[operation.imodel_id].creation.baseline_state = "initializationScheduled"
    desk.upload(operation)
    assert badge_of(desk.page(operation)) == "Running"


def complete_429(desk: Desk) -> None:
    operation, page = completing(status=429, retry_after=400)(desk)
    assert timedelta(minutes=5) < operation.wait_until - timezone.now() < timedelta(minutes=7)
    until = f"{timezone.localtime(operation.wait_until):%H:%M:%S}"
    assert f"the platform allows no more requests until {until}" in text_of(page)


def table() -> Iterator[Row]:
    pages: list[tuple[str, Iterable[tuple[str, Way]]]] = [
        (CREATE, [*post_rows("empty"), ("Content-Type", taken("empty")), *create_rows()]),
        (CLONE, [*post_rows("clone"), *copy_rows("clone")]),
        (FORK, [*post_rows("fork"), *copy_rows("fork"), *fork_rows()]),
        (FOLLOW, follow_rows()),
        (COMPLETE, complete_rows()),
    ]
    for page, rows in pages:
        for item, way in rows:
            yield Row(page, item, way)


ROWS = list(table())


def ways() -> Iterator[Any]:
    """Rows that are reached in one and the same way are one test."""
    items: dict[tuple[str, Way], list[str]] = {}
    for row in ROWS:
        items.setdefault((row.page, row.way), []).append(row.item)
    for (page, way), reached in items.items():
        yield pytest.param(way, id=f"{page}-{'+'.join(reached)}".replace(" ", "-"))


@pytest.mark.parametrize("way", list(ways()))
def test_what_the_page_documents_is_reached_by_form_and_worker(desk, way):
    way(desk)


@pytest.mark.parametrize("page", DOCUMENTED)
def test_each_page_has_all_its_rows_and_no_others(page):
    items = [row.item for row in ROWS if row.page == page]

    assert set(items) == DOCUMENTED[page]
    assert len(items) == len(set(items)), "one row each"


def test_what_nothing_reads_may_be_missing(desk):
    operation = desk.ask("template")
    made = {"iModel": {"id": str(uuid4()), "_links": {}}}
    assert not NOT_READ & set(made["iModel"])
    desk.sandbox.fault("POST", POSTED_TO["template"], status=201, body=json.dumps(made))

    assert desk.send(operation).imodel_id == made["iModel"]["id"]
    assert badge_of(desk.page(operation)) == "Running"
