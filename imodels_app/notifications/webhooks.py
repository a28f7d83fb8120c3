"""POSTs JSON to an address that somebody set up: a chat, or whatever else takes events.

It goes only to a host that WEBHOOK_HOSTS names. What is connected to is what was checked, and no redirect is followed.
The address is a secret, so no error and no line of the log has more of it than its host.

A receiver can tell repeats by `webhook-id`, which stays the same, and a forged message by its signature.
Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import SplitResult

import requests
from django.conf import settings

from imodels_app.itwin import addresses
from imodels_app.itwin.http import no_other_auth, retry_after_s
from imodels_app.runtime import clock
from imodels_app.runtime.timing import WEBHOOK_CONNECT_TIMEOUT_S, WEBHOOK_READ_TIMEOUT_S

# Besides 5xx what may be otherwise in a while: a time-out, a conflict with itself, too early, too many.
PASSING = {408, 409, 425, 429}


class Refused(Exception):
    """The message was not taken, and the same message will not be. Its text can be shown.

    status  of the answer; None: nothing was sent, as the address is none that may be sent to
    """

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class Down(Exception):
    """No answer, or one that will pass: it may have arrived, and is sent again. Its text can be shown.

    retry_after_s  what the answer asked for; None: nothing
    """

    def __init__(self, text: str, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


def host_of(url: str) -> str:
    """The part of an address that is no secret."""
    return _parts(url).hostname or ""


def why_not(url: str) -> str:
    """Why nothing is sent to this address; empty when it may be. Where its host's name leads, post() looks."""
    parts = _parts(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        return "This is not a web address."
    if not _is_named(parts.hostname):
        return f"{parts.hostname} is not among the hosts that may be sent to. WEBHOOK_HOSTS names them."
    if parts.scheme == "http" and parts.hostname not in settings.PRIVATE_HOSTS:
        return "The address has to begin with https://."
    return ""


def post(url: str, body: bytes, *, message_id: str, key: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
    """Send one JSON message. Raises Refused and Down.

    message_id  the same for each repeat of one message
    key         a secret that the receiver shares; with it the message is signed
    headers     what the receiver wants besides, as its own authorization
    """
    if why := why_not(url):
        raise Refused(why)
    host = host_of(url)
    sent = {"Content-Type": "application/json", **(headers or {}), **_headers(body, message_id, key)}
    try:
        with addresses.session(private_hosts=settings.PRIVATE_HOSTS) as session:
            session.auth = no_other_auth
            timeouts = (WEBHOOK_CONNECT_TIMEOUT_S, WEBHOOK_READ_TIMEOUT_S)
            # Its body is not read: it tells nothing, and may be endless.
            with session.post(
                url, data=body, headers=sent, timeout=timeouts, allow_redirects=False, stream=True
            ) as got:
                _check(host, got)
    except addresses.NotPublic:
        raise Refused(f"{host} leads into a private network.") from None
    except (requests.RequestException, UnicodeError) as error:
        # Its text and its chain name the address.
        raise Down(f"{host} did not answer ({type(error).__name__}).") from None


def _check(host: str, answer: requests.Response) -> None:
    status = answer.status_code
    if status >= 500 or status in PASSING:
        wait_s = retry_after_s(answer.headers) if answer.headers.get("Retry-After") else None
        raise Down(f"{host} answered {status}.", wait_s)
    if not 200 <= status < 300:
        raise Refused(f"{host} answered {status}.", status)


def _headers(body: bytes, message_id: str, key: bytes) -> dict[str, str]:
    at = str(int(clock.now().timestamp()))
    named = {"webhook-id": message_id, "webhook-timestamp": at}
    if not key:
        return named
    digest = hmac.digest(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256)
    return named | {"webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}


def _is_named(host: str) -> bool:
    """By itself, or by a domain that it is below: .example.org."""
    return any(host == one or (one.startswith(".") and host.endswith(one)) for one in settings.WEBHOOK_HOSTS)


def _parts(url: str) -> SplitResult:
    try:
        return addresses.parts(url)
    except ValueError:
        return SplitResult("", "", "", "", "")
