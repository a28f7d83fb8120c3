"""A file to the platform's storage, by its upload link: in one piece, or in blocks.

1. Whoever calls holds the lease of the upload, and every second says that it lives. Whoever lost the lease, because it
   slept, finds a newer version of the Upload row (lifecycle.Conflict) and writes nothing any more.
2. A small file is one PUT. A large one is blocks: each is a row once the storage has acknowledged it, so after a kill
   only those in flight are sent again. Both read the file piece by piece.
3. Threads send, and touch no database. The main thread waits for them, keeps the lease and counts.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial
from pathlib import Path
from time import monotonic
from typing import BinaryIO

from django.conf import settings

from imodels_app import lifecycle
from imodels_app.itwin.storage import Storage, check_destination
from imodels_app.itwin.types import UploadLink
from imodels_app.limits import circuit_breaker
from imodels_app.models import Operation
from imodels_app.runtime import failpoints

MOST_BLOCKS = 50_000
BLOCKS_AT_ONCE = 3
RENEW_LEASE_EVERY_S = 1.0
# Then others' files have their turn, and a worker that is to end can.
SLICE_S = 60.0


class LeaseLost(Exception):
    """The lease is somebody else's; a thread that still sends stops."""


def send(operation: Operation, link: UploadLink, path: Path, ending: Callable[[], bool]) -> bool:
    """Send all of it, or blocks for a minute; whether the storage has acknowledged the whole file now.

    ending  whether this process is asked to stop: no further block is begun then

    Raises errors.LinkRefused, Unavailable and Refused (of the storage), and lifecycle.Conflict (the lease is lost).
    """
    check_destination(link, settings.ITWIN_API_URL, private_hosts=settings.PRIVATE_HOSTS)
    with closing(Storage(link, private_hosts=settings.PRIVATE_HOSTS)) as storage:
        return _send_bytes(operation, storage, path, ending)


def _send_bytes(operation: Operation, storage: Storage, path: Path, ending: Callable[[], bool]) -> bool:
    """In one piece or in blocks; whether the storage has all of it now."""
    if not storage.takes_blocks or (operation.file_size or 0) <= settings.UPLOAD_SINGLE_PUT:
        _send_whole(operation, storage, path)
        return True
    if not _send_blocks(operation, storage, path, ending):
        return False
    _run_with_lease(operation, partial(storage.commit, block_count(operation)))
    return True


def _send_whole(operation: Operation, storage: Storage, path: Path) -> None:
    with path.open("rb") as file:
        source = _Counted(file, size=operation.file_size or 0)
        _run_with_lease(operation, partial(storage.put, source), source)


def _run_with_lease(operation: Operation, call: Callable[[], None], source: "_Counted | None" = None) -> None:
    """One call to the storage, in a thread, while this one keeps the lease and tells how far it is.

    Whatever ends the wait (a lost lease, a time limit) ends the thread: what it reads from breaks.
    """
    with ThreadPoolExecutor(1, "storage") as crew:
        future = crew.submit(call)
        try:
            while not wait([future], timeout=RENEW_LEASE_EVERY_S).done:
                lifecycle.renew_upload_lease(
                    operation, sent_bytes=source.passed if source else operation.upload.sent_bytes
                )
        except BaseException:
            if source:
                source.stop()
            raise
        future.result()


def _send_blocks(operation: Operation, storage: Storage, path: Path, ending: Callable[[], bool]) -> bool:
    """Send the blocks that are missing, some at a time, for a while; whether all are there now.

    What was in flight when one block failed is still waited for and counted: it need not be sent again.
    """
    blocks = _Blocks(operation)
    missing_before = len(blocks.missing)
    storage.open()
    slice_ends = monotonic() + SLICE_S
    with path.open("rb") as file, ThreadPoolExecutor(BLOCKS_AT_ONCE, "block") as crew:
        while blocks.missing or blocks.in_flight:
            if not (blocks.failure or ending() or monotonic() > slice_ends):
                blocks.begin(crew, partial(_send_block, storage, file))
            elif not blocks.in_flight:
                break
            blocks.collect()
    if blocks.failure:
        if len(blocks.missing) < missing_before:
            circuit_breaker.record_success(circuit_breaker.STORAGE)  # it does answer, now and then
        raise blocks.failure
    return not blocks.missing


def _send_block(storage: Storage, file: BinaryIO, number: int, size: int) -> None:
    storage.put_block(number, os.pread(file.fileno(), size, number * size))


class _Blocks:
    """Which blocks of a file are missing and in flight; those that the storage has acknowledged are rows."""

    def __init__(self, operation: Operation) -> None:
        self._operation, self._size = operation, operation.file_size or 0
        self._block_size = block_size(self._size)
        there = set(operation.upload.blocks.values_list("number", flat=True))
        self._sent_bytes = sum(map(self._length, there))
        self.missing = deque(number for number in range(block_count(operation)) if number not in there)
        self.in_flight: dict[Future[None], int] = {}
        self.failure: BaseException | None = None

    def begin(self, crew: ThreadPoolExecutor, send: Callable[[int, int], None]) -> None:
        """As many as may be in flight. send: takes a block's number, and the size of each."""
        while self.missing and len(self.in_flight) < BLOCKS_AT_ONCE:
            number = self.missing.popleft()
            self.in_flight[crew.submit(send, number, self._block_size)] = number

    def collect(self) -> None:
        """Wait for an answer, but no longer than the lease may be left alone, and write down what has arrived."""
        landed, _ = wait(self.in_flight, timeout=RENEW_LEASE_EVERY_S, return_when=FIRST_COMPLETED)
        for future in landed:
            self._landed(self.in_flight.pop(future), future.exception())
        if not landed:
            lifecycle.renew_upload_lease(self._operation, sent_bytes=self._sent_bytes)

    def _landed(self, number: int, failure: BaseException | None) -> None:
        if failure:
            self.failure = self.failure or failure
            return
        failpoints.reach("upload.block_sent")
        self._sent_bytes += self._length(number)
        lifecycle.renew_upload_lease(self._operation, sent_bytes=self._sent_bytes, block=number)

    def _length(self, number: int) -> int:
        return min(self._block_size, self._size - number * self._block_size)


def block_size(size: int) -> int:
    """Bytes of each block but the last: more than usual when 50 000 of the usual ones would not do."""
    return max(settings.UPLOAD_BLOCK, -(-size // MOST_BLOCKS))


def block_count(operation: Operation) -> int:
    size = operation.file_size or 0
    return -(-size // block_size(size))


class _Counted:
    """A file whose reader counts, and can be stopped from another thread."""

    def __init__(self, file: BinaryIO, *, size: int) -> None:
        self._file, self._size, self._stop = file, size, threading.Event()
        self.passed = 0
        self.stop = self._stop.set

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1, /) -> bytes:
        if self._stop.is_set():
            raise LeaseLost
        piece = self._file.read(size)
        self.passed += len(piece)
        return piece
