"""One HTTP exchange with the platform, and what its outcome means.

Every call has a connect and a read timeout. Only GET is retried. Redirects are never followed, so a token is
never sent to a host that an answer names.
"""

import email.utils
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, Self, TypeVar
from urllib.parse import quote, urlencode

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import MaxRetryError, NewConnectionError, ReadTimeoutError
from urllib3.util import Retry

from imodels_app.itwin import errors
from imodels_app.runtime import foreign_text
from imodels_app.runtime.timing import CONNECT_TIMEOUT_S, READ_TIMEOUT_S

V1 = "application/vnd.bentley.itwin-platform.v1+json"
V2 = "application/vnd.bentley.itwin-platform.v2+json"
# Without (or with an absurd) Retry-After: a minute, the window of every documented limit. Never longer than an hour.
DEFAULT_RETRY_AFTER_S = 60.0
LONGEST_RETRY_AFTER_S = 3600.0
UNAVAILABLE_RETRY_S = 15.0
# What a 429 of the platform's own limits has; https://developer.bentley.com/apis/overview/rate-limits/
RATE_LIMITED = "ITwinPlatform-RateLimited-"
# Of an error: its code, and how many details a person reads.
LONGEST_CODE, MOST_DETAILS = 64, 50

_BY_STATUS: dict[int, type[errors.Refused]] = {
    401: errors.SignedOut,
    403: errors.Forbidden,
    404: errors.NotFound,
}
_local = threading.local()
T = TypeVar("T")


@dataclass
class Call:
    """One call, while it is made. has_left: the platform may have it. status: of its answer, None without one."""

    method: str
    path: str
    body: str = ""
    has_left: bool = False
    status: int | None = None


