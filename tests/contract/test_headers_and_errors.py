"""Sections 1 and 2: headers, the envelope, and what every door refuses."""

import pytest

from tests.contract.conftest import EVERY_API, V1, V2, details_of, error_of


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer ", "Basic abc", "nonsense"])
def test_a_token_that_is_not_ours_is_401_unauthorized(mara, header):
    answer = mara.ask("GET", "/users/me", headers={"Authorization": header})

    assert (answer.status_code, error_of(answer)["code"]) == (401, "Unauthorized")


def test_a_token_that_is_no_good_is_refused_in_the_platforms_words(mara):
    answer = mara.ask("GET", "/users/me", headers={"Authorization": "Bearer nonsense"})

    assert error_of(answer)["message"] == (
        "Access denied due to invalid access_token. "
        "Make sure that issuer is correct, the token is not expired and is not corrupted."
    )


def test_a_token_without_the_platforms_scope_is_401(sandbox, mara):
    mara.token = sandbox.tokens_for("mara", scope="openid profile")["access_token"]

    assert mara.get("/users/me").status_code == 401


def test_an_expired_token_is_401(sandbox, mara):
    sandbox.expire_tokens()

    assert mara.get("/users/me").status_code == 401


def test_a_token_lives_as_long_as_it_says(sandbox, as_person):
    sandbox.token_lifetime_s = 0

    assert as_person("mara").get("/users/me").status_code == 401


def test_a_revoked_grant_is_401_at_once(sandbox, mara):
    sandbox.revoke("mara")

    assert mara.get("/users/me").status_code == 401


@pytest.mark.parametrize(
    ("path", "accept", "code"),
    [
        ("/imodels/x", V1, "InvalidHeaderValue"),
        ("/imodels/x", "application/json", "InvalidHeaderValue"),
        ("/imodels/x", "*/*", "MissingRequiredHeader"),
        ("/itwins", V2, "InvalidHeaderValue"),
        ("/users/me", V2, "InvalidHeaderValue"),
        ("/accesscontrol/itwins/permissions", V1, "InvalidHeaderValue"),
    ],
)
def test_accept_must_name_the_version_of_the_api(mara, path, accept, code):
    answer = mara.ask("GET", path, headers={"Accept": accept})

    assert details_of(answer) == [(code, "Accept")]


@pytest.mark.parametrize("path", EVERY_API)
@pytest.mark.parametrize("correlation_id", ["", "nonsense", "a1a00000-0000-4000-8000"])
def test_a_correlation_id_is_a_guid(mara, path, correlation_id):
    answer = mara.ask("GET", path, headers={"X-Correlation-Id": correlation_id})

    assert details_of(answer) == [("InvalidHeaderValue", "X-Correlation-Id")]


def test_any_correlation_id_will_do_when_switched(sandbox, mara):
    sandbox.switch(strict=False)

    assert mara.ask("GET", "/users/me", headers={"X-Correlation-Id": "nonsense"}).status_code == 200


def test_the_journal_tells_the_correlation_id(sandbox, mara, ids):
    mara.ask("GET", "/users/me", headers={"X-Correlation-Id": ids["depot"]})

    assert sandbox.journal[-1].correlation_id == ids["depot"]


@pytest.mark.parametrize(("method", "path"), [("POST", "/imodels"), ("POST", "/clone"), ("PATCH", "")])
def test_another_content_type_is_415(mara, ids, method, path):
    path = path if path == "/imodels" else f"/imodels/{ids['main-bridge']}{path}"
    answer = mara.ask(method, path, data="name=x", headers={"Content-Type": "application/x-www-form-urlencoded"})

    assert answer.status_code == 415
    assert answer.json() == {"error": {"code": "UnsupportedMediaType", "message": "Media Type is not supported."}}


@pytest.mark.parametrize(
    ("path", "message"),
    [("/imodels", "Cannot create iModel."), ("/clone", "Cannot clone iModel."), ("/fork", "Cannot fork iModel.")],
)
@pytest.mark.parametrize(
    ("body", "code"), [("{", "InvalidRequestBody"), ("[]", "InvalidRequestBody"), ("", "MissingRequestBody")]
)
def test_a_body_that_is_no_json_object_is_422(mara, ids, path, message, body, code):
    path = path if path == "/imodels" else f"/imodels/{ids['main-bridge']}{path}"
    answer = mara.ask("POST", path, data=body, headers={"Content-Type": "application/json"})

    assert details_of(answer) == [(code, None)]
    assert (error_of(answer)["code"], error_of(answer)["message"]) == ("InvalidiModelsRequest", message)


def test_a_body_that_is_too_large_is_413(mara):
    answer = mara.post("/imodels", {"description": "x" * 1_100_000})

    assert (answer.status_code, error_of(answer)["code"]) == (413, "RequestTooLarge")


def test_an_unknown_path_still_has_the_envelope(mara):
    answer = mara.get("/imodels/x/y/z")

    assert answer.status_code == 404
    assert error_of(answer)


def test_a_connection_stays_open_for_the_next_request(mara):
    mara.get("/users/me")
    mara.get("/users/me")
    mara.post("/imodels", {})

    pools = mara.session.get_adapter(mara.url).poolmanager.pools
    keys = pools.keys()
    (pool,) = [pools[key] for key in keys]
    assert (pool.num_connections, pool.num_requests) == (1, 3)
