"""What operators look at, and who may: admins the page, and Prometheus by a token or from an address."""

from datetime import timedelta
from ipaddress import ip_network

import pytest
from django.urls import reverse
from prometheus_client.parser import text_string_to_metric_families

from imodels_app.limits import rate_limits
from imodels_app.models import Attempt, Operation
from imodels_app.runtime import clock, heartbeat
from imodels_app.states import State

pytestmark = pytest.mark.django_db
TOKEN = "a-token-of-prometheus-0123456789"


@pytest.fixture
def busy(queued_clone, mara):
    """One clone waits since a minute, ten were sent within the hour, and three have ended."""
    now = clock.now()
    row = Operation.objects.filter(pk=queued_clone.pk).values().get()
    Operation.objects.filter(pk=queued_clone.pk).update(due_at=now - timedelta(seconds=60))
    for number in range(3):
        ended = {"id": None, "name": f"Pier {number}", "state": State.SUCCEEDED, "due_at": None, "polls": 9}
        times = {"accepted_at": now - timedelta(seconds=90), "polled_at": now - timedelta(seconds=32)}
        Operation.objects.create(**{**row, **ended, **times, "id": None} | {"finished_at": now - timedelta(seconds=30)})
    for number in range(10):
        sent_at = now - timedelta(minutes=5 * number, seconds=5)
        status = 429 if number == 9 else 202
        Attempt.objects.create(
            operation=queued_clone, number=number, bucket="clone", body_hash="", sent_at=sent_at, status=status
        )
    heartbeat.record()
    return queued_clone


def figures(answer) -> dict[str, float]:
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    return {"".join([one.name, *(f" {value}" for value in one.labels.values())]): one.value for one in samples}


def test_an_admin_reads_how_it_is(busy, ines, client):
    rate_limits.freeze("fork", clock.now() + timedelta(minutes=3), clock.now())
    client.force_login(ines)

    page = " ".join(client.get(reverse("imodels:operating")).text.split())

    assert "To be sent</dt> <dd> 1, the oldest due for 1 min" in page
    assert "1 of 20" in page
    assert "the platform allows no more until" in page
    assert "3, after 27 polls" in page
    assert "1.0 s on average" in page
    assert "Last sign of a poller</dt> <dd>none" in page


def test_prometheus_reads_the_same_by_a_token(busy, client, settings):
    settings.METRICS_TOKEN = TOKEN

    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})

    told = figures(answer)
    assert told["desk_operations queued"] == 1
    assert told["desk_late_seconds queued"] == pytest.approx(60, abs=30)
    assert (told["desk_sent_last_hour clone"], told["desk_refused_last_hour clone"]) == (10, 1)
    assert told["desk_lag_seconds"] == pytest.approx(1)
    assert told["desk_least_lag_seconds"] > 0
    assert told["desk_silent_seconds poller"] == float("inf")
    assert told["desk_silent_seconds worker"] < 30
    assert "Pier" not in answer.text
    assert "Mara" not in answer.text


@pytest.mark.parametrize(
    "shown", ["", f"Bearer {TOKEN}x", "Bearer", f"Basic {TOKEN}", "Bearer \N{LATIN SMALL LETTER E WITH ACUTE}"]
)
def test_without_the_token_there_is_nothing(client, settings, shown):
    settings.METRICS_TOKEN = TOKEN

    assert client.get("/metrics", headers={"Authorization": shown}).status_code == 404


def test_by_default_there_is_nothing_for_anybody(client, ines):
    client.force_login(ines)

    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


@pytest.mark.parametrize(("address", "status"), [("10.1.2.3", 200), ("10.2.0.1", 404), ("2001:db8::1", 200)])
def test_an_address_that_was_named_needs_no_token(client, settings, address, status):
    settings.METRICS_ADDRESSES = [ip_network("10.1.0.0/16"), ip_network("2001:db8::/32")]

    assert client.get("/metrics", REMOTE_ADDR=address).status_code == status


def test_an_address_that_the_client_made_up_counts_for_nothing(client, settings):
    settings.METRICS_ADDRESSES, settings.TRUSTED_PROXIES = [ip_network("10.1.0.0/16")], 1

    heard = client.get("/metrics", REMOTE_ADDR="10.1.0.9", headers={"X-Forwarded-For": "10.1.2.3, 203.0.113.9"})

    assert heard.status_code == 404
