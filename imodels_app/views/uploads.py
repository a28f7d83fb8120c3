"""Baseline files on their way from a browser, in pieces: the server's half of the tus protocol, version 1.0.0.

Core, creation, termination and expiration. A piece is a short request: at most PIECE bytes, which go to disk at once,
or what came of them (staging.py). So a cut costs no byte that was here, and memory stays small.
Source: https://tus.io/protocols/resumable-upload
"""

import base64
import binascii
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from io import BufferedRandom
from mmap import ACCESS_READ, mmap
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, UnreadablePostError
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.http import http_date
from django.views.decorators.http import require_http_methods, require_POST

from imodels_app.decorators import View, count_request, person, signed_in
from imodels_app.limits import throttles
from imodels_app.models import StagedFile
from imodels_app.requesting import staging

VERSION = "1.0.0"
PIECE = 8 * staging.MIB
CHUNK = staging.MIB
STATUS: dict[type[staging.FileRefused], int] = {staging.TooLarge: 413, staging.NoSpace: 507, staging.InUse: 409}


def rules() -> dict[str, Any]:
    """What a browser has to know to send a file, and to refuse one with our own sentences before it sends a byte."""
    return {
        "piece": PIECE,
        "most": staging.most_bytes(),
        "too_large": staging.too_large(),
        "empty": staging.EMPTY,
        "no_imodel": staging.NO_IMODEL,
    }


class _Wrong(Exception):
    """The request is not as the protocol wants it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def tus(view: View) -> View:
    """Speak the protocol: versions, refusals as sentences, and a status instead of the way to the sign-in page.

    Where a proxy lets only POST pass, X-HTTP-Method-Override says what is meant. Of a POST alone: its CSRF token has
    been checked by then, which that of a GET is not.
    """

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method == "POST":
            request.method = request.headers.get("X-HTTP-Method-Override", "POST").upper()
        answer = _answered(view, request, *args, **kwargs)
        answer["Tus-Resumable"] = VERSION
        answer["Cache-Control"] = "no-store"
        return answer

    return wrapped


class StagedUpload(UploadedFile):  # type: ignore[type-arg]
    """A file that came with a form: what it is staged as, or why it is not taken."""

    def __init__(
        self, *, staged: StagedFile | None, name: str | None, size: int, refused: staging.FileRefused | None
    ) -> None:
        super().__init__(name=name, size=size)
        self.staged = staged
        self.refused = refused

    def close(self) -> None:
        """At the end of the request: what nobody took is forgotten."""
        if self.staged and not self.staged.arrived_at:
            staging.drop(self.staged)


class IntoStaging(FileUploadHandler):
    """Puts the file of a plain form straight into STAGING_DIR, chunk by chunk. What is no good is read and dropped.

    It is announced like one that comes in pieces, with the size of the whole form, which is a little more.
    """

    staged: StagedFile | None = None
    refused: staging.FileRefused | None = None

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        if self.field_name != "file" or self.request is None:
            raise SkipFile
        announced = int(self.request.META.get("CONTENT_LENGTH") or 1)
        size, owner = min(announced, staging.most_bytes()), person(self.request)
        try:
            self.staged = staging.announce(name=str(self.file_name), size=size, owner=owner)
        except staging.FileRefused as no:
            self.refused = no

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        try:
            if self.staged:
                staging.grow(self.staged, raw_data, at=start)
        except staging.FileRefused as no:
            self.refused = no
            self.upload_interrupted()

    def file_complete(self, file_size: int) -> StagedUpload:
        return StagedUpload(staged=self.staged, name=self.file_name, size=file_size, refused=self.refused)

    def upload_interrupted(self) -> None:
        if self.staged:
            staging.drop(self.staged)
        self.staged = None


class Nowhere(FileUploadHandler):
    """Drops files: of whoever is signed out, and those that no form of ours asks for (FILE_UPLOAD_HANDLERS)."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        raise SkipFile


@tus
@require_http_methods(["OPTIONS", "POST"])
def staged_files(request: HttpRequest) -> HttpResponse:
    """What is spoken here; or a new file, announced by its exact size and its name."""
    if request.method == "OPTIONS":
        return _abilities()
    count_request(request, throttles.UPLOADS)
    staged = staging.announce(name=_name(request), size=_number(request, "Upload-Length"), owner=person(request))
    answer = _state_answer(staged, status=201)
    answer["Location"] = reverse("imodels:staged-file", args=[staged.pk])
    return answer


