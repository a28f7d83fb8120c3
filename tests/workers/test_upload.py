"""A baseline file from here to the platform's storage: once, whole, in its link's time; and the platform told."""

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.accounts import encryption, tokens
from imodels_app.itwin import errors
from imodels_app.itwin.storage import check_destination
from imodels_app.itwin.types import UploadLink
from imodels_app.limits import circuit_breaker
from imodels_app.models import CircuitBreaker, Operation, Upload
from imodels_app.requesting import staging
from imodels_app.runtime import clock, failpoints
from imodels_app.runtime.timing import MISSING_IS_NORMAL_FOR
from imodels_app.states import State, WaitReason
from imodels_app.tasks import sweep_submitting
from imodels_app.workers import transfer
from imodels_app.workers.poll import poll
from imodels_app.workers.reconcile import reconcile
from imodels_app.workers.submit import submit
from imodels_app.workers.upload import upload
from tests.files import KIB, a_file, in_storage, puts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("signed_in_mara")]


@pytest.fixture(autouse=True)
def small_blocks(settings):
    settings.UPLOAD_SINGLE_PUT, settings.UPLOAD_BLOCK = 128 * KIB, 32 * KIB


@pytest.fixture
def uploading(baseline_of):
    """uploading(bytes): the platform has made the orphaned iModel and waits for the file."""

    def make(data: bytes, **fields) -> Operation:
        operation = baseline_of(data, **fields)
        submit(operation.pk)
        operation.refresh_from_db()
        return operation

    return make


def carried(operation: Operation) -> Operation:
    """After one step of an uploader, whose time has come."""
    Upload.objects.exclude(due_at=None).update(due_at=clock.now())
    upload(operation.pk)
    operation.refresh_from_db()
    return operation


def ends_after(times: int):
    """A worker that is asked to end after so many looks."""
    left = iter([False] * times)
    return lambda: next(left, True)


def test_an_orphan_leads_to_uploading_with_its_link_encrypted(uploading, sandbox):
    operation = uploading(a_file())

    assert (operation.state, operation.baseline_state) == (State.UPLOADING, "waitingForFile")
    assert operation.imodel_id in sandbox.world.imodels
    assert "sig=" not in operation.upload.link
    assert "sig=" in encryption.decrypt(operation.upload.link)
    assert timedelta(minutes=19) < operation.upload.link_until - timezone.now() <= timedelta(minutes=20)


def test_a_small_file_goes_up_in_one_request_and_is_completed(uploading, sandbox):
    data = a_file(100 * KIB)

    operation = carried(uploading(data))

    assert operation.state == State.RUNNING
    assert in_storage(sandbox, operation.imodel_id) == data
    assert len(puts(sandbox)) == 1
    assert sandbox.calls("POST", "/baselinefile") == 1
    assert (operation.upload.link, operation.upload.link_until, operation.upload.due_at) == ("", None, None)
    assert operation.baseline_state == "initializationScheduled"


def test_a_large_file_goes_up_in_blocks(uploading, sandbox):
    data = a_file(300 * KIB)

    operation = carried(uploading(data))

    assert operation.state == State.RUNNING
    assert in_storage(sandbox, operation.imodel_id) == data
    assert len(puts(sandbox, "block")) == 10
    assert not puts(sandbox)


def test_a_file_so_large_that_the_usual_blocks_would_not_do_gets_larger_ones(settings):
    settings.UPLOAD_BLOCK = 8 * 2**20

    assert transfer.block_size(300 * 2**20) == 8 * 2**20
    assert transfer.block_size(500 * 2**30) * 50_000 >= 500 * 2**30


def test_google_takes_one_plain_request_of_any_size(uploading, sandbox):
    sandbox.switch(storage_type="google")
    data = a_file(300 * KIB)

    operation = carried(uploading(data))

    assert operation.state == State.RUNNING
    assert in_storage(sandbox, operation.imodel_id) == data
    [put] = puts(sandbox)
    assert not [name for name in put.headers if name.lower().startswith("x-ms-")]


@pytest.mark.parametrize(("size", "requests"), [(100 * KIB, 1), (300 * KIB, 11)])
def test_no_token_goes_to_the_storage_and_not_even_what_a_netrc_offers(
    uploading, sandbox, monkeypatch, tmp_path, size, requests
):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login mara password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    carried(uploading(a_file(size)))

    seen = [entry for entry in sandbox.journal if entry.path.startswith("/storage")]
    assert len(seen) == requests
    assert not [entry for entry in seen if "Authorization" in entry.headers or "Cookie" in entry.headers]


