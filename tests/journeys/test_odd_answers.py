"""Odd text in the platform's answers: each operation ends truthfully and is made once, and every page can be read."""

import os
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import product

import pytest
from django.core.cache import cache
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.models import Attempt, Bucket, CircuitBreaker, Notification, Operation, Orphan, Upload
from imodels_app.notifications import texts
from imodels_app.requesting import staging
from imodels_app.runtime import clock
from imodels_app.runtime.foreign_text import PARAGRAPH, cleaned
from imodels_app.states import FINISHED, NO_LONGER_THERE, Kind, OrphanState, Outcome, State
from imodels_app.workers import cleanup
from imodels_app.workers.poll import poll
from imodels_app.workers.reconcile import reconcile
from imodels_app.workers.submit import submit
from imodels_app.workers.upload import upload
from sandbox.faults import Fault
from sandbox.server import Sandbox
from tests.exports import table
from tests.files import a_file, in_storage
from tests.people import HARBOUR

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("signed_in_mara")]

ODD: tuple[object, ...] = (
    *(
        "\0",
        "a\0b",
        "\ud83d",
        "x\udc00y",
        "\u202e",
        "gnp.\u202elevart",
        "\u2066open",
        "\x07",
        "\x1b[31m",
        "\x9b",
        "\uffff",
    ),
    *(
        "two\r\nlines",
        "a\u2028b",
        "\t",
        "  ",
        "\u200b\u2060\ufeff",
        "\u3164",
        "\u2800",
        "e\u0301" * 40,
        "نام‌خانوادگی",
        "גשר 7",
    ),
    *(
        "👩‍👩‍👧",
        "👍" * 90,
        "x" * 90,
        "long " * 2000,
        "<script>alert(1)</script>",
        "{name} %s",
        "x;=1+1",
        "",
        None,
        7,
        [],
        {"a": 1},
    ),
)
REFUSALS = (400, 403, 404, 409, 413, 415, 418, 422)
CODES = ("iModelExists", "InvalidiModelsRequest", "iTwinNotFound", "InsufficientPermissions")
Body = object
Maker = Callable[[random.Random, Sandbox], Body]


def odd_error(dice: random.Random) -> Body:
    """An error as the platform words it, or nearly so."""
    code = dice.choice((*CODES, *ODD))
    details = [{key: dice.choice(ODD) for key in ("code", "message", "target")} for _ in range(dice.randrange(3))]
    error = {"code": code, "message": dice.choice(ODD), "details": dice.choice((details, details, *ODD))}
    return dice.choice(
        ({"error": error}, {"error": error}, {"error": dice.choice(ODD)}, {"message": dice.choice(ODD)}, [])
    )


def odd(name: str, *keys: str) -> Maker:
    """What says under this name nothing that could be relied on, in odd words."""

    def make(dice: random.Random, _: Sandbox) -> Body:
        told = {key: dice.choice(ODD) for key in keys}
        return dice.choice(({name: told}, {name: told}, {name: dice.choice(ODD)}, []))

    return make


def odd_state(dice: random.Random, _: Sandbox) -> Body:
    origin = {"iModelId": dice.choice(ODD), "changesetId": dice.choice(ODD), "relationshipId": dice.choice(ODD)}
    told = {"state": dice.choice(ODD)} | {one: dice.choice((origin, *ODD)) for one in ("clonedFrom", "forkedFrom")}
    return dice.choice(({"createOperation": told}, {"createOperation": dice.choice(ODD)}, []))


def odd_list(dice: random.Random, sandbox: Sandbox) -> Body:
    """No list; or what was made last, of which nothing can be read but its name."""
    newest = [*sandbox.world.imodels.values()][-1]
    unread = ("description", "createdDateTime", "state", "iTwinId", "dataCenterLocation")
    item: dict[str, object] = {"id": newest.id, "name": newest.name}
    item |= {"_links": {"creator": {"href": dice.choice(ODD)}}}
    item |= {key: dice.choice(ODD) for key in unread}
    lists: list[object] = [[item], [item], [7, item], *(one for one in ODD if one != [])]
    return {"iModels": dice.choice(lists)}


def odd_xml(dice: random.Random, _: Sandbox) -> Body:
    code, message = (str(dice.choice(ODD)).encode("utf-8", "replace").decode() for _ in range(2))
    return dice.choice((f"<Error><Code>{code}</Code><Message>{message}</Message></Error>", code, ""))


