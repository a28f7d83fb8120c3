"""``python -m sandbox``, the world file, the control page, and the handle for a sandbox elsewhere."""

import itertools
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import requests

from sandbox.pages import PLACES, PRESETS
from sandbox.remote import RemoteSandbox
from sandbox.server import Sandbox
from tests.contract.conftest import Caller, error_of, operation_state
from tests.waiting import PATIENCE_S, wait_until


def test_the_program_answers_and_stops_when_asked(program):
    one = program("--tier", "trial")

    found = requests.get(f"{one.url}/.well-known/openid-configuration", timeout=PATIENCE_S).json()
    one.send_signal(signal.SIGTERM)

    assert found["issuer"] == one.url
    assert one.wait(timeout=PATIENCE_S) == 0


def test_a_killed_program_goes_on_where_it_was(program, tmp_path):
    options = ("--world", str(tmp_path / "world.json"))
    first = program(*options)
    one = RemoteSandbox(first.url)
    tokens = one.tokens_for("mara")
    mara = Caller(one.url, tokens["access_token"])
    made = mara.post("/imodels", {"iTwinId": one.ids["harbour-bridge"], "name": "Kept"}).json()["iModel"]
    wait_until(lambda: "Kept" in (tmp_path / "world.json").read_text(), what="the world in its file")
    first.kill()

    again = program(*options)

    mara.url = again.url
    assert mara.get(f"/imodels/{made['id']}").json()["iModel"]["name"] == "Kept"
    assert not list(tmp_path.glob(".world*"))


def test_a_sandbox_elsewhere_has_the_same_verbs(program):
    remote = RemoteSandbox(program().url)
    mara = Caller(remote.url, remote.tokens_for("mara")["access_token"])
    remote.advance_manually()
    remote.fault("GET", "/users/me$", status=503)
    spec = {"iTwinId": remote.ids["harbour-bridge"], "name": "Far"}

    assert mara.get("/users/me").status_code == 503
    new_id = mara.post(f"/imodels/{remote.ids['depot']}/clone", spec).headers["Location"].rpartition("/")[2]
    assert operation_state(mara, new_id) == "scheduled"
    remote.finish(new_id, "failed")
    assert operation_state(mara, new_id) == "failed"
    assert remote.calls("POST", "/clone") == 1
    assert remote.journal[-1].person == remote.people["mara"]["id"]
    remote.limit(bucket="all", calls=0)
    assert error_of(mara.get("/users/me"))["code"] == "RateLimitExceeded"
    remote.reset()
    assert remote.calls("*", "/") == 0


def restarted(sandbox, path):
    sandbox.stop()
    return Sandbox.start(world_file=path)


def test_the_world_sign_ins_and_uploads_survive_a_restart(tmp_path):
    path = tmp_path / "world.json"
    first = Sandbox.start(world_file=path)
    tokens, keys = first.tokens_for("mara"), first.platform.grants.public_keys
    mara = Caller(first.url, tokens["access_token"])
    spec = {"iTwinId": first.ids["harbour-bridge"], "name": "Up", "baselineFile": {"size": 3}}
    orphan_state = mara.post("/imodels", spec).json()["iModel"]
    upload = orphan_state["_links"]["upload"]["href"]
    requests.put(upload, data=b"abc", headers={"x-ms-blob-type": "BlockBlob"}, timeout=PATIENCE_S)

    with restarted(first, path) as second:
        mara.url = second.url
        assert second.platform.grants.public_keys == keys
        assert mara.post(f"/imodels/{orphan_state['id']}/baselinefile").status_code == 200
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        auth = (second.client_id, second.client_secret)
        assert requests.post(f"{second.url}/connect/token", data=form, auth=auth, timeout=PATIENCE_S).status_code == 200
        again = requests.post(f"{second.url}/connect/token", data=form, auth=auth, timeout=PATIENCE_S)
        assert again.json()["error"] == "invalid_grant"


def test_an_operation_under_way_goes_on_by_the_clock(tmp_path):
    path = tmp_path / "world.json"
    first = Sandbox.start(world_file=path)
    tokens = first.tokens_for("mara")
    spec = {"iTwinId": first.ids["harbour-bridge"], "name": "Slow", "creationMode": "empty"}
    made = Caller(first.url, tokens["access_token"]).post("/imodels", spec).json()["iModel"]

    with restarted(first, path) as second:
        mara = Caller(second.url, tokens["access_token"])
        assert operation_state(mara, made["id"]) == "scheduled"
        second.world.clock = lambda: time.time() + 10
        assert operation_state(mara, made["id"]) == "successful"


