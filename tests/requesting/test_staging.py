"""Baseline files in their folder: what is counted is on disk, what nobody needs goes, and nothing else does."""

import os
import threading
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from imodels_app import lifecycle
from imodels_app.models import Operation, StagedFile
from imodels_app.requesting import staging
from imodels_app.states import Kind, State

pytestmark = pytest.mark.django_db

BYTES = staging.HEADER + os.urandom(84)


@pytest.fixture(autouse=True)
def _folder(tmp_path, settings):
    settings.STAGING_DIR = tmp_path / "staging"


@pytest.fixture
def harbour(mara):
    """A file of which nothing has come yet."""
    return staging.announce(name="harbour.bim", size=len(BYTES), owner=mara)


def long_ago(staged: StagedFile) -> None:
    StagedFile.objects.filter(pk=staged.pk).update(touched_at=staged.touched_at - timedelta(hours=25))


def used_by_operation(staged: StagedFile, spec_for) -> Operation:
    spec = spec_for(Kind.BASELINE, file_name=staged.name, file_size=staged.size)
    return lifecycle.request(spec, by=staged.owner, staged_file=staged)


def ended(operation: Operation, state: State, *, hours_ago: int) -> None:
    at = operation.created_at - timedelta(hours=hours_ago)
    Operation.objects.filter(pk=operation.pk).update(state=state, finished_at=at)


def test_bytes_that_come_in_order_make_the_file(harbour):
    half = staging.append(harbour, BYTES[:50], at=0)
    whole = staging.append(harbour, BYTES[50:], at=50)

    assert (half.received, half.arrived_at) == (50, None)
    assert (whole.received, bool(whole.arrived_at)) == (100, True)
    assert staging.path_of(harbour).read_bytes() == BYTES


@pytest.mark.parametrize("at", [0, 40, 60])
def test_bytes_for_another_place_change_nothing_and_are_told_the_right_one(harbour, at):
    staging.append(harbour, BYTES[:50], at=0)

    with pytest.raises(staging.OffsetConflict) as raised:
        staging.append(harbour, b"x" * 10, at=at)

    assert raised.value.received == 50
    assert staging.path_of(harbour).read_bytes() == BYTES[:50]


def test_more_bytes_than_were_announced_are_not_taken(harbour):
    with pytest.raises(staging.OffsetConflict):
        staging.append(harbour, BYTES + b"x", at=0)

    assert staging.offset(harbour) == 0


def test_bytes_that_were_never_counted_are_overwritten(harbour):
    staging.append(harbour, BYTES[:50], at=0)
    with staging.path_of(harbour).open("ab") as torn:
        torn.write(b"written by a process that was killed")

    assert staging.offset(StagedFile.objects.get(pk=harbour.pk)) == 50
    staging.append(harbour, BYTES[50:], at=50)
    assert staging.path_of(harbour).read_bytes() == BYTES


def test_bytes_that_the_disk_lost_have_to_come_again(harbour):
    staging.append(harbour, BYTES[:50], at=0)
    os.truncate(staging.path_of(harbour), 20)

    assert staging.offset(StagedFile.objects.get(pk=harbour.pk)) == 20
    staging.append(harbour, BYTES[20:], at=20)
    assert staging.path_of(harbour).read_bytes() == BYTES


@pytest.mark.parametrize("cut", [1, 15, 16, 17, 100])
def test_an_imodel_is_known_however_its_beginning_is_cut_up(harbour, cut):
    staging.append(harbour, BYTES[:cut], at=0)
    if cut < len(BYTES):
        staging.append(harbour, BYTES[cut:], at=cut)

    assert StagedFile.objects.get().arrived_at


@pytest.mark.parametrize("begins", [b"PK\3\4", b"SQLite format 2\0", b"SQLite format 3 "])
def test_what_is_no_imodel_is_refused_with_its_first_bytes_and_forgotten(harbour, begins):
    with pytest.raises(staging.NoIModel, match="does not begin like an SQLite file"):
        staging.append(harbour, begins + bytes(10), at=0)

    assert not StagedFile.objects.exists()
    assert not staging.path_of(harbour).exists()


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        (" ", 100, "has no name"),
        ("harbour.bim", 0, "The file is empty"),
        ("harbour.bim", 3 * staging.MIB + 1, "larger than 3 MiB"),
        ("h" * 252 + ".bim", 100, "longer than 255"),
    ],
)
def test_a_file_is_refused_before_its_first_byte(mara, settings, name, size, said):
    settings.BASELINE_MAX_MIB = 3

    with pytest.raises(staging.FileRefused, match=said):
        staging.announce(name=name, size=size, owner=mara)

    assert not StagedFile.objects.exists()


