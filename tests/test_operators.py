"""For whoever runs it: health, set-up from the command line, Django's admin, a broker that is down."""

import os
import subprocess
import sys

import pytest
from django.core.management import call_command
from django.urls import reverse

from imodels_app import pulse
from imodels_app.models import ITwinCharge, Membership, Team
from tests.people import HARBOUR

pytestmark = pytest.mark.django_db


def test_the_process_is_healthy_without_asking_anybody(client):
    assert client.get("/healthz").content == b"ok\n"


def test_readiness_tells_of_each_part(client):
    pulse.beat()

    assert client.get("/readyz").json() == {"database": "ok", "redis": "ok", "worker": "ok"}


def test_a_worker_that_does_not_consume_is_told(client):
    assert client.get("/readyz").json()["worker"] == "not consuming"


def test_a_team_is_set_up_from_the_command_line_and_again_without_harm(mara, capsys):
    for _ in range(2):
        call_command(
            "set_up_team",
            "Bridge team",
            itwin=[HARBOUR.upper()],
            lead=["tomas.novak@harbour.example"],
            member=[mara.email],
        )

    team = Team.objects.get()
    assert Team.looking_after(HARBOUR) == team
    assert ITwinCharge.objects.count() == 1
    assert Membership.objects.get(email=mara.email).user == mara
    assert Membership.objects.get(role=Membership.Role.LEAD).user is None


def test_a_broker_that_is_down_never_fails_what_announces_work():
    announce = "import django; django.setup(); from imodels_app import dispatch; dispatch.send('imodels_app.submit', 1)"
    down = os.environ | {"REDIS_URL": "redis://127.0.0.1:9/0", "DJANGO_SETTINGS_MODULE": "dashboard.settings"}

    done = subprocess.run(
        [sys.executable, "-c", announce], env=down, capture_output=True, text=True, timeout=20, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "the broker does not answer" in done.stderr


def test_admins_set_up_teams_in_djangos_admin(client, ines, bridge_team):
    client.force_login(ines)

    answer = client.get(reverse("admin:imodels_app_team_change", args=[bridge_team.pk]))

    assert answer.status_code == 200
    assert "tomas.novak@harbour.example" in answer.text


def test_states_cannot_be_edited_in_djangos_admin(client, ines, queued_clone):
    client.force_login(ines)

    shown = client.get(reverse("admin:imodels_app_operation_change", args=[queued_clone.pk]))
    posted = client.post(reverse("admin:imodels_app_operation_change", args=[queued_clone.pk]), {"state": "succeeded"})

    assert shown.status_code == 200
    assert "<select" not in shown.text
    assert posted.status_code == 403


@pytest.mark.parametrize("person", ["mara", "tomas", "otto"])
def test_djangos_admin_is_not_there_for_others(client, person, request):
    client.force_login(request.getfixturevalue(person))

    assert client.get("/admin/", follow=True).status_code == 404
