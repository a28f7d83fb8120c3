"""Line 29 of docs/reliability.md on a disk that is really full: SQLite on a tiny file system of its own.

Root alone may mount one. Elsewhere, and on PostgreSQL, test_29_an_answer_that_cannot_be_stored_… stands for it.
"""

import re
import shutil
import subprocess
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import requests
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client

from imodels_app import lifecycle
from imodels_app.models import Operation
from imodels_app.states import Kind, State
from tests.faults import oracle
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.no_oracle, pytest.mark.own_disk]


class Disk:
    """A file system that can be filled to the last byte, and has a database in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        # What SQLite has set aside for its log would take some more writes.
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with self._ballast.open("wb", buffering=0) as file:
            for size in (65536, 512, 1):
                with suppress(OSError):
                    while file.write(bytes(size)):
                        pass
        assert shutil.disk_usage(self.folder).free == 0

    def free(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def disk(processes, tmp_path):
    """The database is on a disk of 12 MB, for the test and its processes."""
    tiny = tmp_path / "disk"
    tiny.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", tiny], check=True)
    usual = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = str(tiny / "desk.sqlite3")
    processes.env["DATABASE_URL"] = f"sqlite:///{tiny}/desk.sqlite3"
    call_command("migrate", verbosity=0)
    yield Disk(tiny)
    processes.end_all()
    connection.close()
    connection.settings_dict["NAME"] = usual
    subprocess.run(["umount", tiny], check=True)


def test_29_a_disk_that_is_full_when_the_answer_comes_delays_it_until_there_is_room(
    disk, processes, sandbox, bridge_team, signed_in_mara, spec_for, reached, time_passes
):
    sandbox.advance_by_polls(0)
    held = sandbox.fault("POST", r"/clone$", held=True)
    processes.desk()
    clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7"), by=signed_in_mara)
    wait_until(lambda: held.holding, what="the iModel at the platform")

    disk.fill()
    held.release()
    wait_until(lambda: processes.count("submit", "raised"), what="a worker that meets the full disk")
    assert "disk is full" in "".join(processes.logs().values())
    clone.refresh_from_db()
    assert clone.state == State.SUBMITTING
    disk.free()
    time_passes(30)

    reached(clone, State.SUCCEEDED)
    assert sandbox.calls("POST", "/clone") == 1
    assert oracle.violations(sandbox, logs=processes.logs()) == []


def test_29_while_the_disk_is_full_pages_are_shown_and_who_sends_a_form_is_told_to_send_it_again(
    disk, processes, sandbox, bridge_team, signed_in_mara
):
    browser = Client()
    browser.force_login(signed_in_mara)
    visit = requests.Session()
    visit.cookies.update({settings.SESSION_COOKIE_NAME: browser.cookies[settings.SESSION_COOKIE_NAME].value})
    web = processes.web()
    text = visit.get(f"{web}/new/empty/").text
    form = dict(re.findall(r'name="(csrfmiddlewaretoken|form_id)" value="([^"]+)"', text))
    form |= {"itwin": "Harbour Bridge", "name": "Pier 7", "description": ""}
    send = partial(visit.post, f"{web}/new/empty/", data=form, headers={"Origin": settings.DASHBOARD_URL})

    disk.fill()
    shown = visit.get(f"{web}/operations/").status_code
    refused = send()
    disk.free()
    taken = send(allow_redirects=False)

    assert (shown, refused.status_code, taken.status_code) == (200, 503, 303)
    assert "Go back and send it again" in refused.text
    assert Operation.objects.get().name == "Pier 7"