# Where the platform is asked: method, path, the status of a success, and what that says.
PLACES: dict[str, tuple[str, str, int, Maker]] = {
    "send": ("POST", r"^/imodels(/[^/]+/(clone|fork))?$", 201, odd("iModel", "id", "name", "_links")),
    "operation": ("GET", r"/operations/create$", 200, odd_state),
    "list": ("GET", r"^/imodels$", 200, odd_list),
    "imodel": ("GET", r"^/imodels/[^/]+$", 200, odd("iModel", "id", "name", "_links")),
    "rights": ("GET", r"/permissions$", 200, odd("permissions", "x")),
    "file": ("GET", r"/baselinefile$", 200, odd("baselineFile", "state", "fileSize")),
    "complete": ("POST", r"/baselinefile$", 200, odd("baselineFile", "state", "fileSize")),
    "storage": ("PUT", r"^/storage/", 201, odd_xml),
    "delete": ("DELETE", r"^/imodels/[^/]+$", 204, odd("x", "y")),
    # Of the card, before it is decided.
    "around": ("GET", r"^/imodels/[^/]+/(changesets|namedversions|users)", 200, odd("changesets", "items")),
    "itwin": ("GET", r"^/itwins/[^/]+$", 200, odd("iTwin", "id", "displayName")),
}
# Whose refusal is the operation's end.
FINAL = ("send", "complete", "storage")
# Where a 202 names what is made.
NAMING = ("Location", "Create-iModel-Operation")
ODD_HEADERS = ["", "\xff\xfe", "/imodels/\x07/operations/create", "a" * 500, "http://x y"]
# Besides the platform's own code, where ours says more.
OURS = {
    403: ["applicationMayNotFork", "uploadLinkExpired"],
    409: ["iModelExists", "sourceNotReady", "baselineSizeMismatch"],
}


@dataclass(frozen=True)
class Answer:
    """One odd answer in wait."""

    place: str
    status: int
    body: Body
    fault: Fault

    @property
    def is_refusal(self) -> bool:
        return self.place in FINAL and self.status in REFUSALS

    @property
    def error(self) -> dict[str, object]:
        body = self.body if isinstance(self.body, dict) else {}
        error = body.get("error")
        return error if isinstance(error, dict) else {"message": body.get("message")}

    @property
    def message(self) -> str:
        """What can be read of it."""
        if self.place == "storage":
            found = re.search(r"<Code>(\w{1,64})</Code>", str(self.body)[:2000])
            return f"{self.status} {cleaned(found[1] if found else '', most=64)}".strip()
        return cleaned(self.error.get("message"), most=PARAGRAPH, is_line=False)

    @property
    def codes(self) -> list[str]:
        code = cleaned(self.error.get("code"), most=64) or str(self.status)
        return ["uploadRefused", *OURS[403]] if self.place == "storage" else [code, *OURS.get(self.status, ())]


class Oddly:
    """The platform that answers oddly at any of its places, and a desk at which nobody waits."""

    def __init__(self, sandbox: Sandbox, dice: random.Random) -> None:
        self.sandbox, self.dice = sandbox, dice

    def answering(self, act: Callable[[], object], *, but: tuple[str, ...] = ()) -> list[Answer]:
        """What was answered oddly while it acted."""
        answers = [self._lay(place) for place in PLACES if place not in but and self.dice.random() < 0.6]
        act()
        self.sandbox.clear_faults()
        return [one for one in answers if one.fault.times == 0]

    def _lay(self, place: str) -> Answer:
        method, path, good, says = PLACES[place]
        status = self.dice.choice((good, good, *REFUSALS, 429, 500))
        is_good = status == good
        body = says(self.dice, self.sandbox) if is_good or place == "storage" else odd_error(self.dice)
        headers = {} if method == "GET" else {name: self.dice.choice(ODD_HEADERS) for name in NAMING}
        how = {"status": status, "body": body, "headers": headers, "answered": is_good and method != "GET"}
        return Answer(place, status, body, self.sandbox.fault(method, path, **how))


def make_due(operation: Operation, *, sent_ago: timedelta) -> None:
    """Nothing is in the way of its next step."""
    for forgotten in (CircuitBreaker, Bucket):
        forgotten.objects.all().delete()
    now = clock.now()
    Attempt.objects.update(sent_at=now - sent_ago)
    Operation.objects.filter(pk=operation.pk).update(due_at=now)
    Upload.objects.exclude(due_at=None).update(due_at=now)
    Orphan.objects.exclude(due_at=None).update(due_at=now)


