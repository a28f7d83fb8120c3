"""What can be told to go wrong, and the journal that tells what came."""

import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

import pytest
import requests

from tests.contract.conftest import error_of, operation_state
from tests.waiting import PATIENCE_S, wait_until


@pytest.fixture
def clone(mara, ids):
    def ask(name="Copy"):
        return mara.post(f"/imodels/{ids['depot']}/clone", {"iTwinId": ids["harbour-bridge"], "name": name})

    return ask


def test_a_status_is_answered_so_many_times_and_nothing_happens(sandbox, clone):
    sandbox.fault("POST", r"/clone$", status=503, times=2)

    assert [clone().status_code for _ in range(3)] == [503, 503, 202]
    assert len(sandbox.imodels_named("Copy")) == 1
    assert sandbox.calls("POST", "/clone") == 3


def test_a_fault_waits_for_its_method_and_path(sandbox, mara, clone):
    sandbox.fault("POST", r"/fork$", status=500)
    sandbox.fault("GET", r"/clone$", status=500)

    assert clone().status_code == 202


def test_a_fault_may_last_for_a_time(sandbox, mara, monkeypatch):
    now = sandbox.platform.faults.clock()
    monkeypatch.setattr(sandbox.platform.faults, "clock", lambda: now)
    sandbox.fault("*", r"^/users", status=502, for_s=1)
    assert [mara.get("/users/me").status_code for _ in range(3)] == [502] * 3

    now += 1.05

    assert mara.get("/users/me").status_code == 200


def test_faults_can_be_cleared(sandbox, mara):
    sandbox.fault("*", ".", status=500, times=100)
    sandbox.clear_faults()

    assert mara.get("/users/me").status_code == 200


@pytest.mark.parametrize(
    ("body", "kind"), [("<html>Bad gateway</html>", "text/html"), ('{"iModels": [', "application/json")]
)
def test_any_body_can_be_answered(sandbox, mara, body, kind):
    sandbox.fault("GET", "/users/me", status=200, body=body, headers={"X-Odd": "yes"})

    answer = mara.get("/users/me")

    assert (answer.text, answer.headers["X-Odd"]) == (body, "yes")
    assert answer.headers["Content-Type"].startswith(kind)


def test_a_lost_answer_was_handled(sandbox, clone):
    sandbox.fault("POST", r"/clone$", lost_answer=True)

    with pytest.raises(requests.ConnectionError):
        clone()

    (made,) = sandbox.imodels_named("Copy")
    assert sandbox.journal[-1].imodel_id == made.id
    assert sandbox.journal[-1].status is None
    assert error_of(clone())["code"] == "iModelExists"


def test_a_cut_request_was_not_handled(sandbox, clone):
    sandbox.fault("POST", r"/clone$", cut=True)

    with pytest.raises(requests.ConnectionError):
        clone()

    assert sandbox.imodels_named("Copy") == []
    assert sandbox.calls("POST", "/clone") == 1


def test_a_slow_answer_was_handled(sandbox, mara):
    sandbox.fault("GET", "/users/me", slow_s=0.3)
    began = time.monotonic()

    assert mara.get("/users/me").status_code == 200
    assert time.monotonic() - began >= 0.3


def test_a_hang_is_a_timeout_to_the_client_and_was_not_handled(sandbox, mara, ids):
    sandbox.fault("POST", "/imodels$", hang_s=0.5)
    began = time.monotonic()

    with pytest.raises(requests.ConnectionError):
        mara.post("/imodels", {"iTwinId": ids["harbour-bridge"], "name": "Hung"})

    assert time.monotonic() - began >= 0.5
    assert sandbox.imodels_named("Hung") == []


def test_a_held_answer_was_handled_and_comes_when_it_is_released(sandbox, clone):
    held = sandbox.fault("POST", "/clone$", held=True)

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(clone)
        wait_until(lambda: held.holding)
        assert len(sandbox.imodels_named("Copy")) == 1
        assert not answer.done()
        held.release()

        assert answer.result().status_code == 202


def test_a_held_cut_was_not_handled_and_comes_with_all_that_is_held(sandbox, clone):
    held = sandbox.fault("POST", "/clone$", cut=True, held=True)

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(clone)
        wait_until(lambda: held.holding)
        sandbox.release()

        assert isinstance(answer.exception(), requests.ConnectionError)
    assert sandbox.imodels_named("Copy") == []


@pytest.mark.parametrize("retry_after", [7, 31_536_000, "soon", -1, None])
def test_a_429_says_how_long_as_oddly_as_wished(sandbox, mara, retry_after):
    sandbox.fault("GET", "/users/me", status=429, retry_after=retry_after)

    answer = mara.get("/users/me")

    assert (answer.status_code, error_of(answer)["code"]) == (429, "RateLimitExceeded")
    assert answer.headers.get("Retry-After") == (None if retry_after is None else str(retry_after))