def test_the_file_holds_no_token(tmp_path):
    path = tmp_path / "world.json"
    with Sandbox.start(world_file=path) as sandbox:
        tokens = sandbox.tokens_for("mara")

    assert tokens["refresh_token"] not in path.read_text()
    assert tokens["access_token"] not in path.read_text()


def test_a_stopped_sandbox_answers_nobody_not_even_on_an_open_connection():
    sandbox = Sandbox.start()
    with requests.Session() as session:
        session.get(f"{sandbox.url}/sandbox/world", timeout=PATIENCE_S)
        sandbox.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(f"{sandbox.url}/sandbox/world", timeout=PATIENCE_S)


def test_all_files_can_be_dropped_while_one_arrives(sandbox):
    """Tests begin anew while a worker of the one before may still be sending."""
    blobs, arrived, ends = sandbox.platform.blobs, itertools.count(), time.monotonic() + 0.5

    def arrive() -> None:
        while time.monotonic() < ends:
            with suppress(FileNotFoundError):
                blobs.write(str(next(arrived)), [b"block"])

    with ThreadPoolExecutor() as pool:
        arriving = pool.submit(arrive)
        while not arriving.done():
            blobs.clear()
        arriving.result()

    assert next(arrived) > 1


def test_many_clones_at_once_of_one_name_make_one_imodel(sandbox, mara, ids):
    spec = {"iTwinId": ids["harbour-bridge"], "name": "Race"}
    with ThreadPoolExecutor(8) as pool:
        callers = [Caller(mara.url, mara.token) for _ in range(16)]
        answers = list(pool.map(lambda one: one.post(f"/imodels/{ids['depot']}/clone", spec), callers))

    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 15
    assert len(sandbox.imodels_named("race")) == 1


# -- the control page ------------------------------------------------------------------------------------------------


def form(sandbox, verb, **values):
    return requests.post(f"{sandbox.url}/sandbox/do/{verb}", data=values, timeout=PATIENCE_S, allow_redirects=False)


def test_the_page_shows_what_is_under_way_and_what_waits(sandbox, mara, ids):
    mara.post(f"/imodels/{ids['depot']}/clone", {"iTwinId": ids["harbour-bridge"], "name": "<b>Bold</b>"})
    assert form(sandbox, "fault", preset="429, wait 20 s", place="clone", times="2").status_code == 303

    page = requests.get(f"{sandbox.url}/sandbox/", timeout=PATIENCE_S).text

    assert "&lt;b&gt;Bold&lt;/b&gt;" in page
    assert "retry_after" in page
    assert "<script" not in page


def test_the_forms_do_what_they_say(sandbox, mara, ids):
    form(sandbox, "fault", preset="Server error 503", place="any API call", for_s="9")
    assert mara.get("/users/me").status_code == 503
    form(sandbox, "clear_faults")
    form(sandbox, "next_outcome", state="failed")
    form(sandbox, "switch", failed_keeps_name="false", list_lag_s="3")
    form(sandbox, "advance_by_clock", speed="100000")
    made = mara.post("/imodels", {"iTwinId": ids["harbour-bridge"], "name": "x", "creationMode": "empty"}).json()

    assert operation_state(mara, made["iModel"]["id"]) == "failed"
    assert (sandbox.world.switches.failed_keeps_name, sandbox.world.switches.list_lag_s) == (False, 3.0)
    form(sandbox, "push_changeset", imodel_id=ids["depot"])
    assert len(mara.get(f"/imodels/{ids['depot']}/changesets").json()["changesets"]) == 1


@pytest.mark.parametrize(
    ("verb", "values", "status"),
    [("explode", {}, 404), ("finish", {"imodel_id": "x"}, 400), ("switch", {"unknown": "1"}, 400)],
)
def test_a_wrong_form_is_told_so(sandbox, verb, values, status):
    assert form(sandbox, verb, **values).status_code == status


def test_every_preset_and_place_is_a_fault(sandbox):
    for preset in PRESETS:
        for place in PLACES:
            assert form(sandbox, "fault", preset=preset, place=place).status_code == 303
