"""What a person chooses for themselves: times in their zone, on pages and in mails, and which mails they get."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts.preferences import ASKING, AT_ONCE, DAILY, NEVER, TELLING
from imodels_app.models import Notification, Operation, User
from imodels_app.runtime import clock
from imodels_app.states import Kind, NotificationKind
from tests.mail_server import deliver

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]

PAGE = "/preferences/"
# Both changes of the clocks in 2026, and the same instants in three zones.
INSTANTS = [
    (datetime(2026, 3, 29, 0, 59, 30, tzinfo=UTC), ["01:59:30 CET", "06:29:30 IST", "20:59:30 EDT"]),
    (datetime(2026, 3, 29, 1, 0, 30, tzinfo=UTC), ["03:00:30 CEST", "06:30:30 IST", "21:00:30 EDT"]),
    (datetime(2026, 10, 25, 0, 59, 30, tzinfo=UTC), ["02:59:30 CEST", "06:29:30 IST", "20:59:30 EDT"]),
    (datetime(2026, 10, 25, 1, 0, 30, tzinfo=UTC), ["02:00:30 CET", "06:30:30 IST", "21:00:30 EDT"]),
]
ZONES = ["Europe/Berlin", "Asia/Kolkata", "America/New_York"]


@pytest.mark.parametrize(("at", "said"), INSTANTS, ids=["before spring", "spring", "before autumn", "autumn"])
def test_three_people_read_one_instant_each_in_their_own_zone(client, queued_clone, mara, at, said):
    Operation.objects.filter(pk=queued_clone.pk).update(created_at=at)
    client.force_login(mara)

    for zone, words in zip(ZONES, said, strict=True):
        User.objects.filter(pk=mara.pk).update(time_zone=zone)
        page = client.get(reverse("imodels:operation-list")).text
        assert f'datetime="{at:%Y-%m-%dT%H:%M:%SZ}"' in page
        assert re.search(rf'title="[^"]*{words}"', page)
        assert zone in page.split("<footer")[1]
        assert len({*re.findall(r"\d\d:\d\d:\d\d ([A-Z]{3,4})\b", page)}) == 1


def test_until_one_chooses_the_browser_says_the_zone_and_nonsense_says_nothing(client, queued_clone, mara):
    client.force_login(mara)

    for cookie, zone in (("Asia/Tokyo", "Asia/Tokyo"), ("Mars/Olympus", "UTC"), ("../../etc/passwd", "UTC")):
        client.cookies["zone"] = cookie
        assert f'data-zone="{zone}"' in client.get(PAGE).text


def test_a_mail_tells_times_in_the_zone_of_its_reader(waiting_fork, tomas, mail_server):
    User.objects.filter(pk=tomas.pk).update(time_zone="Asia/Kolkata")
    deliver()

    assert re.search(r"decide by .*\d\d:\d\d IST", mail_server.to(tomas.email)[-1]["Subject"])


def test_what_is_chosen_is_kept(client, mara):
    client.force_login(mara)
    chosen = {f"mail-{kind}": DAILY for kind in ASKING} | {f"mail-{kind}": NEVER for kind in TELLING}
    chosen["mail-failed"] = AT_ONCE

    assert client.post(PAGE, {"time_zone": "Asia/Kolkata"} | chosen).status_code == 302

    mara.refresh_from_db()
    assert mara.time_zone == "Asia/Kolkata"
    assert {kind for kind in NotificationKind if mara.mutes(kind)} == set(TELLING) - {NotificationKind.FAILED}
    assert {kind for kind in NotificationKind if mara.reads_daily(kind)} == set(ASKING)
    assert client.post(PAGE, chosen | {"time_zone": "Mars/Olympus"}).status_code == 422
    assert client.post(PAGE, {"time_zone": "UTC"} | chosen | {"mail-requested": NEVER}).status_code == 422


def test_a_kind_that_is_muted_is_not_sent_and_what_asks_to_act_is(waiting_fork, running_clone, mara, tomas):
    User.objects.update(muted_mail=" ".join(TELLING))
    running_clone.requested_by.refresh_from_db()

    lifecycle.succeeded(running_clone)

    assert not Notification.objects.filter(to=mara).exists()
    assert Notification.objects.filter(to=tomas, kind=NotificationKind.REQUESTED).exists()


@pytest.mark.parametrize(("kind", "seconds", "mails"), [(Kind.EMPTY, 1, 0), (Kind.EMPTY, 60, 1), (Kind.CLONE, 1, 1)])
def test_an_empty_imodel_that_is_there_at_once_sends_no_mail(bridge_team, mara, spec_for, kind, seconds, mails):
    operation = lifecycle.request(spec_for(kind, name="Pier 7"), by=mara)
    lifecycle.claim(operation, bucket="create", now=clock.now())
    lifecycle.accepted(operation, imodel_id="c3c00000-0000-4000-8000-0000000000ff")
    operation.created_at = clock.now() - timedelta(seconds=seconds)
    operation.save()

    lifecycle.succeeded(operation)

    assert Notification.objects.filter(to=mara, kind=NotificationKind.SUCCEEDED).count() == mails
