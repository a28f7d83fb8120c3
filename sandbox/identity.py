"""The identity provider: OpenID Connect discovery, sign-in pages, tokens that rotate, keys, userinfo, sign-out.

Stands for https://ims.bentley.com ; https://developer.bentley.com/apis/overview/authorization/ ,
https://openid.net/specs/openid-connect-core-1_0.html , https://openid.net/specs/openid-connect-rpinitiated-1_0.html
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import unquote_plus, urlencode, urlsplit

from flask import Blueprint, Response, jsonify, redirect, render_template, request
from joserfc.errors import JoseError

from sandbox.identity_store import SCOPES, InvalidGrant, claims_of
from sandbox.platform import current
from sandbox.world import Person

identity = Blueprint("identity", __name__)
COOKIE = "sandbox-sign-in"
DEFAULT_REDIRECT_PATH = "/sign-in/callback"
LOCAL_HOSTS = ("localhost", "127.0.0.1")


class TokenRefused(Exception):
    """RFC 6749, section 5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        self.error, self.description, self.status = error, description, status


class AuthorizeRefused(Exception):
    """RFC 6749, section 4.1.2.1: told to the client by a redirect."""

    def __init__(self, error: str, description: str) -> None:
        self.error, self.description = error, description


@identity.get("/.well-known/openid-configuration")
def discovery() -> Response:
    """Servers use the issuer's address; the two addresses a browser visits are below the browser's own."""
    server, browser = current().issuer, current().browser_url
    return jsonify(
        {
            "issuer": server,
            "authorization_endpoint": f"{browser}/connect/authorize",
            "token_endpoint": f"{server}/connect/token",
            "userinfo_endpoint": f"{server}/connect/userinfo",
            "end_session_endpoint": f"{browser}/connect/endsession",
            "revocation_endpoint": f"{server}/connect/revocation",
            "jwks_uri": f"{server}/.well-known/openid-configuration/jwks",
            "scopes_supported": list(SCOPES),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "prompt_values_supported": ["none", "login", "select_account"],
            "claims_supported": ["sub", "name", "given_name", "family_name", "email", "email_verified"],
        }
    )


@identity.get("/.well-known/openid-configuration/jwks")
def jwks() -> Response:
    return jsonify(current().grants.public_keys)


# -- authorize ---------------------------------------------------------------------------------------------------


@identity.route("/connect/authorize", methods=["GET", "POST"])
def authorize() -> Response | str | tuple[str, int]:
    """GET shows who can sign in, with the last person first in line; POST is the choice made there.

    A client or redirect address that is not registered is told to the person, never redirected to.
    """
    asked = request.values
    client = current().grants.clients.get(asked.get("client_id", ""))
    if client is None:
        return _error_page("The application is not registered here (client_id)."), 400
    if not redirect_is_registered(asked.get("redirect_uri", "")):
        return _error_page("This redirect_uri is not registered for the application."), 400
    try:
        _check_authorization_request()
        return _choose() if request.method == "POST" else _chooser()
    except AuthorizeRefused as refused:
        return _back(error=refused.error, error_description=refused.description)


def redirect_is_registered(uri: str) -> bool:
    """Exactly one of the registered; if none is, any local address whose path is /sign-in/callback."""
    registered = current().redirect_uris
    if registered:
        return uri in registered
    parts = urlsplit(uri)
    local = parts.scheme in ("http", "https") and parts.hostname in LOCAL_HOSTS
    return local and parts.path == DEFAULT_REDIRECT_PATH and not parts.query and not parts.fragment


def _check_authorization_request() -> None:
    asked = request.values
    scopes = asked.get("scope", "").split()
    if asked.get("response_type") != "code":
        raise AuthorizeRefused("unsupported_response_type", "Only response_type=code is supported.")
    if not scopes or not set(scopes) <= set(SCOPES):
        raise AuthorizeRefused("invalid_scope", f"Supported scopes: {' '.join(SCOPES)}")
    if asked.get("code_challenge_method", "S256" if "code_challenge" in asked else "") not in ("", "S256"):
        raise AuthorizeRefused("invalid_request", "Only code_challenge_method=S256 is supported.")
    if "code_challenge_method" in asked and not asked.get("code_challenge"):
        raise AuthorizeRefused("invalid_request", "code_challenge is missing.")
    if "code_challenge" in asked and len(asked["code_challenge"]) != 43:
        raise AuthorizeRefused("invalid_request", "code_challenge is no S256 digest.")


def _chooser() -> Response | str:
    """The page of people. prompt=none answers at once, by the cookie of an earlier choice."""
    last = current().grants.remembered(request.cookies.get(COOKIE))
    if request.args.get("prompt") == "none":
        person = current().world.people.get(last or "")
        if person is None:
            raise AuthorizeRefused("login_required", "Nobody is signed in.")
        return _back(code=_code_for(person))
    people = list(current().world.people.values())
    hint = request.args.get("login_hint", "").lower()
    preselected = next((p.id for p in people if p.email == hint), last)
    people.sort(key=lambda person: person.id != preselected)
    return render_template("sign_in.html", people=people, last=preselected, asked=request.args, action=request.path)


def _choose() -> Response:
    if request.form.get("person") == "nobody":
        raise AuthorizeRefused("access_denied", "The person refused to sign in.")
    person = current().world.people.get(request.form.get("person", ""))
    if person is None:
        raise AuthorizeRefused("access_denied", "Nobody was chosen.")
    answer = _back(code=_code_for(person))
    answer.set_cookie(COOKIE, current().grants.remember(person.id), httponly=True, samesite="Lax", path="/connect")
    return answer


