"""Whether one is sure: the page before an act that cannot simply be taken back. It works with script and without."""

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def is_sure(request: HttpRequest) -> bool:
    return "sure" in request.POST


def ask(
    request: HttpRequest,
    heading: str,
    warning: str,
    *,
    button: str,
    back: str,
    sends: Iterable[tuple[str, object]] = (),
    **more: Any,
) -> HttpResponse:
    """The question. Its form goes to the address that was asked, with what came and that one is sure.

    back   where one goes who is not
    sends  names and values that the act needs
    more   what else several/ask.html shows: icon, is_danger, word (sent as `act`), can, cannot, opens, section
    """
    page: dict[str, Any] = {"heading": heading, "warning": warning, "button": button, "back": back}
    page |= {"address": request.path, "sends": [("sure", "yes"), ("next", back), *sends]}
    return render(request, "several/ask.html", page | more)