def test_the_bytes_are_forgotten_once_the_imodel_is_there(uploading, sandbox):
    sandbox.advance_by_polls(0)
    operation = uploading(a_file())
    path = staging.path_of(operation.staged_file)
    carried(operation)
    assert path.exists()

    poll(operation.pk)

    operation.refresh_from_db()
    assert (operation.state, operation.baseline_state) == (State.SUCCEEDED, "initialized")
    assert operation.staged_file is None
    assert (operation.file_name, operation.file_size) == ("pier.bim", 300 * KIB)


def test_while_one_is_at_it_nobody_else_is(uploading, sandbox):
    operation = uploading(a_file())
    lifecycle.lease_upload(Operation.objects.get(pk=operation.pk))

    upload(operation.pk)

    assert not puts(sandbox, "block")


def test_whoever_slept_through_their_lease_writes_nothing(uploading, sandbox):
    operation = uploading(a_file())
    sleeper = Operation.objects.get(pk=operation.pk)
    lifecycle.lease_upload(sleeper)
    after_the_lease = carried(operation)

    with pytest.raises(lifecycle.Conflict):
        lifecycle.renew_upload_lease(sleeper, sent_bytes=5, block=0)
    with pytest.raises(lifecycle.Conflict):
        lifecycle.file_sent(sleeper)

    operation.refresh_from_db()
    assert operation.upload.version == after_the_lease.upload.version


def test_progress_is_written_down_with_the_block_that_made_it(uploading):
    operation = uploading(a_file())
    lifecycle.lease_upload(operation)

    lifecycle.renew_upload_lease(operation, sent_bytes=64 * KIB, block=0)

    operation.refresh_from_db()
    assert operation.upload.sent_bytes == 64 * KIB
    assert list(operation.upload.blocks.values_list("number", flat=True)) == [0]


def test_the_file_counts_as_sent_only_when_the_storage_said_so(uploading):
    operation = uploading(a_file())
    lifecycle.lease_upload(operation)

    lifecycle.renew_upload_lease(operation, sent_bytes=operation.file_size)

    assert not operation.upload.is_sent


def test_a_storage_in_trouble_is_waited_for_and_is_not_the_platform(uploading, sandbox):
    sandbox.fault("PUT", r"^/storage/", status=503, times=None, for_s=60)
    operation = uploading(a_file(100 * KIB))

    for _ in range(circuit_breaker.FAILURES_TO_OPEN):
        carried(operation)

    assert (operation.state, operation.wait_reason) == (State.UPLOADING, WaitReason.STORAGE_DOWN)
    assert circuit_breaker.outage(timezone.now()) is None
    assert circuit_breaker.outage(timezone.now(), circuit_breaker.STORAGE)
    before = len(puts(sandbox))
    carried(operation)
    assert len(puts(sandbox)) == before
    assert operation.events.last().note == "The platform’s storage answered 503 ServerBusy."


def test_what_the_storage_refuses_for_good_is_explained(uploading, sandbox):
    sandbox.fault("PUT", r"^/storage/", status=507)

    operation = carried(uploading(a_file(100 * KIB)))

    assert (operation.state, operation.failure_code) == (State.FAILED, "uploadRefused")
    assert "507" in operation.failure_message


@pytest.mark.parametrize("body", ["7", "null", "[]", '{"error": 7}', '{"error": {"code": 7}}', "<a/>", "<", "\u202e"])
@pytest.mark.parametrize("blocks_of", [KIB, 128 * KIB])
def test_a_refusal_of_the_storage_is_one_whatever_its_body(uploading, sandbox, settings, body, blocks_of):
    settings.UPLOAD_SINGLE_PUT = blocks_of
    sandbox.fault("PUT", r"^/storage/", status=400, body=body, times=None)

    operation = carried(uploading(a_file(32 * KIB)))

    assert (operation.state, operation.failure_code) == (State.FAILED, "uploadRefused")
    assert operation.failure_message in ("400", "400 7")


@pytest.mark.parametrize("blocks_of", [KIB, 128 * KIB])
def test_what_the_storage_has_taken_is_there_whatever_its_answer_says_besides(uploading, sandbox, settings, blocks_of):
    settings.UPLOAD_SINGLE_PUT = blocks_of
    sandbox.fault("PUT", r"^/storage/", status=201, body="<", answered=True, times=None)
    data = a_file(100 * KIB)

    operation = carried(uploading(data))

    assert operation.state == State.RUNNING
    assert in_storage(sandbox, operation.imodel_id) == data


