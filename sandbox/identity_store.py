"""What the identity provider remembers: clients, codes, grants, tokens and who is signed in at its own pages.

Refresh tokens rotate. Whoever shows one that has been used already loses the whole grant: the newest refresh token
and the access tokens too (RFC 9700, section 4.14.2). Tokens are kept as digests only.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from sandbox.world import Person

SCOPES = ("openid", "profile", "email", "organization", "offline_access", "itwin-platform")
CODE_LIFE_S = 60.0


class InvalidGrant(Exception):
    """The code or refresh token is unknown, used, expired, revoked or somebody else's."""


@dataclass
class Client:
    id: str
    secret: str


@dataclass
class Code:
    """An authorization code on its way through the browser."""

    client_id: str
    person_id: str
    redirect_uri: str
    scope: str
    nonce: str | None
    challenge: str | None
    expires_at: float
    grant_id: str | None = None  # set when it has been used


@dataclass
class Grant:
    """One sign-in of one person (None: a service application) to one client, until it is revoked."""

    id: str
    client_id: str
    person_id: str | None
    scope: str
    auth_time: float
    revoked: bool = False
    refresh_digest: str | None = None  # the newest; any other of this grant has been used


@dataclass
class AccessToken:
    grant_id: str
    expires_at: float


@dataclass
class Caller:
    """Who a valid access token speaks for. A service application is the person of its own client id."""

    person_id: str
    client_id: str
    scope: str


@dataclass
class StoredGrants:
    grants: dict[str, Grant] = field(default_factory=dict)
    access: dict[str, AccessToken] = field(default_factory=dict)
    refresh: dict[str, str] = field(default_factory=dict)  # digest -> grant id, used ones too
    sessions: dict[str, str] = field(default_factory=dict)  # digest of the cookie -> person id


