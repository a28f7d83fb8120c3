"""Messages to teams' chats: what they say, to which address, once each, and that nothing waits for them."""

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts import encryption, permissions, rights
from imodels_app.accounts.chat_form import ChatForm
from imodels_app.models import ChatMessage, CircuitBreaker, Event, Notification, Team, Webhook
from imodels_app.notifications import chats
from imodels_app.states import Chat, Kind, State, Verb
from tests.settings import IN_CI
from tests.webhook_server import WebhookServer

pytestmark = pytest.mark.django_db
NO_NPM = "no Node.js on PATH"
SECRET = "/workflows/1/very-secret?sig=also-secret"


@pytest.fixture
def receiver(settings):
    settings.WEBHOOK_HOSTS, settings.PRIVATE_HOSTS = frozenset({"127.0.0.1"}), frozenset({"127.0.0.1"})
    server = WebhookServer()
    yield server
    server.stop()


@pytest.fixture
def chat(receiver, bridge_team, ines) -> Webhook:
    return chat_of(bridge_team, receiver.url + SECRET, by=ines)


def chat_of(team: Team, url: str, *, by: Any, kind: str = Chat.TEAMS) -> Webhook:
    form = ChatForm({"team": team.pk, "chat": kind, "url": url})
    assert form.is_valid(), form.errors
    return form.save(by=by)


def send() -> None:
    chats.send_due(encryption.decrypt)


def texts_in(value: Any) -> str:
    """All that a card shows."""
    if isinstance(value, dict):
        return " ".join(texts_in(one) for name, one in value.items() if name not in ("type", "$schema"))
    return " ".join(map(texts_in, value)) if isinstance(value, list) else str(value)


@pytest.fixture(scope="session")
def read_card(tmp_path_factory) -> Callable:
    """read_card(card): what Microsoft's own reader says against an adaptive card, and the card as it understands it."""
    if not shutil.which("npm"):
        pytest.fail(NO_NPM) if IN_CI else pytest.skip(NO_NPM)
    folder = tmp_path_factory.mktemp("adaptivecards")
    shutil.copytree(Path(__file__).parent / "adaptivecards", folder, dirs_exist_ok=True)
    options = ("--legacy-peer-deps", "--no-audit", "--no-fund", "--loglevel=error")
    subprocess.run(["npm", "ci", *options], cwd=folder, check=True)

    def read(card: dict[str, Any]) -> dict[str, Any]:
        command = ["node", "read.cjs"]
        done = subprocess.run(command, cwd=folder, input=json.dumps(card).encode(), check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)

    return read


