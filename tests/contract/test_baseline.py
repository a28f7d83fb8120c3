"""Sections 6 to 8: a baseline file from its upload link to the end."""

import base64
import time
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests

from tests.contract.conftest import details_of, error_of, operation_state
from tests.waiting import PATIENCE_S

FILE = b"SQLite format 3\x00" + bytes(range(256)) * 40
SINGLE_PUT = {"x-ms-blob-type": "BlockBlob"}


@pytest.fixture
def orphan_state(mara, ids):
    """The iModel of an announced baseline, as the creation answered it."""
    spec = {"iTwinId": ids["harbour-bridge"], "name": "Uploaded", "baselineFile": {"size": len(FILE)}}
    return mara.post("/imodels", spec).json()["iModel"]


@pytest.fixture
def upload(orphan_state):
    return orphan_state["_links"]["upload"]["href"]


def put(url, data=FILE, headers=SINGLE_PUT):
    return requests.put(url, data=data, headers=headers, timeout=PATIENCE_S)


def xml_code(answer):
    assert answer.headers["Content-Type"].startswith("application/xml")
    return answer.text.partition("<Code>")[2].partition("</Code>")[0]


def complete(caller, orphan_state):
    return caller.post(f"/imodels/{orphan_state['id']}/baselinefile", {})


def put_block(url, block_id, data):
    return put(f"{url}&comp=block&blockid={quote(base64.b64encode(block_id).decode())}", data, {})


def put_list(url, block_ids):
    listed = "".join(f"<Latest>{base64.b64encode(one).decode()}</Latest>" for one in block_ids)
    return put(f"{url}&comp=blocklist", f"<BlockList>{listed}</BlockList>", {})


def test_the_creation_hands_out_two_links(sandbox, orphan_state):
    links = orphan_state["_links"]

    assert links["upload"]["storageType"] == "azure"
    assert {"sv", "se", "sr", "sp", "sig"} <= parse_qs(urlsplit(links["upload"]["href"]).query).keys()
    assert links["complete"] == {"href": f"{sandbox.url}/imodels/{orphan_state['id']}/baselinefile"}


def test_later_looks_hand_out_no_upload_link(mara, orphan_state):
    links = mara.get(f"/imodels/{orphan_state['id']}").json()["iModel"]["_links"]

    assert (links["upload"], links["complete"]) == (None, None)


def test_a_file_goes_up_is_completed_and_becomes_an_imodel(sandbox, mara, orphan_state, upload):
    assert put(upload).status_code == 201

    answer = complete(mara, orphan_state)

    assert answer.status_code == 200
    assert answer.json() == {
        "baselineFile": {
            "id": orphan_state["id"],
            "displayName": f"{orphan_state['id']}.bim",
            "fileSize": len(FILE),
            "state": "initializationScheduled",
            "_links": {"creator": orphan_state["_links"]["creator"], "download": None},
        }
    }
    assert operation_state(mara, orphan_state["id"]) == "scheduled"
    sandbox.finish(orphan_state["id"])
    baseline = mara.get(f"/imodels/{orphan_state['id']}/baselinefile").json()["baselineFile"]
    assert baseline["state"] == "initialized"
    assert requests.get(baseline["_links"]["download"]["href"], timeout=PATIENCE_S).content == FILE
    assert operation_state(mara, orphan_state["id"]) == "successful"


def test_before_completion_both_states_wait_for_the_file(mara, orphan_state):
    baseline = mara.get(f"/imodels/{orphan_state['id']}/baselinefile").json()["baselineFile"]

    assert (baseline["state"], baseline["_links"]["download"]) == ("waitingForFile", None)
    assert operation_state(mara, orphan_state["id"]) == "waitingForFile"


@pytest.mark.parametrize("body", [None, {}])
def test_completing_needs_no_body(mara, orphan_state, upload, body):
    put(upload)

    assert mara.post(f"/imodels/{orphan_state['id']}/baselinefile", body).status_code == 200


