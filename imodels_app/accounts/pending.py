"""Sign-ins under way: what has to come back from the provider's page, encrypted in a cookie of that browser.

A cookie, so that strangers leave nothing in the database. Each tab has its own entry, so that none breaks another's.
"""

import json
import time
from dataclasses import asdict, dataclass, field

from imodels_app.accounts import encryption
from imodels_app.runtime.timing import SIGN_IN_TAKES_S

# At once in one browser; the oldest makes room.
MOST = 5
# Of the page that a person wanted: a longer address would leave no room.
LONGEST_WAY = 2000
# Browsers drop a cookie of more than 4096 bytes, its name and attributes included.
LARGEST_COOKIE = 3800


@dataclass(frozen=True)
class PendingSignIn:
    """going_to: the page of ours that the person wanted."""

    state: str
    nonce: str
    code_verifier: str
    going_to: str
    until: float = field(default_factory=lambda: time.time() + SIGN_IN_TAKES_S)


def read(cookie: str) -> list[PendingSignIn]:
    """Those whose time is not over, oldest first. A cookie that is none of ours has none."""
    try:
        entries = json.loads(encryption.decrypt(cookie)) if cookie else []
    except encryption.KeyMissing:
        return []
    return [one for one in (PendingSignIn(**entry) for entry in entries) if one.until > time.time()]


def write(sign_ins: list[PendingSignIn]) -> str:
    """A cookie's value with the newest of these; empty when none is left."""
    newest = sign_ins[-MOST:]
    while newest and len(cookie := encryption.encrypt(json.dumps([asdict(one) for one in newest]))) > LARGEST_COOKIE:
        newest = newest[1:]
    return cookie if newest else ""
