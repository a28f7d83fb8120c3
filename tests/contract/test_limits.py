"""Section 3: rate limits as documented, in a true sliding window for every client id."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.limits import Limit, Limits, limits_of
from sandbox.server import Sandbox
from tests.contract.conftest import Caller, error_of


@pytest.fixture(scope="module")
def trial():
    with Sandbox.start(tier="trial") as running:
        yield running


@pytest.mark.parametrize(
    ("tier", "create", "clone", "fork"), [("trial", 5, 5, 5), ("basic", 50, 20, 20), ("enterprise", 50, 20, 20)]
)
def test_the_documented_numbers(tier, create, clone, fork):
    limits = limits_of(tier)

    for bucket, calls in (("create", create), ("clone", clone), ("fork", fork)):
        assert limits[bucket] == [Limit(calls, 60)]
    everything = [Limit(500, 60), Limit(5000, 3600)] if tier == "trial" else [Limit(5000, 60)]
    assert limits["all"] == everything


@pytest.mark.parametrize("verb", ["create", "clone", "fork"])
def test_the_sixth_creation_of_a_minute_is_429_on_trial(trial, verb):
    trial.reset()
    mara = Caller(trial.url, trial.tokens_for("mara")["access_token"])
    path = "/imodels" if verb == "create" else f"/imodels/{trial.ids['main-bridge']}/{verb}"
    spec = {"iTwinId": trial.ids["harbour-bridge"]}
    answers = [mara.post(path, spec | {"name": f"N{number}"}) for number in range(6)]

    assert [answer.status_code for answer in answers[:5]] == [201 if verb == "create" else 202] * 5
    assert answers[5].status_code == 429
    message = "More requests were received than the subscription rate-limit allows."
    assert answers[5].json() == {"error": {"code": "TooManyRequests", "message": message}}
    assert 55 <= int(answers[5].headers["Retry-After"]) <= 60
    headers = {name: answers[5].headers[f"ITwinPlatform-RateLimited-{name}"] for name in ("Tier", "API", "Operation")}
    assert headers == {"Tier": "Trial", "API": "imodels", "Operation": f"{verb} imodel"}
    assert answers[5].headers["ITwinPlatform-RateLimited-Application"] == trial.client_id


def test_the_people_of_one_client_share_its_limit(sandbox, as_person, ids):
    sandbox.limit("create", 2)
    spec = {"iTwinId": ids["harbour-bridge"]}

    codes = [as_person(who).post("/imodels", spec | {"name": who}).status_code for who in ("mara", "tomas", "ines")]

    assert codes == [201, 201, 429]


def test_create_clone_and_fork_have_buckets_of_their_own(sandbox, mara, ids):
    sandbox.limit("clone", 0)

    assert mara.post(f"/imodels/{ids['depot']}/clone", {}).status_code == 429
    assert mara.post(f"/imodels/{ids['depot']}/fork", {}).status_code == 422
    assert mara.post("/imodels", {}).status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/imodels/{}", "RateLimitExceeded"),
        ("GET", "/imodels/{}/operations/create", "RateLimitExceeded"),
        ("GET", "/itwins", "RateLimitExceeded"),
        ("GET", "/users/me", "RateLimitExceeded"),
        ("POST", "/imodels", "TooManyRequests"),
        ("POST", "/imodels/{}/clone", "TooManyRequests"),
        ("POST", "/imodels/{}/fork", "TooManyRequests"),
        ("POST", "/imodels/{}/baselinefile", "TooManyRequests"),
    ],
)
def test_the_code_of_a_429_depends_on_the_page(sandbox, mara, ids, method, path, code):
    sandbox.limit("all", 0)

    answer = mara.ask(method, path.format(ids["depot"]))

    assert (answer.status_code, error_of(answer)["code"]) == (429, code)
    assert answer.headers["ITwinPlatform-RateLimited-Operation"] == "all"


def test_a_window_slides_and_opens_again(sandbox, mara, monkeypatch):
    sandbox.limit("all", 2, per_s=0.4)
    now = sandbox.platform.limits.clock()
    times = iter([now, now + 0.3, now + 0.35, now + 0.41, now + 0.5, now + 0.71])
    monkeypatch.setattr(sandbox.platform.limits, "clock", lambda: next(times))

    codes = [mara.get("/users/me").status_code for _ in range(6)]

    assert codes == [200, 200, 429, 200, 429, 200]


def test_limits_can_be_switched_off(sandbox, mara):
    sandbox.limit("all", 0)
    sandbox.limits_off()

    assert mara.get("/users/me").status_code == 200


def test_the_hourly_limit_holds_beside_the_one_of_a_minute():
    now = [0.0]
    limits = Limits("trial", clock=lambda: now[0])
    for _ in range(10):
        assert all(limits.count("c", None) is None for _ in range(500))
        assert limits.count("c", None).bucket == "all"
        now[0] += 60

    exceeded = limits.count("c", None)

    assert exceeded.retry_after_s == 3000
    assert limits.count("another", None) is None


@given(gaps=st.lists(st.floats(0, 40), min_size=1, max_size=60))
def test_no_window_ever_holds_more_than_the_limit_and_none_is_refused_in_vain(gaps):
    now: list[float] = [0.0]
    granted: list[float] = []
    limits = Limits("trial", clock=lambda: now[0])
    for gap in gaps:
        now[0] += gap
        recent = [at for at in granted if at > now[0] - 60]
        exceeded = limits.count("c", "clone")
        assert (exceeded is None) == (len(recent) < 5)
        if exceeded is None:
            granted.append(now[0])
        else:
            assert 1 <= exceeded.retry_after_s <= 60