def test_completing_without_an_upload_is_404(mara, orphan_state):
    answer = complete(mara, orphan_state)

    assert (answer.status_code, error_of(answer)["code"]) == (404, "FileNotFound")


def test_completing_an_unknown_imodel_is_404(mara):
    answer = mara.post("/imodels/unknown/baselinefile", {})

    assert (answer.status_code, error_of(answer)["code"]) == (404, "iModelNotFound")


def test_completing_what_has_no_baseline_entity_is_404(mara, ids):
    answer = mara.post(f"/imodels/{ids['not-initialized']}/baselinefile", {})

    assert (answer.status_code, error_of(answer)["code"]) == (404, "BaselineFileNotFound")


def test_another_size_than_announced_is_409(mara, orphan_state, upload):
    put(upload, FILE + b"!")

    answer = complete(mara, orphan_state)

    assert answer.status_code == 409
    message = "File size provided during iModel creation does not match actual file size."
    assert answer.json() == {"error": {"code": "DataConflict", "message": message}}


def test_completing_twice_is_422_invalid_change(mara, orphan_state, upload):
    put(upload)
    complete(mara, orphan_state)

    answer = complete(mara, orphan_state)

    assert details_of(answer) == [("InvalidChange", None)]
    assert error_of(answer)["message"] == "Cannot complete Baseline File upload."


def test_completing_what_is_no_baseline_creation_is_422(mara, ids):
    assert details_of(mara.post(f"/imodels/{ids['depot']}/baselinefile", {})) == [("InvalidChange", None)]


def test_completing_needs_manage(sandbox, mara, ids, orphan_state):
    sandbox.allow(ids["harbour-bridge"], "mara", ["imodels_webview"])

    assert complete(mara, orphan_state).status_code == 403


def test_the_baseline_of_an_older_imodel_is_initialized(mara, ids):
    assert mara.get(f"/imodels/{ids['main-bridge']}/baselinefile").json()["baselineFile"]["state"] == "initialized"


@pytest.mark.parametrize(
    ("content", "state"),
    [(b"no SQLite file".ljust(len(FILE)), "initializationFailed"), (FILE[:16] + b"briefcase", "fileIsBriefcase")],
)
def test_a_file_that_is_no_baseline_fails_later(sandbox, mara, orphan_state, upload, content, state):
    sandbox.advance_by_clock(speed=1_000_000)
    put(upload, content.ljust(len(FILE), b"\0"))
    complete(mara, orphan_state)

    assert operation_state(mara, orphan_state["id"]) == "failed"
    assert mara.get(f"/imodels/{orphan_state['id']}/baselinefile").json()["baselineFile"]["state"] == state


@pytest.mark.parametrize("state", ["fileIsBriefcase", "initializationFailed"])
def test_a_baselines_failure_can_be_ordered(sandbox, mara, ids, state):
    sandbox.advance_by_clock(speed=1_000_000)
    sandbox.next_outcome(state)
    spec = {"iTwinId": ids["harbour-bridge"], "name": "Ordered", "baselineFile": {"size": len(FILE)}}
    orphan_state = mara.post("/imodels", spec).json()["iModel"]
    put(orphan_state["_links"]["upload"]["href"])
    complete(mara, orphan_state)

    assert operation_state(mara, orphan_state["id"]) == "failed"
    assert mara.get(f"/imodels/{orphan_state['id']}/baselinefile").json()["baselineFile"]["state"] == state


# -- the storage ---------------------------------------------------------------------------------------------------


def test_a_single_put_needs_its_blob_type(upload):
    answer = put(upload, headers={})

    assert (answer.status_code, xml_code(answer)) == (400, "MissingRequiredHeader")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda url: url.replace("sig=", "sig=A"),
        lambda url: url.replace("%3D", "%253D"),
        lambda url: url.replace("sp=cw", "sp=rcw"),
        lambda url: url.partition("?")[0],
        lambda url: url.replace(".bim", ".bin"),
    ],
)
def test_a_link_that_was_changed_is_403_in_xml(upload, spoil):
    answer = put(spoil(upload))

    assert (answer.status_code, xml_code(answer)) == (403, "AuthenticationFailed")


