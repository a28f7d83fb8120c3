"""A provider that lies, or is only broken: each lie ends on "Sign in again", and nobody is signed in."""

import base64
import hmac
import json
import re
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from imodels_app.accounts import oidc, sessions
from imodels_app.models import Session, TokenSet, User
from imodels_app.runtime.timing import PROVIDER_CLOCK_DIFFERENCE_S
from tests.people import SUBJECTS
from tests.views.test_sign_in import choose, come_back, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]

ELSEWHERE = "http://elsewhere.example"
DISCOVERY, KEYS = r"/openid-configuration$", r"/openid-configuration/jwks$"
TOKEN, USERINFO = r"/connect/token$", r"/connect/userinfo$"


class _Removed:
    """In the place of what an answer lacks."""

    def __repr__(self) -> str:  # in the names of tests, which each process of a run has to know alike
        return "removed"


REMOVED = _Removed()


@pytest.fixture(autouse=True)
def forgetful(monkeypatch) -> None:
    """A process that has not asked the provider for its endpoints and keys yet, and will forget what it hears."""
    monkeypatch.setattr(oidc.oauth.itwin, "server_metadata", {})


@pytest.fixture
def lie(client, sandbox) -> Callable:
    """lie(claims={...}) begins a sign-in, to which the token endpoint says this of Mara, and comes back.

    claims  REMOVED takes one away
    sign    makes the ID token; the provider's own key does if it is not given
    other arguments are parts of the token set
    """
    key = sandbox.platform.grants.key

    def ours(claims: dict) -> str:
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)

    def come(claims: dict | None = None, sign: Callable[[dict], str] = ours, **token_set):
        start = client.get(reverse("imodels:sign-in-start"))
        asked = {name: values[0] for name, values in parse_qs(urlsplit(start["Location"]).query).items()}
        now = int(time.time())
        honest = {"iss": sandbox.url, "sub": SUBJECTS["mara"], "aud": sandbox.client_id, "nonce": asked["nonce"]}
        honest |= {"iat": now, "exp": now + 3600, "email": "mara.lindqvist@harbour.example", "email_verified": True}
        said = {name: value for name, value in (honest | (claims or {})).items() if value is not REMOVED}
        answer = sandbox.tokens_for("mara") | {"id_token": sign(said)} | token_set
        sandbox.fault("POST", TOKEN, status=200, body={k: v for k, v in answer.items() if v is not REMOVED})
        return client.get(reverse("imodels:sign-in-callback"), {"code": "made up", "state": asked["state"]})

    return come


def assert_refused(client, answer, status: int = 400) -> None:
    assert answer.status_code == status
    assert "Sign in again" in answer.text
    assert [kind for kind in (Session, User, TokenSet) if kind.objects.exists()] == []
    assert not signed_in(client)


def test_the_same_said_honestly_signs_in(client, lie):
    """What the lies below differ from."""
    assert lie()["Location"] == reverse("imodels:operation-list")
    assert signed_in(client)


def line_about_it(caplog) -> str:
    """The one line of the log that tells of the failed sign-in."""
    [said] = [record for record in caplog.records if "A sign-in failed" in record.getMessage()]
    assert said.exc_info is None
    assert "Traceback" not in caplog.text
    return said.getMessage()