@pytest.mark.parametrize("storage_type", ["azure", "google"])
@pytest.mark.parametrize("ahead_s", [-86400, -3600, -1300, 400, 3600])
def test_60_a_link_is_used_however_far_the_platforms_clock_is_from_ours(uploading, sandbox, storage_type, ahead_s):
    sandbox.set_clock(ahead_s=ahead_s)
    sandbox.switch(storage_type=storage_type)

    operation = carried(uploading(a_file(100 * KIB)))

    assert (operation.state, len(puts(sandbox))) == (State.RUNNING, 1)


@pytest.mark.parametrize("said", ["se=2001-01-01T00%3A00%3A00Z", "se=", "se=soon", ""])
def test_60_a_link_that_has_ended_by_its_own_words_is_tried(uploading, sandbox, said):
    operation = uploading(a_file(100 * KIB))
    Upload.objects.update(link_until=timezone.now() - timedelta(days=1))
    link = encryption.decrypt(operation.upload.link)
    Upload.objects.update(link=encryption.encrypt(link.replace("se=", f"{said}&was=")))

    carried(operation)

    assert len(puts(sandbox)) == 1


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_refusal_of_the_link_that_passes_is_no_failure(uploading, sandbox, status, times):
    sandbox.fault("PUT", r"^/storage/", status=status, times=times)
    operation = uploading(a_file(100 * KIB))

    for _ in range(times):
        assert carried(operation).state == State.UPLOADING

    assert carried(operation).state == State.RUNNING


def test_a_link_that_stays_refused_is_given_up_in_the_end(uploading, sandbox):
    operation = uploading(a_file(100 * KIB))
    sandbox.end_links()

    for _ in range(4):
        carried(operation)

    assert (operation.state, operation.failure_code) == (State.FAILED, "uploadLinkExpired")
    assert len(puts(sandbox)) == 4


def test_a_link_that_the_platform_renews_is_used(uploading, sandbox):
    sandbox.switch(upload_link_life_s=-1)
    operation = uploading(a_file())
    sandbox.switch(upload_link_life_s=1200, new_upload_link=True)

    carried(operation)
    assert (operation.state, operation.events.last().verb) == (State.UPLOADING, "link_renewed")

    assert carried(operation).state == State.RUNNING


def test_a_link_that_is_refused_before_its_time_is_asked_for_again(uploading, sandbox):
    operation = uploading(a_file(100 * KIB))
    spoiled = encryption.decrypt(operation.upload.link).replace("sig=", "sig=A")
    Upload.objects.update(link=encryption.encrypt(spoiled))
    sandbox.switch(new_upload_link=True)

    carried(operation)

    assert carried(operation).state == State.RUNNING


def test_an_orphan_whose_answer_was_lost_asks_for_its_link(baseline_of, sandbox):
    sandbox.fault("POST", r"^/imodels$", lost_answer=True)
    sandbox.switch(new_upload_link=True)
    operation = baseline_of(a_file())
    submit(operation.pk)
    Operation.objects.update(due_at=clock.now())

    reconcile(operation.pk)
    operation.refresh_from_db()
    assert operation.state == State.UPLOADING
    carried(operation)

    assert carried(operation).state == State.RUNNING
    assert sandbox.calls("POST", "/imodels") == 1


def test_an_orphan_whose_link_is_lost_for_good_is_told_of(baseline_of, sandbox):
    sandbox.fault("POST", r"^/imodels$", lost_answer=True)
    operation = baseline_of(a_file())
    submit(operation.pk)
    Operation.objects.update(due_at=clock.now())
    reconcile(operation.pk)

    assert carried(operation).state == State.UPLOADING  # at first it may be told late
    Operation.objects.update(accepted_at=clock.now() - MISSING_IS_NORMAL_FOR)
    carried(operation)

    assert (operation.state, operation.failure_code) == (State.FAILED, "uploadLinkLost")
    assert operation.imodel_id
    assert staging.path_of(operation.staged_file).exists()


