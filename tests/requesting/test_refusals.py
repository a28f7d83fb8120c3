"""Every no of the create, clone and fork pages: through form and worker to the operation's page, and back to the form.

Source of the rows: "Response" of the pages create-imodel, clone-imodel and fork-imodel.
"""

import html
import json
import re
from uuid import uuid4

import pytest
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.display import status
from imodels_app.models import Operation
from imodels_app.states import State, WaitReason
from imodels_app.workers.submit import submit

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]

HEAD = "head"
SAID = "Words of the platform’s own."
COPIES = ("template", "clone", "fork")
ALL = ("empty", *COPIES)
POSTED_TO = {"empty": r"^/imodels$", "template": r"^/imodels$", "clone": r"/clone$", "fork": r"/fork$"}


@pytest.fixture
def at_desk(client, bridge_team, signed_in_mara):
    client.force_login(signed_in_mara)
    return client


@pytest.fixture
def asked_for(at_desk, tomas):
    """asked_for("clone", name=...): sent by the form, and approved where that is needed."""

    def ask(kind, **fields):
        usual = {"form_id": str(uuid4()), "itwin": "Harbour Bridge", "name": "Pier 7", "description": "For the tender"}
        if kind != "empty":
            usual |= {"source": "Main Bridge", "up_to": "changeset", "changeset": "40"}
        if kind in ("empty", "template"):
            usual |= {"north": "55.68", "south": "55.55", "west": "12.6", "east": "12.9"}
        if kind == "fork":
            usual |= {"preserve_history": "on", "reason": "Try the retrofit of pier 7."}
        answer = at_desk.post(reverse(f"imodels:request-{kind}"), usual | fields)
        assert answer.status_code == 303, text_of(answer.content.decode())
        operation = Operation.objects.get(pk=answer["Location"].rstrip("/").split("/")[-1])
        if operation.state == State.AWAITING_APPROVAL:
            lifecycle.approve(operation, by=tomas)
        return operation

    return ask


@pytest.fixture
def refused(asked_for, sandbox):
    """refused("clone", 404, "iTwinNotFound", details): asked for, and refused by the platform."""

    def refuse(kind, status_code, code, details=(), **fields):
        operation = asked_for(kind, **fields)
        error = {"code": code, "message": SAID} | ({"details": list(details)} if details else {})
        sandbox.fault("POST", POSTED_TO[kind], status=status_code, body=json.dumps({"error": error}), times=1)
        submit(operation.pk)
        operation.refresh_from_db()
        return operation

    return refuse


def text_of(page):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def form_again(at_desk, operation, **address):
    asked = {"from": operation.pk} | address
    return at_desk.get(reverse(f"imodels:request-{operation.kind}"), asked).content.decode()


def said_at(page):
    """Where the form says what: field -> text, the head among them."""
    at = {field: text_of(said) for field, said in re.findall(r'id="(\w+)_refused">(.*?)</div>', page, re.DOTALL)}
    head = re.search(r'role="alert">(.*?)</div>\s*</div>', page, re.DOTALL)
    return {field: said for field, said in (at | {HEAD: text_of(head[1]) if head else ""}).items() if said}


def rows():
    """kind, status, code, field, badge: what tests/journeys/test_api_pages.py does not reach.

    The pages document creations, clones and forks; a template is a creation that is refused as a copy.
    """
    yield "template", 403, "InsufficientPermissions", HEAD, "Failed: not permitted"
    yield "template", 404, "iTwinNotFound", "itwin", "Failed: iTwin not found"
    yield "template", 409, "iModelExists", "name", "Failed: name taken"
    yield "template", 415, "UnsupportedMediaType", HEAD, "Failed: our error"
    yield "template", 404, "iModelNotFound", "source", "Failed: source not found"
    yield "template", 404, "ChangesetNotFound", "changeset", "Failed: changeset not found"
    yield "template", 409, "iModelNotInitialized", "source", "Failed: source not ready"
    yield "template", 409, "AnythingElse", "source", "Failed: source not ready"
    for kind in ("empty", "fork"):
        yield kind, 404, "ItwinNotFound", "itwin", "Failed: iTwin not found"
        yield kind, 404, "SomethingNotFound", HEAD, "Failed"
        yield kind, 413, "RequestTooLarge", HEAD, "Failed: our error"
        yield kind, 422, "InvalidiModelsRequest", HEAD, "Failed: not accepted"
    for kind in ("clone", "fork"):
        yield kind, 409, "AnythingElse", "source", "Failed: source not ready"
    yield "empty", 404, "iModelNotFound", HEAD, "Failed: source not found"
    yield "empty", 409, "AnythingElse", HEAD, "Failed"