def test_an_expired_link_is_403_in_xml(sandbox, mara, ids):
    sandbox.switch(upload_link_life_s=-1)
    spec = {"iTwinId": ids["harbour-bridge"], "name": "Late", "baselineFile": {"size": 10}}

    answer = put(mara.post("/imodels", spec).json()["iModel"]["_links"]["upload"]["href"])

    assert (answer.status_code, xml_code(answer)) == (403, "AuthenticationFailed")


def test_links_can_be_ended_before_their_time(sandbox, mara, ids, upload):
    sandbox.end_links()

    answer = put(upload)

    assert (answer.status_code, xml_code(answer)) == (403, "AuthenticationFailed")
    assert put(announced(mara, ids)["_links"]["upload"]["href"]).status_code == 201


def test_a_bearer_token_does_not_belong_to_the_storage(mara, upload):
    answer = put(upload, headers=SINGLE_PUT | {"Authorization": f"Bearer {mara.token}"})

    assert answer.status_code == 403


@pytest.mark.parametrize("query", ["", "&comp=blocklist&blocklisttype=uncommitted"])
def test_an_upload_link_cannot_read(upload, query):
    answer = requests.get(upload + query, timeout=PATIENCE_S)

    assert (answer.status_code, xml_code(answer)) == (403, "AuthorizationPermissionMismatch")


def test_a_single_put_over_256_mib_is_413(sandbox, upload):
    assert sandbox.platform.blobs.single_put_limit == 256 * 1024 * 1024
    sandbox.platform.blobs.single_put_limit = len(FILE) - 1

    answer = put(upload)

    assert (answer.status_code, xml_code(answer)) == (413, "RequestBodyTooLarge")


def test_blocks_are_put_together_in_the_order_of_the_list(mara, orphan_state, upload):
    pieces = {f"{n:04}".encode(): FILE[start : start + 3000] for n, start in enumerate(range(0, len(FILE), 3000))}
    for block_id in sorted(pieces, reverse=True):
        assert put_block(upload, block_id, b"first try").status_code == 201
        assert put_block(upload, block_id, pieces[block_id]).status_code == 201
    assert complete(mara, orphan_state).status_code == 404

    assert put_list(upload, sorted(pieces)).status_code == 201

    assert complete(mara, orphan_state).status_code == 200


def test_block_ids_are_of_equal_length(upload):
    put_block(upload, b"0001", b"x")

    answer = put_block(upload, b"00002", b"x")

    assert (answer.status_code, xml_code(answer)) == (400, "InvalidBlobOrBlock")


@pytest.mark.parametrize("block_id", [b"", bytes(65)])
def test_block_ids_have_1_to_64_bytes(upload, block_id):
    assert put_block(upload, block_id, b"x").status_code == 400


def test_a_list_with_a_block_that_never_came_is_400(upload):
    put_block(upload, b"0001", b"x")

    answer = put_list(upload, [b"0001", b"0002"])

    assert (answer.status_code, xml_code(answer)) == (400, "InvalidBlockList")


def test_a_single_put_drops_the_uncommitted_blocks(upload):
    put_block(upload, b"0001", b"x")
    put(upload)

    assert put_list(upload, [b"0001"]).status_code == 400


def test_the_same_list_of_blocks_may_be_sent_again(mara, orphan_state, upload):
    put_block(upload, b"0001", FILE)
    put_list(upload, [b"0001"])

    assert put_list(upload, [b"0001"]).status_code == 201

    assert complete(mara, orphan_state).status_code == 200


# -- what the sandbox can be told ------------------------------------------------------------------------------------


def announced(mara, ids, name="Told"):
    spec = {"iTwinId": ids["harbour-bridge"], "name": name, "baselineFile": {"size": len(FILE)}}
    return mara.post("/imodels", spec).json()["iModel"]