FAR = PROVIDER_CLOCK_DIFFERENCE_S + 60


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("aud", "another-client"),
        ("aud", ["another-client"]),
        ("aud", ["imodel-desk-demo", "another-client"]),
        ("aud", []),
        ("aud", {"imodel-desk-demo": 1}),
        ("aud", REMOVED),
        ("azp", "another-client"),
        ("azp", ""),
        ("azp", ["imodel-desk-demo"]),
        ("iss", ELSEWHERE),
        ("iss", None),
        ("iss", REMOVED),
        ("sub", REMOVED),
        ("sub", ""),
        ("sub", 17),
        ("sub", ["a"]),
        ("sub", None),
        ("sub", "x" * 256),
        ("sub", "mara\0"),
        ("sub", "mära"),
        ("nonce", "of another sign-in"),
        ("nonce", REMOVED),
        ("nonce", None),
        ("at_hash", "bm90IHRoZSBoYXNo"),
        ("at_hash", ""),
        ("at_hash", 5),
        ("exp", REMOVED),
        ("exp", "tomorrow"),
        ("exp", True),
        ("exp", None),
        ("iat", REMOVED),
        ("iat", "now"),
        ("nbf", "later"),
        ("auth_time", "now"),
        ("auth_time", [1]),
    ],
)
def test_a_claim_that_is_wrong_is_refused_and_named_in_one_line(client, lie, caplog, claim, value):
    answer = lie({claim: value})

    assert_refused(client, answer)
    assert claim in line_about_it(caplog)


def test_another_audience_is_refused_though_we_are_the_authorized_party(client, lie):
    assert_refused(client, lie({"aud": "another-client", "azp": "imodel-desk-demo"}))


@pytest.mark.parametrize(
    ("claim", "seconds", "side"), [("exp", -FAR, "before"), ("iat", FAR, "after"), ("nbf", FAR, "after")]
)
def test_a_time_that_is_wrong_is_told_with_the_difference_to_our_clock(client, lie, caplog, claim, seconds, side):
    answer = lie({claim: int(time.time()) + seconds})

    assert_refused(client, answer)
    assert re.search(
        rf"the claim {claim} is 1[78]\d s {side} this clock, which says 20..-..-.. ..:..:.. UTC", line_about_it(caplog)
    )


def test_a_clock_that_is_a_minute_off_is_no_lie(client, lie):
    lie({"iat": int(time.time()) + 60, "nbf": int(time.time()) + 60})

    assert signed_in(client)


@pytest.mark.parametrize("said", [REMOVED, None, "", True, {}, 0, -1, float("nan"), float("-inf")])
def test_no_time_of_authentication_that_is_none_counts_as_a_moment_ago(client, lie, said):
    lie({"auth_time": said})

    assert signed_in(client)
    assert not sessions.has_just_authenticated(client.session)


# ---------- signatures ----------


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def part(value: dict) -> str:
    return encoded(json.dumps(value).encode())


def unsigned(claims: dict) -> str:
    return f"{part({'alg': 'none'})}.{part(claims)}."


def test_a_token_without_a_signature_is_refused(client, lie):
    assert_refused(client, lie(sign=unsigned))


@pytest.mark.parametrize("offered", [["none"], ["none", "HS256"], [], "HS256", None, {"HS256": 1}])
def test_a_discovery_that_offers_no_signature_by_a_private_key_is_refused(client, sandbox, offered):
    sandbox.fault("GET", DISCOVERY, status=200, body=discovery(sandbox, id_token_signing_alg_values_supported=offered))

    assert_refused(client, client.get(reverse("imodels:sign-in-start")))


@pytest.mark.parametrize("offered", [["RS256"], ["RS256", "HS256", "none"]])
def test_a_signature_with_the_public_key_as_its_secret_is_refused(client, sandbox, lie, offered):
    sandbox.fault("GET", DISCOVERY, status=200, body=discovery(sandbox, id_token_signing_alg_values_supported=offered))
    public = sandbox.platform.grants.key.as_pem(private=False)

    def by_public_key(claims: dict) -> str:
        signed = f"{part({'alg': 'HS256'})}.{part(claims)}"
        return f"{signed}.{encoded(hmac.digest(public, signed.encode(), 'sha256'))}"

    assert_refused(client, lie(sign=by_public_key))


def test_a_secret_among_the_keys_signs_nothing(client, sandbox, lie):
    secret = OctKey.generate_key(256, {"kid": "shared"})
    sandbox.fault("GET", KEYS, status=200, body={"keys": [secret.as_dict(private=True)]}, times=2)
    by_secret = {"alg": "HS256", "kid": "shared"}

    assert_refused(client, lie(sign=lambda claims: jwt.encode(by_secret, claims, secret, algorithms=["HS256"])))


