"""For whoever runs it: health, set-up from the command line, Django's admin, a broker that is down."""

import os
import re
import subprocess
import sys
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from imodels_app.models import Membership, Team, TeamITwin, User
from imodels_app.runtime import heartbeat
from tests.people import HARBOUR
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.django_db


def test_the_process_is_healthy_without_asking_anybody(client):
    assert client.get("/healthz").content == b"ok\n"


def test_readiness_tells_of_each_part(client):
    heartbeat.record()
    heartbeat.record(heartbeat.POLLER)

    assert client.get("/readyz").json() == {"database": "ok", "redis": "ok", "worker": "ok", "poller": "ok"}


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

    team = Team.objects.get(name="Bridge team")
    assert Team.looking_after(HARBOUR) == team
    assert TeamITwin.objects.count() == 1
    assert Membership.objects.get(email=mara.email).user == mara
    assert Membership.objects.get(role=Membership.Role.LEAD).user is None


def test_a_broker_that_is_down_never_fails_what_announces_work():
    announce = (
        "import django; django.setup(); "
        "from imodels_app.runtime import dispatch; dispatch.send('imodels_app.submit', 1)"
    )
    down = os.environ | {"REDIS_URL": "redis://127.0.0.1:9/0", "DJANGO_SETTINGS_MODULE": "dashboard.settings"}

    done = subprocess.run(
        [sys.executable, "-c", announce], env=down, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "the broker does not answer" in done.stderr


# Each way into the log, in a process of its own: its handlers are the product's, not the test run's.
LOGGED_BY = {
    "the web": "import django; django.setup()",
    "a worker": "import dashboard.celery as desk; desk.app.log.setup('INFO', redirect_stdouts=True)",
}


def log_of(who: str, act: str) -> list[str]:
    """What a process has logged in the end, line by line."""
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "dashboard.settings"}
    script = f"{LOGGED_BY[who]}\nimport logging\n{act}"
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    return done.stderr.split("\n")


@pytest.mark.parametrize("logger", ["", "imodels_app.views", "celery.task.imodels_app", "django.request"])
@pytest.mark.parametrize("who", LOGGED_BY)
def test_nobody_outside_writes_lines_into_the_log(who, logger):
    forged = "no\n2026-11-21 10:00:00 ERROR forged\r\x1b[31m\u2028\u202e" + "x" * 100_000

    lines = log_of(who, f"logging.getLogger({logger!r}).error('Refused: %s', {forged!r})")

    assert [line for line in lines if "Refused" in line or "forged" in line] == lines[:1]
    assert r"no\n2026-11-21 10:00:00 ERROR forged\r\x1b[31m\u2028\u202e" in lines[0]
    assert len("".join(lines)) < 5000


def test_a_traceback_keeps_its_lines_and_none_of_them_begins_like_a_record():
    act = "try:\n  raise ValueError('no\\n2026-11-21 ERROR forged')\nexcept ValueError:\n  logging.exception('Broke')"

    lines = log_of("the web", act)

    assert lines[0].endswith("ERROR root: Broke")
    assert "    2026-11-21 ERROR forged" in lines
    assert all(line.startswith("    ") for line in lines[1:] if line)


@pytest.mark.parametrize("act", ["add", "change", "delete"])
@pytest.mark.parametrize("model", ["team", "user", "operation", "preset"])
def test_djangos_admin_only_reads(client, ines, bridge_team, queued_clone, model, act):
    client.force_login(ines)
    row = {"team": bridge_team, "user": ines, "operation": queued_clone}.get(model, bridge_team)
    address = reverse(f"admin:imodels_app_{model}_{act}", args=[] if act == "add" else [row.pk])

    assert client.post(address, {"post": "yes", "name": "Hers"}).status_code in (302, 403)
    assert "Hers" not in {team.name for team in Team.objects.all()}
    assert "<select" not in client.get(address, follow=True).text


def test_djangos_admin_shows_whom_a_place_is_bound_to(client, ines, bridge_team):
    Membership.objects.create(team=bridge_team, email="nobody.yet@harbour.example")
    client.force_login(ines)

    answer = client.get(reverse("admin:imodels_app_team_change", args=[bridge_team.pk]))

    bound = re.findall(r'field-user">\s*<p>(.*?)</p>', answer.text)
    assert [re.sub("<[^>]+>", "", cell) for cell in bound[:3]] == ["Tomas Novak", "Mara Lindqvist", "-"]


def test_an_address_that_two_had_is_with_whoever_came_last(mara, tomas, otto):
    User.objects.update(email="lead@harbour.example")
    User.objects.filter(pk=tomas.pk).update(last_login=timezone.now())
    User.objects.filter(pk=otto.pk).update(last_login=timezone.now() - timedelta(days=1))

    call_command("set_up_team", "Harbour team", lead=["lead@harbour.example"])

    assert list(Team.objects.get(name="Harbour team").leads()) == [tomas]


@pytest.mark.parametrize("person", ["mara", "tomas", "otto"])
def test_djangos_admin_is_not_there_for_others(client, person, request):
    client.force_login(request.getfixturevalue(person))

    assert client.get("/admin/", follow=True).status_code == 404
