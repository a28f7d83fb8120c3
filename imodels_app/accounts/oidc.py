"""The identity provider: discovery, code flow with PKCE, refresh, end of session. Keeps nothing.

Authlib does the protocol (oidc_client.py). Endpoints come from the discovery document of OIDC_ISSUER. Whatever goes
wrong, in whichever library, is a ProviderError: nobody is signed in by an answer that nobody understood.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.django_client import OAuth
from django.conf import settings
from joserfc.errors import ClaimError

from imodels_app.accounts.oidc_client import BoundedSession, IDToken, Provider
from imodels_app.itwin.http import no_other_auth
from imodels_app.runtime.timing import (
    PROVIDER_CLOCK_DIFFERENCE_S,
    PROVIDER_TIMEOUT_S,
    REFRESH_TIMEOUT_S,
    SIGN_IN_IS_FRESH,
)

# In the form body: with HTTP Basic, providers disagree on whether id and secret are percent-encoded first.
CLIENT_AUTHENTICATION = "client_secret_post"
_TIMES = ("exp", "nbf", "iat")

oauth = OAuth()
oauth.register(
    "itwin",
    client_cls=Provider,
    client_id=settings.OIDC_CLIENT_ID,
    client_secret=settings.OIDC_CLIENT_SECRET,
    server_metadata_url=f"{settings.OIDC_ISSUER}/.well-known/openid-configuration",
    client_kwargs={
        "scope": settings.OIDC_SCOPES,
        "code_challenge_method": "S256",
        "token_endpoint_auth_method": CLIENT_AUTHENTICATION,
        # Not "timeout": Authlib hands that to nobody. This one holds for discovery, keys, code and userinfo.
        "default_timeout": PROVIDER_TIMEOUT_S,
    },
)


class ProviderError(Exception):
    """Signing in did not work. Its text is for the log: it may quote the provider."""


class ProviderDown(ProviderError):
    """No answer. It may work later."""


class GrantRevoked(ProviderError):
    """invalid_grant: the refresh token is taken no more; the person has to sign in again."""


def authorize(callback: str, *, asks_again: bool = False) -> tuple[str, dict[str, str]]:
    """Where to send the browser, and what has to come back with it: state, nonce and code_verifier.

    asks_again  the provider asks for the person even if it remembers them
    """
    with _as_provider_error():
        # With max_age a provider has to say in the ID token when it asked (OpenID Connect Core, 3.1.2.1).
        again = {"prompt": "login", "max_age": int(SIGN_IN_IS_FRESH.total_seconds())} if asks_again else {}
        asked = dict(oauth.itwin.create_authorization_url(callback, **again))
        return asked.pop("url"), asked


def exchange(code: str, callback: str, *, nonce: str, code_verifier: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The verified claims and the token set for the code that the browser came back with.

    The ID token need not carry an e-mail address; then it is asked for at the userinfo endpoint.
    """
    with _as_provider_error():
        token = _usable(oauth.itwin.fetch_access_token(code=code, redirect_uri=callback, code_verifier=code_verifier))
        claims = _claims(token, nonce)
        return (claims if "email" in claims else _with_address(claims, _userinfo(token, claims["sub"]))), token


def authenticated_at(claims: dict[str, Any]) -> float:
    """When the provider last asked for the person, whom it may have remembered since; 0: it does not say."""
    at = claims.get("auth_time")
    return min(float(at), time.time()) if isinstance(at, int | float) and not isinstance(at, bool) else 0.0


def is_issuer(name: str) -> bool:
    """Whether a name that came with an answer is our provider's (RFC 9207). A slash at its end is none of it."""
    return name.removesuffix("/") == str(settings.OIDC_ISSUER)


def discover() -> None:
    """Learn the provider's endpoints, once for this process. Raises ProviderError."""
    with _as_provider_error():
        oauth.itwin.load_server_metadata()


def refresh(refresh_token: str) -> dict[str, Any]:
    """A new token set for a refresh token; the one given must not be used again.

    Raises GrantRevoked and ProviderError. An answer that was lost may have rotated the token. Asking once more
    with the old one is still right: if it was rotated, the provider says invalid_grant and the person signs in
    again, which is all that could be done anyway; if it was not, nobody is bothered.

    Not by Authlib: it throws a rotated token away when it cannot read how long the new one lasts.
    """
    body = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
        "client_id": settings.OIDC_CLIENT_ID,
        "client_secret": settings.OIDC_CLIENT_SECRET,
    }
    patience = (PROVIDER_TIMEOUT_S, REFRESH_TIMEOUT_S)
    with _as_provider_error(), BoundedSession(settings.OIDC_CLIENT_ID, default_timeout=patience) as session:
        endpoint = oauth.itwin.load_server_metadata()["token_endpoint"]
        answer = session.request("POST", endpoint, data=body, withhold_token=True, auth=no_other_auth)
        token = dict(answer.json())
        if token.get("error") == "invalid_grant" and answer.status_code < 500:
            raise GrantRevoked(str(token.get("error_description") or ""))
        if answer.status_code != 200 or not isinstance(token.get("access_token"), str):
            raise ProviderDown(f"The sign-in service refused: {answer.status_code} {token.get('error') or ''}".strip())
        return token