@pytest.mark.parametrize("kid", ["unknown", "../../keys", "", None, 5])
def test_a_key_that_the_provider_does_not_publish_is_refused(client, lie, kid):
    foreign = RSAKey.generate_key(2048)

    assert_refused(client, lie(sign=lambda claims: jwt.encode({"alg": "RS256", "kid": str(kid)}, claims, foreign)))


def test_a_signature_by_another_key_under_the_providers_name_is_refused(client, sandbox, lie, caplog):
    foreign, kid = RSAKey.generate_key(2048), sandbox.platform.grants.key.kid

    assert_refused(client, lie(sign=lambda claims: jwt.encode({"alg": "RS256", "kid": kid}, claims, foreign)))
    assert "BadSignatureError" in line_about_it(caplog)


@pytest.mark.parametrize("id_token", [REMOVED, "", None, "ey.ey.ey", "x" * 1000, 5, ["a"], {"a": 1}, "\ud83d.a.b"])
def test_an_id_token_that_is_none_is_refused(client, lie, id_token):
    assert_refused(client, lie(id_token=id_token))


def test_keys_that_were_damaged_once_are_asked_for_anew(client, sandbox, lie):
    sandbox.fault("GET", KEYS, status=200, body={"keys": "none today"})
    assert_refused(client, lie())

    lie()

    assert signed_in(client)


# ---------- token sets ----------


@pytest.mark.parametrize(
    "wrong",
    [
        {"token_type": "mac"},
        {"token_type": REMOVED},
        {"token_type": ["Bearer"]},
        {"access_token": ""},
        {"access_token": REMOVED},
        {"access_token": {"a": 1}},
        {"refresh_token": 5},
        {"expires_in": "soon"},
        {"expires_in": [1]},
        {"error": "server_error"},
        {"error": {"a": 1}, "error_description": ["b"]},
    ],
    ids=str,
)
def test_a_token_set_that_is_none_is_refused(client, lie, wrong):
    assert_refused(client, lie(**wrong))


# ---------- endpoints ----------


def discovery(sandbox, **lies) -> dict:
    at = f"{sandbox.url}/connect"
    honest = {"issuer": sandbox.url, "jwks_uri": f"{sandbox.url}/.well-known/openid-configuration/jwks"}
    honest |= {f"{name}_endpoint": f"{at}/{path}" for name, path in (("token", "token"), ("userinfo", "userinfo"))}
    honest |= {"authorization_endpoint": f"{at}/authorize", "end_session_endpoint": f"{at}/endsession"}
    return {name: value for name, value in (honest | lies).items() if value is not REMOVED}


@pytest.mark.parametrize(
    "lies",
    [
        {"issuer": ELSEWHERE},
        {"issuer": "http://127.0.0.1"},
        {"issuer": REMOVED},
        {"issuer": None},
        {"issuer": ["a"]},
        {"token_endpoint": f"{ELSEWHERE}/token"},
        {"jwks_uri": f"{ELSEWHERE}/jwks"},
        {"userinfo_endpoint": f"{ELSEWHERE}/userinfo"},
        {"token_endpoint": "http://127.0.0.1:1@elsewhere.example/token"},
        {"token_endpoint": "//elsewhere.example/token"},
        {"token_endpoint": "file:///etc/passwd"},
        {"token_endpoint": "/token"},
        {"token_endpoint": 5},
        {"token_endpoint": REMOVED},
        {"jwks_uri": REMOVED},
        {"authorization_endpoint": REMOVED},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"end_session_endpoint": "javascript:alert(1)"},
        {"end_session_endpoint": "data:text/html,x"},
    ],
    ids=str,
)
def test_a_discovery_that_is_not_our_issuers_is_refused_and_forgotten(client, sandbox, lies):
    sandbox.fault("GET", DISCOVERY, status=200, body=discovery(sandbox, **lies))

    assert_refused(client, client.get(reverse("imodels:sign-in-start")))

    assert client.get(reverse("imodels:sign-in-start")).status_code == 302


