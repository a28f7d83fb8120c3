"""Odd text in the platform's answers: each operation ends truthfully, after one POST, and every page can be read."""

import os
import random
import unicodedata
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.models import Attempt, Bucket, CircuitBreaker, Operation
from imodels_app.states import Kind, Outcome, State
from imodels_app.workers.poll import poll
from imodels_app.workers.submit import submit
from tests.files import a_file
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


def odd_error(dice: random.Random) -> object:
    """An error as the platform words it, or nearly so."""
    code = dice.choice((*CODES, *ODD))
    details = [{key: dice.choice(ODD) for key in ("code", "message", "target")} for _ in range(dice.randrange(3))]
    error = {"code": code, "message": dice.choice(ODD), "details": dice.choice((details, details, *ODD))}
    return dice.choice(
        ({"error": error}, {"error": error}, {"error": dice.choice(ODD)}, {"message": dice.choice(ODD)}, [])
    )


def odd_state(dice: random.Random) -> object:
    """A look at an operation that tells nothing, in odd words."""
    origin = {"iModelId": dice.choice(ODD), "changesetId": dice.choice(ODD), "relationshipId": dice.choice(ODD)}
    told = {
        "state": dice.choice(ODD),
        "clonedFrom": dice.choice((origin, *ODD)),
        "forkedFrom": dice.choice((origin, *ODD)),
    }
    return dice.choice(
        ({"createOperation": told}, {"createOperation": told}, {"createOperation": dice.choice(ODD)}, [])
    )


@pytest.fixture
def asked_for(mara, tomas, bridge_team, spec_for, baseline_of):
    """asked_for(kind) is queued, and nothing is in its way."""

    def make(kind: Kind) -> Operation:
        earlier = timezone.now() - timedelta(days=2)
        Attempt.objects.update(sent_at=earlier, answered_at=earlier)
        CircuitBreaker.objects.all().delete()
        Bucket.objects.all().delete()
        Operation.objects.filter(state=State.SUBMITTING).update(due_at=timezone.now() + timedelta(hours=1))
        has_file = kind == Kind.BASELINE
        operation = baseline_of(a_file(4096)) if has_file else lifecycle.request(spec_for(kind), by=mara)
        if kind == Kind.FORK:
            lifecycle.approve(operation, by=tomas)
        Operation.objects.filter(pk=operation.pk).update(due_at=timezone.now() - timedelta(seconds=1))
        return operation

    return make


def assert_readable(client, operation: Operation) -> None:
    """Its page comes, with no character in it that hides or turns others."""
    answer = client.get(reverse("imodels:operation-detail", args=[operation.pk]))
    assert answer.status_code == 200
    hidden = {one for one in answer.content.decode() if unicodedata.category(one) in ("Cc", "Cs")} - {"\n"}
    assert not hidden | ({*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067"} & {*answer.content.decode()})


# 1000 in `make soak`, or as many as there are schedules of faults; in several tests, so that processes can share them.
MANY, PART = int(os.environ.get("SOAK_SCHEDULES") or 1000), 40
LATER_PARTS = [pytest.param(first, marks=pytest.mark.soak) for first in range(PART, MANY, PART)]


@pytest.mark.parametrize("first", [0, *LATER_PARTS])
def test_whatever_text_comes_each_operation_ends_truthfully_after_one_post(
    client, mara, sandbox, asked_for, first, record_property
):
    seed = os.environ["SOAK_SEED"]
    dice = random.Random(f"odd answers {seed} from {first}")
    sandbox.limits_off()
    sandbox.advance_manually()
    client.force_login(mara)
    ended: dict[str, int] = {}
    for number in range(first, first + PART):
        sandbox.clear_faults()
        operation = asked_for(dice.choice(list(Kind)))
        status = dice.choice((*REFUSALS, 500, 503, None, None, None))
        if status:
            sandbox.fault("POST", r"^/imodels", status=status, body=odd_error(dice))
        submit(operation.pk)
        operation.refresh_from_db()
        if operation.state == State.RUNNING:
            look(sandbox, operation, dice)

        posts = [call for call in sandbox.journal if call.method == "POST" and call.correlation_id == str(operation.pk)]
        assert len(posts) == 1, (seed, number, operation.state, operation.wait_reason)
        assert came_to(operation) == as_journalled(operation, posts[0]), (seed, number, status)
        assert_readable(client, operation)
        ended[operation.state] = ended.get(operation.state, 0) + 1
    record_property("figure", f"{PART} odd answers from {first} (seed {seed}), one POST each: {ended}")


def look(sandbox, operation: Operation, dice: random.Random) -> None:
    """Some odd answers to looks, and then a plain one."""
    for _ in range(2):
        status = dice.choice((200, 200, *REFUSALS, 500))
        body = odd_state(dice) if status == 200 else odd_error(dice)
        sandbox.fault("GET", r"/operations/create$", status=status, body=body)
        poll_now(operation)
        assert operation.state == State.RUNNING
        sandbox.clear_faults()
    sandbox.finish(operation.imodel_id)
    poll_now(operation)


def poll_now(operation: Operation) -> None:
    CircuitBreaker.objects.all().delete()
    Operation.objects.filter(pk=operation.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    poll(operation.pk)
    operation.refresh_from_db()


def came_to(operation: Operation) -> tuple[str, str, int | None, str]:
    attempt = operation.attempts.get()
    return operation.state, attempt.outcome, attempt.status, operation.imodel_id


def as_journalled(operation: Operation, post) -> tuple[str, str, int | None, str]:
    if not post.faulty:
        end = State.UPLOADING if operation.kind == Kind.BASELINE else State.SUCCEEDED
        return end, Outcome.ACCEPTED, post.status, post.imodel_id
    if post.status >= 500:
        return State.SUBMITTING, Outcome.UNKNOWN, None, ""
    return State.FAILED, Outcome.REJECTED, post.status, ""


@pytest.mark.parametrize("picker", ["itwins", "imodels", "changesets", "versions"])
def test_a_list_of_odd_names_can_be_read_and_picked_from(client, mara, sandbox, picker):
    names = {"itwins": "iTwins", "imodels": "iModels", "changesets": "changesets", "versions": "namedVersions"}
    ids = "c3c00000-0000-4000-8000-00000000010{:x}".format
    keys = ("displayName", "name", "description", "number", "creatorId", "dataCenterLocation")
    for texts in (ODD[:12], ODD[12:24], ODD[24:]):
        items = [
            {"id": ids(n), "iTwinId": HARBOUR, "index": n, "changesetIndex": n} | dict.fromkeys(keys, t)
            for n, t in enumerate(texts)
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
        assert page.count('role="option"') >= len(texts)
        assert not set("\0\x07\u202e\u2066\ud83d") & set(page)
        assert picker == "changesets" or '<span class="t"><bdi></bdi>' not in page
