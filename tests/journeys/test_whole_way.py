"""300 MiB from a person's disk to an iModel, with everything between them failing on the way."""

import re
from urllib.parse import urlsplit

import pytest
from django.test import Client

from imodels_app.models import Operation, StagedFile, UploadedBlock
from imodels_app.states import State
from imodels_app.views import uploads
from tests.files import MIB, a_file, digest, digest_in_storage, puts
from tests.journeys.line import Line
from tests.memory import Memory
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.measure]

SIZE, BLOCKS, CUTS = 300 * MIB, 38, 5
MOST_GROWTH_MIB = 64


def test_a_large_file_survives_five_cuts_of_the_browser_and_a_killed_worker(
    open_page, processes, sandbox, bridge_team, signed_in_mara, tmp_path, troubles, record_property
):
    troubles.expect(r"net::ERR_|Failed to load resource|htmx:")
    sandbox.advance_by_polls(0)
    sandbox.switch(storage_bytes_per_s=20 * MIB)
    path = tmp_path / "harbour.bim"
    data = a_file(SIZE)
    path.write_bytes(data)
    sha = digest(data)
    del data
    at = urlsplit(processes.web())
    worker = processes.desk()
    line = Line((at.hostname, at.port))
    client, tab = Client(), open_page(base_url=line.url)
    client.force_login(signed_in_mara)
    session = {"name": "desk-session", "value": client.cookies["desk-session"].value, "url": line.url}
    tab.context.add_cookies([session])
    tab.goto("/new/baseline/")
    tab.get_by_role("combobox", name="Into iTwin").fill("harb")
    tab.get_by_role("option", name=re.compile("^Harbour Bridge")).first.click()

    web, before = Memory("gunicorn"), line.sent_up
    line.cut_after(50 * MIB)
    tab.locator("#file").set_input_files(path)
    for cut in range(1, CUTS + 1):
        wait_until(lambda: line.is_cut, what=f"cut {cut}")
        tab.locator("[data-upload][data-state=cut]").wait_for()
        line.mend()
        if cut < CUTS:
            line.cut_after(50 * MIB)
    tab.locator("[data-upload][data-state=arrived]").wait_for()
    went_up = line.sent_up - before
    first = Memory("celery")
    tab.get_by_role("button", name="Create iModel").click()
    tab.wait_for_url("**/operations/*/")
    operation = Operation.objects.get()
    wait_until(lambda: UploadedBlock.objects.count() >= BLOCKS / 2, what="half of the blocks")
    grown = {"web": web.grown_mib(), "worker": first.grown_mib()}
    processes.kill(worker)
    processes.worker()
    second = Memory("celery")

    def there() -> bool:
        operation.refresh_from_db()
        return operation.state == State.SUCCEEDED

    wait_until(there, what="the iModel")
    grown["next worker"] = second.grown_mib()
    blocks = len(puts(sandbox, "block"))
    figures = ", ".join(f"{who} +{mib:.0f} MiB" for who, mib in grown.items())
    twice = (went_up - SIZE) / MIB
    record_property(
        "figure", f"300 MiB, five cuts and a kill: {figures}; {twice:.0f} MiB went up again, {blocks} blocks"
    )
    assert digest_in_storage(sandbox, operation.imodel_id) == sha
    assert went_up < SIZE + CUTS * uploads.PIECE
    assert blocks <= BLOCKS + 3
    assert max(grown.values()) < MOST_GROWTH_MIB
    tab.locator("#badge", has_text="Succeeded").wait_for()
    wait_until(lambda: not StagedFile.objects.exists(), what="that the bytes are forgotten")
    line.close()