def test_hosts_that_a_setting_names_are_the_providers_too(client, sandbox, settings):
    settings.OIDC_HOSTS = ["elsewhere.example"]
    sandbox.fault("GET", DISCOVERY, status=200, body=discovery(sandbox, token_endpoint=f"{ELSEWHERE}/token"))

    assert client.get(reverse("imodels:sign-in-start")).status_code == 302


def test_nothing_in_a_discovery_changes_how_we_connect(client, sandbox):
    """Authlib takes what it finds there for options of its own: without TLS, through a proxy, with keys from there."""
    options = {"verify": False, "proxies": {"http": ELSEWHERE}, "jwks": {"keys": []}, "default_timeout": 1e9}
    sandbox.fault("GET", DISCOVERY, status=200, body=discovery(sandbox, **options, client_id="x", scope="everything"))

    come_back(client, choose(client.get(reverse("imodels:sign-in-start"))["Location"], "mara"))

    assert signed_in(client)


@pytest.fixture
def tells_no_address(sandbox, monkeypatch) -> None:
    """So that userinfo is asked for."""
    shorter = oidc.oauth.itwin.client_kwargs | {"scope": "openid profile"}
    monkeypatch.setattr(oidc.oauth.itwin, "client_kwargs", shorter)


def sign_in(client):
    """As far as it goes."""
    answer = client.get(reverse("imodels:sign-in-start"))
    return come_back(client, choose(answer["Location"], "mara")) if answer.status_code == 302 else answer


ENDPOINTS = [("GET", DISCOVERY), ("GET", KEYS), ("POST", TOKEN), ("GET", USERINFO)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(("method", "endpoint"), ENDPOINTS)
def test_no_redirect_is_followed(client, sandbox, tells_no_address, method, endpoint, status):
    """To an address that would answer as the provider: only that it is another one is wrong."""
    headers = {"Location": f"{sandbox.url}/followed"}
    sandbox.fault(method, endpoint, status=status, headers=headers, body=discovery(sandbox) | {"keys": []})

    assert_refused(client, sign_in(client))
    assert sandbox.calls("GET", "/followed") + sandbox.calls("POST", "/followed") == 0


@pytest.mark.parametrize(
    "body",
    [
        "<html>Sorry</html>",
        "",
        "null",
        "[]",
        "5",
        '"text"',
        "{}",
        '{"keys": null}',
        "[" * 100_000,
        '{"issuer": NaN}',
        "\0",
        pytest.param("x" * 3_000_000, id="huge"),
        pytest.param('{"a": "' + "x" * 3_000_000 + '"}', id="huge JSON"),
    ],
)
@pytest.mark.parametrize(("method", "endpoint"), ENDPOINTS)
def test_an_answer_that_makes_no_sense_is_refused(client, sandbox, tells_no_address, method, endpoint, body):
    sandbox.fault(method, endpoint, status=200, body=body, times=2)

    assert_refused(client, sign_in(client))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418])
@pytest.mark.parametrize(("method", "endpoint"), ENDPOINTS)
def test_a_refusal_is_refused(client, sandbox, tells_no_address, method, endpoint, status):
    sandbox.fault(method, endpoint, status=status, body="<html>No</html>")

    assert_refused(client, sign_in(client))


@pytest.mark.parametrize(("method", "endpoint"), ENDPOINTS)
@pytest.mark.parametrize("how", [{"status": 500}, {"status": 503, "body": "<html>"}, {"cut": True}], ids=str)
def test_no_answer_is_told_as_such(client, sandbox, tells_no_address, method, endpoint, how):
    sandbox.fault(method, endpoint, **how)

    assert_refused(client, sign_in(client), status=503)


