"""From sign-in claims to a person, their teams and their role."""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from imodels_app.accounts import oidc, tokens
from imodels_app.audit import events
from imodels_app.models import Membership, User


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
    if not subject:
        raise NoIdentity
    with transaction.atomic():
        user, _ = User.objects.get_or_create(
            issuer=issuer, subject=subject, defaults={"username": f"{subject}@{issuer}"[:150], "email": ""}
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


def _update(user: User, claims: dict[str, Any]) -> None:
    # Some providers write this flag as text.
    verified = str(claims.get("email_verified", True)).lower() != "false"
    user.email = str(claims.get("email") or user.email).lower() if verified else ""
    user.first_name = str(claims.get("given_name") or claims.get("name") or user.first_name)[:150]
    user.last_name = str(claims.get("family_name") or user.last_name)[:150]
    if user.email in settings.DASHBOARD_ADMINS:
        user.is_staff = True
    user.save(update_fields=["email", "first_name", "last_name", "is_staff"])
    if user.email:
        Membership.objects.filter(email__iexact=user.email, user=None).update(user=user)
