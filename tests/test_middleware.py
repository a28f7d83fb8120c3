"""Where a request comes from: the client's address through our own proxies, and an id in answer, log and events."""

import io
import logging
import re

import pytest
from django.test import RequestFactory
from django.urls import reverse

from imodels_app.middleware import client_address
from imodels_app.models import Event
from tests.views.test_sign_in import sign_in_as

ID = re.compile(r"[0-9a-f]{32}")


@pytest.mark.parametrize(
    ("proxies", "forwarded", "connected", "address"),
    [
        (0, "", "203.0.113.9", "203.0.113.9"),
        (0, "198.51.100.1", "203.0.113.9", "203.0.113.9"),
        (0, "198.51.100.1, 198.51.100.2", "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.1", "10.0.0.2", "198.51.100.1"),
        (1, "6.6.6.6, 198.51.100.1", "10.0.0.2", "198.51.100.1"),
        (1, "6.6.6.6,198.51.100.1", "10.0.0.2", "198.51.100.1"),
        (2, "6.6.6.6, 198.51.100.1, 10.0.0.3", "10.0.0.2", "198.51.100.1"),
        # Past one of two proxies: what stands there may be anybody's word.
        (2, "6.6.6.6", "198.51.100.1", "198.51.100.1"),
        (1, "", "10.0.0.2", "10.0.0.2"),
        (1, "unknown", "10.0.0.2", "10.0.0.2"),
        (1, "198.51.100.1, ", "10.0.0.2", "10.0.0.2"),
        (1, "<script>", "10.0.0.2", "10.0.0.2"),
        (1, "1" * 9000, "10.0.0.2", "10.0.0.2"),
        (1, "198.51.100.1:49152", "10.0.0.2", "198.51.100.1"),
        (1, "[2001:db8::1]:49152", "10.0.0.2", "2001:db8::1"),
        (1, "2001:0db8:0000::0001", "10.0.0.2", "2001:db8::1"),
        (1, "::ffff:198.51.100.1", "10.0.0.2", "198.51.100.1"),
        (1, "fe80::1%" + "x" * 200, "10.0.0.2", "fe80::1"),
        (0, "", "", ""),
    ],
)
def test_the_address_is_believed_through_as_many_proxies_as_are_ours(settings, proxies, forwarded, connected, address):
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR=connected, headers={"X-Forwarded-For": forwarded})

    assert client_address(request) == address


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/operations/", "/healthz", "/no/such/page", "/sign-in/callback", "/sign-out"])
def test_each_answer_has_an_id_of_its_own(client, sandbox, path):
    ids = {client.get(path)["X-Request-ID"] for _ in range(2)}

    assert len(ids) == 2
    assert all(ID.fullmatch(one) for one in ids)


@pytest.mark.parametrize(
    ("proxies", "given", "is_taken"),
    [
        (1, "0123456789abcdef", True),
        (1, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", True),
        (0, "0123456789abcdef", False),
        (1, "short", False),
        (1, "x" * 65, False),
        (1, "two words here", False),
        (1, "line\nbreak-and-more", False),
        (1, "<script>alert(1)</script>", False),
        (1, "ünicode-12345", False),
        (1, "", False),
    ],
)
def test_an_id_from_outside_is_taken_from_our_proxy_only_and_if_it_is_well_formed(
    client, settings, proxies, given, is_taken
):
    settings.TRUSTED_PROXIES = proxies

    answer = client.get("/healthz", headers={"X-Request-ID": given})

    assert (answer["X-Request-ID"] == given) is is_taken


@pytest.mark.django_db
def test_lines_of_the_log_name_person_address_and_request(client, mara):
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(logging.getLogger().handlers[0].formatter)
    logging.getLogger().addHandler(handler)
    client.force_login(mara)

    answer = client.get("/operations/00000000-0000-4000-8000-000000000000/", REMOTE_ADDR="203.0.113.9")

    logging.getLogger().removeHandler(handler)
    assert f"[{answer['X-Request-ID']} 203.0.113.9 person {mara.pk}]: Not Found" in lines.getvalue()


@pytest.mark.django_db
def test_events_name_address_and_request(client, sandbox):
    answer = sign_in_as(client)

    event = Event.objects.get(verb="signed_in")
    assert event.data.items() >= {"request_id": answer["X-Request-ID"], "address": "127.0.0.1"}.items()
    assert event.actor.first_name == "Mara"


@pytest.mark.django_db
def test_what_no_request_caused_names_none(queued_clone, client):
    client.get(reverse("imodels:healthz"))

    assert not any("request_id" in event.data for event in Event.objects.all())
