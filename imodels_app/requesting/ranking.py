"""How well a name fits what was typed. Capitals, blanks and ways to write an accent make no difference."""

import re
import unicodedata
from enum import IntEnum

from imodels_app.runtime.foreign_text import folded

EXCERPT_BEFORE, EXCERPT = 24, 90


class Rank(IntEnum):
    """The better, the smaller."""

    EXACT = 0
    PREFIX = 1
    WORD = 2
    WORD_START = 3
    PART = 4
    ALL_WORDS = 5  # each of several words, in any order
    DESCRIPTION = 6
    ELSEWHERE = 7  # the platform found it, and does not say by what


def fold(text: str) -> str:
    """The same for texts that people take for the same."""
    return folded(" ".join(text.split()))


def is_named(typed: str, *names: str) -> bool:
    """Whether a text is one of the names."""
    return fold(typed) in {fold(name) for name in names if name}


def longest_word(text: str) -> str:
    """To search for where the words may stand in another order; "" when there is only one."""
    words = text.split()
    return max(words, key=len) if len(words) > 1 else ""


def rank(text: str, *names: str, description: str = "") -> Rank:
    """How well one of the names fits, or else the description."""
    wanted = fold(text)
    if not wanted:
        return Rank.PREFIX
    by_name = min((_fit(wanted, fold(name)) for name in names if name), default=Rank.ELSEWHERE)
    if by_name < Rank.ELSEWHERE:
        return by_name
    everything = fold(" ".join([*names, description]))
    return Rank.DESCRIPTION if _has_words(wanted, everything) else Rank.ELSEWHERE


def _fit(wanted: str, name: str) -> Rank:
    if name == wanted:
        return Rank.EXACT
    if name.startswith(wanted):
        return Rank.PREFIX
    if wanted in name:
        begins = rf"(?<!\w){re.escape(wanted)}"
        if re.search(rf"{begins}(?!\w)", name):
            return Rank.WORD
        return Rank.WORD_START if re.search(begins, name) else Rank.PART
    return Rank.ALL_WORDS if _has_words(wanted, name) else Rank.ELSEWHERE


def _has_words(wanted: str, text: str) -> bool:
    return all(word in text for word in wanted.split())


def excerpt(text: str, description: str) -> tuple[tuple[str, bool], ...]:
    """The description around the words that were typed, in pieces: True for those words."""
    words = sorted(map(re.escape, fold(text).split()), key=len, reverse=True)
    shown = unicodedata.normalize("NFC", " ".join(description.split()))
    matching = re.compile("|".join(words) or r"(?!)", re.IGNORECASE)
    if not (first := matching.search(shown)):
        return ()
    start = max(first.start() - EXCERPT_BEFORE, 0)
    start = shown.rfind(" ", 0, start) + 1 if start else 0
    cut = shown[start : start + EXCERPT]
    pieces, end = [], 0
    for found in matching.finditer(cut):
        pieces += [(cut[end : found.start()], False), (found[0], True)]
        end = found.end()
    pieces.append((cut[end:] + ("…" if start + EXCERPT < len(shown) else ""), False))
    return tuple(piece for piece in [("…" * bool(start), False), *pieces] if piece[0])
