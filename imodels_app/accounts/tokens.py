"""An access token that can act for a person, refreshed in time.

Tokens are encrypted at rest. Providers rotate refresh tokens, and a strict one revokes the whole grant when the same
token comes twice, so one process at a time refreshes for a person.
"""

import logging
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from imodels_app.accounts import encryption, oidc, sessions, watches
from imodels_app.itwin import errors
from imodels_app.models import Destination, TokenSet, Upload, User, Webhook
from imodels_app.runtime import clock, failpoints
from imodels_app.runtime.timing import (
    GRANT_CONFIRMED_FOR,
    REFRESH_AGAIN_AFTER,
    REFRESH_BEGINS_WITHIN,
    REFRESH_LEASE,
    REFUSED_TOKEN_FIRST,
    REFUSED_TOKEN_LONGEST,
    SIGN_IN_AFTER_REFUSALS,
    TOKEN_MARGIN,
)

log = logging.getLogger(__name__)

# Longer than a refresh usually takes. A slow one is not waited for: what needs the token lets others pass meanwhile.
WAIT_FOR_OTHERS_S = 2.0
CHECK_EVERY_S = 0.1
_NOBODY_REFRESHES: dict[str, Any] = {"refreshing_by": None, "refreshing_until": None}
_ENCRYPTED = ("access_token", "refresh_token", "id_token")
# Of a token whose provider does not say how long it lasts.
USUAL_LIFE = timedelta(minutes=5)


class SignInNeeded(Exception):
    """There is no token that could act for this person: they have to sign in again."""


class TokenUnavailable(errors.Unavailable):
    """The sign-in service, or what we know of the sign-in, keeps us waiting: not the platform."""


class BeingRefreshed(TokenUnavailable):
    """Another process refreshes this person's token, and it takes long."""


def access_token(user: User) -> str:
    """An access token that is good for a minute at least, refreshed if it must be. Raises SignInNeeded,
    TokenUnavailable and encryption.KeyMissing.
    """
    return _refreshed(user, lambda row: row.expires_at > clock.now() + TOKEN_MARGIN)


def confirm(user: User) -> None:
    """Return if the provider has confirmed the person's grant lately, by a refresh: it may have been revoked since
    the sign-in. Raises as access_token does.
    """
    since = clock.now() - GRANT_CONFIRMED_FOR
    row = _token_set(user)
    if row.refresh_token:
        _refreshed(user, lambda row: row.refreshed_at is not None and row.refreshed_at > since)
    elif row.obtained_at < since:  # there is nothing to ask with: only a sign-in tells
        raise SignInNeeded(str(user.pk))


def _refreshed(user: User, is_good: Callable[[TokenSet], bool]) -> str:
    """The access token of a row that is good, or that was refreshed to be.

    1. Read the row. One that is good is used as it is.
    2. Learn where to refresh. That may take long the first time, and the lease is for refreshing.
    3. Take the lease by an UPDATE that repeats what was read; whoever changes the row refreshes.
    4. Everybody else reads the row again until the new token is there. No transaction is open meanwhile.
    """
    give_up = time.monotonic() + WAIT_FOR_OTHERS_S
    while True:
        row = _token_set(user)
        if is_good(row):
            return encryption.decrypt(row.access_token)
        _discover()
        if _take_lease(row):
            return _refresh(row)
        if time.monotonic() > give_up:
            raise BeingRefreshed("Another process refreshes this person's token.", retry_after_s=1)
        time.sleep(CHECK_EVERY_S)


def store(user: User, token: dict[str, Any]) -> None:
    """Keep the token set of a fresh sign-in. token: as the provider's token endpoint answers."""
    anew = {"sign_in_needed": False, "refreshed_at": None, "refused_since": None, **_NOBODY_REFRESHES}
    TokenSet.objects.update_or_create(user=user, defaults=_columns(token) | anew)


def refused(user: User | None, access_token: str) -> datetime:
    """The platform did not take this token, though its time was not over; when to try again. Raises SignInNeeded.

    It is refreshed once, and then shown again and again: a 401 may pass. Only when refreshed ones were refused for
    minutes may a sign-in help. That is not written down for good: the first token that is taken ends it.
    Of fifty workers that held an old token some are told so only after another has refreshed it: that says nothing
    about the new one.
    """
    now = clock.now()
    row = TokenSet.objects.filter(user=user).first()
    if row is None or not _is_current(row, access_token):
        return now
    same = TokenSet.objects.filter(pk=row.pk, obtained_at=row.obtained_at)
    refresh_helps = row.refresh_token and (row.refreshed_at is None or row.refreshed_at < now - REFRESH_AGAIN_AFTER)
    if refresh_helps:
        same.update(expires_at=now)
    lasts = now - (row.refused_since or now)
    if lasts > SIGN_IN_AFTER_REFUSALS:
        raise SignInNeeded(str(row.user_id))
    if refresh_helps:
        return now
    same.filter(refused_since=None).update(refused_since=now)
    return now + min(max(lasts, REFUSED_TOKEN_FIRST), REFUSED_TOKEN_LONGEST)


def taken(user: User | None) -> None:
    """The platform took this person's token. Writes only when there is something to forget."""
    TokenSet.objects.filter(user=user, refused_since__isnull=False).update(refused_since=None)


