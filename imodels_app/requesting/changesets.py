"""How far to copy: what was typed, held against the changesets of the source."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import ValidationError

from imodels_app.itwin.types import Changeset, Found, IModel, NamedVersion
from imodels_app.requesting.catalog import Catalog, NotInCatalog
from imodels_app.requesting.lookups import listed, meant_by
from imodels_app.states import ChangesetSelection

# A way to say it in the form; it becomes ChangesetSelection.CHANGESET.
VERSION = "version"
UP_TO_LABELS = {
    ChangesetSelection.LATEST: "All up to now",
    ChangesetSelection.EVERYTHING: "All, whatever is there when it runs",
    VERSION: "A named version",
    ChangesetSelection.CHANGESET: "A changeset",
    ChangesetSelection.BASELINE: "Baseline only",
}
_NUMBER = re.compile(r"#?([0-9]{1,18})", re.ASCII)
_ID = re.compile(r"[0-9a-f]{40}", re.IGNORECASE)


@dataclass(frozen=True)
class UpTo:
    """How far to copy, told apart as the platform does: absent, index, id and "".

    changeset_index, changeset_id  as in CreationSpec
    last_index                     of the last changeset to be copied, None where it is not known; 0 is the baseline
    """

    selection: ChangesetSelection
    changeset_index: int | None = None
    changeset_id: str = ""
    last_index: int | None = None


class Changesets:
    """The changesets of one iModel. Raises NotInCatalog for whoever may not look at them.

    newest  the newest one when the form was looked at; None for a bare baseline
    """

    def __init__(self, catalog: Catalog, imodel: IModel) -> None:
        self._catalog, self._imodel = catalog, imodel
        self.newest = catalog.newest_changeset(imodel.id)

    @property
    def newest_index(self) -> int:
        """What “all up to now” means at this moment."""
        return self.newest.index if self.newest else 0

    @property
    def newest_pin(self) -> str:
        return self.pin(self.newest_index)

    def pin(self, index: int) -> str:
        """What a form carries to say which changeset was shown as “now”."""
        return f"{self._imodel.id}:{index}"

    def choose(self, typed: Mapping[str, Any]) -> UpTo | None:
        """How far to copy; None while that is not chosen. Raises ValidationError for the field that is wrong."""
        match typed.get("up_to"):
            case ChangesetSelection.BASELINE:
                return UpTo(ChangesetSelection.BASELINE, last_index=0)
            case ChangesetSelection.EVERYTHING:
                return UpTo(ChangesetSelection.EVERYTHING)
            case ChangesetSelection.LATEST:
                return self._up_to_now(typed.get("pinned", ""))
            case "version":
                return self._up_to_version(typed.get("version", ""))
            case ChangesetSelection.CHANGESET:
                return self._up_to_changeset(typed.get("changeset", ""))
            case _:
                return None

    def with_id(self, up_to: UpTo) -> UpTo:
        """The same by id, for a template: its request knows no index, and without an id it is the baseline only."""
        if up_to.last_index == 0:
            return up_to
        wanted = str(up_to.changeset_index or up_to.changeset_id)
        changeset = self._changeset(wanted)
        if changeset is None:  # gone since it was listed
            raise ValidationError({"up_to": self._no_changeset(wanted, is_number=wanted.isdigit())})
        return replace(up_to, changeset_index=changeset.index, changeset_id=changeset.id)

    def _up_to_now(self, pinned: str) -> UpTo:
        source_id, _, index = pinned.partition(":")
        is_older = _NUMBER.fullmatch(index) and int(index) < self.newest_index
        if source_id == self._imodel.id and is_older and self._exists(index):
            return _by_index(int(index))
        return _by_index(self.newest_index, ChangesetSelection.LATEST)

    def _up_to_version(self, text: str) -> UpTo:
        try:
            found = self._versions(text)
        except NotInCatalog:  # the platform does not search for such a text
            found = Found()
        meant = meant_by(text, found, lambda version: (version.name, version.id)) if text else []
        if len(meant) == 1:
            return _by_index(meant[0].changeset_index)
        if meant:
            several = listed([f"“{version.name}” at #{version.changeset_index}" for version in meant])
            raise ValidationError({VERSION: f"{len(meant)} named versions are called that: {several}. Type its id."})
        raise ValidationError({VERSION: self._no_version(text, self._versions())})

    def _versions(self, text: str = "") -> Found[NamedVersion]:
        return self._catalog.named_versions(self._imodel.id, text)

    def _no_version(self, text: str, versions: Found[NamedVersion]) -> str:
        if not versions:
            return f"{self._imodel.name} has no named versions. Choose how far to copy in another way."
        there_is = listed([f"“{version.name}”" for version in versions], is_all=versions.is_all)
        return f"No named version “{text}”. Pick one: {there_is}." if text else f"Pick a named version: {there_is}."

    def _up_to_changeset(self, text: str) -> UpTo:
        number = _NUMBER.fullmatch(text)
        if number and self._exists(number[1]):
            return _by_index(int(number[1]))
        if _ID.fullmatch(text) and (found := self._changeset(text.lower())):
            return UpTo(ChangesetSelection.CHANGESET, changeset_id=found.id, last_index=found.index)
        raise ValidationError({"changeset": self._no_changeset(text, is_number=bool(number))})

    def _no_changeset(self, text: str, *, is_number: bool) -> str:
        if is_number or _ID.fullmatch(text):
            what = f"#{text.lstrip('#')}" if is_number else text[:8]
            return f"{self._imodel.name} has no changeset {what}. The newest is #{self.newest_index}."
        if not text:
            return "Enter the changeset’s number, like 118, or its id."
        return f"“{text[:60]}” is not a changeset. Enter its number, like 118, or its id of 40 characters."

    def _exists(self, id_or_index: str) -> bool:
        # The baseline is there before the first changeset.
        return id_or_index.strip("0") == "" or self._changeset(id_or_index) is not None

    def _changeset(self, id_or_index: str) -> Changeset | None:
        try:
            return self._catalog.changeset(self._imodel.id, id_or_index)
        except NotInCatalog:
            return None


def choose_unseen(typed: Mapping[str, Any], catalog: Catalog, source_id: str) -> UpTo | None:
    """How far to copy, taken at its word or from what was shown, as nothing can be looked up; None where it must be."""
    changeset = typed.get("changeset", "")
    match typed.get("up_to"):
        case ChangesetSelection.BASELINE:
            return UpTo(ChangesetSelection.BASELINE, last_index=0)
        case ChangesetSelection.EVERYTHING:
            return UpTo(ChangesetSelection.EVERYTHING)
        case ChangesetSelection.LATEST:
            return _as_pinned(typed.get("pinned", ""), source_id)
        case "version" if version := catalog.shown_version(source_id, typed.get("version", "")):
            return _by_index(version.changeset_index)
        case ChangesetSelection.CHANGESET if number := _NUMBER.fullmatch(changeset):
            return _by_index(int(number[1]))
        case ChangesetSelection.CHANGESET if _ID.fullmatch(changeset):
            return UpTo(ChangesetSelection.CHANGESET, changeset_id=changeset.lower())
        case _:
            return None


def _as_pinned(pinned: str, source_id: str) -> UpTo | None:
    """What was shown as “now”, as newer ones are not known."""
    of, _, index = pinned.partition(":")
    return _by_index(int(index)) if of == source_id and _NUMBER.fullmatch(index) else None


def _by_index(index: int, selection: ChangesetSelection = ChangesetSelection.CHANGESET) -> UpTo:
    return UpTo(selection, changeset_index=index, last_index=index)
