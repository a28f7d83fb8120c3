"""Where a form, or a sign-in, leads back to."""

from django.utils.http import url_has_allowed_host_and_scheme


def own_path(target: str, otherwise: str) -> str:
    """The page that a form or an address named, if it is one of ours: never somebody else's.

    otherwise  what redirect() takes: a path, or a URL's name
    """
    return target if url_has_allowed_host_and_scheme(target, allowed_hosts=None) else otherwise
