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
    paragraphs = [_paragraph(block.splitlines(), links) for block in text.strip().split("\n\n")]
    return render_to_string("mail/message.html", {"subject": subject, "paragraphs": paragraphs})


def _paragraph(lines: list[str], links: Collection[str]) -> list[Line]:
    """One of several things told at once is the link to it: “- Pier 7 is ready”, and its address below."""
    if len(lines) == 2 and lines[0].startswith("- ") and lines[1].strip() in links:
        return [Line(lines[0].removeprefix("- "), lines[1].strip())]
    return [_line(line, links) for line in lines]


def _line(line: str, links: Collection[str]) -> Line:
    """“Details: https://…” is a link that is called Details."""
    label, _, url = line.strip().rpartition(" ")
    return Line(label.rstrip(": ") or url, url) if url in links else Line(line)
