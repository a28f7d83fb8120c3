"""Authlib's client, where the provider is not to be believed: what it does not check by itself is checked here.

A mistake or a lie of the provider's ends in an exception, of whichever library notices it. oidc.py knows them all.
"""

import io
import time
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from authlib.integrations.django_client import DjangoOAuth2App
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from django.conf import settings
from joserfc.errors import InvalidClaimError

# More than any discovery document, set of keys or token set has.
LARGEST_ANSWER = 1024 * 1024
_PIECE = 64 * 1024
# Signatures that need a private key: a public key is nobody's secret.
SIGNATURES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
# OpenID Connect Core, section 2: no more ASCII characters than this.
LONGEST_SUBJECT = 255
# Where our server goes, with secrets; and where browsers go.
_FOR_US = {"token_endpoint": True, "jwks_uri": True, "userinfo_endpoint": False}
_FOR_BROWSERS = {"authorization_endpoint": True, "end_session_endpoint": False}


class Untrustworthy(ValueError):
    """The provider's answer is not what our settings and the standard ask for."""


class BoundedSession(OAuth2Session):  # type: ignore[misc] # Authlib has no types
    """Asks the provider. An answer comes in time and is no larger than it must be, and none leads elsewhere."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere: a redirect would take the client's secret along, or bring keys that are not the provider's."""

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:
        patience = self.default_timeout
        ends_at = time.monotonic() + (sum(patience) if isinstance(patience, tuple) else 2 * patience)
        answer: requests.Response = super().request(method, url, **(kwargs | {"stream": True}))
        body = _read(answer, ends_at)
        answer.close()
        answer.raw = io.BytesIO(body)
        if 300 <= answer.status_code < 400:
            raise Untrustworthy(f"{urlsplit(url).path} answers with a redirect ({answer.status_code})")
        return answer


class Provider(DjangoOAuth2App):  # type: ignore[misc]
    """The provider as its discovery document describes it, as far as our settings agree."""

    client_cls = BoundedSession
    server_metadata: dict[str, Any]

    def load_server_metadata(self) -> dict[str, Any]:
        if not self.server_metadata:
            with self._get_session() as session:
                answer = session.request("GET", self._server_metadata_url, withhold_token=True)
                answer.raise_for_status()
            self.server_metadata = _checked(answer.json())
        return self.server_metadata

    def parse_id_token(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().parse_id_token(*arguments, **options)
        except Exception:
            # Keys that were changed, or came damaged, are asked for anew at the next sign-in.
            self.server_metadata.pop("jwks", None)
            raise


class IDToken(CodeIDToken):  # type: ignore[misc]
    """Authlib's checks, and those that it leaves out or skips where a claim is empty."""

    def validate(self, now: int | None = None, leeway: int = 0) -> None:
        ours = self.params["client_id"]
        # Before Authlib, which takes another audience if only the authorized party is ours.
        if self.get("aud") not in (ours, [ours]):
            raise InvalidClaimError("aud")
        super().validate(now, leeway)
        subject = self["sub"]
        if self.get("azp", ours) != ours:
            raise InvalidClaimError("azp")
        if not self.get("at_hash", "not told"):
            raise InvalidClaimError("at_hash")
        if not (0 < len(subject) <= LONGEST_SUBJECT and subject.isascii() and subject.isprintable()):
            raise InvalidClaimError("sub")


def _read(answer: requests.Response, ends_at: float) -> bytes:
    """The body, as it comes: requests would wait for each byte anew, and for as many as are sent."""
    body = bytearray()
    try:
        while piece := answer.raw.read1(_PIECE, decode_content=True):
            body += piece
            if len(body) > LARGEST_ANSWER:
                raise Untrustworthy(f"the answer has more than {LARGEST_ANSWER} bytes")
            if time.monotonic() > ends_at:
                raise requests.Timeout("the answer came too slowly")
    except urllib3.exceptions.HTTPError as cut:
        raise requests.ConnectionError(str(cut)) from cut
    return bytes(body)


def _checked(document: Any) -> dict[str, Any]:
    """What we use of a discovery document. The rest is dropped, for Authlib would take any entry for an option of its
    own: `verify`, `proxies` or `jwks`.
    """
    issuer = document["issuer"]
    # Some issuers end in a slash, which settings take away.
    if issuer.removesuffix("/") != settings.OIDC_ISSUER:
        raise Untrustworthy(f"discovery names the issuer {issuer!r}, and OIDC_ISSUER is {settings.OIDC_ISSUER!r}")
    metadata: dict[str, Any] = {"issuer": issuer}
    for name, is_needed in (_FOR_US | _FOR_BROWSERS).items():
        if is_needed or document.get(name):
            metadata[name] = _endpoint(name, document[name])
    offered = document.get("id_token_signing_alg_values_supported", SIGNATURES)
    metadata["id_token_signing_alg_values_supported"] = [one for one in SIGNATURES if one in offered]
    if not metadata["id_token_signing_alg_values_supported"]:
        raise Untrustworthy("discovery offers no signature by a private key")
    return metadata


def _endpoint(name: str, address: str) -> str:
    """The address, if it is as safe as the issuer's. Our own server goes to the provider's hosts only."""
    issuer, parts = urlsplit(settings.OIDC_ISSUER), urlsplit(address)
    if parts.scheme not in {issuer.scheme, "https"} or not parts.hostname:
        raise Untrustworthy(f"discovery leads to {address!r} for {name}")
    if name in _FOR_US and parts.netloc not in {issuer.netloc, *settings.OIDC_HOSTS}:
        raise Untrustworthy(f"discovery leads to another host for {name}: {parts.netloc} is not in OIDC_HOSTS")
    return address