def delete(user: User) -> None:
    """Delete a person's tokens: nobody acts for them any more."""
    with transaction.atomic():
        TokenSet.objects.filter(user=user).delete()
        watches.end_of(user, "The account was closed")


def reencrypt() -> int:
    """Encrypt every token, upload link and webhook's address with the newest key; how many rows there were."""
    done = encryption.reencrypt(TokenSet.objects.all(), *_ENCRYPTED)
    done += encryption.reencrypt(Upload.objects.exclude(link=""), "link")
    done += encryption.reencrypt(Destination.objects.all(), "url", "key")
    return done + encryption.reencrypt(Webhook.objects.all(), "url")


def id_token_of(user: User) -> str:
    """The ID token of the last sign-in, for the provider's end-session page; "" where that does not ask for it."""
    row = TokenSet.objects.filter(user=user).first()
    try:
        return encryption.decrypt(row.id_token) if row and row.id_token else ""
    except encryption.KeyMissing:
        return ""


def _token_set(user: User) -> TokenSet:
    row = TokenSet.objects.filter(user=user, user__is_active=True).first()
    if row is None or row.sign_in_needed:
        raise SignInNeeded(str(user.pk))
    return row


def _is_current(row: TokenSet, access_token: str) -> bool:
    try:
        return encryption.decrypt(row.access_token) == access_token
    except encryption.KeyMissing:
        return False  # encrypted after we had decrypted it: by now it is another one


def _discover() -> None:
    try:
        oidc.discover()
    except oidc.ProviderError as down:
        raise TokenUnavailable(str(down), retry_after_s=15) from down


def _take_lease(row: TokenSet) -> bool:
    """Whether we are the one to refresh. obtained_at: nobody has refreshed since we read the row."""
    now = clock.now()
    me = uuid.uuid4()
    # One that ends much later than any lease was taken before the database's clock was put back.
    free = Q(refreshing_until=None) | Q(refreshing_until__lt=now) | Q(refreshing_until__gt=now + 2 * REFRESH_LEASE)
    is_ours = TokenSet.objects.filter(free, pk=row.pk, obtained_at=row.obtained_at, sign_in_needed=False).update(
        refreshing_by=me, refreshing_until=now + REFRESH_LEASE
    )
    row.refreshing_by = me
    # A process that was held up around the UPDATE has a lease that would end before its refresh: it lets it end.
    return bool(is_ours) and clock.now() < now + REFRESH_BEGINS_WITHIN


def _refresh(row: TokenSet) -> str:
    """Refresh under the lease, and store the rotated token before the new access token is used."""
    mine = TokenSet.objects.filter(pk=row.pk, refreshing_by=row.refreshing_by)
    if not row.refresh_token:
        raise _ended(mine, row)
    try:
        token = oidc.refresh(encryption.decrypt(row.refresh_token))
    except encryption.KeyMissing:
        mine.update(**_NOBODY_REFRESHES)
        raise
    except oidc.GrantRevoked as gone:
        raise _ended(mine, row, is_revoked=True) from gone
    except oidc.ProviderError as down:
        mine.update(**_NOBODY_REFRESHES)
        raise TokenUnavailable(str(down), retry_after_s=15) from down
    failpoints.reach("tokens.rotated")
    columns = _columns(token, before=row)
    if not mine.update(refreshed_at=columns["obtained_at"], **columns, **_NOBODY_REFRESHES):
        raise _overtaken()
    return str(token["access_token"])


def _ended(mine: QuerySet[TokenSet], row: TokenSet, *, is_revoked: bool = False) -> Exception:
    """What to raise when this grant is over; written down, unless the person has signed in again meanwhile.

    Who has no grant any more has no session either. Both in one transaction: a sign-in of this moment comes after it.
    """
    with transaction.atomic():
        if not mine.update(sign_in_needed=True, **_NOBODY_REFRESHES):
            return _overtaken()
        watches.end_of(row.user, "The grant ended")
        if is_revoked:
            sessions.end(row.user, by=None)
    return SignInNeeded(str(row.user_id))


def _overtaken() -> TokenUnavailable:
    return TokenUnavailable("The refresh lease was lost.", retry_after_s=1)


def _columns(token: dict[str, Any], before: TokenSet | None = None) -> dict[str, Any]:
    """A provider's answer as columns. It may leave out the refresh token when it does not rotate."""
    now = clock.now()
    columns: dict[str, Any] = {
        "access_token": encryption.encrypt(token["access_token"]),
        "expires_at": _expiry(token, now),
        "obtained_at": now,
    }
    if not settings.OIDC_SIGN_OUT_WITH_ID_TOKEN:
        token = token | {"id_token": ""}
    for name in ("refresh_token", "id_token"):
        if token.get(name):
            columns[name] = encryption.encrypt(token[name])
        elif before is None:
            columns[name] = ""
    if before is None or token.get("scope"):
        columns["scope"] = str(token.get("scope") or "")
    return columns


def _expiry(token: dict[str, Any], now: datetime) -> datetime:
    """When an access token ends. One that does not say, or not so that it can be read, is taken for a short one."""
    try:
        if token.get("expires_in"):
            return now + timedelta(seconds=float(token["expires_in"]))
        return datetime.fromtimestamp(float(token["expires_at"]), tz=UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return now + USUAL_LIFE
