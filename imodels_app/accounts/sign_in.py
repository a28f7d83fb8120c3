"""From sign-in claims to a person, their teams and their role."""

import hashlib
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from imodels_app.accounts import oidc, tokens
from imodels_app.audit import events
from imodels_app.models import Membership, User
from imodels_app.runtime import foreign_text


class NoIdentity(Exception):
    """The provider told no lasting id of the person."""


def sign_in(claims: dict[str, Any], token: dict[str, Any]) -> User:
    """The person whom the verified claims speak of, made at the first sign-in; their tokens are kept.

    A person is issuer and sub. An e-mail address may change hands, so it opens nothing by itself; it binds the
    places in teams that were given to it, and admins, only if the provider does not call it unverified. An
    unverified address is not even kept: whoever claims a lead's would be taken for them when a place is given to
    it later (holder_of), and get their mail.
    """
    issuer, subject = str(claims.get("iss") or settings.OIDC_ISSUER), str(claims.get("sub") or "")
    # Of whatever could not be stored as it is, too: changed, it could become another person's.
    if not subject or any(key != foreign_text.cleaned(key) for key in (issuer, subject)):
        raise NoIdentity
    with transaction.atomic():
        user, _ = User.objects.get_or_create(
            issuer=issuer, subject=subject, defaults={"username": _username(issuer, subject), "email": ""}
        )
        _update(user, claims)
        tokens.store(user, token)
        events.record("signed_in", at=timezone.now(), by=user)
    return user


def sign_out(user: User, *, back_to: str) -> str:
    """Note that a person left, and return where their browser ends the provider's session too ("": nowhere).

    Their tokens stay: workers finish what the person asked for.
    """
    events.record("signed_out", at=timezone.now(), by=user)
    return oidc.end_session_url(tokens.id_token_of(user), back_to)


def holder_of(email: str) -> User | None:
    """The person to whom a place is bound that is given to this address; None: it waits for their first sign-in.

    Kept addresses are verified ones (sign_in). One that has changed hands is with whoever came last.
    """
    holders = User.objects.filter(email__iexact=email, is_active=True)
    return holders.order_by(F("last_login").desc(nulls_last=True)).first()


def _username(issuer: str, subject: str) -> str:
    """Nobody reads it, and Django wants one of 150 characters, of which no two are the same."""
    return hashlib.sha256(f"{issuer}|{subject}".encode()).hexdigest()


def _address(claim: str) -> str:
    """In small letters; "" for what no mail can be sent to. Not cleaned: it would be somebody else's."""
    try:
        User._meta.get_field("email").run_validators(claim)
    except ValidationError:
        return ""
    return claim.lower()


def _name(claim: object) -> str:
    return foreign_text.cleaned(claim, most=150)


def _update(user: User, claims: dict[str, Any]) -> None:
    # Some providers write this flag as text.
    verified = str(claims.get("email_verified", True)).lower() != "false"
    user.email = _address(str(claims.get("email") or user.email)) if verified else ""
    user.first_name = _name(claims.get("given_name")) or _name(claims.get("name")) or user.first_name
    user.last_name = _name(claims.get("family_name")) or user.last_name
    if user.email in settings.DASHBOARD_ADMINS:
        user.is_staff = True
    user.save(update_fields=["email", "first_name", "last_name", "is_staff"])
    if user.email:
        Membership.objects.filter(email__iexact=user.email, user=None).update(user=user)
