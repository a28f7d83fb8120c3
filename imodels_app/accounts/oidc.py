"""The identity provider: discovery, code flow with PKCE, refresh, end of session. Keeps nothing.

Authlib does the protocol. Endpoints come from the discovery document of OIDC_ISSUER.
"""

from typing import Any
from urllib.parse import urlencode

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.django_client import OAuth
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from imodels_app.itwin.http import no_other_auth
from imodels_app.runtime.timing import PROVIDER_TIMEOUT_S, REFRESH_TIMEOUT_S

# In the form body: with HTTP Basic, providers disagree on whether id and secret are percent-encoded first.
CLIENT_AUTHENTICATION = "client_secret_post"

oauth = OAuth()
oauth.register(
    "itwin",
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
    """Signing in did not work. Its text can be shown."""


class ProviderDown(ProviderError):
    """No answer, or none that makes sense. It may work later."""


class GrantRevoked(ProviderError):
    """invalid_grant: the refresh token is taken no more; the person has to sign in again."""


def authorize(request: HttpRequest, callback: str) -> HttpResponse:
    """Send the browser to the provider's page. State, nonce and PKCE verifier wait in the session."""
    try:
        redirect: HttpResponse = oauth.itwin.authorize_redirect(request, callback)
    except (requests.RequestException, ValueError, KeyError) as error:
        raise ProviderDown("The sign-in service does not answer.") from error
    return redirect


def exchange(request: HttpRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    """The verified claims and the token set for the code the browser came back with.

    The ID token need not carry name and e-mail; then they are asked for at the userinfo endpoint.
    """
    try:
        token = oauth.itwin.authorize_access_token(request)
        claims = dict(token.get("userinfo") or {})
        if "email" not in claims:
            claims |= _userinfo(token, claims)
    except OAuthError as error:
        raise ProviderError(error.description or error.error or "The sign-in failed.") from error
    except (requests.RequestException, ValueError, KeyError) as error:
        raise ProviderDown("The sign-in service does not answer.") from error
    return claims, token


def discover() -> None:
    """Learn the provider's endpoints, once for this process. Raises ProviderDown."""
    try:
        _metadata()
    except (requests.RequestException, ValueError, KeyError) as error:
        raise ProviderDown("The sign-in service does not answer.") from error


def refresh(refresh_token: str) -> dict[str, Any]:
    """A new token set for a refresh token; the one given must not be used again.

    Raises GrantRevoked and ProviderDown. An answer that was lost may have rotated the token. Asking once more
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
    try:
        answer = requests.post(
            _metadata()["token_endpoint"],
            data=body,
            headers={"Accept": "application/json"},
            timeout=(PROVIDER_TIMEOUT_S, REFRESH_TIMEOUT_S),
            allow_redirects=False,
            auth=no_other_auth,
        )
        token = dict(answer.json())
    except (requests.RequestException, ValueError, TypeError, KeyError) as error:
        raise ProviderDown("The sign-in service does not answer.") from error
    if token.get("error") == "invalid_grant" and answer.status_code < 500:
        raise GrantRevoked(str(token.get("error_description") or ""))
    if answer.status_code != 200 or not isinstance(token.get("access_token"), str):
        raise ProviderDown(f"The sign-in service refused: {answer.status_code} {token.get('error') or ''}".strip())
    return token


def end_session_url(id_token: str, back_to: str) -> str:
    """Where to send the browser so that the provider's session ends too; "" when the provider has no such page."""
    try:
        endpoint = _metadata().get("end_session_endpoint", "")
    except (requests.RequestException, ValueError, KeyError):
        return ""
    if not endpoint:
        return ""
    query = {"client_id": settings.OIDC_CLIENT_ID, "post_logout_redirect_uri": back_to}
    if id_token:
        query["id_token_hint"] = id_token
    return f"{endpoint}?{urlencode(query)}"


def _metadata() -> dict[str, Any]:
    return dict(oauth.itwin.load_server_metadata())


def _userinfo(token: dict[str, Any], claims: dict[str, Any]) -> dict[str, Any]:
    """The provider's answer about this person; nothing if it speaks of somebody else."""
    userinfo = dict(oauth.itwin.userinfo(token=token))
    return userinfo if userinfo.get("sub") == claims.get("sub") else {}
