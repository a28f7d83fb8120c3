"""An e-mail as HTML, from its text: the same words, and its own links to be clicked."""

from collections.abc import Collection
from typing import NamedTuple

from django.template.loader import render_to_string


class Line(NamedTuple):
    """A line of a paragraph; with an address it is a link."""

    words: str
    url: str = ""


def from_text(subject: str, text: str, links: Collection[str]) -> str:
    """links: the addresses that the text gives. No others become links, whatever somebody wrote."""
    paragraphs = [[_line(line, links) for line in block.splitlines()] for block in text.strip().split("\n\n")]
    return render_to_string("mail/message.html", {"subject": subject, "paragraphs": paragraphs})


def _line(line: str, links: Collection[str]) -> Line:
    """“Details: https://…” is a link that is called Details."""
    label, _, url = line.strip().rpartition(" ")
    return Line(label.rstrip(": ") or url, url) if url in links else Line(line)