class Connection:
    """Speaks for one person: a base address, their access token, timeouts.

    correlation_id  a GUID that goes with every request; "" sends none
    before_request  called right before each request, repeats of a GET too; what it raises keeps it from leaving
    around_call     makes a context for each call, repeats included, which sees what is raised
    """

    def __init__(
        self,
        base_url: str,
        access_token: str,
        *,
        read_timeout_s: float = READ_TIMEOUT_S,
        correlation_id: str = "",
        before_request: Callable[[], None] = lambda: None,
        around_call: Callable[[Call], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._access_token = access_token
        self._correlation_id = correlation_id
        self._ahead: timedelta | None = None
        self._before_request = before_request
        self._around_call = around_call
        self._timeout = (min(CONNECT_TIMEOUT_S, read_timeout_s), read_timeout_s)

    @property
    def now(self) -> datetime | None:
        """The time at the platform, to about a second, by the Date of its last answer; None before it has told it."""
        return None if self._ahead is None else _here() + self._ahead

    def get(
        self,
        path: str,
        query: dict[str, Any] | None = None,
        *,
        read: Callable[[dict[str, Any]], T],
        accept: str = V2,
        prefer: str = "",
    ) -> T:
        """What `read` makes of the JSON object at a path below the base address. Raises Unavailable and Refused.

        read  raises Malformed, which is Unavailable: an answer that cannot be read is none, for the circuit too
        """
        url = f"{self._base_url}{path}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        headers = self._headers(accept) | ({"Prefer": f"return={prefer}"} if prefer else {})
        call = Call("GET", path)
        with self._around_call(call):
            answer = self._send_repeatable(call, url, headers)
            body = json_in(answer)
            if body is None:
                raise errors.Unavailable("The platform's answer is not JSON.", retry_after_s=UNAVAILABLE_RETRY_S)
            return read(body)

    def delete(self, path: str, *, before_send: Callable[[], None] = lambda: None) -> None:
        """Raises Unavailable and Refused, as get does: to ask again harms nothing. before_send: as in post()."""
        call = Call("DELETE", path)
        with self._around_call(call):
            self._send_repeatable(call, f"{self._base_url}{path}", self._headers(V2), before_send)

    def post(self, path: str, body: str, *, before_send: Callable[[], None] = lambda: None) -> requests.Response:
        """Send a body of JSON text once, over a connection of its own. Raises all three kinds of error.

        before_send  called when only the request itself is left to do; what it raises keeps it from being sent

        A pooled connection that the server has just closed would make an unsent request look like a lost answer.
        """
        headers = self._headers(V2) | {"Content-Type": "application/json"}
        call = Call("POST", path, body)
        with self._around_call(call):
            self._before_request()
            before_send()
            call.has_left = True
            try:
                answer = requests.post(
                    f"{self._base_url}{path}",
                    data=body.encode(),
                    headers=headers,
                    timeout=self._timeout,
                    allow_redirects=False,
                    auth=no_other_auth,
                )
            except requests.RequestException as error:
                if _never_connected(error):
                    call.has_left = False
                    raise _unavailable(error) from error
                raise errors.AnswerLost(_plain(error)) from error
            self._read(answer, call)
            if not 200 <= answer.status_code < 300:
                _refuse(answer, lost_on_5xx=True)
            return answer

    def _send_repeatable(
        self, call: Call, url: str, headers: dict[str, str], before_send: Callable[[], None] = lambda: None
    ) -> requests.Response:
        """Over a pooled connection. An answer that is lost means only that nothing is known yet."""
        session = _session()
        _local.before_request = self._before_request
        self._before_request()
        before_send()
        call.has_left = True
        try:
            answer = session.request(call.method, url, headers=headers, timeout=self._timeout, allow_redirects=False)
        except requests.RequestException as error:
            call.has_left = not _never_connected(error)
            raise _unavailable(error) from error
        self._read(answer, call)
        if not 200 <= answer.status_code < 300:
            _refuse(answer, lost_on_5xx=False)
        return answer

    def _headers(self, accept: str) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self._access_token}", "Accept": accept}
        return headers | ({"X-Correlation-Id": self._correlation_id} if self._correlation_id else {})

    def _read(self, answer: requests.Response, call: Call) -> None:
        call.status = answer.status_code
        date = _date_of(answer.headers)
        if date:
            self._ahead = date - _here()


def no_other_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leaves a request as it is. Without it requests would put what a .netrc has in the place of our token."""
    return request


class _RetryUnlessSlow(Retry):
    """Repeats a GET that was cut off or met 502 to 504, but not one that was not answered in time.

    Whoever chose the time-out has waited it out; three of them would outlast a person and a task. A repeat is a request
    like the first: it is counted, or kept from leaving.
    """

    def increment(self, *args: Any, **kwargs: Any) -> Self:
        error = kwargs.get("error")
        if isinstance(error, ReadTimeoutError):
            raise error
        again = super().increment(*args, **kwargs)
        _local.before_request()
        return again


def _session() -> requests.Session:
    """A pool of connections for each thread: requests' sessions are not safe to share."""
    session: requests.Session | None = getattr(_local, "session", None)
    if session is None:
        retry = _RetryUnlessSlow(
            total=2,
            backoff_factor=0.2,
            status_forcelist=(502, 503, 504),
            allowed_methods={"GET"},
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        session = _local.session = requests.Session()
        session.auth = no_other_auth
        session.mount("http://", HTTPAdapter(max_retries=retry))
        session.mount("https://", HTTPAdapter(max_retries=retry))
    return session


def _refuse(answer: requests.Response, *, lost_on_5xx: bool) -> NoReturn:
    """Raise what an answer other than 2xx means."""
    status, (code, message, details) = answer.status_code, _envelope(answer)
    if status == 429:
        raise errors.TooMany(
            message or "Too many requests.",
            retry_after_s=retry_after_s(answer.headers),
            operation=answer.headers.get(f"{RATE_LIMITED}Operation", ""),
            is_our_limit=any(name.lower().startswith(RATE_LIMITED.lower()) for name in answer.headers),
        )
    # 408, 425 and 5xx, and redirects: nobody has decided about the request.
    if status >= 500 or status in (408, 425) or status < 400:
        text = f"The platform answered {status}" + (f" {code}." if code else ".")
        if lost_on_5xx:
            raise errors.AnswerLost(text)
        told = "Retry-After" in answer.headers
        after_s = retry_after_s(answer.headers) if told else UNAVAILABLE_RETRY_S
        raise errors.Unavailable(text, retry_after_s=after_s, is_told=told)
    if status == 409:
        taken = code.lower() == "imodelexists"
        raise (errors.NameTaken if taken else errors.NotReady)(status, code, message, details)
    raise _BY_STATUS.get(status, errors.Invalid)(status, code, message, details)


def _envelope(answer: requests.Response) -> tuple[str, str, list[errors.Detail]]:
    """Code, message and details of a failed call; any of them may be missing, and so may the envelope.

    Source: the Error Response of https://developer.bentley.com/apis/imodels-v2/operations/create-imodel/
    """
    body = json_in(answer) or {}
    error = body.get("error")
    if not isinstance(error, dict):
        return "", _message(body), []
    listed = error.get("details")
    details = [
        errors.Detail(
            code=_code(item),
            message=_message(item),
            target=foreign_text.cleaned(item.get("target")),
        )
        for item in (listed[:MOST_DETAILS] if isinstance(listed, list) else [])
        if isinstance(item, dict)
    ]
    return _code(error), _message(error), details


def _code(item: dict[str, Any]) -> str:
    return foreign_text.cleaned(item.get("code"), most=LONGEST_CODE)


def _message(item: dict[str, Any]) -> str:
    return foreign_text.cleaned(item.get("message"), most=foreign_text.PARAGRAPH, is_line=False)


def json_in(answer: requests.Response) -> dict[str, Any] | None:
    """The JSON object that an answer is; None when it is none."""
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds to wait by an answer's Retry-After, bounded; a minute if there is none, or it makes no sense.

    Seconds, or an HTTP date: of the clock whose Date the answer has, for ours may be hours apart from it.
    """
    wanted = headers.get("Retry-After") or ""
    try:
        seconds = float(wanted)
    except ValueError:
        at = _http_date(wanted)
        if at is None:
            return DEFAULT_RETRY_AFTER_S
        seconds = (at - (_date_of(headers) or _here())).total_seconds()
    if not 0 <= seconds < float("inf"):
        return DEFAULT_RETRY_AFTER_S
    return min(max(seconds, 1.0), LONGEST_RETRY_AFTER_S)


def _date_of(headers: Mapping[str, str]) -> datetime | None:
    return _http_date(headers.get("Date") or "")


def _http_date(text: str) -> datetime | None:
    try:
        at = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _here() -> datetime:
    """This machine's clock: only to be told apart from the platform's."""
    return datetime.now(UTC)


def _never_connected(error: requests.RequestException) -> bool:
    """Whether the connection was not even made, so that nothing can have been sent."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.InvalidURL):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def _unavailable(error: requests.RequestException) -> errors.Unavailable:
    is_late = isinstance(error, requests.ReadTimeout)
    return (errors.TimedOut if is_late else errors.Unavailable)(_plain(error), retry_after_s=UNAVAILABLE_RETRY_S)


def _plain(error: requests.RequestException) -> str:
    """What happened, without the address: it could carry a secret."""
    if isinstance(error, requests.Timeout):
        return "The platform did not answer in time."
    return "The platform could not be reached." if _never_connected(error) else "The connection was cut."
