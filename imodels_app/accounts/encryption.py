"""Secrets that have to be stored, encrypted at rest (TOKEN_KEYS, newest first): tokens and upload links."""

from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db.models import QuerySet

from imodels_app.itwin import errors


class KeyMissing(errors.Unavailable):
    """This process has no key that opens the secret, as in the middle of a change of keys. Another one may have it."""

    def __init__(self) -> None:
        super().__init__(
            "This worker lacks a key in TOKEN_KEYS. Another one will try; signing in again also helps.",
            retry_after_s=60,
        )


def encrypt(text: str) -> str:
    """Encrypt a secret with the newest key."""
    return _keys().encrypt(text.encode()).decode()


def decrypt(text: str) -> str:
    """What encrypt() encrypted. Raises KeyMissing."""
    try:
        return _keys().decrypt(text.encode()).decode()
    except (InvalidToken, UnicodeError) as gone:
        raise KeyMissing from gone


def reencrypt(rows: QuerySet[Any], *columns: str) -> int:
    """Encrypt these columns with the newest key, so that older keys can be taken away; how many rows there were.

    Safe while people work: a row that was written meanwhile is encrypted with the newest key already. One that no key
    opens is left as it is.
    """
    done = 0
    for row in rows.values("pk", *columns):
        try:
            renewed = {name: encrypt(decrypt(row[name])) for name in columns if row[name]}
        except KeyMissing:
            continue
        done += rows.filter(**row).update(**renewed)
    return done


def _keys() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.TOKEN_KEYS])