def test_the_largest_file_is_taken(mara, settings):
    settings.BASELINE_MAX_MIB = 3

    assert staging.announce(name="harbour.bim", size=3 * staging.MIB, owner=mara).pk


@pytest.mark.parametrize(
    "name", ["x.imodel", "x.ibim", "x.db", "X.BIM", "x", "x.bim.bak", "Brücke 7.iModel", ".bim", "x.dgn", "x.tar.gz"]
)
def test_a_file_is_judged_by_its_bytes_whatever_it_is_called(mara, name):
    good, bad = (staging.announce(name=name, size=len(BYTES), owner=mara) for _ in range(2))

    assert staging.append(good, BYTES, at=0).arrived_at
    with pytest.raises(staging.NoIModel):
        staging.append(bad, b"PK" + BYTES[2:], at=0)


def test_a_file_that_would_fill_the_disk_is_refused(mara, settings):
    settings.STAGING_RESERVE_MIB = 1 << 40

    with pytest.raises(staging.NoSpace, match="no space"):
        staging.announce(name="harbour.bim", size=100, owner=mara)


def test_a_disk_that_is_full_all_of_a_sudden_has_no_room(harbour):
    staging.folder()
    staging.path_of(harbour).symlink_to("/dev/full")

    with pytest.raises(staging.NoSpace):
        staging.append(harbour, BYTES, at=0)

    assert StagedFile.objects.get().received == 0


def test_nobody_keeps_more_files_than_a_few(mara, tomas):
    for _ in range(staging.AT_MOST):
        staging.announce(name="harbour.bim", size=100, owner=mara)

    with pytest.raises(staging.FileRefused, match="Remove one, then choose the new one"):
        staging.announce(name="harbour.bim", size=100, owner=mara)
    assert staging.announce(name="harbour.bim", size=100, owner=tomas).pk


def test_a_file_that_came_in_one_go_is_kept_like_one_in_pieces(mara):
    staged = staging.announce(name="harbour.bim", size=len(BYTES) + 400, owner=mara)
    staging.grow(staged, BYTES, at=0)

    staged = staging.complete(staged)

    assert staged.arrived_at
    assert staging.offset(staged) == staged.size == len(BYTES)
    assert staging.path_of(staged).read_bytes() == BYTES


@pytest.mark.parametrize("wrong", [b"", b"SQLite", b"PK\3\4" * 20], ids=["empty", "short", "another"])
def test_a_file_in_one_go_that_is_no_imodel_leaves_nothing_behind(mara, wrong):
    staged = staging.announce(name="harbour.bim", size=100, owner=mara)
    staging.path_of(staged).write_bytes(wrong)

    with pytest.raises(staging.FileRefused):
        staging.complete(staged)

    assert not StagedFile.objects.exists()
    assert not staging.path_of(staged).exists()


def test_a_file_in_one_go_that_its_owner_removed_meanwhile_is_gone(mara):
    staged = staging.announce(name="harbour.bim", size=100, owner=mara)
    staging.grow(staged, BYTES, at=0)
    StagedFile.objects.all().delete()

    with pytest.raises(staging.FileGone):
        staging.complete(staged)


def test_forgetting_takes_the_bytes_and_the_operation_keeps_name_and_size(bridge_team, harbour, spec_for):
    staging.append(harbour, BYTES, at=0)
    operation = used_by_operation(harbour, spec_for)

    staging.delete(harbour)

    operation.refresh_from_db()
    assert operation.staged_file is None
    assert (operation.file_name, operation.file_size) == ("harbour.bim", 100)