@pytest.mark.parametrize(("method", "endpoint"), ENDPOINTS)
def test_an_answer_that_breaks_off_is_none(client, sandbox, tells_no_address, method, endpoint):
    sandbox.fault(method, endpoint, truncated=True)

    answer = sign_in(client)

    assert_refused(client, answer, status=answer.status_code)
    assert answer.status_code in (400, 503)


@pytest.mark.parametrize("subject", ["somebody else", None, "", ["a"], REMOVED])
def test_userinfo_about_somebody_else_is_refused(client, sandbox, tells_no_address, subject):
    said = {"sub": subject, "email": "ines.duarte@harbour.example", "email_verified": True}
    sandbox.fault("GET", USERINFO, status=200, body={k: v for k, v in said.items() if v is not REMOVED})

    assert_refused(client, sign_in(client))


INES, MARA = "ines.duarte@harbour.example", "mara.lindqvist@harbour.example"


@pytest.mark.parametrize(
    ("in_token", "at_userinfo", "kept"),
    [
        ((REMOVED, True), (INES, False), ""),
        ((REMOVED, True), (INES, REMOVED), MARA),
        ((REMOVED, False), (INES, True), INES),
        ((INES, False), (INES, True), ""),
        ((INES, REMOVED), (INES, True), MARA),
    ],
)
def test_whoever_tells_an_address_says_whether_it_is_confirmed(client, sandbox, lie, in_token, at_userinfo, kept):
    """Where they do not say so, what the platform names counts: here Mara's."""
    token, page = ({"email": email, "email_verified": is_so} for email, is_so in (in_token, at_userinfo))
    said = {name: value for name, value in page.items() if value is not REMOVED}
    sandbox.fault("GET", USERINFO, status=200, body=said | {"sub": SUBJECTS["mara"]})

    lie(token)

    assert (User.objects.get().email, User.objects.get().is_admin) == (kept, kept == INES)


# ---------- codes and states ----------


def test_a_state_is_good_once(client, sandbox):
    back = choose(client.get(reverse("imodels:sign-in-start"))["Location"], "mara")
    come_back(client, back)
    client.post(reverse("imodels:sign-out"))

    assert come_back(client, back).status_code == 400
    assert not signed_in(client)


def test_a_code_is_good_once_even_if_the_browser_brings_back_its_cookies(client, sandbox):
    start = client.get(reverse("imodels:sign-in-start"))
    back, before = choose(start["Location"], "mara"), start.cookies["desk-sign-in"].value
    come_back(client, back)
    client.post(reverse("imodels:sign-out"))
    client.cookies["desk-sign-in"] = before

    assert come_back(client, back).status_code == 400
    assert not signed_in(client)


def test_a_state_of_another_browser_is_refused(client, sandbox):
    back = choose(Client().get(reverse("imodels:sign-in-start"))["Location"], "mara")
    client.get(reverse("imodels:sign-in-start"))

    assert_refused(client, come_back(client, back))


@pytest.mark.parametrize("query", [{}, {"code": "x"}, {"state": ""}, {"code": "x", "state": ""}, {"code": "\0"}])
def test_a_return_that_nobody_began_is_refused(client, sandbox, query):
    assert_refused(client, client.get(reverse("imodels:sign-in-callback"), query))


def test_a_code_for_another_sign_in_of_this_browser_is_refused(client, sandbox):
    """Its challenge belongs to the other verifier."""
    first, second = (choose(client.get(reverse("imodels:sign-in-start"))["Location"], "mara") for _ in range(2))
    code, state = (parse_qs(urlsplit(one).query)[name][0] for one, name in ((first, "code"), (second, "state")))

    assert_refused(client, client.get(reverse("imodels:sign-in-callback"), {"code": code, "state": state}))


@pytest.mark.parametrize("cookie", ["", "x", "gAAAA", "{}", "ü" * 50, "x" * 4000])
def test_a_cookie_that_is_not_ours_is_none(client, sandbox, cookie):
    back = choose(client.get(reverse("imodels:sign-in-start"))["Location"], "mara")
    client.cookies["desk-sign-in"] = cookie

    assert_refused(client, come_back(client, back))
