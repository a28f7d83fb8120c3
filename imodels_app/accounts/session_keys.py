"""Keys of sessions that show that they are ours, so that the web server can tell without asking the database."""

import hashlib

from django.utils.crypto import constant_time_compare, get_random_string, salted_hmac

RANDOM, MARK = 24, 16


def new() -> str:
    """A key that nobody can guess (142 bits), and a mark that nobody without SECRET_KEY can make."""
    random = get_random_string(RANDOM)
    return random + _mark(random)


def is_ours(key: str) -> bool:
    """Whether we made this key. The session may have ended since."""
    return len(key) == RANDOM + MARK and constant_time_compare(key[RANDOM:], _mark(key[:RANDOM]))


def stored(key: str) -> str:
    """What the table has of a key: whoever reads the table, or its backup, opens no session with it."""
    return hashlib.sha256(key.encode()).hexdigest()[: RANDOM + MARK]


def _mark(random: str) -> str:
    return salted_hmac("session key", random, algorithm="sha256").hexdigest()[:MARK]
