"""Baseline files on their way from a browser, in pieces: the server's half of the tus protocol, version 1.0.0.

Core, creation, termination and expiration. A piece is a short request: at most PIECE bytes, read as a stream and put
on disk chunk by chunk (staging.py), so that a cut costs no byte that was here, and memory stays small.
Source: https://tus.io/protocols/resumable-upload
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, UnreadablePostError
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.http import http_date
from django.views.decorators.http import require_http_methods, require_POST

from imodels_app import staging
from imodels_app.models import StagedFile
from imodels_app.views.guards import View, person, signed_in

VERSION = "1.0.0"
PIECE = 8 * staging.MIB
CHUNK = staging.MIB
STATUS: dict[type[staging.Refused], int] = {staging.TooLarge: 413, staging.NoSpace: 507, staging.InUse: 409}


class _Wrong(Exception):
    """The request is not as the protocol wants it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def tus(view: View) -> View:
    """Speak the protocol: versions, refusals as sentences, and a status instead of the way to the sign-in page."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        answer = _answered(view, request, *args, **kwargs)
        answer["Tus-Resumable"] = VERSION
        answer["Cache-Control"] = "no-store"
        return answer

    return guarded


@tus
@require_http_methods(["OPTIONS", "POST"])
def staged_files(request: HttpRequest) -> HttpResponse:
    """What is spoken here; or a new file, announced by its exact size and its name."""
    if request.method == "OPTIONS":
        return _abilities()
    staged = staging.expect(name=_name(request), size=_number(request, "Upload-Length"), owner=person(request))
    answer = _told(staged, status=201)
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
        return _told(_add(request, staged), status=204)
    if request.method == "DELETE":
        staging.remove(staged)
        return HttpResponse(status=204)
    answer = _told(staged, status=200)
    answer["Upload-Length"] = str(staged.size)
    return answer


@signed_in
@require_POST
def remove_staged_file(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The button beside a file, without JavaScript too."""
    try:
        staging.remove(get_object_or_404(StagedFile, pk=pk, owner=person(request)))
    except staging.InUse as no:
        return HttpResponse(str(no), status=409, content_type="text/plain")
    if getattr(request, "htmx", False):
        return HttpResponse()
    return HttpResponseRedirect(reverse("imodels:request-baseline"), status=303)


def _answered(
    view: Callable[..., HttpResponseBase], request: HttpRequest, *args: Any, **kwargs: Any
) -> HttpResponseBase:
    if not request.user.is_authenticated:
        return _said(401, "You are signed out. Sign in in another tab, then go on here.")
    if request.method != "OPTIONS" and request.headers.get("Tus-Resumable") != VERSION:
        answer = _said(412, f"This speaks tus {VERSION}.")
        answer["Tus-Version"] = VERSION
        return answer
    try:
        return view(request, *args, **kwargs)
    except _Wrong as wrong:
        return _said(wrong.status, str(wrong))
    except staging.Refused as no:
        return _said(STATUS.get(type(no), 422), str(no))
    except staging.Overtaken as told:
        answer = _said(409, str(told))
        answer["Upload-Offset"] = str(told.received)
        return answer
    except (staging.Gone, Http404):
        return _said(404, "This file is not here, or not here any more.")


def _add(request: HttpRequest, staged: StagedFile) -> StagedFile:
    """Put one piece on disk. What came of a piece that was cut stays."""
    if request.content_type != "application/offset+octet-stream":
        raise _Wrong(415, "A piece is application/offset+octet-stream.")
    at, length = _number(request, "Upload-Offset"), _number(request, "Content-Length", missing=411)
    if length > PIECE or at + length > staged.size:
        raise _Wrong(413, f"A piece has at most {PIECE} bytes, and ends with the file.")
    if at != staging.offset(staged):
        raise staging.Overtaken(staging.offset(staged))
    staging.check_space(length)
    for chunk in _chunks(request):
        staged = staging.append(staged, chunk, at=at)
        at += len(chunk)
    return staged


def _chunks(request: HttpRequest) -> Iterator[bytes]:
    """The body while it comes; it ends where the connection was cut."""
    try:
        yield from iter(partial(request.read, CHUNK), b"")
    except UnreadablePostError:
        return


def _name(request: HttpRequest) -> str:
    """The file's name, which the protocol hides in pairs of a word and base64."""
    pairs = (pair.split(" ", 1) for pair in request.headers.get("Upload-Metadata", "").split(","))
    told = {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}
    try:
        return base64.b64decode(told["filename"], validate=True).decode()
    except (KeyError, binascii.Error, UnicodeDecodeError) as garbled:
        raise _Wrong(400, "Upload-Metadata must have a filename.") from garbled


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


def _told(staged: StagedFile, *, status: int) -> HttpResponse:
    """Where the file stands, and until when it is kept."""
    answer = HttpResponse(status=status)
    answer["Upload-Offset"] = str(staging.offset(staged))
    answer["Upload-Expires"] = http_date(staging.kept_until(staged).timestamp())
    return answer


def _said(status: int, sentence: str) -> HttpResponse:
    return HttpResponse(sentence, status=status, content_type="text/plain; charset=utf-8")
