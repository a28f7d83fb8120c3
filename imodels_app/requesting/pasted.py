"""Ids of iTwins and iModels in what a person pasted."""

import re
import unicodedata
from urllib.parse import unquote

_GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
GUID = re.compile(_GUID, re.IGNORECASE)
_ALONE = re.compile(rf"(?<![0-9a-f-]){_GUID}(?![0-9a-f-])", re.IGNORECASE)
# What word processors make of hyphens.
_DASHES = re.compile("[\u2010-\u2015\u2212]")
# How links name what an id is of: the platform's APIs, its portals and its viewers.
_KINDS = {"itwins": "itwins?|contexts?|projects?", "imodels": "imodels?"}


def id_in(text: str, kind: str) -> str:
    """The id in a pasted text, in small letters: in a link after the word for this kind, or standing there alone.

    kind  "itwins" or "imodels"

    "" when there is none, or it is not clear which: an id that a link names as the other kind's is not this one's.
    """
    text = _DASHES.sub("-", unicodedata.normalize("NFKC", unquote(text)))
    named = {of: _named_id(text, words) for of, words in _KINDS.items()}
    alone = {found.lower() for found in _ALONE.findall(text)}
    return named[kind] or (alone.pop() if len(alone) == 1 and not any(named.values()) else "")


def _named_id(text: str, words: str) -> str:
    """In a path, /imodels/{id}, in a query, iModelId={id}, or in what a program has printed, "iModelId": "{id}"."""
    said = rf"/(?:{words})/|\b(?:{words})(?:id)?[\"']?\s*[=:]\s*[\"']?"
    found = re.search(rf"(?:{said})({_GUID})(?![0-9a-f-])", text, re.IGNORECASE)
    return found[1].lower() if found else ""
