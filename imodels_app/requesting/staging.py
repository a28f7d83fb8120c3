"""Baseline files between a browser and the platform: rows of StagedFile, and their bytes in STAGING_DIR.

The rule that makes an upload survive whatever is killed: a piece is written at its place and synced, and only then
counted in the row. So the row never says more than the disk has, and bytes past its count mean nothing: the next
piece overwrites them. All of it happens under a lock of the row that is never held while the network is waited for:
of two requests that bring the same place one is counted, and the other is told where the file really stands.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from mmap import mmap
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Sum

from imodels_app.display import formats
from imodels_app.models import STAGED_FOR, StagedFile, User
from imodels_app.runtime import clock, foreign_text
from imodels_app.runtime.loops import for_each

MIB = 1024 * 1024
# What every SQLite file begins with, and so every iModel.
HEADER = b"SQLite format 3\0"
# A person's files that no operation uses, at most.
AT_MOST = 5
# Said here, and by the browser before the first byte leaves.
EMPTY = "The file is empty. Choose another one."
NO_IMODEL = "This is not an iModel: it does not begin like an SQLite file. Choose another file."
# Files that are on their way in older versions have names that end so.
PART = ".part"


class FileRefused(Exception):
    """This file is not taken. Its text can be shown."""


class NoIModel(FileRefused):
    """Its bytes are something else."""

    def __init__(self) -> None:
        super().__init__(NO_IMODEL)


class TooLarge(FileRefused):
    """Larger than files may be here."""


class NoSpace(FileRefused):
    """The disk has no room, now."""

    def __init__(self) -> None:
        super().__init__("There is no space for this file at the moment. Try later, or tell your administrator.")


class InUse(FileRefused):
    """An operation needs it."""


class OffsetConflict(Exception):
    """The file stands somewhere else than where the bytes belong. received: there."""

    def __init__(self, received: int) -> None:
        super().__init__(f"{received} bytes are here.")
        self.received = received


class FileGone(Exception):
    """The file was removed, or nobody came for too long."""


def path_of(staged: StagedFile) -> Path:
    """Where the bytes are; there may be none yet."""
    return Path(settings.STAGING_DIR) / str(staged.pk)


def is_whole(staged: StagedFile | None, size: int | None) -> bool:
    """Whether all bytes of a file are here, as many as the platform was told."""
    try:
        return staged is not None and path_of(staged).stat().st_size == size
    except FileNotFoundError:
        return False


def free_files(owner: User) -> list[StagedFile]:
    """The person's files that an operation may be made of, arrived or on their way, newest first."""
    mine = StagedFile.objects.free().filter(owner=owner)
    return list(mine.select_related("operation").order_by("-touched_at"))


def why_no_more(owner: User, size: int = 1) -> str:
    """Why another file of this size is not taken of this person; empty when it is. Said before they send one."""
    if StagedFile.objects.free().filter(owner=owner).count() >= AT_MOST:
        return (
            f"{AT_MOST} files of yours are already here, and there can be no more. Remove one, then choose the new one."
        )
    # As announced, arrived or not: else many could begin at once, and the disk would end them all.
    taken = StagedFile.objects.filter(owner=owner).aggregate(sum=Sum("size"))["sum"] or 0
    most = settings.STAGING_PERSON_MIB * MIB
    if taken + size <= most:
        return ""
    return (
        f"One person’s files may have {formats.file_size(most)} here, and yours have {formats.file_size(taken)}. "
        "Remove one, or wait until its iModel is made."
    )


def free_file(staged_file_id: str, *, owner: User) -> StagedFile:
    """One of these. Raises FileGone."""
    try:
        return StagedFile.objects.free().get(owner=owner, pk=UUID(staged_file_id))
    except (ValueError, StagedFile.DoesNotExist) as unknown:
        raise FileGone from unknown