class Grants:
    """Issues and checks tokens. Every method is one step under one lock."""

    def __init__(self, clients: list[Client], *, issuer: str, token_lifetime_s: float = 3600) -> None:
        self.clients = {client.id: client for client in clients}
        self.issuer = issuer
        self.lifetime_at_start_s = token_lifetime_s
        self.clock: Callable[[], float] = time.time
        self.changed: Callable[[], None] = lambda: None
        self._lock = threading.RLock()
        self.use_key(RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": secrets.token_hex(8)}))
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self.token_lifetime_s = self.lifetime_at_start_s
            self._codes: dict[str, Code] = {}
            self._stored = StoredGrants()
        self.changed()

    def use_key(self, key: RSAKey) -> None:
        self.key = key
        self.public_keys = {"keys": [key.as_dict(private=False)]}

    # -- clients -------------------------------------------------------------------------------------------------

    def client_is_genuine(self, client_id: str, secret: str) -> bool:
        client = self.clients.get(client_id)
        return client is not None and secrets.compare_digest(client.secret.encode(), secret.encode())

    # -- sign-in at our own pages ----------------------------------------------------------------------------------

    def remember(self, person_id: str) -> str:
        """Start a session of the browser; returns the value of its cookie."""
        cookie = secrets.token_urlsafe(24)
        with self._lock:
            self._stored.sessions[_digest(cookie)] = person_id
        self.changed()
        return cookie

    def remembered(self, cookie: str | None) -> str | None:
        with self._lock:
            return self._stored.sessions.get(_digest(cookie)) if cookie else None

    def sign_out(self, cookie: str | None) -> None:
        with self._lock:
            self._stored.sessions.pop(_digest(cookie or ""), None)
        self.changed()

    # -- codes ---------------------------------------------------------------------------------------------------

    def issue_code(self, **about: Any) -> str:
        code = secrets.token_urlsafe(32)
        with self._lock:
            self._codes[code] = Code(expires_at=self.clock() + CODE_LIFE_S, **about)
        return code

    def redeem_code(
        self, code: str, *, client_id: str, redirect_uri: str, verifier: str | None, person: PersonOf
    ) -> dict[str, Any]:
        """Trade a code for tokens, once. A second try also revokes what the first one gave (RFC 6749, 4.1.2)."""
        with self._lock:
            known = self._codes.get(code)
            if known is None or known.client_id != client_id:
                raise InvalidGrant("The authorization code is not known.")
            if known.grant_id is not None:
                self._revoke(known.grant_id)
                raise InvalidGrant("The authorization code has been used already.")
            if self.clock() > known.expires_at:
                raise InvalidGrant("The authorization code has expired.")
            if redirect_uri != known.redirect_uri:
                raise InvalidGrant("redirect_uri differs from the one of the authorization request.")
            if not _verifier_fits(known.challenge, verifier):
                raise InvalidGrant("code_verifier does not fit the code_challenge.")
            grant = self._new_grant(client_id, known.person_id, known.scope)
            known.grant_id = grant.id
            return self._tokens(grant, person(known.person_id), nonce=known.nonce)

    # -- grants --------------------------------------------------------------------------------------------------

    def sign_in(self, person: Person, client_id: str, scope: str, *, nonce: str | None = None) -> dict[str, Any]:
        """Tokens as after a sign-in through the browser."""
        with self._lock:
            return self._tokens(self._new_grant(client_id, person.id, scope), person, nonce=nonce)

    def service_token(self, client_id: str, scope: str) -> dict[str, Any]:
        with self._lock:
            return self._tokens(self._new_grant(client_id, None, scope), None)

    def refresh(self, token: str, *, client_id: str, scope: str | None, person: PersonOf) -> dict[str, Any]:
        """Rotate. A refresh token that is not the newest of its grant kills the grant."""
        with self._lock:
            grant = self._stored.grants.get(self._stored.refresh.get(_digest(token), ""))
            if grant is None or grant.client_id != client_id or grant.person_id is None:
                raise InvalidGrant("The refresh token is not known.")
            if grant.revoked:
                raise InvalidGrant("The refresh token has been revoked.")
            if grant.refresh_digest != _digest(token):
                self._revoke(grant.id)
                raise InvalidGrant("The refresh token has been used already; the whole grant is revoked.")
            if scope and not set(scope.split()) <= set(grant.scope.split()):
                raise InvalidGrant("The scope exceeds what was granted.")
            return self._tokens(grant, person(grant.person_id))

    def revoke_token(self, token: str, client_id: str) -> None:
        """RFC 7009: revoking either token of a grant ends the grant; an unknown token is no error."""
        with self._lock:
            access = self._stored.access.get(_digest(token))
            grant_id = access.grant_id if access else self._stored.refresh.get(_digest(token))
            grant = self._stored.grants.get(grant_id or "")
            if grant and grant.client_id == client_id:
                self._revoke(grant.id)

    def revoke_person(self, person_id: str) -> None:
        with self._lock:
            for grant in self._stored.grants.values():
                if grant.person_id == person_id:
                    self._revoke(grant.id)

    def expire_access_tokens(self) -> None:
        with self._lock:
            for token in self._stored.access.values():
                token.expires_at = 0
        self.changed()

    def caller(self, token: str) -> Caller | None:
        """Who shows this access token; None when it is unknown, expired or revoked."""
        with self._lock:
            access = self._stored.access.get(_digest(token))
            grant = self._stored.grants.get(access.grant_id) if access else None
            if access is None or grant is None or grant.revoked or self.clock() >= access.expires_at:
                return None
            return Caller(grant.person_id or grant.client_id, grant.client_id, grant.scope)

    def _revoke(self, grant_id: str) -> None:
        self._stored.grants[grant_id].revoked = True
        self.changed()

    def _new_grant(self, client_id: str, person_id: str | None, scope: str) -> Grant:
        grant = Grant(secrets.token_hex(12), client_id, person_id, scope, auth_time=self.clock())
        self._stored.grants[grant.id] = grant
        return grant

    # -- tokens --------------------------------------------------------------------------------------------------

    def _tokens(self, grant: Grant, person: Person | None, *, nonce: str | None = None) -> dict[str, Any]:
        now, scopes = self.clock(), grant.scope.split()
        times = {"iss": self.issuer, "iat": int(now), "nbf": int(now), "exp": int(now + self.token_lifetime_s)}
        subject = {"sub": person.id if person else grant.client_id}
        access_claims = {
            **times,
            **subject,
            "jti": secrets.token_hex(12),
            "client_id": grant.client_id,
            "scope": scopes,
        }
        access = self._signed({**access_claims, "aud": [f"{self.issuer}/resources", "itwin-platform"]}, "at+jwt")
        self._stored.access[_digest(access)] = AccessToken(grant.id, now + self.token_lifetime_s)
        answer: dict[str, Any] = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": int(self.token_lifetime_s),
            "scope": grant.scope,
        }
        if person and "openid" in scopes:
            claims = {**times, **subject, "aud": grant.client_id, "auth_time": int(grant.auth_time), "sid": grant.id}
            answer["id_token"] = self._signed(claims | claims_of(person, scopes) | ({"nonce": nonce} if nonce else {}))
        if person and "offline_access" in scopes:
            answer["refresh_token"] = secrets.token_urlsafe(48)
            grant.refresh_digest = _digest(answer["refresh_token"])
            self._stored.refresh[grant.refresh_digest] = grant.id
        self.changed()
        return answer

    def _signed(self, claims: dict[str, Any], typ: str = "JWT") -> str:
        return jwt.encode({"alg": "RS256", "kid": self.key.kid, "typ": typ}, claims, self.key, algorithms=["RS256"])

    def claims_in(self, token: str) -> dict[str, Any]:
        """The claims of a token of ours, expired or not. Raises a joserfc error or ValueError for any other."""
        return jwt.decode(token, self.key, algorithms=["RS256"]).claims

    # -- keeping -------------------------------------------------------------------------------------------------

    def as_json(self) -> dict[str, Any]:
        with self._lock:
            return {"key": self.key.as_dict(private=True), **asdict(self._stored)}

    def load(self, stored: dict[str, Any]) -> None:
        with self._lock:
            self.use_key(RSAKey.import_key(stored["key"]))
            self._stored = StoredGrants(
                grants={key: Grant(**grant) for key, grant in stored["grants"].items()},
                access={key: AccessToken(**token) for key, token in stored["access"].items()},
                refresh=stored["refresh"],
                sessions=stored["sessions"],
            )


PersonOf = Callable[[str], Person]


def claims_of(person: Person, scopes: list[str]) -> dict[str, Any]:
    """What the ID token and userinfo say about a person, by the scopes that were granted."""
    claims: dict[str, Any] = {}
    if "profile" in scopes:
        claims |= {
            "name": person.name,
            "given_name": person.given_name,
            "family_name": person.family_name,
            "preferred_username": person.email,
        }
    if "email" in scopes:
        told = {} if person.email_verified is None else {"email_verified": person.email_verified}
        claims |= {"email": person.email} | told
    if "organization" in scopes:
        claims |= {"org_name": person.organization}
    return claims


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _verifier_fits(challenge: str | None, verifier: str | None) -> bool:
    """S256 of RFC 7636. Without a challenge no verifier is expected, and one that comes all the same is refused."""
    if challenge is None or verifier is None:
        return challenge is None and verifier is None
    hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return secrets.compare_digest(hashed, challenge)