@tus
@require_http_methods(["OPTIONS", "HEAD", "PATCH", "DELETE"])
def staged_file(request: HttpRequest, pk: UUID) -> HttpResponse:
    """How far a file is; its next piece; or its end. Others than its owner find nothing here."""
    if request.method == "OPTIONS":
        return _abilities()
    staged = get_object_or_404(StagedFile, pk=pk, owner=person(request))
    if request.method == "PATCH":
        return _state_answer(_add(request, staged), status=204)
    if request.method == "DELETE":
        staging.remove(staged)
        return HttpResponse(status=204)
    answer = _state_answer(staged, status=200)
    answer["Upload-Length"] = str(staged.size)
    return answer


@signed_in
@require_POST
def remove_staged_file(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The button beside a file, where there is no JavaScript."""
    try:
        staging.remove(get_object_or_404(StagedFile, pk=pk, owner=person(request)))
    except staging.InUse as no:
        messages.error(request, str(no))
    return HttpResponseRedirect(reverse("imodels:request-baseline"), status=303)


def _answered(
    view: Callable[..., HttpResponseBase], request: HttpRequest, *args: Any, **kwargs: Any
) -> HttpResponseBase:
    if not request.user.is_authenticated:
        return _error_answer(401, "You are signed out. Sign in in another tab, then continue here.")
    if request.method != "OPTIONS" and request.headers.get("Tus-Resumable") != VERSION:
        answer = _error_answer(412, f"This speaks tus {VERSION}.")
        answer["Tus-Version"] = VERSION
        return answer
    try:
        return view(request, *args, **kwargs)
    except _Wrong as wrong:
        return _error_answer(wrong.status, str(wrong))
    except throttles.Throttled as no:
        answer = _error_answer(429, str(no))
        answer["Retry-After"] = str(no.retry_after_s)
        return answer
    except staging.FileRefused as no:
        return _error_answer(STATUS.get(type(no), 422), str(no))
    except staging.OffsetConflict as metadata:
        answer = _error_answer(409, str(metadata))
        answer["Upload-Offset"] = str(metadata.received)
        return answer
    except (staging.FileGone, Http404):
        return _error_answer(404, "This file is not here, or no longer here.")


def _add(request: HttpRequest, staged: StagedFile) -> StagedFile:
    """Put one piece on disk. What came of a piece that was cut stays."""
    if request.content_type != "application/offset+octet-stream":
        raise _Wrong(415, "A piece must be application/offset+octet-stream.")
    at, length = _number(request, "Upload-Offset"), _number(request, "Content-Length", missing=411)
    if length > PIECE or at + length > staged.size:
        raise _Wrong(413, f"A piece has at most {PIECE} bytes, and must not exceed the file.")
    if at != staging.offset(staged):
        raise staging.OffsetConflict(staging.offset(staged))
    staging.check_space(length)
    came = _body(request)
    return staging.append(staged, came, at=at) if came else staged


def _body(request: HttpRequest) -> bytearray | mmap:
    """The body, or what had come of it when the connection was cut: put on disk at once, for each sync costs time.

    Our own server has a large one in a file before we see it. Mapped, its bytes are not copied into our memory.
    """
    stream = request.META["wsgi.input"]
    if isinstance(stream, BufferedRandom):
        stream.flush()
        return mmap(stream.fileno(), 0, access=ACCESS_READ)
    came = bytearray()
    with suppress(UnreadablePostError):
        while chunk := request.read(CHUNK):
            came += chunk
    return came


def _name(request: HttpRequest) -> str:
    """The file's name, which the protocol hides in pairs of a word and base64."""
    pairs = (pair.split(" ", 1) for pair in request.headers.get("Upload-Metadata", "").split(","))
    metadata = {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}
    try:
        name = base64.b64decode(metadata["filename"], validate=True).decode()
    except (KeyError, binascii.Error, UnicodeDecodeError) as garbled:
        raise _Wrong(400, "Upload-Metadata must have a filename.") from garbled
    # As Django does with the name of a file in a form.
    return "".join(character for character in name.replace("\\", "/").rpartition("/")[2] if character.isprintable())


def _number(request: HttpRequest, header: str, *, missing: int = 400) -> int:
    text = request.headers.get(header, "")
    # 18 digits are more than any disk and less than any column.
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise _Wrong(missing, f"{header} must be a number of bytes.")
    return int(text)


def _abilities() -> HttpResponse:
    answer = HttpResponse(status=204)
    answer["Tus-Version"] = VERSION
    answer["Tus-Extension"] = "creation,termination,expiration"
    answer["Tus-Max-Size"] = str(staging.most_bytes())
    return answer


def _state_answer(staged: StagedFile, *, status: int) -> HttpResponse:
    """Where the file stands, and until when it is kept."""
    answer = HttpResponse(status=status)
    answer["Upload-Offset"] = str(staging.offset(staged))
    answer["Upload-Expires"] = http_date(staged.expires_at.timestamp())
    return answer


def _error_answer(status: int, sentence: str) -> HttpResponse:
    return HttpResponse(sentence, status=status, content_type="text/plain; charset=utf-8")