STEPS = {State.QUEUED: submit, State.SUBMITTING: reconcile, State.UPLOADING: upload, State.RUNNING: poll}


def step(operation: Operation, *, sent_ago: timedelta) -> None:
    make_due(operation, sent_ago=sent_ago)
    STEPS[State(operation.state)](operation.pk)
    operation.refresh_from_db()


@pytest.fixture
def asked_for(mara, tomas, bridge_team, spec_for, baseline_of, client, sandbox):
    """asked_for(kind, oddly) is queued; a fork by a lead who has looked at a card that was told odd things."""
    tokens.store(tomas, sandbox.tokens_for("tomas"))

    def make(kind: Kind, oddly: Oddly) -> Operation:
        operation = baseline_of(a_file(4096)) if kind == Kind.BASELINE else lifecycle.request(spec_for(kind), by=mara)
        if kind == Kind.FORK:
            client.force_login(tomas)
            facts = reverse("imodels:approval-facts", args=[operation.pk])
            oddly.answering(lambda: assert_readable(client.get(facts, headers={"HX-Request": "true"})))
            lifecycle.approve(operation, by=tomas)
        return operation

    return make


def carried(operation: Operation, oddly: Oddly) -> None:
    """To its end: some steps at which the platform answers oddly, and then plain ones."""
    for _ in range(4):
        if operation.state in FINISHED:
            break
        told = oddly.answering(lambda: step(operation, sent_ago=timedelta(minutes=2)), but=("delete",))
        if operation.state == State.FAILED:
            assert_as_told(operation, [one for one in told if one.is_refusal])
    for _ in range(12):
        if operation.state in FINISHED:
            return
        if operation.state == State.RUNNING:
            oddly.sandbox.finish(operation.imodel_id)
        step(operation, sent_ago=timedelta(minutes=16))
    pytest.fail(f"stays {operation.state}, {operation.wait_reason}")


def assert_as_told(operation: Operation, refusals: list[Answer]) -> None:
    """It failed by what the platform said, and says the same, as far as it can be read."""
    assert operation.failure_message in [one.message for one in refusals], (operation.failure_code, refusals)
    assert operation.failure_code in [code for one in refusals for code in one.codes], refusals
    for detail in operation.failure_details:
        assert all(detail[key] == cleaned(detail[key], most=PARAGRAPH, is_line=False) for key in detail)


def assert_as_journalled(operation: Operation, sandbox, data: bytes | None) -> None:
    """What there may be of it was asked for once, and that is what it is said to be."""
    mine = [one for one in sandbox.journal if one.method == "POST" and one.correlation_id == str(operation.pk)]
    *before, last = [one for one in mine if not one.path.endswith("/baselinefile")]
    assert all(one.faulty and one.status in (429, 500) for one in before)
    assert operation.imodel_id == (last.imodel_id or "")
    if operation.state == State.SUCCEEDED:
        assert sandbox.world.imodels[operation.imodel_id].state == "initialized"
        assert data is None or in_storage(sandbox, operation.imodel_id) == data
    else:
        attempt, told = operation.attempts.last(), {Outcome.ACCEPTED: last.status, Outcome.UNKNOWN: None}
        expected = told if operation.imodel_id else {Outcome.REJECTED: last.status}
        assert operation.state == State.FAILED
        assert (attempt.outcome, attempt.status) in expected.items()


def assert_cleaned_up(operation: Operation, oddly: Oddly) -> None:
    """What a failure left is deleted: oddly answered at first, and what is said of that is what the platform said."""
    by, orphan, is_hidden = operation.requested_by, operation.orphan, False
    for deleted in (oddly.answering, lambda act: act()):
        if orphan.state in (OrphanState.LEFT, OrphanState.USABLE):
            lifecycle.delete_orphan(operation, by=by)
        make_due(operation, sent_ago=timedelta(minutes=16))
        told = deleted(lambda: cleanup.delete(operation.pk))
        orphan.refresh_from_db()
        # Who says that there is none is believed, in whichever words.
        is_hidden |= any(one.status == 404 for one in told or ())
        if orphan.state == OrphanState.LEFT and "The platform said" in orphan.note:
            said = [one.message or str(one.status) for one in told or ()]
            assert orphan.note in [f"The platform said: “{one}”" for one in said]
    assert orphan.state in NO_LONGER_THERE, (orphan.state, orphan.note)
    assert is_hidden or operation.imodel_id not in oddly.sandbox.world.imodels


