"""What an upload costs: 300 MiB in blocks and 10 MiB in one piece, byte for byte, in little memory."""

import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from imodels_app.states import State
from tests.conftest import wait_until
from tests.files import MIB, a_file, puts

pytestmark = [pytest.mark.soak, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("signed_in_mara")]
MOST_GROWTH_MIB = 64


class Memory:
    """The resident memory of a process and its kin, looked at ten times a second."""

    def __init__(self, pid: int) -> None:
        self._group, self._ended = pid, threading.Event()
        self.at_first_mib = self.peak_mib = self._now_mib()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def grown_mib(self) -> float:
        self._ended.set()
        self._thread.join()
        return self.peak_mib - self.at_first_mib

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            self.peak_mib = max(self.peak_mib, self._now_mib())

    def _now_mib(self) -> float:
        return sum(_rss_mib(int(entry.name)) for entry in Path("/proc").iterdir() if self._is_ours(entry))

    def _is_ours(self, entry: Path) -> bool:
        try:
            return entry.name.isdigit() and os.getpgid(int(entry.name)) == self._group
        except ProcessLookupError:
            return False


def _rss_mib(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def _digest_in_storage(sandbox, imodel_id: str) -> str:
    found = hashlib.sha256()
    for piece in sandbox.platform.blobs.read(f"baselines/{imodel_id}/{imodel_id}.bim"):
        found.update(piece)
    return found.hexdigest()


@pytest.mark.parametrize(("size", "blocks"), [(10 * MIB, 0), (300 * MIB, 38)], ids=["10 MiB", "300 MiB"])
def test_a_file_arrives_byte_for_byte_though_its_worker_is_killed_and_takes_little_memory(
    processes, baseline_of, sandbox, size, blocks, capsys
):
    sandbox.advance_by_looks(0)
    sandbox.switch(storage_bytes_per_s=8 * MIB if not blocks else 20 * MIB)
    worker = processes.desk()
    first, began = Memory(worker.pid), time.monotonic()
    operation = baseline_of(a_file(size))

    def half_way() -> bool:
        operation.refresh_from_db()
        received = (puts(sandbox)[0].received or 0) if not blocks and puts(sandbox) else 0
        return operation.blocks.count() >= blocks / 2 if blocks else received > size / 2

    wait_until(half_way, within_s=120, what="half of it")
    grown = [first.grown_mib()]
    processes.kill(worker)
    second = Memory(processes.worker().pid)

    def there() -> bool:
        operation.refresh_from_db()
        return operation.state == State.SUCCEEDED

    wait_until(there, within_s=240, what="the iModel")
    grown.append(second.grown_mib())
    took_s, sent_blocks = time.monotonic() - began, len(puts(sandbox, "block"))
    with capsys.disabled():
        print(f"\n{size // MIB} MiB: {took_s:.0f} s with a kill, memory grew by {grown[0]:.0f} and {grown[1]:.0f} MiB,")
        print(f"  {sent_blocks} blocks were sent for {blocks}, {len(puts(sandbox))} whole files")
    assert "sha256 " + _digest_in_storage(sandbox, operation.imodel_id) == operation.description
    assert max(grown) < MOST_GROWTH_MIB
    assert sent_blocks <= blocks + 3