def _code_for(person: Person) -> str:
    asked = request.values
    return current().grants.issue_code(
        client_id=asked["client_id"],
        person_id=person.id,
        redirect_uri=asked["redirect_uri"],
        scope=asked["scope"],
        nonce=asked.get("nonce"),
        challenge=asked.get("code_challenge"),
    )


def _back(**parameters: str) -> Response:
    """Return to the client, with its state."""
    if "state" in request.values:
        parameters["state"] = request.values["state"]
    uri = request.values["redirect_uri"]
    glue = "&" if "?" in uri else "?"
    answer = redirect(f"{uri}{glue}{urlencode(parameters)}", 303)
    answer.headers["Cache-Control"] = "no-store"
    return answer  # type: ignore[return-value]


def _error_page(message: str) -> str:
    return render_template("message.html", title="Sign-in is not possible", message=message)


# -- tokens ------------------------------------------------------------------------------------------------------


@identity.post("/connect/token")
def token() -> Response:
    """authorization_code, refresh_token (rotating) and client_credentials."""
    client_id = _authenticated_client()
    try:
        return _no_store(jsonify(_grant(request.form.get("grant_type", ""), client_id)))
    except InvalidGrant as invalid:
        raise TokenRefused("invalid_grant", str(invalid)) from None


def _grant(grant_type: str, client_id: str) -> dict[str, Any]:
    grants, form = current().grants, request.form
    people = current().world.people
    if grant_type == "authorization_code":
        return grants.redeem_code(
            form.get("code", ""),
            client_id=client_id,
            redirect_uri=form.get("redirect_uri", ""),
            verifier=form.get("code_verifier"),
            person=people.__getitem__,
        )
    if grant_type == "refresh_token":
        shown = form.get("refresh_token", "")
        return grants.refresh(shown, client_id=client_id, scope=form.get("scope"), person=people.__getitem__)
    if grant_type == "client_credentials":
        if form.get("scope", "itwin-platform").split() != ["itwin-platform"]:
            raise TokenRefused("invalid_scope", "A service application may ask for itwin-platform only.")
        return grants.service_token(client_id, "itwin-platform")
    raise TokenRefused("unsupported_grant_type", "authorization_code, refresh_token or client_credentials.")


@identity.post("/connect/revocation")
def revocation() -> Response:
    """RFC 7009."""
    current().grants.revoke_token(request.form.get("token", ""), _authenticated_client())
    return _no_store(Response(status=200))


def _authenticated_client() -> str:
    """client_secret_basic, whose parts are percent-encoded first (RFC 6749, 2.3.1), or client_secret_post; not both."""
    basic = _basic_credentials()
    posted = (request.form.get("client_id", ""), request.form.get("client_secret", ""))
    if basic and posted[1]:
        raise TokenRefused("invalid_request", "Authenticate the client in one way only.")
    client_id, secret = basic or posted
    if not current().grants.client_is_genuine(client_id, secret):
        raise TokenRefused("invalid_client", "The client is not known or its secret is wrong.", 401)
    return client_id


def _basic_credentials() -> tuple[str, str] | None:
    kind, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise TokenRefused("invalid_client", "The Authorization header is malformed.", 401) from None
    return unquote_plus(client_id), unquote_plus(secret)


@identity.errorhandler(TokenRefused)
def _token_refused(refused: TokenRefused) -> Response:
    answer = jsonify({"error": refused.error, "error_description": refused.description})
    answer.status_code = refused.status
    if refused.status == 401:
        answer.headers["WWW-Authenticate"] = 'Basic realm="sandbox"'
    return _no_store(answer)


def _no_store(answer: Response) -> Response:
    answer.headers["Cache-Control"] = "no-store"
    return answer


@identity.route("/connect/userinfo", methods=["GET", "POST"])
def userinfo() -> Response:
    kind, _, shown = request.headers.get("Authorization", "").partition(" ")
    caller = current().grants.caller(shown) if kind.lower() == "bearer" else None
    person = current().world.people.get(caller.person_id) if caller else None
    if caller is None or person is None or "openid" not in caller.scope.split():
        headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return Response('{"error": "invalid_token"}', 401, headers, mimetype="application/json")
    return jsonify({"sub": person.id, **claims_of(person, caller.scope.split())})


# -- sign-out ----------------------------------------------------------------------------------------------------


@identity.route("/connect/endsession", methods=["GET", "POST"])
def end_session() -> Response | str | tuple[str, int]:
    """Forget who is signed in here, then return to post_logout_redirect_uri. Tokens live on until revoked."""
    asked = request.values
    if asked.get("id_token_hint") and not _hint_is_ours(asked["id_token_hint"]):
        return _error_page("The id_token_hint is not one of ours."), 400
    back = asked.get("post_logout_redirect_uri", "")
    if back and not _may_return_to(back):
        return _error_page("This post_logout_redirect_uri is not registered."), 400
    current().grants.sign_out(request.cookies.get(COOKIE))
    answer: Any = Response(render_template("message.html", title="Signed out", message="You are signed out."))
    if back:
        query = f"?{urlencode({'state': asked['state']})}" if "state" in asked else ""
        answer = redirect(back + query, 303)
    answer.delete_cookie(COOKIE, path="/connect")
    signed_out: Response = answer
    return signed_out


def _hint_is_ours(hint: str) -> bool:
    try:
        claims = current().grants.claims_in(hint)
    except (JoseError, ValueError):
        return False
    return claims.get("iss") == current().issuer and claims.get("aud") in current().grants.clients


def _may_return_to(uri: str) -> bool:
    """Any page of a host that is registered for sign-in; without registrations any local one."""
    origin = urlsplit(uri)
    registered = [urlsplit(known) for known in current().redirect_uris]
    if registered:
        return (origin.scheme, origin.netloc) in [(known.scheme, known.netloc) for known in registered]
    return origin.scheme in ("http", "https") and origin.hostname in LOCAL_HOSTS
