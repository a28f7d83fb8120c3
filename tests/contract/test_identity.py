"""Section 15.1: discovery, sign-in, tokens that rotate, keys, userinfo, sign-out."""

import base64
import hashlib
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet

from sandbox.identity_store import Client
from sandbox.server import Sandbox
from tests.waiting import PATIENCE_S

CALLBACK = "http://localhost:8000/sign-in/callback"
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
SCOPE = "openid profile email offline_access itwin-platform"


class Browser:
    """Someone's browser and, for the token endpoint, the client behind it."""

    def __init__(self, sandbox):
        self.sandbox, self.session = sandbox, requests.Session()

    def visit(self, method="GET", path="/connect/authorize", **parameters):
        query, form = (parameters, None) if method == "GET" else (None, parameters)
        address = self.sandbox.url + path
        return self.session.request(method, address, params=query, data=form, timeout=PATIENCE_S, allow_redirects=False)

    def request_of(self, **other):
        asked = {
            "response_type": "code",
            "client_id": self.sandbox.client_id,
            "redirect_uri": CALLBACK,
            "scope": SCOPE,
            "state": "s & t",
            "nonce": "n-1",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        } | other
        return {name: value for name, value in asked.items() if value is not None}

    def choose(self, person="mara", **other):
        chosen = person if person == "nobody" else self.sandbox.person(person).id
        return self.visit("POST", person=chosen, **self.request_of(**other))

    def code(self, person="mara", **other):
        return came_back(self.choose(person, **other))["code"]

    def token(self, auth=None, **form):
        auth = auth or (self.sandbox.client_id, self.sandbox.client_secret)
        return requests.post(f"{self.sandbox.url}/connect/token", data=form, auth=auth, timeout=PATIENCE_S)

    def redeem(self, bought, **other):
        form = {"code": bought, "redirect_uri": CALLBACK, "code_verifier": VERIFIER} | other
        form = {name: value for name, value in form.items() if value is not None}
        return self.token(grant_type="authorization_code", **form)

    def refresh(self, token):
        return self.token(grant_type="refresh_token", refresh_token=token)


@pytest.fixture
def browser(sandbox):
    with requests.Session() as session:
        one = Browser(sandbox)
        one.session = session
        yield one


def came_back(answer):
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(CALLBACK)
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


def refused(answer, error, status=400):
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["Cache-Control"] == "no-store"
    return True


def works(sandbox, access_token):
    headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/vnd.bentley.itwin-platform.v1+json"}
    return requests.get(f"{sandbox.url}/users/me", headers=headers, timeout=PATIENCE_S).status_code == 200


def test_discovery_names_every_endpoint(sandbox, browser):
    found = browser.visit(path="/.well-known/openid-configuration").json()

    assert found["issuer"] == sandbox.url
    for name in ("authorization", "token", "userinfo", "end_session", "revocation"):
        assert found[f"{name}_endpoint"].startswith(f"{sandbox.url}/connect/")
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert requests.get(found["jwks_uri"], timeout=PATIENCE_S).json()["keys"][0]["kty"] == "RSA"


def test_the_private_key_stays_inside(browser):
    (key,) = browser.visit(path="/.well-known/openid-configuration/jwks").json()["keys"]

    assert not {"d", "p", "q", "dp", "dq", "qi"} & key.keys()


def test_the_browser_may_know_it_by_another_name():
    with Sandbox.start(issuer="http://sandbox:9000", browser_url="http://localhost:9000/") as sandbox:
        port = sandbox._server.port
        found = requests.get(f"http://127.0.0.1:{port}/.well-known/openid-configuration", timeout=PATIENCE_S).json()

    assert found["issuer"] == "http://sandbox:9000"
    assert found["token_endpoint"] == "http://sandbox:9000/connect/token"
    assert found["authorization_endpoint"] == "http://localhost:9000/connect/authorize"
    assert found["end_session_endpoint"] == "http://localhost:9000/connect/endsession"


def test_the_page_offers_four_people_and_a_way_out_without_script(browser):
    page = browser.visit(**browser.request_of()).text

    for name in ("Mara Lindqvist", "Tomas Novak", "Ines Duarte", "Otto Brandt", "Cancel"):
        assert name in page
    assert "<script" not in page
    assert 'value="s &amp; t"' in page


def test_a_choice_comes_back_with_code_and_state(browser):
    answer = came_back(browser.choose())

    assert answer["state"] == "s & t"
    assert answer["code"]


def test_refusing_comes_back_as_access_denied(browser):
    assert came_back(browser.choose("nobody"))["error"] == "access_denied"


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "openid everything"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_a_bad_request_is_told_to_the_client(browser, other, error):
    answer = came_back(browser.visit(**browser.request_of(**other)))

    assert (answer["error"], answer["state"]) == (error, "s & t")