def test_a_creation_can_lack_its_upload_link(sandbox, mara, ids):
    sandbox.switch(upload_link=False)

    assert announced(mara, ids)["_links"]["upload"] is None


def test_a_later_look_can_hand_out_a_new_link_while_the_file_is_waited_for(sandbox, mara, ids):
    sandbox.switch(upload_link_life_s=-1)
    orphan_state = announced(mara, ids)
    sandbox.switch(upload_link_life_s=60, new_upload_link=True)

    link = mara.get(f"/imodels/{orphan_state['id']}").json()["iModel"]["_links"]["upload"]

    assert link["href"] != orphan_state["_links"]["upload"]["href"]
    assert put(link["href"]).status_code == 201
    assert complete(mara, orphan_state).status_code == 200
    assert mara.get(f"/imodels/{orphan_state['id']}").json()["iModel"]["_links"]["upload"] is None


@pytest.fixture
def google(sandbox, mara, ids):
    """An announced baseline whose storage is Google's."""
    sandbox.switch(storage_type="google")
    return announced(mara, ids)


def test_google_takes_one_plain_put(sandbox, mara, google):
    link = google["_links"]["upload"]
    assert link["storageType"] == "google"

    assert put(link["href"], headers={}).status_code == 200

    assert complete(mara, google).status_code == 200
    assert all("X-Goog-Signature=..." in entry.query for entry in sandbox.journal if "/storage" in entry.path)


@pytest.mark.parametrize(
    ("headers", "query", "status", "code"),
    [
        (SINGLE_PUT, "", 400, "MalformedSecurityHeader"),
        ({}, "&comp=block&blockid=MDAwMQ%3D%3D", 400, "MalformedSecurityHeader"),
        ({"Authorization": "Bearer x"}, "", 403, "SignatureDoesNotMatch"),
    ],
)
def test_google_takes_nothing_that_was_not_signed(google, headers, query, status, code):
    answer = put(google["_links"]["upload"]["href"] + query, headers=headers)

    assert (answer.status_code, xml_code(answer)) == (status, code)


def test_googles_link_expires_too(sandbox, mara, ids):
    sandbox.switch(storage_type="google", upload_link_life_s=0)

    answer = put(announced(mara, ids)["_links"]["upload"]["href"], headers={})

    assert (answer.status_code, xml_code(answer)) == (400, "ExpiredToken")


@pytest.mark.parametrize("count", [1, 4000])
def test_an_upload_can_be_cut_after_so_many_bytes_and_leaves_nothing(sandbox, mara, orphan_state, upload, count):
    sandbox.fault("PUT", r"^/storage/", cut_after=count)

    with pytest.raises(requests.ConnectionError):
        put(upload)

    [entry] = [entry for entry in sandbox.journal if entry.path.startswith("/storage")]
    assert (entry.received, entry.status) == (count, None)
    assert complete(mara, orphan_state).status_code == 404
    assert put(upload).status_code == 201


def test_blocks_alone_can_meet_5xx_in_xml(sandbox, upload):
    sandbox.fault("PUT", r"^/storage/", query="comp=block&", status=503)

    answer = put_block(upload, b"0001", b"x")

    assert (answer.status_code, xml_code(answer)) == (503, "ServerBusy")
    assert put_block(upload, b"0001", b"x").status_code == 201


def test_the_storage_can_be_slow(sandbox, upload):
    sandbox.switch(storage_bytes_per_s=len(FILE) / 0.4)
    began = time.monotonic()

    assert put(upload).status_code == 201

    assert time.monotonic() - began > 0.3


def test_a_file_can_be_seen_late(sandbox, mara, orphan_state, upload):
    sandbox.switch(blob_lag_s=30)
    put(upload)
    answer = complete(mara, orphan_state)
    assert (answer.status_code, error_of(answer)["code"]) == (404, "FileNotFound")

    sandbox.switch(blob_lag_s=0)

    assert complete(mara, orphan_state).status_code == 200
