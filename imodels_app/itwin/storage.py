"""The blob storage behind an upload link: one PUT, or blocks and a list of them.

The right to write is in the link itself. Nothing else of a person's goes there: no token, no cookie, no entry of a
.netrc; redirects are not followed; and no error carries the link.
Source: https://learn.microsoft.com/rest/api/storageservices/put-blob, put-block, put-block-list
"""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol
from urllib.parse import urlsplit

import requests
from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.blob import BlobBlock, BlobClient, LinearRetry

from imodels_app.itwin import addresses, errors
from imodels_app.itwin.http import no_other_auth, retry_after_s
from imodels_app.itwin.types import UploadLink
from imodels_app.runtime import foreign_text

# Also how long one piece may take to leave: the socket has this time-out while a body is sent.
CONNECT_TIMEOUT_S = 10.0
# The storage writes a whole file before it answers.
READ_TIMEOUT_S = 60.0
CUT_RETRY_S, DOWN_RETRY_S = 1.0, 5.0
# 5xx that will not pass: the storage is full.
FINAL = {507}
# What Google says of a link that has ended, with a 400.
LINK_IS_OVER = {"ExpiredToken"}
PRIVATE = "The upload link leads into a private network."
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")


class ByteSource(Protocol):
    """The bytes of one request, read piece by piece so that memory stays constant."""

    def __len__(self) -> int: ...

    def read(self, size: int = -1, /) -> bytes: ...


class Storage:
    """Writes one blob. Threads may share it. Its methods raise Unavailable, ForeignLink, LinkRefused and Refused.

    private_hosts  hosts that it may lead to although they are not in the public internet
    """

    def __init__(self, link: UploadLink, *, private_hosts: Collection[str] = ()) -> None:
        self._href = link.href
        self._private_hosts = private_hosts
        self._is_azure = link.storage_type != "google"
        self._blob: BlobClient | None = None

    @property
    def takes_blocks(self) -> bool:
        return self._is_azure

    def open(self) -> BlobClient:
        """Get ready for blocks. Not every file needs it, and threads share what it makes."""
        try:
            self._blob = BlobClient.from_blob_url(
                self._href,
                session=self._session(),
                # The default waits 15 s between tries, 85 s in all, and holds up the other files of this worker.
                retry_policy=LinearRetry(backoff=1, retry_total=3, random_jitter_range=0),
                connection_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                permit_redirects=False,
            )
        except ValueError:  # its text is the link
            raise errors.ForeignLink("The upload link names no blob.") from None
        return self._blob

    def close(self) -> None:
        """Let go of the connections."""
        if self._blob:
            self._blob.close()

    def put(self, source: ByteSource) -> None:
        """Write the whole file in one request; a request that is cut leaves nothing."""
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"} if self._is_azure else {}
        try:
            with self._session() as session:
                answer = session.put(
                    self._href,
                    data=source,
                    headers=headers,
                    timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
                    allow_redirects=False,
                )
        except addresses.NotPublic:
            raise errors.ForeignLink(PRIVATE) from None
        except requests.RequestException as error:
            # Its text and its chain name the address.
            raise _unavailable(slow=isinstance(error, requests.Timeout)) from None
        if not 200 <= answer.status_code < 300:
            _refuse(answer.status_code, answer.headers, answer.content)

    def put_block(self, number: int, piece: bytes) -> None:
        """Write one block. The same number may be sent again, and replaces what was there."""
        with _told_apart():
            self._client().stage_block(_block_id(number), piece, length=len(piece))

    def commit(self, count: int) -> None:
        """Put blocks 0 to count - 1 together. Refused with InvalidBlockList when one of them is not there."""
        with _told_apart():
            self._client().commit_block_list([BlobBlock(_block_id(number)) for number in range(count)])

    def _client(self) -> BlobClient:
        return self._blob or self.open()

    def _session(self) -> requests.Session:
        session = addresses.session(private_hosts=self._private_hosts)
        session.auth = no_other_auth
        return session


def check_destination(link: UploadLink, platform_url: str, *, private_hosts: Collection[str] = ()) -> None:
    """Raise ForeignLink unless the link may be written to: over TLS, and not into a network that only we can reach.

    What the platform itself uses is fine: plain HTTP, and its own host. Storage asks for the host's address again.
    """
    platform = urlsplit(platform_url)
    try:
        target = addresses.parts(link.href)
    except ValueError:  # its text and its chain may name the address
        raise errors.ForeignLink("The upload link is not a web address.") from None
    if target.scheme not in ("http", "https") or not target.hostname or target.username or target.password:
        raise errors.ForeignLink("The upload link is not a web address.")
    if target.scheme == "http" and platform.scheme == "https":
        raise errors.ForeignLink("The upload link is not encrypted.")
    try:
        addresses.resolve(target.hostname, private_hosts={platform.hostname or "", *private_hosts})
    except addresses.NotPublic:
        raise errors.ForeignLink(PRIVATE) from None
    except OSError:
        raise _unavailable(slow=False) from None


def _block_id(number: int) -> str:
    """All of a blob's ids have the same length, and the same block always has the same one."""
    return f"block-{number:06}"


@contextmanager
def _told_apart() -> Iterator[None]:
    """What the library's errors mean; those, too, that it raises over a body that is none of the storage's.

    After a success nothing is wrong: what was to be written is there.
    """
    try:
        yield
    except (AzureError, addresses.NotPublic, AttributeError, TypeError, ValueError) as error:
        answer = _answer_behind(error)
        if answer and 200 <= (answer.status_code or 0) < 300:
            return
        if not answer and not isinstance(error, AzureError | addresses.NotPublic):
            raise
        _azure_refused(answer or error)


def _answer_behind(error: BaseException | None) -> HttpResponseError | None:
    while error and not isinstance(error, HttpResponseError | AzureError):
        error = error.__context__
    return error if isinstance(error, HttpResponseError) else None


def _azure_refused(error: Exception) -> NoReturn:
    if isinstance(error, addresses.NotPublic):
        raise errors.ForeignLink(PRIVATE) from None
    if not isinstance(error, HttpResponseError) or not error.status_code:
        raise _unavailable(slow=False) from None
    answer: Any = error.response  # whose protocol leaves out what every answer has
    _refuse(error.status_code, answer.headers, answer.body())


def _refuse(status: int, headers: Mapping[str, str], body: bytes) -> NoReturn:
    """Raise what a refusal means. The library reads its code in some bodies only, and not for a whole file."""
    found = _CODE.search(body[:2000].decode("utf-8", "replace"))
    code = headers.get("x-ms-error-code") or (found[1] if found else "")
    said = f"{status} {foreign_text.cleaned(code, most=64)}".strip()
    if status in (401, 403) or code in LINK_IS_OVER:
        raise errors.LinkRefused(status, code, said) from None
    if (status >= 500 and status not in FINAL) or status in (408, 429):
        wait_s = retry_after_s(headers) if headers.get("Retry-After") else DOWN_RETRY_S
        raise errors.Unavailable(f"The platform’s storage answered {said}.", retry_after_s=wait_s) from None
    raise errors.Refused(status, code, said) from None


def _unavailable(*, slow: bool) -> errors.Unavailable:
    if slow:
        return errors.Unavailable("The platform’s storage did not answer in time.", retry_after_s=DOWN_RETRY_S)
    return errors.Unavailable("The connection to the platform’s storage was cut.", retry_after_s=CUT_RETRY_S)