def announce(*, name: str, size: int, owner: User) -> StagedFile:
    """A file of this size is about to come, in pieces. Raises Refused."""
    name = foreign_text.cleaned(name, most=1000)
    check(name=name, size=size)
    check_space(size)
    with transaction.atomic():
        # The person's row is the lock under which their files are counted.
        User.objects.select_for_update().get(pk=owner.pk)
        if full := why_no_more(owner, size):
            raise FileRefused(full)
        now = clock.now()
        return StagedFile.objects.create(owner=owner, name=name, size=size, created_at=now, touched_at=now)


def check(*, name: str, size: int) -> None:
    """What can be said of a file before its first byte. Raises Refused."""
    if not name.strip():
        raise FileRefused("The file has no name. Rename it, and choose it again.")
    if len(name) > 255:
        raise FileRefused("The file’s name is longer than 255 characters. Shorten it.")
    if size <= 0:
        raise FileRefused(EMPTY)
    if size > most_bytes():
        raise TooLarge(too_large())


def most_bytes() -> int:
    """What a file may have."""
    return int(settings.BASELINE_MAX_MIB) * MIB


def too_large() -> str:
    return f"The file is larger than {formats.file_size(most_bytes())}, the limit here."


def offset(staged: StagedFile) -> int:
    """Bytes that are safe on disk: what was counted, and less if somebody took bytes away."""
    try:
        return min(staged.received, path_of(staged).stat().st_size)
    except FileNotFoundError:
        return 0


def append(staged: StagedFile, piece: bytes | bytearray | mmap, *, at: int) -> StagedFile:
    """Add bytes that belong at this place, and count them once they are safe. With the last ones it has arrived.

    Raises Overtaken, Gone, NoSpace (what is here stays), and NoIModel, with which it is forgotten.
    """
    try:
        with transaction.atomic():
            row = StagedFile.objects.select_for_update().filter(pk=staged.pk).first()
            if row is None:
                raise FileGone
            safe = offset(row)
            if at != safe or at + len(piece) > row.size:
                raise OffsetConflict(safe)
            if not _may_be_imodel(piece, at) or row.size < len(HEADER):
                raise NoIModel
            with _free_space():
                _write(path_of(row), piece, at=at)
            row.received, row.touched_at = at + len(piece), clock.now()
            row.arrived_at = row.touched_at if row.received == row.size else None
            row.save(update_fields=["received", "touched_at", "arrived_at"])
    except NoIModel:
        delete(staged)
        raise
    return row


def remove(staged: StagedFile) -> None:
    """Forget a file because its owner says so. Raises InUse."""
    with transaction.atomic():
        StagedFile.objects.select_for_update().filter(pk=staged.pk).first()
        if StagedFile.objects.filter(pk=staged.pk).exclude(pk__in=StagedFile.objects.free()).exists():
            raise InUse(f"{staged.name} is on its way into an iModel. Cancel that operation first.")
        delete(staged)


def delete(staged: StagedFile) -> None:
    """Delete row and bytes. An operation that had it keeps its name and size."""
    StagedFile.objects.filter(pk=staged.pk).delete()
    # Bytes that cannot be deleted now belong to no row any more: clean() tries again.
    transaction.on_commit(partial(path_of(staged).unlink, missing_ok=True), robust=True)


def delete_unneeded(pk: UUID, now: datetime) -> None:
    """Forget a file if nobody needs it any more."""
    with transaction.atomic():
        # First the lock, then the question again: a piece, or an operation, may have come meanwhile.
        StagedFile.objects.select_for_update().filter(pk=pk).first()
        staged = StagedFile.objects.stale(now).filter(pk=pk).first()
        if staged:
            delete(staged)


def clean(now: datetime) -> None:
    """Forget what nobody came back for, and bytes that belong to no row."""
    unneeded = list(StagedFile.objects.stale(now).values_list("pk", flat=True))
    for_each(unneeded, partial(delete_unneeded, now=now))
    _clean_folder(now)


