"""Why an operation stands still: row, page, history and export tell the true reason, and no two share a sentence."""

import json
import re
from datetime import timedelta
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.display import status_table, timeline
from imodels_app.models import Attempt, Bucket, Notification, Operation
from imodels_app.notifications import outbox, texts
from imodels_app.runtime import clock, foreign_text
from imodels_app.states import Kind, NotificationKind, State, WaitReason
from imodels_app.workers.poll import poll
from imodels_app.workers.submit import submit
from tests.exports import table

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("signed_in_mara")]


@pytest.fixture
def sent(bridge_team, mara, spec_for):
    """sent(kind) is an operation that a worker was told to send, and as it is then."""

    def make(kind=Kind.CLONE, **fields) -> Operation:
        operation = lifecycle.request(spec_for(kind, **fields), by=mara)
        submit(operation.pk)
        operation.refresh_from_db()
        return operation

    return make


def no_bursts():
    Bucket.objects.create(name="clone", no_bursts_until=clock.now() + timedelta(hours=1))


def spaced(sent, sandbox):
    no_bursts()
    sent()


def own_limit(sent, sandbox):
    first = sent()
    ago = clock.now() - timedelta(seconds=50)
    first.attempts.update(sent_at=ago, answered_at=ago)
    sent_before = {"operation": first, "bucket": "clone", "body_hash": "", "sent_at": ago, "answered_at": ago}
    Attempt.objects.bulk_create(Attempt(number=number, **sent_before) for number in range(2, 21))


def rate_limit(sent, sandbox):
    sandbox.fault("POST", r"/clone$", status=429, retry_after=400, times=1)


@pytest.mark.parametrize(
    ("arrange", "row", "history"),
    [
        (spaced, "1st in the queue, about", "Requests leave one after another; this one’s turn is at {until}"),
        (own_limit, "this minute’s 20 clones are sent; 1st", "All requests that a minute may have are sent; more fr"),
        (rate_limit, "platform’s limit until {until}; 1st", "rate limit is reached (429); it allows no more"),
    ],
)
def test_each_kind_of_rate_limit_has_its_own_sentence_everywhere(
    sent, sandbox, client, mara, ines, arrange, row, history, monkeypatch
):
    arrange(sent, sandbox)
    # However long this takes: whoever is next and goes within a moment is told no reason.
    monkeypatch.setattr("imodels_app.display.status.A_MOMENT", timedelta(0))

    waits = sent()

    assert (waits.state, waits.wait_reason) == (State.QUEUED, arrange.__name__)
    until = f"{timezone.localtime(waits.wait_until):%H:%M:%S}"
    client.force_login(mara)
    detail = reverse("imodels:operation-detail", args=[waits.pk])
    for page in (client.get(reverse("imodels:operation-list")).text, client.get(detail).text):
        assert row.format(until=until) in page
    assert history.format(until=until) in client.get(detail).text
    client.force_login(ines)
    lines = table(client.get(reverse("imodels:audit-export")))
    assert history.format(until=until) in "".join(line["why"] for line in lines if line["verb"] == "postponed")


@pytest.mark.parametrize("state", ["queued", "submitting", "uploading", "running"])
def test_no_two_reasons_share_a_line(state):
    lines = [text.line for row, text in status_table.STATUSES.items() if row.startswith(f"{state}:")]

    assert len(set(lines)) == len(lines)


def test_each_reason_has_a_sentence_of_its_own_in_the_history():
    sentences = [timeline.WAIT_REASONS[reason] for reason in WaitReason if reason]

    assert len(set(sentences)) == len(sentences)


@pytest.mark.parametrize("status", [400, 405, 409, 410, 418, 422])
def test_a_platform_that_answers_with_a_refusal_is_not_called_silent(sent, sandbox, client, mara, status):
    sandbox.advance_manually()
    running = sent()
    sandbox.fault("GET", r"/operations/create$", status=status, times=1)

    poll(running.pk)

    client.force_login(mara)
    page = client.get(reverse("imodels:operation-detail", args=[running.pk])).text
    assert "the platform refuses to answer, next try" in page
    assert "not answering" not in page


# ---------- a state that nobody knows ----------


UNKNOWN_STATES = ["abandoned", "cancelled", "Successful", "FAILED", "timedOut", "x" * 200, "<b>"]


@pytest.mark.parametrize(("word", "is_usable"), [("abandoned", True), *((word, False) for word in UNKNOWN_STATES)])
def test_an_unknown_state_is_called_unknown_promises_nothing_and_goes_to_the_admins(
    sent, sandbox, client, mara, ines, word, is_usable
):
    for _ in range(5):
        made = sent()
        Attempt.objects.all().delete()
        lifecycle.succeeded(made)
    sandbox.advance_manually()
    running = sent()
    if is_usable:
        sandbox.initialize(running.imodel_id)
        poll(running.pk)
        Operation.objects.filter(pk=running.pk).update(due_at=clock.now())
    sandbox.finish(running.imodel_id, state=word)

    poll(running.pk)

    running.refresh_from_db()
    assert (running.state, running.platform_state) == (State.RUNNING, foreign_text.cleaned(word, most=64))
    client.force_login(mara)
    for name, args in (("operation-list", []), ("operation-detail", [running.pk])):
        page = client.get(reverse(f"imodels:{name}", args=args))
        assert "Unknown state" in page.text
        assert "usually" not in page.text
        assert "still finishing" not in page.text
    assert ("The iModel can be used." in page.text) == is_usable
    message = Notification.objects.get(kind=NotificationKind.UNKNOWN_STATE)
    assert message.to == ines
    subject, text = texts.subject_and_text([message])
    assert foreign_text.cleaned(word, most=64) in subject + text
    assert list(client.get(reverse("imodels:operation-list"), {"state": "person"}).context["rows"])