@pytest.mark.parametrize(("kind", "status_code", "code", "field", "badge"), list(rows()))
def test_each_refusal_has_its_words_and_reaches_its_field(refused, at_desk, kind, status_code, code, field, badge):
    operation = refused(kind, status_code, code)

    page = at_desk.get(reverse("imodels:operation-detail", args=[operation.pk])).content.decode()
    assert operation.state == State.FAILED
    assert badge in text_of(re.search(r'<span id="badge".*?</span>\s*</span>', page, re.DOTALL)[0])
    assert SAID in text_of(page)
    assert "Change and send again" in page
    form = form_again(at_desk, operation)
    assert SAID in said_at(form)[field]
    assert not [other for other, said in said_at(form).items() if other != field and SAID in said]


DETAILS = [
    ("InvalidValue", "name", ALL, "name"),
    ("MissingRequiredProperty", "name", ALL, "name"),
    ("InvalidValue", "description", ALL, "description"),
    ("InvalidValue", "iTwinId", ALL, "itwin"),
    ("MissingRequiredProperty", "iTwinId", ALL, "itwin"),
    ("InvalidValue", "extent", ("empty", "template"), "extent"),
    ("InvalidValue", "extent.southWest.latitude", ("empty", "template"), "extent"),
    ("InvalidValue", "template", ("template",), "source"),
    ("MissingRequiredProperty", "template.iModelId", ("template",), "source"),
    ("InvalidValue", "changesetId", ("clone", "fork"), "changeset"),
    ("InvalidValue", "changesetIndex", ("clone", "fork"), "changeset"),
    ("InvalidValue", "preserveHistory", ("fork",), "preserve_history"),
    ("InvalidValue", "preserveHistory", ("clone",), HEAD),
    ("InvalidValue", "extent", ("clone",), HEAD),
    ("InvalidValue", "somethingNew", ALL, HEAD),
    ("MutuallyExclusivePropertiesProvided", None, ALL, HEAD),
    ("InvalidRequestBody", None, ALL, HEAD),
    ("MissingRequestBody", None, ALL, HEAD),
    ("InvalidChange", None, ALL, HEAD),
]


@pytest.mark.parametrize("kind", ALL)
def test_each_detail_of_a_422_reaches_its_field(refused, at_desk, kind):
    expected = [(code, target, field) for code, target, kinds, field in DETAILS if kind in kinds]
    details = [
        {"code": code, "message": f"Wrong {number}."} | ({"target": target} if target else {})
        for number, (code, target, _) in enumerate(expected)
    ]
    operation = refused(kind, 422, "InvalidiModelsRequest", details)

    said = said_at(form_again(at_desk, operation))
    page = text_of(at_desk.get(reverse("imodels:operation-detail", args=[operation.pk])).content.decode())
    for number, (_, _, field) in enumerate(expected):
        assert [at for at, words in said.items() if f"Wrong {number}." in words] == [field]
        assert f"Wrong {number}." in page


def test_a_taken_name_comes_with_a_free_one(refused, at_desk):
    page = form_again(at_desk, refused("clone", 409, "iModelExists"))

    assert "Use “Pier 8”" in said_at(page)["name"]


def test_the_changeset_of_all_up_to_now_is_told_at_the_choice(refused, at_desk):
    operation = refused("clone", 404, "ChangesetNotFound", up_to="latest", changeset="")

    assert SAID in said_at(form_again(at_desk, operation))["up_to"]


def test_a_forks_403_tells_which_rights_and_of_the_closed_preview(refused, at_desk, sandbox):
    sandbox.fault("GET", r"/permissions$", status=503, times=99)  # so nobody knows whose permission is missing
    operation = refused("fork", 403, "InsufficientPermissions", itwin="Rail Corridor 2027")

    for page in (
        said_at(form_again(at_desk, operation))[HEAD],
        text_of(at_desk.get(reverse("imodels:operation-detail", args=[operation.pk])).content.decode()),
    ):
        assert "imodels_manage in Harbour Bridge and in Rail Corridor 2027" in page
        assert "only selected applications" in page


def test_what_the_platform_said_is_shown_as_text(refused, at_desk):
    detail = {"code": "InvalidValue", "message": "<script>alert(1)</script>", "target": "name"}

    assert "<script>alert" not in form_again(at_desk, refused("empty", 422, "InvalidiModelsRequest", [detail]))


def test_a_changed_field_is_no_longer_accused(refused, at_desk):
    operation = refused("empty", 409, "iModelExists")

    assert "name" not in said_at(form_again(at_desk, operation, name="Pier 8"))
    again = {"from": operation.pk, "itwin": "", "name": "Pier 7"}
    assert "name" in said_at(at_desk.post(reverse("imodels:request-empty"), again).content.decode())
    again["name"] = "Pier 8"
    assert "name" not in said_at(at_desk.post(reverse("imodels:request-empty"), again).content.decode())


