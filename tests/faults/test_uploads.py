"""Lines 30 to 34 of docs/reliability.md: a baseline file on its way to the platform's storage, and after it."""

import os
import signal
from collections import Counter
from contextlib import contextmanager
from urllib.parse import parse_qs

import pytest
from celery import current_app
from django.conf import settings
from django.db import connection
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.models import Operation, StagedFile, UploadedBlock
from imodels_app.requesting import staging
from imodels_app.states import Kind, State, WaitReason
from imodels_app.workers.poll import poll
from imodels_app.workers.submit import submit
from imodels_app.workers.transfer import BLOCKS_AT_ONCE
from imodels_app.workers.upload import upload
from tests.files import KIB, a_file, blocks, in_storage, puts
from tests.waiting import PATIENCE_S, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("signed_in_mara")]

WHOLE, BLOCKS = 200 * KIB, 1280 * KIB
BLOCK_COUNT = 20
SHARES = pytest.mark.parametrize("percent", [10, 50, 99])
# Each with a worker of its own takes long.
DEATHS = pytest.mark.parametrize(
    "percent", [pytest.param(10, marks=pytest.mark.soak), 50, pytest.param(99, marks=pytest.mark.soak)]
)


@pytest.fixture(autouse=True)
def small_blocks(settings):
    from tests import upload_settings

    settings.UPLOAD_SINGLE_PUT, settings.UPLOAD_BLOCK = upload_settings.UPLOAD_SINGLE_PUT, upload_settings.UPLOAD_BLOCK


@pytest.fixture
def desk(processes, sandbox):
    """A worker and a beat at work, for whom small files are large; an operation ends at the first look."""
    sandbox.advance_by_polls(0)
    processes.env["DJANGO_SETTINGS_MODULE"] = "tests.upload_settings"
    processes.worker_at_work = processes.desk()
    return processes


@pytest.fixture
def uploading(baseline_of, sandbox):
    """uploading(bytes): the platform has made the orphaned iModel; nobody has sent a byte."""

    def make(data: bytes):
        sandbox.advance_by_polls(0)
        operation = baseline_of(data)
        submit(operation.pk)
        operation.refresh_from_db()
        assert operation.state == State.UPLOADING
        return operation

    return make


@pytest.fixture
def page_of(client, mara):
    """What the requester reads about an operation."""

    def read(operation) -> str:
        client.force_login(mara)
        return client.get(reverse("imodels:operation-detail", args=[operation.pk])).text

    return read


def sent_again(sandbox) -> int:
    """How many blocks came more than once."""
    came = Counter(parse_qs(entry.query)["blockid"][0] for entry in puts(sandbox, "block"))
    return sum(count > 1 for count in came.values())


def in_flight(number: int) -> int:
    """How many blocks are on their way when so many have been acknowledged."""
    return min(BLOCKS_AT_ONCE, BLOCK_COUNT - number)


@pytest.fixture
def sent_up_to(baseline_of, sandbox):
    """sent_up_to(10): ten blocks of a file are acknowledged, the next ones held; the operation, and what holds them."""

    def make(number: int):
        later = blocks(range(number, BLOCK_COUNT))
        held = sandbox.fault("PUT", r"^/storage/", query=later, times=BLOCK_COUNT, held=True)
        operation = baseline_of(a_file(BLOCKS))
        wait_until(lambda: UploadedBlock.objects.count() == number and len(held.holding) == in_flight(number))
        return operation, held

    return make


# 30: cut


