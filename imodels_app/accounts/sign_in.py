"""From sign-in claims to a person, their teams and their role."""

import hashlib
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from imodels_app.accounts import oidc, rights, tokens
from imodels_app.audit import events
from imodels_app.models import User
from imodels_app.runtime import foreign_text

# RFC 5321, and so the column.
LONGEST_ADDRESS = 254


class NoIdentity(oidc.ProviderError):
    """The provider told no lasting id of the person."""


class AccountClosed(Exception):
    """This person may not enter any more."""


def sign_in(
    claims: dict[str, Any], token: dict[str, Any], *, at_platform: Callable[[], str | None] = lambda: None
) -> User:
    """The person whom the verified claims speak of, made at the first sign-in; their tokens are kept.

    A person is issuer and sub. An e-mail address may change hands, so it opens nothing by itself; it binds the
    places in teams that were given to it, and admins, only if it is confirmed. An unconfirmed address is not even
    kept: whoever claims a lead's would be taken for them when a place is given to it later (rights.holder_of), and get
    their mail.

    at_platform  the address that the platform names, None while it does not answer; asked where the provider tells
                 nothing of whether its own is confirmed
    """
    issuer, subject = str(claims.get("iss", settings.OIDC_ISSUER)), str(claims.get("sub") or "")
    # Of whatever could not be stored as it is, too: changed, it could become another person's.
    if not subject or any(key != foreign_text.cleaned(key) for key in (issuer, subject)):
        raise NoIdentity("sub is missing, or cannot be stored as it is")
    with transaction.atomic():
        user, _ = User.objects.get_or_create(
            issuer=issuer, subject=subject, defaults={"username": _username(issuer, subject), "email": ""}
        )
        if not user.is_active:
            raise AccountClosed
        _update(user, claims, _confirmed_address(user, claims, at_platform))
        tokens.store(user, token)
        events.record("signed_in", at=timezone.now(), by=user)
    return user


def sign_out(user: User, *, back_to: str) -> str:
    """Note that a person left, and return where their browser ends the provider's session too ("": nowhere).

    Their tokens stay: workers finish what the person asked for.
    """
    events.record("signed_out", at=timezone.now(), by=user)
    return oidc.end_session_url(back_to, id_token=tokens.id_token_of(user))


def _username(issuer: str, subject: str) -> str:
    """Unique, and never shown: Django's column is too short for what a person really is."""
    return hashlib.sha256(f"{issuer}|{subject}".encode()).hexdigest()


def _confirmed_address(user: User, claims: dict[str, Any], at_platform: Callable[[], str | None]) -> str:
    """The person's address if somebody who must know vouches for it; "" else."""
    claimed = _address(claims.get("email"))
    if "email_verified" in claims:
        # Some providers write this flag as text. Nothing else that Python calls true is a yes.
        is_verified = claims["email_verified"] is True or claims["email_verified"] == "true"
        return claimed if is_verified else ""
    if user.issuer.rstrip("/") in settings.VERIFIED_EMAIL_ISSUERS:
        return claimed
    named = at_platform()
    if named is None:  # what an earlier sign-in confirmed is still right, if the provider says the same
        return claimed if claimed == user.email else ""
    return _address(named)


def _address(value: object) -> str:
    """An e-mail address in lower case; "" for what is none, or is longer than addresses may be."""
    address = str(value).lower()
    try:
        validate_email(address)
    except ValidationError:
        return ""
    return address if len(address) <= LONGEST_ADDRESS else ""


def _name(*values: object) -> str:
    """The first of these that is a text with something to be seen, as the column takes it."""
    texts = (foreign_text.cleaned(value, most=150) for value in values if isinstance(value, str))
    return next(filter(None, texts), "")


def _update(user: User, claims: dict[str, Any], email: str) -> None:
    given = _name(claims.get("given_name"), claims.get("name"), user.first_name)
    family = _name(claims.get("family_name"), user.last_name)
    rights.signed_in(user, name=(given, family), email=email, is_admin=email in settings.DASHBOARD_ADMINS)