def test_an_orphan_of_another_size_is_not_adopted(baseline_of, sandbox, platform_of):
    sandbox.fault("POST", r"^/imodels$", cut=True)
    operation = baseline_of(a_file())
    submit(operation.pk)
    body = operation.request_body.replace(str(operation.file_size), "4711")
    platform_of("mara").start("/imodels", body)
    Operation.objects.update(due_at=clock.now())

    reconcile(operation.pk)

    operation.refresh_from_db()
    assert (operation.state, operation.failure_code) == (State.FAILED, "iModelExists")


def test_nothing_is_made_of_a_file_that_is_gone(baseline_of, sandbox):
    operation = baseline_of(a_file())
    staging.path_of(operation.staged_file).unlink()

    submit(operation.pk)

    operation.refresh_from_db()
    assert (operation.state, operation.failure_code) == (State.FAILED, "stagedFileMissing")
    assert sandbox.calls("POST", "/imodels") == 0


def test_a_file_that_the_platform_sees_late_is_waited_for(uploading, sandbox):
    sandbox.switch(blob_lag_s=60)
    operation = carried(uploading(a_file(100 * KIB)))
    assert (operation.state, operation.events.last().verb) == (State.UPLOADING, "file_missing")
    assert carried(operation).state == State.UPLOADING
    sandbox.switch(blob_lag_s=0)

    assert carried(operation).state == State.RUNNING
    assert len(puts(sandbox)) == 1


def test_a_file_that_the_platform_never_sees_is_sent_twice_and_then_given_up(uploading, sandbox):
    sandbox.switch(blob_lag_s=3600)
    operation = uploading(a_file(100 * KIB))

    for _ in range(20):
        carried(operation)

    assert (operation.state, operation.failure_code) == (State.FAILED, "baselineFileMissing")
    assert len(puts(sandbox)) == 2


def test_a_worker_that_is_to_end_begins_no_further_block(uploading, sandbox):
    operation = uploading(a_file())

    upload(operation.pk, ending=ends_after(1))

    operation.refresh_from_db()
    assert operation.state == State.UPLOADING
    assert operation.upload.due_at <= timezone.now()
    assert operation.upload.blocks.count() == len(puts(sandbox, "block")) == transfer.BLOCKS_AT_ONCE
    assert carried(operation).state == State.RUNNING
    assert len(puts(sandbox, "block")) == 10


def test_a_storage_that_forgot_its_blocks_gets_them_again(uploading, sandbox):
    operation = uploading(a_file())
    upload(operation.pk, ending=ends_after(1))
    sandbox.platform.blobs.clear()

    carried(operation)
    assert operation.events.last().verb == "upload_restarted"

    assert carried(operation).state == State.RUNNING
    assert len(puts(sandbox, "block")) == 20


@pytest.mark.parametrize(("age_s", "state"), [(5, State.UPLOADING), (90, State.FAILED)])
def test_an_orphan_that_is_not_found_at_first_may_come_and_later_has_vanished(uploading, sandbox, age_s, state):
    sandbox.switch(upload_link=False)
    operation = uploading(a_file())
    Operation.objects.update(accepted_at=timezone.now() - timedelta(seconds=age_s))
    sandbox.fault("GET", r"^/imodels/[^/]+$", status=404)

    carried(operation)

    assert operation.state == state
    assert operation.failure_code == ("vanished" if state == State.FAILED else "")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [({"status": 429, "retry_after": 30}, WaitReason.RATE_LIMIT), ({"status": 503}, WaitReason.PLATFORM_DOWN)],
)
def test_a_platform_that_cannot_be_told_is_told_later(uploading, sandbox, fault, reason):
    sandbox.fault("POST", r"/baselinefile$", **fault)

    operation = carried(uploading(a_file(100 * KIB)))

    assert (operation.state, operation.wait_reason) == (State.UPLOADING, reason)
    assert operation.upload.is_sent


@pytest.mark.parametrize("body", ["", "<html>No</html>", '{"error": {"code": "Inva'], ids=["empty", "html", "cut"])
def test_33_what_was_told_before_is_done_though_the_answer_that_says_so_cannot_be_read(uploading, sandbox, body):
    operation = uploading(a_file(100 * KIB))
    sandbox.fault("POST", r"/baselinefile$", status=422, body=body)
    sandbox.world.imodels[operation.imodel_id].creation.baseline_state = "initializationScheduled"

    carried(operation)

    assert (operation.state, operation.baseline_state) == (State.RUNNING, "initializationScheduled")


