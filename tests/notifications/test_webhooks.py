"""What is posted to an address that somebody set up, and where it never goes."""

import base64
import hashlib
import hmac
import logging
from typing import Any

import pytest

from imodels_app.notifications import webhooks
from tests.webhook_server import WebhookServer

SECRET = "/hook/T0/B0/very-secret?sig=also-secret"
pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]


@pytest.fixture
def receiver(settings):
    settings.WEBHOOK_HOSTS, settings.PRIVATE_HOSTS = frozenset({"127.0.0.1"}), frozenset({"127.0.0.1"})
    server = WebhookServer()
    yield server
    server.stop()


def post(url: str, **more: Any) -> None:
    webhooks.post(url, b'{"text": "Pier 7"}', message_id="message-1", **more)


def test_a_message_arrives_with_an_id_that_a_repeat_has_too(receiver):
    receiver.answers = [503, 200]

    with pytest.raises(webhooks.Down):
        post(receiver.url + SECRET)
    post(receiver.url + SECRET)

    assert [one.headers["webhook-id"] for one in receiver.heard] == ["message-1", "message-1"]
    assert receiver.heard[1].json == {"text": "Pier 7"}


def test_with_a_shared_secret_it_is_signed_as_standard_webhooks_say(receiver):
    post(receiver.url, key=b"shared")

    sent = receiver.heard[0]
    signed = f"message-1.{sent.headers['webhook-timestamp']}.".encode() + sent.body
    wanted = base64.b64encode(hmac.digest(b"shared", signed, hashlib.sha256)).decode()
    assert sent.headers["webhook-signature"] == f"v1,{wanted}"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        *((status, webhooks.Refused) for status in (302, 307, 400, 401, 404, 410)),
        *((status, webhooks.Down) for status in (0, 408, 429, 500, 503)),
    ],
)
def test_each_answer_means_never_or_later_and_no_error_tells_the_address(receiver, caplog, answer, error):
    caplog.set_level(logging.DEBUG)
    receiver.answers, receiver.headers = [answer], {"Location": receiver.url + "/elsewhere", "Retry-After": "7"}

    with pytest.raises(error) as raised:
        post(receiver.url + SECRET)

    assert len(receiver.heard) == 1, "a redirect was followed"
    assert raised.value.__cause__ is None
    assert "secret" not in f"{raised.value}{caplog.text}"
    assert error is webhooks.Refused or answer == 0 or raised.value.retry_after_s == 7


@pytest.mark.parametrize(
    "url",
    [
        *("https://127.0.0.1.nip.io/x", "https://example.org/x", "https://hooks.slack.com.evil.example/x", "mail:x"),
        *("https://me:pw@127.0.0.1/x", "http://hooks.slack.com/x", "ftp://127.0.0.1/x", "https:///x", "https://[x"),
        *("https://logic.azure.com/x", "https://evil-logic.azure.com/x"),
        *(r"https://evil.example\.logic.azure.com/x", r"https://evil.example\@hooks.slack.com/x"),
        *(
            "https://evil.example%5c.logic.azure.com/x",
            "https://hooks.slack.com./x",
            "https://evil.example\t.logic.azure.com",
        ),
    ],
)
def test_nothing_is_sent_to_a_host_that_no_setting_names_nor_over_http_to_the_internet(receiver, settings, url):
    settings.WEBHOOK_HOSTS = frozenset({"127.0.0.1", "hooks.slack.com", ".logic.azure.com"})

    assert webhooks.why_not(url)
    with pytest.raises(webhooks.Refused):
        post(url)


def test_a_named_host_that_leads_into_our_network_is_not_connected_to_unless_it_is_named_as_private(receiver, settings):
    settings.WEBHOOK_HOSTS, settings.PRIVATE_HOSTS = frozenset({"localhost"}), frozenset()
    url = receiver.url.replace("127.0.0.1", "localhost")

    with pytest.raises(webhooks.Refused):
        post(url.replace("http:", "https:"))
    settings.PRIVATE_HOSTS = frozenset({"localhost"})
    post(url)

    assert len(receiver.heard) == 1


def test_below_a_domain_that_is_named_all_hosts_may_be_sent_to(settings):
    settings.WEBHOOK_HOSTS = frozenset({".logic.azure.com"})

    assert not webhooks.why_not("https://prod-12.westeurope.logic.azure.com:443/workflows/1?sig=x")