def end_session_url(back_to: str, *, id_token: str = "") -> str:
    """Where to send the browser so that the provider's session ends too; "" when the provider has no such page.

    id_token  for providers that ask for it; it stays in the browser's history and the provider's logs
    """
    try:
        with _as_provider_error():
            endpoint = oauth.itwin.load_server_metadata().get("end_session_endpoint", "")
    except ProviderError:
        return ""
    query = {"client_id": settings.OIDC_CLIENT_ID, "post_logout_redirect_uri": back_to}
    if id_token:
        query["id_token_hint"] = id_token
    return endpoint and f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"


@contextmanager
def _as_provider_error() -> Iterator[None]:
    """Whatever is wrong with the provider or its answer, as a ProviderError."""
    try:
        yield
    except ProviderError:
        raise
    except (requests.ConnectionError, requests.Timeout) as silent:
        raise ProviderDown("The sign-in service does not answer.") from silent
    except OAuthError as error:
        kind = GrantRevoked if error.error == "invalid_grant" else ProviderError
        raise kind(f"The sign-in service refused: {error.error}: {error.description}") from error
    # JoseError, HTTPError, ValueError, KeyError, TypeError: what an answer from outside trips is for no list to tell.
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", 0)
        kind = ProviderDown if status >= 500 else ProviderError
        raise kind(f"The sign-in service's answer is not accepted: {type(error).__name__}: {error}") from error


def _claims(token: dict[str, Any], nonce: str) -> dict[str, Any]:
    """The ID token's claims. What is wrong with one is told with its name, and of a time with both clocks."""
    read: list[IDToken] = []

    def id_token(claims: Any, header: Any, options: Any, parameters: dict[str, Any]) -> IDToken:
        # For at_hash, which Authlib compares by itself only if it chooses the class.
        read.append(IDToken(claims, header, options, parameters | {"access_token": token["access_token"]}))
        return read[0]

    try:
        claims = oauth.itwin.parse_id_token(token, nonce, claims_cls=id_token, leeway=PROVIDER_CLOCK_DIFFERENCE_S)
    except ClaimError as wrong:
        raise ProviderError(f"The ID token is not accepted: {_about(wrong.claim, read[0])}") from wrong
    if claims is None:
        raise ProviderError("The sign-in service sent no ID token.")
    return dict(claims)


def _about(claim: str, claims: dict[str, Any]) -> str:
    """What is wrong with a claim, in short."""
    said = claims.get(claim, "missing")
    if claim not in _TIMES or isinstance(said, bool) or not isinstance(said, int | float):
        return f"the claim {claim} is {repr(said)[:100]}."
    now = time.time()
    return (
        f"the claim {claim} is {abs(said - now):.0f} s {'after' if said > now else 'before'} this clock, which says "
        f"{datetime.fromtimestamp(now, tz=UTC):%Y-%m-%d %H:%M:%S} UTC; {PROVIDER_CLOCK_DIFFERENCE_S} s are allowed."
    )


def _usable(answer: dict[str, Any]) -> dict[str, Any]:
    """A token set whose parts are what they are called."""
    token = {name: value for name, value in answer.items() if value}
    if not all(isinstance(token.get(name, ""), str) for name in ("access_token", "refresh_token", "id_token")):
        raise ProviderError("The sign-in service sent a token that is no text.")
    if "access_token" not in token or str(token.get("token_type")).lower() != "bearer":
        raise ProviderError(f"The sign-in service sent no Bearer token (token_type {token.get('token_type')!r}).")
    # A year: whatever lasts longer is a mistake, and too long for a calendar.
    return token | {"expires_in": min(max(int(token.get("expires_in", 0)), 0), 365 * 24 * 3600)}


def _with_address(claims: dict[str, Any], userinfo: dict[str, Any]) -> dict[str, Any]:
    """Claims without an address, with the one of userinfo. Only userinfo says whether that is confirmed."""
    return userinfo | {name: said for name, said in claims.items() if name != "email_verified"}


def _userinfo(token: dict[str, Any], subject: str) -> dict[str, Any]:
    """What the provider's other page says about this person."""
    # Without the refresh token, which Authlib would use up for an access token that lasts only seconds.
    alone = {name: token[name] for name in ("access_token", "token_type")}
    userinfo = dict(oauth.itwin.userinfo(token=alone))
    if userinfo["sub"] != subject:
        raise ProviderError(f"Userinfo speaks of somebody else: the claim sub is {userinfo['sub']!r}")
    return userinfo
