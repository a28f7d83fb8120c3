"""What an upload costs: 300 MiB in blocks and 10 MiB in one piece, byte for byte, in little memory."""

import time

import pytest

from imodels_app.models import UploadedBlock
from imodels_app.states import State
from tests.files import MIB, a_file, digest_in_storage, puts
from tests.memory import Memory
from tests.waiting import wait_until

pytestmark = [pytest.mark.measure, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("signed_in_mara")]
MOST_GROWTH_MIB = 64


@pytest.mark.parametrize(("size", "blocks"), [(10 * MIB, 0), (300 * MIB, 38)], ids=["10 MiB", "300 MiB"])
def test_a_file_arrives_byte_for_byte_though_its_worker_is_killed_and_takes_little_memory(
    processes, baseline_of, sandbox, size, blocks, record_property
):
    sandbox.advance_by_polls(0)
    sandbox.switch(storage_bytes_per_s=8 * MIB if not blocks else 20 * MIB)
    worker = processes.desk()
    first, began = Memory("celery"), time.monotonic()
    operation = baseline_of(a_file(size))

    def half_way() -> bool:
        operation.refresh_from_db()
        received = (puts(sandbox)[0].received or 0) if not blocks and puts(sandbox) else 0
        return UploadedBlock.objects.count() >= blocks / 2 if blocks else received > size / 2

    wait_until(half_way, what="half of it")
    grown = [first.grown_mib()]
    processes.kill(worker)
    processes.worker()
    second = Memory("celery")

    def there() -> bool:
        operation.refresh_from_db()
        return operation.state == State.SUCCEEDED

    wait_until(there, what="the iModel")
    grown.append(second.grown_mib())
    took_s, sent_blocks = time.monotonic() - began, len(puts(sandbox, "block"))
    record_property(
        "figure",
        f"{size // MIB} MiB: {took_s:.0f} s with a kill, workers +{grown[0]:.0f} and +{grown[1]:.0f} MiB, "
        f"{sent_blocks} blocks sent for {blocks}, {len(puts(sandbox))} whole files",
    )
    assert digest_in_storage(sandbox, operation.imodel_id) == operation.description
    assert max(grown) < MOST_GROWTH_MIB
    assert sent_blocks <= blocks + 3