@pytest.mark.parametrize(
    "status", [403, 404, 409, 415], ids=["not permitted", "not found", "size differs", "not understood"]
)
def test_33_what_was_told_before_is_done_whatever_the_second_time_is_answered(uploading, sandbox, status):
    operation = uploading(a_file(100 * KIB))
    sandbox.fault("POST", r"/baselinefile$", status=status, body='{"error": {"code": "Anything", "message": "No."}}')
    sandbox.world.imodels[operation.imodel_id].creation.baseline_state = "initialized"

    carried(operation)

    assert (operation.state, operation.baseline_state) == (State.RUNNING, "initialized")


def test_31_a_link_that_ends_after_the_storage_has_it_all_is_no_failure(uploading, sandbox, monkeypatch):
    """The worker died before it could write down that the storage has acknowledged the file."""
    operation = uploading(a_file(100 * KIB))
    sandbox.switch(new_upload_link=False)

    def dies(name):
        if name == "upload.sent":
            raise KeyboardInterrupt

    monkeypatch.setattr(failpoints, "reach", dies)
    with pytest.raises(KeyboardInterrupt):
        carried(operation)
    monkeypatch.undo()
    sandbox.end_links()

    carried(operation)

    assert (operation.state, operation.failure_code) == (State.RUNNING, "")
    assert [put.status for put in puts(sandbox)] == [201, 403]


def test_who_slept_until_all_was_over_and_the_file_forgotten_does_nothing(uploading, sandbox):
    operation = uploading(a_file(100 * KIB))
    held_up: list[str] = []

    def meanwhile(execute, sql, *rest):
        if not held_up and CircuitBreaker._meta.db_table in sql:
            held_up.append(sql)
            carried(operation)
            sandbox.finish(operation.imodel_id)
            poll(operation.pk)
        return execute(sql, *rest)

    with connection.execute_wrapper(meanwhile):
        upload(operation.pk)

    operation.refresh_from_db()
    assert held_up
    assert (operation.state, operation.staged_file) == (State.SUCCEEDED, None)
    assert len(puts(sandbox)) == 1


def test_a_refusal_to_complete_is_final_while_the_platform_waits_for_the_file(uploading, sandbox):
    sandbox.fault("POST", r"/baselinefile$", status=422, body="<html>No</html>")

    operation = carried(uploading(a_file(100 * KIB)))

    assert (operation.state, operation.failure_code) == (State.FAILED, "422")


def test_rights_lost_meanwhile_are_waited_for(uploading, sandbox):
    operation = uploading(a_file(100 * KIB))
    sandbox.allow(operation.itwin_id, "mara", ["imodels_webview"])
    carried(operation)
    assert (operation.state, operation.wait_reason) == (State.UPLOADING, WaitReason.NOT_PERMITTED)

    sandbox.allow(operation.itwin_id, "mara", ["imodels_webview", "imodels_read", "imodels_write", "imodels_manage"])

    assert carried(operation).state == State.RUNNING


def test_a_token_that_is_refused_is_refreshed_and_it_goes_on(uploading, sandbox):
    operation = uploading(a_file(100 * KIB))
    operation.requested_by.tokens.__class__.objects.update(obtained_at=timezone.now() - timedelta(hours=1))
    sandbox.expire_tokens()

    carried(operation)
    assert operation.state == State.UPLOADING

    assert carried(operation).state == State.RUNNING
    assert len(puts(sandbox)) == 1


def test_who_must_sign_in_finishes_the_upload_afterwards(uploading, sandbox, mara):
    operation = uploading(a_file(100 * KIB))
    mara.tokens.__class__.objects.update(sign_in_needed=True)
    carried(operation)
    assert (operation.state, operation.wait_reason) == (State.UPLOADING, WaitReason.SIGN_IN)

    tokens.store(mara, sandbox.tokens_for("mara"))
    lifecycle.wake_after_sign_in(mara)
    upload(operation.pk)

    operation.refresh_from_db()
    assert operation.state == State.RUNNING
    assert len(puts(sandbox)) == 1


def test_who_never_signs_in_leaves_a_failure_with_an_orphan_and_the_file_for_a_day(uploading, mara):
    operation = uploading(a_file(100 * KIB))
    mara.tokens.__class__.objects.update(sign_in_needed=True)
    carried(operation)
    sweep_submitting()
    assert carried(operation).state == State.UPLOADING

    Operation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    sweep_submitting()

    operation.refresh_from_db()
    assert (operation.state, operation.failure_code) == (State.FAILED, "uploadAbandoned")
    assert operation.orphan
    assert staging.is_whole(operation.staged_file, operation.file_size)