def test_what_is_sent_again_names_what_was_refused(refused, asked_for, at_desk):
    operation = refused("template", 409, "iModelExists")

    assert asked_for("template", name="Pier 8", **{"from": str(operation.pk)}).again_of == operation


def test_a_fault_of_ours_is_logged(refused, caplog):
    operation = refused("empty", 415, "UnsupportedMediaType")

    assert [str(operation.pk) in record.message for record in caplog.records if record.levelname == "ERROR"] == [True]


def test_what_failed_later_is_tried_again_and_accuses_no_field(at_desk, failed_fork):
    page = at_desk.get(reverse("imodels:operation-detail", args=[failed_fork.pk])).content.decode()

    assert "Change and send again" not in page
    assert "Try again" in page
    assert said_at(form_again(at_desk, failed_fork)) == {}


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("fault", "state", "wait", "badge"),
    [
        ({"expired_token": True}, State.QUEUED, WaitReason.TOKEN, "Queued"),
        ({"status": 429, "retry_after": 17}, State.QUEUED, WaitReason.RATE_LIMIT, "Queued"),
        ({"status": 429, "retry_after": 17, "body": '{"error": {"code": "RateLimitExceeded", "message": "Slow."}}'},
         State.QUEUED, WaitReason.RATE_LIMIT, "Queued"),
        ({"status": 500, "body": "<html>Oh</html>"}, State.SUBMITTING, WaitReason.LOST_ANSWER, "Checking"),
        ({"status": 503, "body": ""}, State.SUBMITTING, WaitReason.LOST_ANSWER, "Checking"),
        ({"lost_answer": True}, State.SUBMITTING, WaitReason.LOST_ANSWER, "Checking"),
        ({"cut": True}, State.SUBMITTING, WaitReason.LOST_ANSWER, "Checking"),
    ],
    ids=["401", "429", "429-other-code", "500-html", "503-empty", "lost", "cut"],
)  # fmt: skip
def test_what_is_no_refusal_waits_and_says_so(asked_for, at_desk, sandbox, kind, fault, state, wait, badge):
    operation = asked_for(kind)
    sandbox.fault("POST", POSTED_TO[kind], times=1, **fault)
    submit(operation.pk)
    operation.refresh_from_db()

    page = at_desk.get(reverse("imodels:operation-detail", args=[operation.pk])).content.decode()
    assert (operation.state, operation.wait_reason) == (state, wait)
    assert badge in text_of(re.search(r'<span id="badge".*?</span>\s*</span>', page, re.DOTALL)[0])
    assert "Change and send again" not in page


HTML = "<html>No</html>"


@pytest.mark.parametrize(
    ("kind", "status_code", "body", "badge", "field"),
    [
        *(("clone", 403, body, "Failed: not permitted", HEAD) for body in ("", "{", '{"error": null}', "[]")),
        ("fork", 403, '{"error": {"code": null}}', "Failed: iModel Desk may not fork", HEAD),
        ("clone", 404, HTML, "Failed: not found", HEAD),
        ("empty", 409, HTML, "Failed: name taken", "name"),
        ("clone", 409, HTML, "Failed: conflict", HEAD),
        ("clone", 413, HTML, "Failed: our error", HEAD),
        ("clone", 415, HTML, "Failed: our error", HEAD),
        ("clone", 422, HTML, "Failed: not accepted", HEAD),
        ("clone", 418, HTML, "Failed", HEAD),
    ],
)
def test_a_refusal_without_the_platforms_envelope_is_told_by_its_status(
    asked_for, at_desk, sandbox, kind, status_code, body, badge, field
):
    operation = asked_for(kind)
    sandbox.fault("POST", POSTED_TO[kind], status=status_code, body=body, times=1)
    submit(operation.pk)
    operation.refresh_from_db()

    page = at_desk.get(reverse("imodels:operation-detail", args=[operation.pk])).content.decode()
    assert badge == text_of(re.search(r'<span id="badge".*?</span>\s*</span>', page, re.DOTALL)[0]).strip()
    assert "The platform said: “”" not in text_of(page)
    said = said_at(form_again(at_desk, operation))[field]
    assert status.headline(operation) in said


def test_a_token_that_is_not_taken_is_refreshed_before_anybody_is_asked(asked_for, signed_in_mara, sandbox):
    operation = asked_for("template")
    tokens.store(signed_in_mara, sandbox.tokens_for("mara"))
    sandbox.expire_tokens()
    submit(operation.pk)

    operation.refresh_from_db()
    assert operation.state in (State.QUEUED, State.RUNNING)
