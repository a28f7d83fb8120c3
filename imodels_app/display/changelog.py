"""What is new, from CHANGELOG.md: the one text for people, operators and developers.

It is written in a small part of Markdown: headings, points, `code`, *stress* of both sorts and links. The links lead
into the repository, which no page has, so their words alone are shown.
"""

import re
from dataclasses import dataclass, field
from functools import cache

from django.conf import settings
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

_INLINE = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<strong>.+?)\*\*|\*(?P<em>[^* ][^*]*)\*|\[(?P<link>[^]]+)\]\([^)]+\)")


@dataclass(frozen=True)
class Part:
    """What is new in one part of the product. title: "" before the first heading."""

    title: str
    points: list[SafeString] = field(default_factory=list)


@dataclass(frozen=True)
class Release:
    """title: version and date."""

    title: str
    parts: list[Part] = field(default_factory=list)


@cache
def releases() -> list[Release]:
    """Those that are out, the newest first, without what only developers notice. Read once: a new text comes with a
    new process.
    """
    found = [_release(text) for text in settings.CHANGELOG.read_text().split("\n## ")[1:]]
    return [release for release in found if release.title != "Unreleased"]


def _release(text: str) -> Release:
    head, *parts = text.split("\n### ")
    title, _, before = head.partition("\n")
    found = [Part("", _points(before)), *(_part(part) for part in parts if not part.startswith("For developers"))]
    return Release(title.strip(), [part for part in found if part.points])


def _part(text: str) -> Part:
    title, _, body = text.partition("\n")
    return Part(title.strip(), _points(body))


def _points(text: str) -> list[SafeString]:
    return [_inline(" ".join(point.split())) for point in re.split(r"^- ", text, flags=re.MULTILINE)[1:]]


def _inline(text: str) -> SafeString:
    """Its words, escaped, with code and strong ones marked."""
    pieces: list[SafeString] = []
    at = 0
    for found in _INLINE.finditer(text):
        pieces += [format_html("{}", text[at : found.start()]), _marked(found)]
        at = found.end()
    return format_html_join("", "{}", ((piece,) for piece in [*pieces, format_html("{}", text[at:])]))


def _marked(found: re.Match[str]) -> SafeString:
    if found["link"]:
        return format_html("{}", found["link"].replace("`", ""))
    tag = found.lastgroup
    return format_html(f"<{tag}>{{}}</{tag}>", found[tag or 0])