@SHARES
def test_30_a_file_in_one_piece_that_is_cut_is_sent_again(uploading, sandbox, goes_by, tick, page_of, percent):
    data = a_file(WHOLE)
    sandbox.fault("PUT", r"^/storage/", cut_after=WHOLE * percent // 100)
    operation = uploading(data)

    upload(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, operation.wait_reason) == (State.UPLOADING, WaitReason.STORAGE_DOWN)
    assert "The upload stopped. The connection to the platform’s storage was cut" in page_of(operation)
    for _ in range(3):
        goes_by(5)
        tick()

    operation.refresh_from_db()
    assert operation.state == State.SUCCEEDED
    cut, whole = puts(sandbox)
    assert (cut.received, whole.received) == (WHOLE * percent // 100, WHOLE)


@SHARES
def test_30_blocks_that_are_cut_are_sent_again_and_no_others(uploading, sandbox, percent):
    data = a_file(BLOCKS)
    operation = uploading(data)
    sandbox.fault("PUT", r"^/storage/", query=blocks([BLOCK_COUNT * percent // 100]), cut_after=32 * KIB)

    upload(operation.pk)

    operation.refresh_from_db()
    assert operation.state == State.RUNNING
    assert in_storage(sandbox, operation.imodel_id) == data
    assert len(puts(sandbox, "block")) == BLOCK_COUNT + 1


@DEATHS
def test_30_an_uploader_killed_on_the_way_leaves_only_what_was_in_flight(
    desk, sent_up_to, sandbox, reached, time_passes, percent
):
    number = BLOCK_COUNT * percent // 100
    operation, held = sent_up_to(number)

    desk.arm("upload.block_sent", "kill")
    held.release()
    desk.struck("upload.block_sent")
    time_passes(25)

    reached(operation, State.SUCCEEDED)
    assert sent_again(sandbox) == in_flight(number)
    assert len(puts(sandbox, "block")) == BLOCK_COUNT + in_flight(number)


@pytest.mark.soak
def test_30_a_worker_killed_while_one_piece_goes_up_sends_it_again(desk, baseline_of, sandbox, reached, time_passes):
    held = sandbox.fault("PUT", r"^/storage/", cut_after=WHOLE // 4, held=True)
    operation = baseline_of(a_file(WHOLE))
    wait_until(lambda: held.holding, what="a quarter of it")

    desk.kill(desk.worker_at_work)
    time_passes(25)
    desk.worker()

    reached(operation, State.SUCCEEDED)
    assert len(puts(sandbox)) == 2


@pytest.mark.soak
def test_30_killed_after_the_storage_has_it_all_nothing_is_sent_again(desk, baseline_of, sandbox, reached, time_passes):
    desk.arm("upload.sent", "kill")
    operation = baseline_of(a_file(BLOCKS))

    desk.struck("upload.sent")
    time_passes(25)

    reached(operation, State.SUCCEEDED)
    assert len(puts(sandbox, "block")) == BLOCK_COUNT
    assert len(puts(sandbox, "blocklist")) == 2


def test_30_an_uploader_stopped_beyond_its_lease_writes_nothing_when_it_goes_on(
    desk, baseline_of, sandbox, reached, time_passes
):
    desk.arm("upload.block_sent", "stop")
    operation = baseline_of(a_file(BLOCKS))
    sleeper = desk.struck("upload.block_sent")

    time_passes(25)
    reached(operation, State.SUCCEEDED)
    versions = operation.version, operation.upload.version
    os.kill(sleeper, signal.SIGCONT)
    desk.finish("upload")

    operation.refresh_from_db()
    assert (operation.version, operation.upload.version) == versions
    assert sandbox.calls("POST", f"{operation.imodel_id}/baselinefile") == 1


@pytest.mark.soak
def test_30_a_worker_that_is_stopped_ends_at_a_block_and_the_next_one_goes_on(desk, sent_up_to, sandbox, reached):
    operation, held = sent_up_to(3)

    desk.ask_to_stop(desk.worker_at_work)
    held.release()
    desk.worker_at_work.wait(PATIENCE_S)
    operation.refresh_from_db()
    assert (operation.state, operation.upload.blocks.count()) == (State.UPLOADING, 3 + in_flight(3))
    desk.worker()

    reached(operation, State.SUCCEEDED)
    assert len(puts(sandbox, "block")) == BLOCK_COUNT


@pytest.mark.soak
def test_30_a_task_delivered_again_finds_the_lease_and_returns(uploading, sandbox, processes, reached):
    held = sandbox.fault("PUT", r"^/storage/", held=True)
    processes.env["DJANGO_SETTINGS_MODULE"] = "tests.upload_settings"
    operation = uploading(a_file(WHOLE))
    processes.worker(concurrency=4)
    for _ in range(4):
        current_app.send_task("imodels_app.upload", [str(operation.pk)], ignore_result=True)
    wait_until(lambda: held.holding and processes.count("upload", "succeeded") >= 3, what="those that return")
    held.release()

    reached(operation, State.SUCCEEDED)
    assert len(puts(sandbox)) == 1


@pytest.mark.soak
def test_30_an_uploader_of_its_own_leaves_the_workers_to_what_is_to_be_sent(
    processes, baseline_of, spec_for, mara, sandbox, reached
):
    sandbox.advance_by_polls(0)
    held = sandbox.fault("PUT", r"^/storage/", held=True)
    processes.env["DJANGO_SETTINGS_MODULE"] = "tests.upload_settings"
    for queue in settings.CELERY_TASK_QUEUES:
        options = ("--hostname", f"{queue}@test", "--concurrency", "1", "--queues", queue)
        processes.celery("worker", *options, "--without-gossip", "--without-mingle")
    processes.beat()
    large = baseline_of(a_file(WHOLE))
    reached(large, State.UPLOADING)
    wait_until(lambda: held.holding, what="an upload")

    reached(lifecycle.request(spec_for(Kind.EMPTY), by=mara), State.SUCCEEDED)

    large.refresh_from_db()
    assert large.state == State.UPLOADING
    held.release()
    reached(large, State.SUCCEEDED)


def test_30_when_the_answer_to_the_list_of_blocks_is_lost_it_is_said_again(uploading, sandbox):
    sandbox.fault("PUT", r"^/storage/", query="comp=blocklist", lost_answer=True)
    operation = uploading(a_file(BLOCKS))

    upload(operation.pk)

    operation.refresh_from_db()
    assert operation.state == State.RUNNING
    assert len(puts(sandbox, "block")) == BLOCK_COUNT
    assert len(puts(sandbox, "blocklist")) == 2


# 31: expired


@contextmanager
def once_a_block_is_acknowledged(act):
    """act() comes right after the first row of a block."""
    left = [act]

    def write(execute, sql, *rest):
        written = execute(sql, *rest)
        if left and sql.startswith("INSERT") and UploadedBlock._meta.db_table in sql:
            left.pop()()
        return written

    with connection.execute_wrapper(write):
        yield


@pytest.mark.parametrize(
    "end",
    [lambda sandbox: sandbox.fault("PUT", r"^/storage/", status=403), lambda sandbox: sandbox.end_links()],
    ids=["refused once", "ended"],
)
def test_31_a_link_that_ends_on_the_way_is_renewed_and_nothing_is_sent_twice(uploading, sandbox, tick, end):
    sandbox.switch(new_upload_link=True, upload_link_life_s=600)
    operation = uploading(a_file(BLOCKS))
    sandbox.switch(upload_link_life_s=1200)  # another link, though it be of the same second

    with once_a_block_is_acknowledged(lambda: end(sandbox)):
        upload(operation.pk)

    operation.refresh_from_db()
    assert operation.events.last().verb == "link_renewed"
    assert 0 < operation.upload.blocks.count() < BLOCK_COUNT
    tick()
    tick()
    operation.refresh_from_db()
    assert operation.state == State.SUCCEEDED
    assert len([entry for entry in puts(sandbox, "block") if entry.status == 201]) == BLOCK_COUNT


def test_31_without_another_link_it_fails_says_so_and_keeps_the_file(uploading, sandbox, goes_by, page_of):
    operation = uploading(a_file(BLOCKS))
    sandbox.end_links()

    for _ in range(4):
        upload(operation.pk)
        goes_by(20)

    operation.refresh_from_db()
    assert (operation.state, operation.failure_code) == (State.FAILED, "uploadLinkExpired")
    assert operation.imodel_id in sandbox.world.imodels
    assert staging.path_of(operation.staged_file).exists()
    page = page_of(operation)
    assert "Failed: upload link expired" in page
    assert f"Make it again once the orphaned iModel is deleted; it keeps the name “{operation.name}” taken." in page


# 32: another size


def test_32_a_size_that_differs_is_final_and_explained(uploading, sandbox, page_of):
    operation = uploading(a_file(WHOLE))
    sandbox.world.imodels[operation.imodel_id].creation.baseline_size += 1

    upload(operation.pk)

    operation.refresh_from_db()
    assert (operation.state, operation.failure_code) == (State.FAILED, "baselineSizeMismatch")
    assert operation.imodel_id
    assert "The file that arrived is not the size that was announced." in page_of(operation)


# 33: complete's answer lost


@pytest.mark.parametrize("fault", [{"lost_answer": True}, {"truncated": True}], ids=["lost", "truncated"])
def test_33_when_completes_answer_is_lost_the_baseline_file_tells(uploading, sandbox, fault):
    sandbox.fault("POST", r"/baselinefile$", **fault)
    operation = uploading(a_file(WHOLE))

    upload(operation.pk)

    operation.refresh_from_db()
    assert operation.state == State.RUNNING
    assert sandbox.calls("POST", "/baselinefile") == 1
    assert len(puts(sandbox)) == 1


@pytest.mark.parametrize("fault", [{"cut": True}, {"status": 503}], ids=["cut", "503"])
def test_33_when_complete_never_arrived_it_is_said_again_and_nothing_is_sent_again(
    uploading, sandbox, goes_by, tick, fault
):
    sandbox.fault("POST", r"/baselinefile$", **fault)
    operation = uploading(a_file(WHOLE))

    upload(operation.pk)
    operation.refresh_from_db()
    assert operation.state == State.UPLOADING
    goes_by(10)
    tick()
    tick()

    operation.refresh_from_db()
    assert operation.state == State.SUCCEEDED
    assert sandbox.calls("POST", "/baselinefile") == 2
    assert len(puts(sandbox)) == 1


@pytest.mark.parametrize("place", ["upload.completing", "upload.completed"])
@pytest.mark.soak
def test_33_killed_around_complete_it_takes_effect_once(desk, baseline_of, sandbox, reached, time_passes, place):
    desk.arm(place, "kill")
    operation = baseline_of(a_file(WHOLE))

    desk.struck(place)
    time_passes(25)

    reached(operation, State.SUCCEEDED)
    assert len(puts(sandbox)) == 1


# 34: no baseline


@pytest.mark.parametrize(
    ("state", "badge", "remedy"),
    [
        ("fileIsBriefcase", "Failed: file is a briefcase", "Export a snapshot from the original and upload that."),
        ("initializationFailed", "Failed: not initialized", "save it as a new iModel, and upload that."),
    ],
)
def test_34_a_file_that_is_no_baseline_fails_by_its_name_with_the_remedy(
    uploading, sandbox, tick, page_of, state, badge, remedy
):
    sandbox.next_outcome(state)
    operation = uploading(a_file(WHOLE))

    upload(operation.pk)
    tick()

    operation.refresh_from_db()
    assert (operation.state, operation.failure_code, operation.baseline_state) == (State.FAILED, state, state)
    page = page_of(operation)
    assert badge in page
    assert remedy in page


# A file that was used once


def test_a_file_asked_for_again_before_it_is_forgotten_stays_for_the_new_operation(
    uploading, spec_for, mara, sandbox, goes_by
):
    """The worker that saw the first one succeed is held up right before it forgets the file."""
    first = uploading(data := a_file(WHOLE))
    upload(first.pk)
    path = staging.path_of(first.staged_file)
    spec = spec_for(Kind.BASELINE, file_name="pier.bim", file_size=WHOLE, description=first.description)
    asked: list[Operation] = []

    def held_up(execute, sql, params, many, context):
        if not asked and StagedFile._meta.db_table in sql:
            over = Operation.objects.get(pk=first.pk)
            if over.state == State.SUCCEEDED:
                asked.append(over)
                asked.append(lifecycle.request(spec, by=mara, staged_file=over.staged_file))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(held_up):
        poll(first.pk)

    _, second = asked
    goes_by(60)
    submit(second.pk)
    upload(second.pk)
    poll(second.pk)
    second.refresh_from_db()
    assert (second.state, second.failure_code) == (State.SUCCEEDED, "")
    assert in_storage(sandbox, second.imodel_id) == data
    assert second.staged_file is None
    assert not path.exists()