def assert_readable(answer) -> None:
    """It comes, with nothing in it that hides or turns others."""
    assert answer.status_code in (200, 204)
    assert not hidden_in(answer.text)


def hidden_in(text: str) -> set[str]:
    hidden = {one for one in text if unicodedata.category(one) in ("Cc", "Cs")} - {"\r", "\n"}
    return hidden | ({*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067"} & {*text})


OF_ONE = ("operation-detail", "lineage", "audit-case")
OF_ALL = ("/operations/?whose=all", "/audit/", "/audit/operations/", "/audit/numbers/", "/orphans/")


def pages_of(operation: Operation) -> list[str]:
    has = {"approval-detail": operation.kind == Kind.FORK, "orphan-detail": hasattr(operation, "orphan")}
    pages = [reverse(f"imodels:{one}", args=[operation.pk]) for one in (*OF_ONE, *(one for one in has if has[one]))]
    made = [reverse("imodels:imodel-detail", args=[operation.imodel_id])] if operation.imodel_id else []
    return pages + made


# 1000 in `make soak`, or as many as there are schedules of faults; in several tests, so that processes can share them.
MANY, PART = int(os.environ.get("SOAK_SCHEDULES") or 1000), 10
LATER_PARTS = [pytest.param(first, marks=pytest.mark.soak) for first in range(PART, MANY, PART)]


@pytest.mark.parametrize("first", [0, *LATER_PARTS])
def test_whatever_text_comes_each_operation_ends_truthfully_and_is_made_once(
    client, mara, ines, sandbox, asked_for, settings, first, record_property
):
    seed = os.environ["SOAK_SEED"]
    dice = random.Random(f"odd answers {seed} from {first}")
    sandbox.limits_off()
    sandbox.advance_manually()
    sandbox.switch(new_upload_link=True)
    oddly = Oddly(sandbox, dice)
    ended: Counter[str] = Counter()
    for number in range(first, first + PART):
        settings.UPLOAD_SINGLE_PUT = settings.UPLOAD_BLOCK = dice.choice((1024, 8192))
        operation = asked_for(dice.choice(list(Kind)), oddly)
        data = staging.path_of(operation.staged_file).read_bytes() if operation.staged_file else None
        try:
            carried(operation, oddly)
            assert_as_journalled(operation, sandbox, data)
            if hasattr(operation, "orphan"):
                assert_cleaned_up(operation, oddly)
            client.force_login(ines)
            for address in pages_of(operation):
                assert_readable(client.get(address))
        except BaseException as wrong:
            wrong.add_note(f"seed {seed}, number {number}, {operation.kind}")
            raise
        ended[operation.state] += 1
    for address, headers in product(OF_ALL, ({}, {"HX-Request": "true"})):
        assert_readable(client.get(address, headers=headers))
    assert not hidden_in("".join(map(str, table(client.get("/audit/export")))))
    for notification in Notification.objects.all():
        assert not hidden_in("".join(texts.subject_and_text([notification])))
    record_property("figure", f"{PART} odd ways from {first} (seed {seed}), each made once at most: {dict(ended)}")


@pytest.mark.parametrize("picker", ["itwins", "imodels", "changesets", "versions"])
def test_a_list_of_odd_names_can_be_read_and_picked_from(client, mara, sandbox, picker):
    names = {"itwins": "iTwins", "imodels": "iModels", "changesets": "changesets", "versions": "namedVersions"}
    ids = "c3c00000-0000-4000-8000-00000000010{:x}".format
    keys = ("displayName", "name", "description", "number", "creatorId", "dataCenterLocation")
    for words in (ODD[:12], ODD[12:24], ODD[24:]):
        items = [
            {"id": ids(n), "iTwinId": HARBOUR, "index": n, "changesetIndex": n} | dict.fromkeys(keys, t)
            for n, t in enumerate(words)
        ]
        body = dict.fromkeys(names.values(), items)
        sandbox.clear_faults()
        # Every list, and nothing of one thing alone.
        lists = r"^/(itwins|imodels)(/(recents?|favorites?)|/[^/]+/(changesets|namedversions))?/?$"
        sandbox.fault("GET", lists, times=None, status=200, body=body)
        cache.clear()
        client.force_login(mara)

        answer = client.get(reverse(f"imodels:pick-{picker}"), {"source_id": ids(0)})

        page = answer.content.decode()
        assert page.count('role="option"') >= len(words)
        assert not set("\0\x07\u202e\u2066\ud83d") & set(page)
        assert picker == "changesets" or '<span class="t"><bdi></bdi>' not in page
