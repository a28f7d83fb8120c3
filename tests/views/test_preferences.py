"""What a person chooses for themselves: times in their zone, on pages and in mails, and which mails they get."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.accounts.preferences import ASKING, AT_ONCE, DAILY, NEVER, TELLING
from imodels_app.audit import events
from imodels_app.models import Notification, Operation, User
from imodels_app.notifications import texts
from imodels_app.runtime import clock
from imodels_app.states import Kind, NotificationKind
from tests.exports import checked, table, unpacked
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


def test_a_mail_tells_both_changes_of_the_clocks_in_each_zone(waiting_fork, tomas):
    [message] = Notification.objects.filter(to=tomas)
    for at, said in INSTANTS:
        message.operation.expires_at = at
        for zone, words in zip(ZONES, said, strict=True):
            with timezone.override(zone):
                subject, _ = texts.subject_and_text([message])
            hour_and_minute, name = words[:5], words.split()[1]
            assert f"{hour_and_minute} {name}" in subject


LOCAL = {
    "Europe/Berlin": ["03-29T01:59:30+01:00", "03-29T03:00:30+02:00", "10-25T02:59:30+02:00", "10-25T02:00:30+01:00"],
    "Asia/Kolkata": ["03-29T06:29:30+05:30", "03-29T06:30:30+05:30", "10-25T06:29:30+05:30", "10-25T06:30:30+05:30"],
    "America/New_York": [
        "03-28T20:59:30-04:00",
        "03-28T21:00:30-04:00",
        "10-24T20:59:30-04:00",
        "10-24T21:00:30-04:00",
    ],
}


@pytest.mark.parametrize("zone", LOCAL)
def test_an_export_tells_each_instant_in_utc_and_in_the_zone_of_whoever_exports(client, ines, tmp_path, zone):
    User.objects.filter(pk=ines.pk).update(time_zone=zone)
    for at, _ in INSTANTS:
        events.record("signed_in", at=at, by=ines)
    client.force_login(ines)

    rows = table(client.get(reverse("imodels:audit-export"), {"event": "signed_in"}))
    folder = unpacked(client.get(reverse("imodels:audit-export"), {"event": "signed_in"}), tmp_path)

    assert [row["at"] for row in rows] == [f"{at:%Y-%m-%dT%H:%M:%S}.000000+00:00" for at, _ in INSTANTS]
    assert [row["local_time"] for row in rows] == [f"2026-{local}" for local in LOCAL[zone]]
    assert json.loads((folder / "manifest.json").read_text())["zone"] == zone
    assert checked(folder)[0] == 0


def test_what_is_chosen_is_kept(client, mara):
    client.force_login(mara)
    chosen = {f"mail-{kind}": DAILY for kind in ASKING} | {f"mail-{kind}": NEVER for kind in TELLING}
    chosen["mail-failed"] = AT_ONCE
    for_engineers = set(TELLING) - {NotificationKind.ESCALATED}

    assert client.post(PAGE, {"time_zone": "Asia/Kolkata"} | chosen).status_code == 302

    mara.refresh_from_db()
    assert mara.time_zone == "Asia/Kolkata"
    assert {kind for kind in NotificationKind if mara.mutes(kind)} == for_engineers - {NotificationKind.FAILED}
    assert {kind for kind in NotificationKind if mara.reads_daily(kind)} == set(ASKING)
    assert client.post(PAGE, chosen | {"time_zone": "Mars/Olympus"}).status_code == 422
    assert client.post(PAGE, {"time_zone": "UTC"} | chosen | {"mail-requested": NEVER}).status_code == 422

    client.post(PAGE, chosen | {"time_zone": "UTC", "all_told": NEVER})
    mara.refresh_from_db()
    assert {kind for kind in NotificationKind if mara.mutes(kind)} == for_engineers
    assert {kind for kind in NotificationKind if mara.reads_daily(kind)} == set(ASKING)


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
