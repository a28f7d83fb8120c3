"""Where a form, or a sign-in, leads back to."""

from django.utils.http import url_has_allowed_host_and_scheme

# Longer than any filter of ours, and short enough for a header and a cookie.
LONGEST = 2000


def own_path(target: str, otherwise: str) -> str:
    """The page that a form or an address named, if it is a path of ours: never somebody else's, nor a word.

    otherwise  what redirect() takes: a path, or a URL's name
    """
    is_path = target.startswith("/") and target.isprintable() and len(target) <= LONGEST
    return target if is_path and url_has_allowed_host_and_scheme(target, allowed_hosts=None) else otherwise