class TestCleaning:
    def test_what_nobody_came_back_for_goes_after_a_day(self, harbour, mara):
        staging.append(harbour, BYTES[:50], at=0)
        young = staging.announce(name="young.bim", size=100, owner=mara)
        long_ago(harbour)

        staging.clean(young.touched_at)

        assert list(StagedFile.objects.all()) == [young]
        assert not staging.path_of(harbour).exists()

    def test_an_operation_keeps_its_file_however_long_it_waits(self, bridge_team, harbour, spec_for):
        staging.append(harbour, BYTES, at=0)
        used_by_operation(harbour, spec_for)
        long_ago(harbour)

        staging.clean(harbour.touched_at)

        assert staging.path_of(harbour).exists()

    @pytest.mark.parametrize(
        ("state", "hours_ago", "is_kept"),
        [
            (State.SUCCEEDED, 0, False),
            (State.FAILED, 23, True),
            (State.FAILED, 25, False),
            (State.CANCELLED, 23, True),
            (State.EXPIRED, 25, False),
        ],
    )
    def test_a_file_outlives_its_operation_by_a_day_unless_it_became_an_imodel(
        self, bridge_team, harbour, spec_for, state, hours_ago, is_kept
    ):
        staging.append(harbour, BYTES, at=0)
        operation = used_by_operation(harbour, spec_for)
        ended(operation, state, hours_ago=hours_ago)

        staging.clean(operation.created_at)

        assert staging.path_of(harbour).exists() is is_kept
        assert StagedFile.objects.exists() is is_kept

    def test_bytes_without_a_row_go_and_strangers_files_stay(self, harbour):
        staging.append(harbour, BYTES, at=0)
        orphan, stranger, growing, old = (
            staging.folder() / name for name in (str(uuid4()), "readme.txt", "growing.part", "old.part")
        )
        for path in (orphan, stranger, growing, old):
            path.write_bytes(b"x")
        day_before_yesterday = harbour.touched_at.timestamp() - 2 * 86400
        os.utime(old, (day_before_yesterday, day_before_yesterday))

        staging.clean(harbour.touched_at)

        assert set(staging.folder().iterdir()) == {staging.path_of(harbour), stranger, growing}

    @pytest.mark.django_db(transaction=True)
    def test_a_piece_that_comes_while_we_clean_is_never_lost(self, mara):
        """Either the piece is counted and the file stays, or the file is gone and the piece is told so."""
        for _ in range(20):
            staged = staging.announce(name="harbour.bim", size=len(BYTES), owner=mara)
            staging.append(staged, BYTES[:50], at=0)
            long_ago(staged)
            raised: list[str] = []
            piece = threading.Thread(target=bring, args=(staged, raised))
            piece.start()
            staging.clean(staged.touched_at)
            piece.join()

            there = StagedFile.objects.filter(pk=staged.pk).first()
            assert raised == (["counted"] if there else ["gone"])
            assert staging.path_of(staged).exists() is bool(there)
            if there:
                assert staging.path_of(staged).read_bytes() == BYTES
                staging.delete(there)


@pytest.mark.django_db(transaction=True)
def test_of_two_pieces_for_one_place_exactly_one_is_counted(harbour):
    others = staging.HEADER + os.urandom(84)
    raised: list[str] = []
    pieces = [threading.Thread(target=bring, args=(harbour, raised, data, 0)) for data in (BYTES, others)]

    for piece in pieces:
        piece.start()
    for piece in pieces:
        piece.join()

    assert sorted(raised) == ["counted", "overtaken"]
    assert staging.path_of(harbour).read_bytes() in (BYTES, others)


def bring(staged: StagedFile, raised: list[str], data: bytes = BYTES[50:], at: int = 50) -> None:
    from django.db import connection

    try:
        staging.append(staged, data, at=at)
        raised.append("counted")
    except staging.FileGone:
        raised.append("gone")
    except staging.OffsetConflict:
        raised.append("overtaken")
    finally:
        connection.close()


def test_the_folder_is_for_us_alone(harbour):
    staging.append(harbour, BYTES, at=0)

    assert Path(staging.folder()).stat().st_mode & 0o777 == 0o700
    assert staging.path_of(harbour).stat().st_mode & 0o777 == 0o600


def test_one_persons_files_have_so_many_bytes_together_as_announced(mara, otto, settings):
    settings.STAGING_PERSON_MIB = 3
    staging.announce(name="harbour.bim", size=2 * staging.MIB, owner=mara)

    with pytest.raises(staging.FileRefused, match="may have 3 MiB here, and yours have 2 MiB"):
        staging.announce(name="quay.bim", size=staging.MIB + 1, owner=mara)

    assert staging.announce(name="quay.bim", size=staging.MIB, owner=mara).pk
    assert staging.announce(name="quay.bim", size=3 * staging.MIB, owner=otto).pk