def check_space(size: int) -> None:
    """Whether these bytes fit, with a reserve for all else that needs the disk. Raises NoSpace."""
    if shutil.disk_usage(folder()).free - settings.STAGING_RESERVE_MIB * MIB < size:
        raise NoSpace


def folder() -> Path:
    """STAGING_DIR, made when it is first needed."""
    at = Path(settings.STAGING_DIR)
    at.mkdir(mode=0o700, parents=True, exist_ok=True)
    return at


def grow(staged: StagedFile, chunk: bytes, *, at: int) -> None:
    """Add bytes of a file that comes in one go. Raises Refused as soon as they are too many, or no iModel."""
    if at + len(chunk) > most_bytes():
        raise TooLarge(too_large())
    if not _may_be_imodel(chunk, at):
        raise NoIModel
    check_space(len(chunk))
    with _free_space(), path_of(staged).open("ab") as file:
        file.write(chunk)


def complete(staged: StagedFile) -> StagedFile:
    """All of a file that came in one go is here. Raises FileGone, and Refused, with which it is forgotten."""
    try:
        with path_of(staged).open("ab+") as file:
            size = file.tell()
            check(name=staged.name, size=size)
            file.seek(0)
            if file.read(len(HEADER)) != HEADER:
                raise NoIModel
            os.fsync(file.fileno())
    except FileRefused:
        drop(staged)
        raise
    _sync_folder()
    now = clock.now()
    whole = {"size": size, "received": size, "touched_at": now, "arrived_at": now}
    if not StagedFile.objects.filter(pk=staged.pk).update(**whole):
        raise FileGone
    staged.refresh_from_db()
    return staged


def drop(staged: StagedFile) -> None:
    """Forget a file that came in one go, or was cut, and that nobody has taken yet."""
    path_of(staged).unlink(missing_ok=True)
    delete(staged)


@contextmanager
def _free_space() -> Iterator[None]:
    """A disk that is full though there was room a moment ago, or a quota that is used up, is no space too."""
    try:
        yield
    except OSError as full:
        if full.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace from full
        raise


def _may_be_imodel(chunk: bytes | bytearray | mmap, at: int) -> bool:
    """Whether these bytes fit what an iModel has at this place, however the beginning is cut up."""
    wanted = HEADER[at : at + len(chunk)]
    return chunk[: len(wanted)] == wanted


def _write(path: Path, piece: bytes | bytearray | mmap, *, at: int) -> None:
    """Put the bytes at their place, and return when they would survive a power cut."""
    is_new = at == 0 and not path.exists()
    left = memoryview(piece)
    file = os.open(path, os.O_WRONLY | (os.O_CREAT if at == 0 else 0), 0o600)
    try:
        while left:
            left = left[os.pwrite(file, left, at + len(piece) - len(left)) :]
        os.fsync(file)
    finally:
        os.close(file)
    if is_new:
        _sync_folder()


def _sync_folder() -> None:
    """A new name in a folder survives a power cut only when the folder is synced, too."""
    names = os.open(folder(), os.O_RDONLY)
    try:
        os.fsync(names)
    finally:
        os.close(names)


def _clean_folder(now: datetime) -> None:
    """Delete bytes without a row. A row is there before its bytes, so who looks at the folder first misses none."""
    there = list(folder().iterdir())
    known = {str(pk) for pk in StagedFile.objects.values_list("pk", flat=True)}
    for_each(there, partial(_delete_orphaned, known=known, now=now))


def _delete_orphaned(path: Path, *, known: set[str], now: datetime) -> None:
    if _is_orphaned(path, known, now):
        path.unlink(missing_ok=True)


def _is_orphaned(path: Path, known: set[str], now: datetime) -> bool:
    """Files that are not named as ours are left alone."""
    try:
        if path.suffix == PART:
            # By this machine's clock, which only has to be right within a day.
            return datetime.fromtimestamp(path.stat().st_mtime, UTC) < now - STAGED_FOR
        return str(UUID(path.name)) == path.name and path.name not in known
    except (ValueError, FileNotFoundError):
        return False