def test_a_sign_in_in_time_ends_the_wait_for_it(uploading, sandbox, mara):
    operation = uploading(a_file(100 * KIB))
    mara.tokens.__class__.objects.update(sign_in_needed=True)
    carried(operation)
    Operation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    tokens.store(mara, sandbox.tokens_for("mara"))
    lifecycle.wake_after_sign_in(mara)
    sweep_submitting()

    operation.refresh_from_db()
    assert operation.state == State.UPLOADING


def test_a_platform_that_still_waits_for_the_file_is_told_again(uploading, sandbox):
    operation = carried(uploading(a_file(100 * KIB)))
    creation = sandbox.world.imodels[operation.imodel_id].creation
    creation.state = creation.baseline_state = "waitingForFile"

    for _ in range(3):
        Operation.objects.update(due_at=clock.now())
        poll(operation.pk)

    operation.refresh_from_db()
    assert operation.state == State.RUNNING
    assert creation.baseline_state == "initializationScheduled"


def test_a_new_key_seals_links_too(uploading, settings):
    operation = uploading(a_file())
    old = settings.TOKEN_KEYS
    settings.TOKEN_KEYS = [Fernet.generate_key().decode(), *old]

    tokens.reencrypt()

    settings.TOKEN_KEYS = settings.TOKEN_KEYS[:1]
    operation.refresh_from_db()
    assert "sig=" in encryption.decrypt(operation.upload.link)


def test_a_link_tells_nobody_where_it_leads():
    assert "secret" not in repr(UploadLink("https://blob.example/?sig=secret"))


PUBLIC, HERE = "https://api.bentley.com", "http://127.0.0.1:9000"


@pytest.mark.parametrize(
    ("href", "platform"),
    [
        ("http://127.0.0.1:9000/storage/a?sig=1", HERE),
        ("http://127.0.0.1:10000/devstoreaccount1/c/b?sig=1", HERE),
        ("https://8.8.8.8/c/b?sig=1", PUBLIC.replace("api.bentley.com", "8.8.4.4")),
    ],
)
def test_a_link_to_where_the_platform_is_or_to_the_public_net_is_used(href, platform):
    check_destination(UploadLink(href), platform)


@pytest.mark.parametrize(
    "href",
    [
        "http://8.8.8.8/c/b?sig=1",
        "https://127.0.0.1/c/b?sig=1",
        "https://10.1.2.3/c/b?sig=1",
        "https://169.254.169.254/latest?sig=1",
        "https://[::1]/c/b?sig=1",
        "https://[fd00::1]/c/b?sig=1",
        "https://localhost/c/b?sig=1",
        "https://mara:pw@8.8.8.8/c/b?sig=1",
        "ftp://8.8.8.8/c/b",
        "file:///etc/passwd",
        "/storage/a?sig=1",
    ],
)
def test_a_link_into_a_private_network_or_without_tls_is_refused(href):
    with pytest.raises(errors.ForeignLink):
        check_destination(UploadLink(href), "https://8.8.4.4")


def test_a_foreign_link_ends_the_operation_and_nothing_is_sent(uploading, sandbox, settings):
    operation = uploading(a_file(100 * KIB))
    settings.ITWIN_API_URL = "https://8.8.4.4"

    carried(operation)

    assert (operation.state, operation.failure_code) == (State.FAILED, "uploadLinkForeign")
    assert not puts(sandbox)


def test_a_worker_without_the_key_of_a_link_leaves_it_to_others(uploading, sandbox, settings):
    operation = uploading(a_file(100 * KIB))
    keys = settings.TOKEN_KEYS
    settings.TOKEN_KEYS = [Fernet.generate_key().decode()]

    assert carried(operation).state == State.UPLOADING
    settings.TOKEN_KEYS = keys

    assert carried(operation).state == State.RUNNING


@pytest.mark.parametrize("fault", [{"cut_after": 10 * KIB}, {"status": 500}, {"lost_answer": True}])
def test_a_block_that_fails_once_is_sent_again_at_once(uploading, sandbox, fault):
    operation = uploading(data := a_file())
    sandbox.fault("PUT", r"^/storage/", query="comp=block&", **fault)

    carried(operation)

    assert operation.state == State.RUNNING
    assert in_storage(sandbox, operation.imodel_id) == data
    assert len(puts(sandbox, "block")) == 11