def test_however_many_have_an_unknown_state_admins_are_told_once_a_word(sent, sandbox, ines):
    sandbox.advance_manually()
    for word in ("abandoned", "abandoned", "withdrawn"):
        Attempt.objects.all().delete()
        running = sent()
        sandbox.finish(running.imodel_id, state=word)
        poll(running.pk)

    assert Notification.objects.filter(kind=NotificationKind.UNKNOWN_STATE, to=ines).count() == 2


def test_admins_are_not_told_of_a_state_that_became_known_meanwhile(sent, sandbox, ines, mail_server):
    sandbox.advance_manually()
    running = sent()
    sandbox.finish(running.imodel_id, state="abandoned")
    poll(running.pk)
    Operation.objects.update(platform_state="scheduled")

    outbox.send_due()

    assert not mail_server.to(ines.email)


# ---------- a fork that the application may not make ----------


@pytest.fixture
def refused_fork(waiting_fork, tomas):
    """A fork of Mara's that was approved and sent."""

    def send() -> Operation:
        lifecycle.approve(waiting_fork, by=tomas)
        submit(waiting_fork.pk)
        waiting_fork.refresh_from_db()
        return waiting_fork

    return send


def test_a_fork_outside_the_preview_says_whose_permission_is_missing_and_whom_to_ask(
    refused_fork, sandbox, client, mara
):
    sandbox.switch(fork_preview=False)

    operation = refused_fork()

    client.force_login(mara)
    page = client.get(reverse("imodels:operation-detail", args=[operation.pk])).text
    assert "Failed: iModel Desk may not fork" in page
    assert "Ask an administrator of iModel Desk" in page
    assert "It needs imodels_manage" not in page
    message = Notification.objects.get(kind=NotificationKind.FAILED)
    assert "Ask an administrator of iModel Desk" in texts.subject_and_text([message])[1]


@pytest.mark.parametrize("lacks", ["source", "target", "both"])
def test_a_fork_whose_requester_lacks_a_permission_says_which(refused_fork, sandbox, client, mara, lacks):
    places = {"source": [r"^/imodels/.*/permissions$"], "target": [r"^/accesscontrol/.*/permissions$"]}
    for place in places.get(lacks) or places["source"] + places["target"]:
        sandbox.fault("GET", place, status=200, body=json.dumps({"permissions": ["imodels_webview"]}), times=1)
    sandbox.switch(fork_preview=False)

    assert refused_fork().failure_code == "InsufficientPermissions"


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429}, {"status": 404}, {"lost_answer": True}])
def test_when_nobody_can_say_whose_permission_is_missing_both_are_named(refused_fork, sandbox, client, mara, fault):
    sandbox.fault("GET", r"/permissions$", times=9, **fault)
    sandbox.switch(fork_preview=False)

    operation = refused_fork()

    client.force_login(mara)
    page = client.get(reverse("imodels:operation-detail", args=[operation.pk])).text
    assert "imodels_manage" in page
    assert "only selected applications" in page


# ---------- what a figure leads to ----------


@pytest.fixture
def one_of_each(sent, sandbox, mara):
    """Operations of today and of other days in every state that the strip counts."""
    sandbox.advance_manually()
    made = []
    for days, code in ((0, "failed"), (0, "failed"), (1, "failed"), (40, "failed"), (0, ""), (3, "")):
        Attempt.objects.all().delete()
        running = sent(Kind.EMPTY)
        lifecycle.failed(running, code=code) if code else lifecycle.succeeded(running)
        at = running.finished_at - timedelta(days=days)
        Operation.objects.filter(pk=running.pk).update(created_at=at - timedelta(days=1), finished_at=at)
        made.append(running)
    Attempt.objects.all().delete()
    no_bursts()
    made += [sent(), sent(), sent(Kind.FORK)]
    unknown = sent(Kind.EMPTY)
    Operation.objects.filter(pk=unknown.pk).update(platform_state="abandoned")
    return made


@pytest.mark.parametrize("whose", ["mine", "team", "all"])
def test_each_figure_of_the_strip_leads_to_exactly_its_rows(one_of_each, client, ines, mara, bridge_team, whose):
    client.force_login(ines if whose == "all" else mara)
    page = client.get(reverse("imodels:operation-list"), {"whose": whose}).text

    strip = re.findall(r'<a id="sum-(\w+)"\s+href="([^"]+)">\s*(\d+)<span', page)
    assert [(name, figure) for name, _, figure in strip] == [
        ("running", "1"), ("waiting", "1"), ("person", "2"), ("failed", "2"), ("ended", "3")
    ]  # fmt: skip
    for _, address, figure in strip:
        assert len(client.get(unescape(address)).context["rows"]) == int(figure)