def assert_adaptive_card(body: dict[str, Any], read_card: Callable) -> None:
    """What Teams asks of a message; and its card is one in full: nothing of it is wrong, missing or not known."""
    (attachment,) = body["attachments"]
    assert (body["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    assert len(json.dumps(body)) < 28_000
    read = read_card(attachment["content"])
    assert read["problems"] == []
    assert json.dumps(read["card"], sort_keys=True).lower() == json.dumps(attachment["content"], sort_keys=True).lower()


def assert_slack_blocks(body: dict[str, Any], _: Callable) -> None:
    """https://docs.slack.dev/reference/block-kit/blocks"""
    header, *sections = body["blocks"]
    assert len(body["blocks"]) <= 50
    assert header["type"] == "header"
    assert header["text"]["type"] == "plain_text"
    assert 0 < len(header["text"]["text"]) <= 150
    for section in sections:
        assert section["type"] == "section"
        assert 0 < len(section["text"]["text"]) <= 3000
    assert [one["text"]["type"] for one in sections[:-1]] == ["plain_text"] * (len(sections) - 1)


CHECKS = {Chat.TEAMS: assert_adaptive_card, Chat.SLACK: assert_slack_blocks}


@pytest.mark.parametrize("kind", list(CHECKS), ids=str)
def test_a_card_says_enough_to_decide_and_a_following_one_by_whom_it_was_decided(
    receiver, bridge_team, ines, tomas, mara, spec_for, kind, read_card
):
    chat_of(bridge_team, receiver.url + SECRET, by=ines, kind=kind)
    fork = lifecycle.request(spec_for(Kind.FORK, name="Pier 7 <!channel> [x](https://evil.example)"), by=mara)
    send()
    lifecycle.reject(fork, by=tomas, comment="Use a clone.")
    send()

    asked, decided = [one.json for one in receiver.heard]
    for body in (asked, decided):
        CHECKS[kind](body, read_card)
        assert reverse("imodels:approval-detail", args=[fork.pk]) in texts_in(body)
        assert "secret" not in texts_in(body)
    for fact in ("Mara Lindqvist", "Main Bridge", "120", "Harbour Bridge", "Try the seismic retrofit", "Bridge team"):
        assert fact in texts_in(asked)
    assert "Tomas Novak rejected" in texts_in(decided)
    assert "Use a clone." in texts_in(decided)
    if kind == Chat.SLACK:
        assert "<!channel>" not in asked["text"]


@pytest.mark.same_on_both
def test_only_administrators_set_a_chat_and_its_address_is_nowhere_to_be_read(
    client, chat, bridge_team, ines, tomas, receiver, caplog
):
    client.force_login(ines)
    page = client.get(reverse("imodels:chat-list")).text
    receiver.answers = [404]
    lifecycle_events = json.dumps(list(Event.objects.values("note", "data")))

    assert chat.host in page
    assert "secret" not in page + lifecycle_events + chat.url + caplog.text
    assert Event.objects.filter(verb=Verb.WEBHOOK_SET, team_name=bridge_team.name).count() == 1
    with pytest.raises(permissions.Denied):
        rights.delete(chat, by=tomas)
    form = {"team": bridge_team.pk, "chat": "slack", "url": "https://example.org/x"}
    answer = client.post(reverse("imodels:chat-list"), form)
    assert (answer.status_code, "WEBHOOK_HOSTS names them" in answer.text) == (422, True)
    client.post(reverse("imodels:remove-chat", args=[chat.pk]))
    assert not Webhook.objects.exists()


def test_a_chat_that_is_down_is_left_alone_for_longer_and_longer_and_holds_up_nothing(
    chat, receiver, bridge_team, ines, otto, mara, spec_for, waiting_fork, tomas
):
    receiver.answers = [503]
    for _ in range(3):
        send()
        CircuitBreaker.objects.filter(failures__gt=0).update(open_until=F("open_until") - timedelta(minutes=1))
    tried = len(receiver.heard)
    lifecycle.approve(waiting_fork, by=tomas)

    assert 1 <= tried < 4
    assert CircuitBreaker.objects.get(name=f"chat-{chat.pk}").failures == tried
    assert waiting_fork.state == State.QUEUED
    assert Notification.objects.filter(sent_at=None).exists()
    CircuitBreaker.objects.update(open_until=None)
    receiver.answers = [200]
    other = lifecycle.request(spec_for(Kind.FORK), by=mara)
    send()
    # Decided before the chat could hear of it: that one is told nothing any more.
    assert [one.operation_id for one in ChatMessage.objects.exclude(sent_at=None)] == [other.pk]


@pytest.mark.same_on_both
def test_an_answer_that_was_lost_is_asked_again_with_the_same_id(chat, receiver, waiting_fork):
    receiver.answers = [0, 0, 200]
    for _ in range(3):
        send()
        CircuitBreaker.objects.update(open_until=None)

    assert len(receiver.heard) == 3
    assert list(receiver.once_each) == [str(ChatMessage.objects.get().pk)]
    assert ChatMessage.objects.get().sent_at


@pytest.mark.same_on_both
def test_the_command_line_sets_a_chat_and_refuses_a_host_that_no_setting_names(receiver, bridge_team):
    call_command("set_up_team", bridge_team.name, slack_webhook=receiver.url + SECRET)

    assert Webhook.objects.get().chat == Chat.SLACK
    with pytest.raises(CommandError, match="WEBHOOK_HOSTS"):
        call_command("set_up_team", bridge_team.name, slack_webhook="https://example.org/x")