def test_a_429_may_name_a_date(sandbox, mara):
    sandbox.fault("GET", "/users/me", retry_after="date:90")
    before = time.time()

    date = parsedate_to_datetime(mara.get("/users/me").headers["Retry-After"])

    assert before + 89 < date.timestamp() <= time.time() + 90


def test_a_429_at_a_clone_has_the_code_of_its_page(sandbox, clone):
    sandbox.fault("POST", "/clone$", retry_after=1)

    assert error_of(clone())["code"] == "TooManyRequests"


def test_a_single_request_can_meet_an_expired_token(sandbox, mara):
    sandbox.fault("GET", "/users/me", expired_token=True)

    assert [mara.get("/users/me").status_code for _ in range(2)] == [401, 200]


def test_an_answer_can_be_cut_short(sandbox, mara):
    sandbox.fault("GET", "/users/me", truncated=True)

    with pytest.raises(requests.JSONDecodeError):
        mara.get("/users/me").json()


@pytest.mark.parametrize(
    ("how", "start"), [("relative", "/imodels/"), ("foreign", "https://elsewhere.example/imodels/")]
)
def test_links_can_lead_elsewhere(sandbox, mara, clone, how, start):
    sandbox.fault("POST", "/clone$", location=how)

    answer = clone()

    assert answer.headers["Location"].startswith(start)
    assert answer.headers["Create-iModel-Operation"].startswith(start)
    assert operation_state(mara, answer.headers["Location"].rpartition("/")[2]) == "scheduled"


def test_links_can_be_missing(sandbox, clone):
    sandbox.fault("POST", "/clone$", location="missing")

    answer = clone()

    assert answer.status_code == 202
    assert not {"Location", "Create-iModel-Operation"} & set(answer.headers)


def test_the_token_endpoint_and_the_storage_can_fail_too(sandbox):
    sandbox.fault("POST", "^/connect/token$", status=500)
    sandbox.fault("PUT", "^/storage/", status=503)

    assert requests.post(f"{sandbox.url}/connect/token", timeout=PATIENCE_S).status_code == 500
    assert requests.put(f"{sandbox.url}/storage/x", timeout=PATIENCE_S).status_code == 503


# -- the journal -----------------------------------------------------------------------------------------------------


def test_the_journal_tells_who_asked_what_and_what_came_of_it(sandbox, mara, ids, clone):
    clone()

    entry = sandbox.journal[-1]
    assert (entry.method, entry.path, entry.status) == ("POST", f"/imodels/{ids['depot']}/clone", 202)
    assert (entry.person, entry.client_id) == (sandbox.person("mara").id, sandbox.client_id)
    assert entry.body == {"iTwinId": ids["harbour-bridge"], "name": "Copy"}
    assert entry.imodel_id == sandbox.imodels_named("Copy")[0].id


def test_the_journal_holds_no_secret(sandbox, mara, ids):
    tokens = sandbox.tokens_for("mara")
    spec = {"iTwinId": ids["harbour-bridge"], "name": "Up", "baselineFile": {"size": 3}}
    upload = mara.post("/imodels", spec).json()["iModel"]["_links"]["upload"]["href"]
    requests.put(upload, data=b"abc", headers={"x-ms-blob-type": "BlockBlob"}, timeout=PATIENCE_S)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    requests.post(
        f"{sandbox.url}/connect/token", data=form, auth=(sandbox.client_id, sandbox.client_secret), timeout=PATIENCE_S
    )

    written = requests.get(f"{sandbox.url}/sandbox/journal", timeout=PATIENCE_S).text

    assert "refresh_token" in written
    for secret in (mara.token, tokens["refresh_token"], sandbox.client_secret, upload.partition("sig=")[2]):
        assert secret not in written


def test_calls_count_collections_apart_from_what_lies_below_them(sandbox, mara, ids, clone):
    clone()
    mara.post("/imodels/", {"iTwinId": ids["harbour-bridge"], "name": "New"})
    mara.get(f"/imodels/{ids['depot']}/operations/create")

    assert sandbox.calls("POST", "/clone") == 1
    assert sandbox.calls("POST", "/imodels") == 1
    assert sandbox.calls("GET", "/operations/create") == 1
    assert sandbox.calls("*", ids["depot"]) == 2


def test_reset_makes_everything_new(sandbox, mara, clone):
    clone()
    sandbox.fault("*", ".", status=500)
    sandbox.switch(fork_preview=False)
    sandbox.advance_by_clock(speed=9)

    sandbox.reset()

    assert (sandbox.journal, sandbox.imodels_named("Copy"), sandbox.platform.faults.waiting) == ([], [], [])
    assert (sandbox.world.speed, sandbox.world.switches.fork_preview) == (1.0, True)
    assert mara.get("/users/me").status_code == 401
