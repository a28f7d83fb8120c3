"""Administrators set up where events are streamed to, and no page or event tells the address or the secret."""

import base64

import pytest

from imodels_app.audit import events, log
from imodels_app.models import Destination, Event
from imodels_app.runtime import clock
from imodels_app.states import Verb

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]
STREAMS = "/audit/streams/"
SECRET = f"whsec_{base64.b64encode(b'canary-canary-canary-canary').decode()}"
FORM = {"name": "SIEM", "url": "https://siem.example/in?token=canary", "secret": SECRET, "groups": ["approvals"]}


@pytest.fixture
def at_streams(client, ines, settings):
    settings.WEBHOOK_HOSTS = frozenset({"siem.example"})
    client.force_login(ines)
    return client


def test_one_is_made_followed_set_back_switched_and_deleted(at_streams, queued_clone):
    log.add_events()
    at_streams.post(STREAMS, FORM)
    one = Destination.objects.get()
    assert "Nothing is waiting" in at_streams.get(STREAMS).text

    for line, position in (("2", 1), ("999999", log.head().size), ("0", log.head().size), ("x", log.head().size)):
        at_streams.post(f"{STREAMS}{one.pk}/replay", {"line": line})
        assert Destination.objects.get().position == position
    at_streams.post(f"{STREAMS}{one.pk}/replay", {"since": "2026-01-01"})
    events.record("head_sent", at=clock.now(), size=1, root="00")
    log.add_events()
    page = at_streams.get(STREAMS).text
    at_streams.post(f"{STREAMS}{one.pk}/switch", {"on": "no"})
    switched_off = Destination.objects.get().due_at
    at_streams.post(f"{STREAMS}{one.pk}/delete")

    assert f"{log.head().size} lines behind" in page
    assert switched_off is None
    assert not Destination.objects.exists()
    told = Event.objects.filter(verb__startswith="stream_").order_by("pk")
    assert [event.verb for event in told] == [
        Verb.STREAM_MADE,
        *[Verb.STREAM_REPLAYED] * 3,
        Verb.STREAM_SWITCHED,
        Verb.STREAM_DELETED,
    ]
    assert told[0].note == "SIEM: siem.example: Approvals"
    for text in (page, *(f"{event.note}{event.data}" for event in told), one.url, one.key):
        assert "canary" not in text
        assert SECRET not in text


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("url", "https://elsewhere.example/", "WEBHOOK_HOSTS names them"),
        ("url", "http://siem.example/", "has to begin with https://"),
        ("secret", "whsec_c2hvcnQ=", "24 to 64 bytes"),
        ("secret", "open sesame", "24 to 64 bytes"),
        ("name", "siem", "There is a destination of this name"),
        ("name", "\u00ad", "only invisible characters"),
    ],
)
def test_what_cannot_be_sent_to_is_refused_at_its_field(at_streams, field, typed, said):
    at_streams.post(STREAMS, FORM)

    answer = at_streams.post(STREAMS, FORM | {"name": "Other", field: typed})

    assert answer.status_code == 422
    assert said in answer.text
    assert Destination.objects.count() == 1