@pytest.mark.parametrize(
    "other",
    [
        {"client_id": "unknown"},
        {"redirect_uri": None},
        {"redirect_uri": "http://elsewhere.example/sign-in/callback"},
        {"redirect_uri": "http://localhost:8000/other"},
        {"redirect_uri": f"{CALLBACK}?next=/"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unregistered_client_or_address_is_never_redirected_to(browser, method, other):
    assert browser.visit(method, **browser.request_of(**other)).status_code == 400


@pytest.mark.parametrize(("uri", "status"), [(CALLBACK, 200), ("http://localhost:8001/sign-in/callback", 400)])
def test_registered_addresses_are_compared_exactly(sandbox, browser, monkeypatch, uri, status):
    monkeypatch.setattr(sandbox.platform, "redirect_uris", [CALLBACK])

    assert browser.visit(**browser.request_of(redirect_uri=uri)).status_code == status


def test_the_last_person_is_offered_first_but_still_asked(browser):
    browser.choose("otto")

    page = browser.visit(**browser.request_of()).text

    assert page.index("Otto") < page.index("Mara")
    assert 'aria-current="true"' in page


def test_prompt_none_answers_by_the_cookie(browser):
    browser.choose("otto")

    assert "code" in came_back(browser.visit(**browser.request_of(prompt="none")))


def test_a_code_buys_tokens_with_all_claims(sandbox, browser):
    answer = browser.redeem(browser.code())

    tokens = answer.json()
    keys = KeySet.import_key_set(browser.visit(path="/.well-known/openid-configuration/jwks").json())
    identity = jwt.decode(tokens["id_token"], keys, algorithms=["RS256"]).claims
    access = jwt.decode(tokens["access_token"], keys, algorithms=["RS256"]).claims
    mara = sandbox.person("mara")
    assert answer.headers["Cache-Control"] == "no-store"
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 3600, SCOPE)
    assert identity["iss"] == sandbox.url
    assert (identity["aud"], identity["sub"], identity["nonce"]) == (sandbox.client_id, mara.id, "n-1")
    assert (identity["email"], identity["email_verified"]) == ("mara.lindqvist@harbour.example", True)
    assert (identity["given_name"], identity["family_name"], identity["name"]) == (
        "Mara",
        "Lindqvist",
        "Mara Lindqvist",
    )
    assert access["sub"] == mara.id
    assert access["exp"] - access["iat"] == 3600
    assert works(sandbox, tokens["access_token"])


def test_without_offline_access_there_is_no_refresh_token(browser):
    tokens = browser.redeem(browser.code(scope="openid itwin-platform")).json()

    assert "refresh_token" not in tokens
    assert "id_token" in tokens


@pytest.mark.parametrize(
    "other",
    [{"code_verifier": "w" * 64}, {"code_verifier": None}, {"redirect_uri": CALLBACK + "/"}, {"code": "unknown"}],
)
def test_verifier_address_and_code_must_fit(browser, other):
    assert refused(browser.redeem(browser.code(), **other), "invalid_grant")


def test_without_pkce_a_verifier_is_not_expected(browser):
    bare = {"code_challenge": None, "code_challenge_method": None}

    assert browser.redeem(browser.code(**bare), code_verifier=None).status_code == 200
    assert refused(browser.redeem(browser.code(**bare)), "invalid_grant")


def test_a_replayed_code_is_refused_and_kills_what_it_bought(sandbox, browser):
    code = browser.code()
    tokens = browser.redeem(code).json()

    assert refused(browser.redeem(code), "invalid_grant")
    assert not works(sandbox, tokens["access_token"])
    assert refused(browser.refresh(tokens["refresh_token"]), "invalid_grant")


def test_a_code_is_short_lived(sandbox, browser, monkeypatch):
    code = browser.code()
    now = sandbox.platform.grants.clock()
    monkeypatch.setattr(sandbox.platform.grants, "clock", lambda: now + 61)

    assert refused(browser.redeem(code), "invalid_grant")


def test_refreshing_rotates(sandbox, browser):
    first = browser.redeem(browser.code()).json()
    second = browser.refresh(first["refresh_token"]).json()
    third = browser.refresh(second["refresh_token"]).json()

    assert len({one["refresh_token"] for one in (first, second, third)}) == 3
    assert works(sandbox, third["access_token"])


def test_a_used_refresh_token_kills_the_whole_grant(sandbox, browser):
    first = browser.redeem(browser.code()).json()
    second = browser.refresh(first["refresh_token"]).json()

    assert refused(browser.refresh(first["refresh_token"]), "invalid_grant")
    assert not works(sandbox, second["access_token"])
    assert refused(browser.refresh(second["refresh_token"]), "invalid_grant")


def test_another_sign_in_of_the_same_person_lives_on(sandbox, browser):
    one, other = browser.redeem(browser.code()).json(), browser.redeem(browser.code()).json()
    browser.refresh(one["refresh_token"])
    browser.refresh(one["refresh_token"])

    assert works(sandbox, other["access_token"])


def test_expired_access_tokens_leave_the_refresh_token_alive(sandbox, browser):
    tokens = sandbox.tokens_for("mara")
    sandbox.expire_tokens()

    assert not works(sandbox, tokens["access_token"])
    assert works(sandbox, browser.refresh(tokens["refresh_token"]).json()["access_token"])


def test_a_revoked_person_must_sign_in_again(sandbox, browser):
    tokens = sandbox.tokens_for("mara")
    sandbox.revoke("mara")

    assert refused(browser.refresh(tokens["refresh_token"]), "invalid_grant")


def test_the_client_may_revoke_its_refresh_token(sandbox, browser):
    tokens = sandbox.tokens_for("mara")
    form, auth = {"token": tokens["refresh_token"]}, (sandbox.client_id, sandbox.client_secret)

    revoked = requests.post(f"{sandbox.url}/connect/revocation", data=form, auth=auth, timeout=PATIENCE_S)

    assert revoked.status_code == 200
    assert not works(sandbox, tokens["access_token"])


@pytest.mark.parametrize("auth", [("imodel-desk-demo", "wrong"), ("unknown", "imodel-desk-demo-secret"), ("", "")])
def test_the_client_must_prove_itself(browser, auth):
    answer = browser.token(auth=auth, grant_type="client_credentials")

    assert refused(answer, "invalid_client", 401)
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_basic_credentials_are_percent_encoded_first():
    with Sandbox.start(clients=[Client("a client:é", "s/+ %")]) as sandbox:
        auth = (quote("a client:é", safe=""), quote("s/+ %", safe=""))
        answer = requests.post(
            f"{sandbox.url}/connect/token", data={"grant_type": "client_credentials"}, auth=auth, timeout=PATIENCE_S
        )

    assert answer.status_code == 200


def test_credentials_may_be_posted_but_not_both_ways(sandbox):
    form = {"grant_type": "client_credentials", "client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
    url = f"{sandbox.url}/connect/token"

    assert requests.post(url, data=form, timeout=PATIENCE_S).status_code == 200
    both = requests.post(url, data=form, auth=(sandbox.client_id, sandbox.client_secret), timeout=PATIENCE_S)
    assert refused(both, "invalid_request")


def test_an_unknown_grant_type_is_refused(browser):
    assert refused(browser.token(grant_type="password"), "unsupported_grant_type")


def test_a_service_application_has_no_rights_until_it_is_a_member(sandbox, browser, mara, ids):
    tokens = browser.token(grant_type="client_credentials", scope="itwin-platform").json()
    mara.token = tokens["access_token"]

    assert "refresh_token" not in tokens
    assert mara.get(f"/imodels/{ids['depot']}").status_code == 404
    sandbox.allow(ids["rail-corridor"], sandbox.client_id, ["imodels_webview"])
    assert mara.get(f"/imodels/{ids['depot']}").status_code == 200


def test_a_service_application_may_not_ask_for_a_person(browser):
    assert refused(browser.token(grant_type="client_credentials", scope="openid itwin-platform"), "invalid_scope")


def test_userinfo(sandbox, mara):
    info = mara.ask("GET", "/connect/userinfo").json()

    assert (info["sub"], info["email"]) == (sandbox.person("mara").id, "mara.lindqvist@harbour.example")
    assert mara.ask("GET", "/connect/userinfo", headers={"Authorization": None}).status_code == 401


def test_signing_out_forgets_the_person_and_returns(sandbox, browser):
    hint = browser.redeem(browser.code()).json()["id_token"]
    back = "http://localhost:8000/"
    answer = browser.visit(path="/connect/endsession", id_token_hint=hint, post_logout_redirect_uri=back, state="bye")

    assert (answer.status_code, answer.headers["Location"]) == (303, f"{back}?state=bye")
    assert came_back(browser.visit(**browser.request_of(prompt="none")))["error"] == "login_required"


@pytest.mark.parametrize(
    "parameters", [{"id_token_hint": "nonsense"}, {"post_logout_redirect_uri": "http://elsewhere.example/"}]
)
def test_signing_out_never_redirects_elsewhere(browser, parameters):
    assert browser.visit(path="/connect/endsession", **parameters).status_code == 400


def test_signing_out_without_an_address_shows_a_page(browser):
    assert "signed out" in browser.visit(path="/connect/endsession").text
