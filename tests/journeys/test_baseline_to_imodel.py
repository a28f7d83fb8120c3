"""A baseline file from a person's disk to an iModel: browser, desk, storage and platform, with real workers."""

import re

import pytest
from django.test import Client

from imodels_app.models import Operation
from imodels_app.states import State
from tests.files import MIB, a_file, blocks, in_storage
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_file_becomes_an_imodel_and_its_way_can_be_watched(
    open_page, live_server, processes, sandbox, bridge_team, signed_in_mara, tmp_path, axe, troubles
):
    troubles.expect(r"htmx:(sendAbort|afterRequest)")  # who leaves the form calls off what it was asking
    sandbox.advance_by_polls(1)
    held = sandbox.fault("PUT", r"^/storage/", query=blocks(range(8, 16)), times=16, held=True)
    processes.env["DJANGO_SETTINGS_MODULE"] = "tests.upload_settings"
    processes.desk()
    data = a_file(MIB)
    (tmp_path / "quay.bim").write_bytes(data)
    client, tab = Client(), open_page()
    client.force_login(signed_in_mara)
    session = {"name": "desk-session", "value": client.cookies["desk-session"].value, "url": live_server.url}
    tab.context.add_cookies([session])
    tab.goto("/new/baseline/")

    tab.get_by_role("combobox", name="Into iTwin").fill("harb")
    tab.get_by_role("option", name=re.compile("^Harbour Bridge")).first.click()
    tab.locator("#file").set_input_files(tmp_path / "quay.bim")
    tab.locator("[data-upload][data-state=arrived]").wait_for()
    tab.get_by_role("button", name="Create iModel").click()

    tab.wait_for_url("**/operations/*/")
    tab.get_by_text("The file is being uploaded to the platform").wait_for()
    tab.get_by_text(re.compile(r"^[\d.]+ [KM]iB of 1 MiB$")).wait_for()
    axe(tab)
    held.release()
    tab.locator("#badge", has_text="Succeeded").wait_for()
    operation = Operation.objects.get()
    assert operation.state == State.SUCCEEDED
    assert in_storage(sandbox, operation.imodel_id) == data
    wait_until(lambda: Operation.objects.get().staged_file_id is None, what="that the bytes are forgotten")
