"""What a person typed, checked and tidied into a wish.

These forms call nobody of ours: what can be picked is handed in (catalog.Catalog fits Choices), and spec.py is a
plain record. Every field works without JavaScript: what is typed counts, and the id that a picker put beside it
counts only while the text still is the name of that thing.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol

from django import forms
from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS

from imodels_app.requesting.fields import Combobox, Form, Textarea, TextInput
from imodels_app.requesting.spec import CreationSpec, Extent, IModelRef, ITwinRef
from imodels_app.states import ChangesetSelection, Kind

# A way to say it in the form; it becomes Wish.CHANGESET.
VERSION = "version"
UP_TO_LABELS = {
    ChangesetSelection.LATEST: "All up to now",
    ChangesetSelection.EVERYTHING: "All, whatever is there when it runs",
    VERSION: "A named version",
    ChangesetSelection.CHANGESET: "A changeset",
    ChangesetSelection.BASELINE: "Baseline only",
}
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NUMBER = re.compile(r"#?([0-9]{1,18})", re.ASCII)
_CRS = re.compile(r"[A-Za-z]+:[A-Za-z0-9._-]+", re.ASCII)
_CHANGESET_ID = re.compile(r"[0-9a-f]{40}", re.IGNORECASE)
# The platform's own properties are not fields here: whoever sends them by hand means something we would not do.
_RAW_CHANGESET = ({"changesetId", "changeset_id"}, {"changesetIndex", "changeset_index"})
NAMED_AT_MOST = 5
SIDES = ("north", "south", "west", "east")


class Choices(Protocol):
    """What can be picked. The items are itwin/types.py's records, and catalog.Source."""

    NotFound: ClassVar[type[Exception]]
    Unavailable: ClassVar[type[Exception]]
    SignInNeeded: ClassVar[type[Exception]]
    FileRefused: ClassVar[type[Exception]]

    def itwin(self, itwin_id: str) -> Any: ...
    def unseen_itwin(self, text: str) -> Any: ...
    def unseen_source(self, text: str) -> Any: ...
    def itwins(self, text: str = "") -> list[Any]: ...
    def source(self, imodel_id: str) -> Any: ...
    def with_own_permissions(self, source: Any) -> Any: ...
    def imodels(self, text: str = "") -> tuple[list[Any], bool]: ...
    def may_manage(self, itwin_id: str) -> bool: ...
    def may_read(self, itwin_id: str) -> bool: ...
    def region(self, itwin: Any) -> str: ...
    def is_free(self, itwin_id: str, name: str) -> bool: ...
    def free_name_like(self, itwin_id: str, name: str) -> str: ...
    def newest_changeset(self, imodel_id: str) -> Any: ...
    def changeset(self, imodel_id: str, id_or_index: str) -> Any: ...
    def named_versions(self, imodel_id: str, text: str = "") -> list[Any]: ...
    def staged_file(self, staged_file_id: str) -> Any: ...
    def staged_files(self) -> list[Any]: ...
    def save(self, uploaded: Any) -> Any: ...


def _typed(label: str, missing: str, *, most: int = 255, **options: Any) -> forms.CharField:
    """A line of text; `missing` is said when it is blank, and a text that is too long says by how much."""
    return forms.CharField(
        label=label,
        max_length=most,
        required=bool(missing),
        error_messages={
            "required": missing,
            "max_length": "At most %(limit_value)d characters; this has %(show_value)d.",
        },
        **{"widget": TextInput()} | options,
    )


def _source(label: str, missing: str, *, query: str = "") -> forms.CharField:
    """The iModel to copy from, picked from a list or typed."""
    return _typed(
        label,
        missing,
        most=1000,
        help_text="Type a name, or paste an id or a link from the platform.",
        widget=Combobox("imodels:pick-imodels", query=query),
        template_name="new_imodel/_source.html",
    )


class _TeamChoice(forms.TypedChoiceField):
    """One's own, or a team's."""

    def __init__(self) -> None:
        radio = forms.RadioSelect({"class": "iui-radio"})
        super().__init__(label="For", required=False, coerce=int, empty_value=None, widget=radio)
        self.template_name = "new_imodel/_preset_team.html"


class PresetForm(Form):
    """What to call a preset, and who may use it.

    teams  (id, name) of the teams it may be shared with. None leaves the question out: as it is
    """

    preset_name = _typed("Name of the preset", "Give the preset a name.", most=100)
    preset_team = _TeamChoice()

    def __init__(self, *args: Any, teams: Sequence[tuple[int, str]] | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if teams is None:
            del self.fields["preset_team"]
        else:
            self.fields["preset_team"].choices = [("", "Just me"), *teams]  # type: ignore[attr-defined]


class RequestForm(Form):
    """What every new iModel needs.

    catalog  what this person may pick; asked while the form is cleaned

    After cleaning, `into` is the iTwin and `origin` the iModel to copy that were found, right or wrong the rest.
    A platform that does not answer makes an error of the whole form (code "unavailable" or "sign_in"), unless what
    was typed is complete by ids: the platform judges those when it is asked, whenever that is.
    """

    kind: ClassVar[Kind]
    creation_mode: ClassVar[str] = ""  # the newer documentation's word for this kind
    catalog_answered = True
    staged: Any = None  # the baseline file, where there is one
    or_else: ClassVar[str] = ", or paste the iTwin’s id or link, which needs no lookup"
    itwin = _typed(
        "Into iTwin",
        "Pick the iTwin to put it in.",
        most=1000,
        help_text="Type a name, or paste an id or a link.",
        widget=Combobox("imodels:pick-itwins", icon="down"),
        template_name="new_imodel/_itwin.html",
    )
    itwin_id = forms.CharField(required=False, widget=forms.HiddenInput)
    name = _typed("Name", "Give the new iModel a name.", template_name="new_imodel/_name.html")
    description = _typed("Description", "")

    def __init__(self, *args: Any, catalog: Choices, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.catalog = catalog
        self.found = self  # the form that was looked up: another one where this was only filled in
        self.into: Any = None
        self.origin: Any = None
        self.free_name = ""  # offered when the name is taken
        self.other_name = ""  # offered when the platform says that it is taken, though it seems to be free
        self.overlooked = ""  # why a search by name may have missed what was meant

    def spec(self) -> CreationSpec:
        """What a valid form asks for."""
        spec = self.draft() if self.is_valid() else None
        if spec is None:
            raise ValueError("A wish needs a valid form.")
        return spec

    def draft(self) -> CreationSpec | None:
        """The wish as far as it decides the request: None while a part of the request is missing or wrong."""
        cleaned = getattr(self, "cleaned_data", {})
        # A taken name is still a request; a field that failed for another reason is not in cleaned_data.
        name = cleaned.get("name") or (self.free_name and self.data.get("name", "").strip())
        if not (self.into and name) or "description" not in cleaned:
            return None
        return CreationSpec(
            kind=self.kind,
            itwin=ITwinRef(id=self.into.id, name=self.into.name),
            name=name,
            description=cleaned["description"],
            creation_mode=self.creation_mode if settings.ITWIN_CREATION_MODES else "",
        )

    @property
    def itwin_picked(self) -> str:
        """The id to render beside the iTwin's text: only ever of something that was found."""
        return str(self.into.id if self.into else self.initial.get("itwin_id", ""))

    @property
    def sign_in_needed(self) -> bool:
        return self.has_error(NON_FIELD_ERRORS, "sign_in")

    @property
    def name_is_free(self) -> bool:
        """Whether the name was looked up in the iTwin, and is in no use there."""
        was_asked = self.into is not None and self.catalog_answered and "itwin" not in self.errors
        return was_asked and bool(self.cleaned_data.get("name"))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        try:
            self.look_up(cleaned)
        except self.catalog.Unavailable as down:
            self.catalog_answered = False
            if not self.take_ids(cleaned):
                said = f"{down} Send it again in a moment{self.or_else}."
                self.add_error(None, forms.ValidationError(said, code="unavailable"))
        except self.catalog.SignInNeeded:
            self.catalog_answered = False
            said = "You must sign in again before this can be sent."
            self.add_error(None, forms.ValidationError(said, code="sign_in"))
        return cleaned

    def look_up(self, cleaned: dict[str, Any]) -> None:
        """Hold what was typed against the platform."""
        self.overlooked = ""
        self.into = self._find_itwin(cleaned)
        if self.into and cleaned.get("name"):
            self._check_name(cleaned["name"])

    def take_ids(self, cleaned: dict[str, Any]) -> bool:
        """Take what is given by id at its word, as nothing can be looked up; whether that makes a whole wish."""
        self.into = self.into or self.catalog.unseen_itwin(cleaned.get("itwin", ""))
        return self.into is not None

    def _check_name(self, name: str) -> None:
        if self.catalog.is_free(self.into.id, name):
            return
        self.free_name = self.catalog.free_name_like(self.into.id, name)
        self.add_error("name", f"Already in {self.into.name}. Use “{self.free_name}”")

    def _find_itwin(self, cleaned: dict[str, Any]) -> Any:
        return self._find(
            "itwin",
            "iTwin",
            cleaned,
            by_id=self.catalog.itwin,
            by_text=self.catalog.itwins,
            id_of=lambda itwin: itwin.id,
            names=lambda itwin: (itwin.name, itwin.number),
            refusals=lambda itwin: f"“{itwin.name}” ({itwin.number})" if itwin.number else f"“{itwin.name}”",
        )

    def _find(
        self,
        field: str,
        noun: str,
        cleaned: dict[str, Any],
        *,
        by_id: Callable[[str], Any],
        by_text: Callable[[str], list[Any]],
        id_of: Callable[[Any], str],
        names: Callable[[Any], tuple[str, ...]],
        refusals: Callable[[Any], str],
    ) -> Any:
        """The one thing that was picked or typed; None with an error at the field, or if nothing was typed."""
        text, picked = cleaned.get(field, ""), cleaned.get(f"{field}_id", "")
        if not text:
            return None
        if _GUID.fullmatch(picked):
            try:
                item = by_id(picked.lower())
            except self.catalog.NotFound:  # unless it can be listed, though not opened
                item = next((one for one in self._found(by_text, text) if id_of(one) == picked.lower()), None)
            if item is None:
                self.add_error(field, _unknown_id(noun))
                return None
            if _same(text, *names(item)):
                return item
        found = self._found(by_text, text)
        meant = found if _GUID.search(text) else [item for item in found if _same(text, *names(item))]
        if len(meant) != 1:
            self.add_error(field, _not_one(noun, text, meant or found, refusals) + self.overlooked)
            return None
        return meant[0]

    def _found(self, by_text: Callable[[str], list[Any]], text: str) -> list[Any]:
        """What a search finds: nothing where the platform does not search for such a text."""
        try:
            return by_text(text)
        except self.catalog.NotFound:
            return []


class _Degrees(forms.FloatField):
    """A number of degrees. most: how far from zero it may be."""

    def __init__(self, label: str, most: int) -> None:
        said = f"{label} is between −{most} and {most} degrees."
        super().__init__(
            label=label,
            required=False,
            widget=TextInput(inputmode="decimal", maxlength=30, **{"class": "iui-input num"}),
            min_value=-most,
            max_value=most,
            error_messages={
                "min_value": said,
                "max_value": said,
                "invalid": "Enter degrees as a number, like 55.68.",
            },
        )
        self.template_name = "new_imodel/_side.html"

    def to_python(self, value: Any) -> Any:
        """With a point or a comma. Zero has no sign."""
        number = super().to_python(value.replace(",", ".").replace("−", "-") if isinstance(value, str) else value)
        return None if number is None else number + 0.0


class ExtentForm(RequestForm):
    """What may be given a place on the Earth: four numbers, or none. A map beside them is an addition."""

    north, south = _Degrees("North", 90), _Degrees("South", 90)
    west, east = _Degrees("West", 180), _Degrees("East", 180)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if any(side in self.errors or cleaned.get(side) is not None for side in SIDES):
            for side in SIDES:
                if side not in self.errors and cleaned.get(side) is None:
                    self.add_error(side, "Enter all four numbers, or none.")
        return cleaned

    @property
    def sides(self) -> list[forms.BoundField]:
        return [self[side] for side in SIDES]

    @property
    def map_tiles(self) -> dict[str, str]:
        """What is drawn behind the map besides the bundled outline: a tile server's address and credit, or nothing."""
        return {"url": settings.MAP_TILES_URL, "credit": settings.MAP_TILES_CREDIT}

    @property
    def extent(self) -> Extent | None:
        cleaned = getattr(self, "cleaned_data", {})
        if any(cleaned.get(side) is None for side in SIDES):
            return None
        return Extent(**{side: cleaned[side] for side in SIDES})

    def draft(self) -> CreationSpec | None:
        spec = super().draft()
        if spec is None or any(side in self.errors for side in SIDES):
            return None
        return replace(spec, extent=self.extent)


class EmptyForm(ExtentForm):
    """A new iModel with nothing in it. Its coordinate system goes only together with the creation mode."""

    kind = Kind.EMPTY
    creation_mode = "empty"
    crs = _typed(
        "Horizontal coordinate system",
        "",
        most=100,
        help_text="The id of a horizontal coordinate system, like EPSG:25832.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not settings.ITWIN_CREATION_MODES:
            del self.fields["crs"]

    def clean_crs(self) -> str:
        typed: str = self.cleaned_data["crs"]
        if typed.isascii() and typed.isdigit():
            return f"EPSG:{typed}"
        if typed and not _CRS.fullmatch(typed):
            raise forms.ValidationError(f"“{typed}” is not a coordinate system. Enter its id, like EPSG:25832.")
        return typed.upper()

    def draft(self) -> CreationSpec | None:
        spec = super().draft()
        if spec is None or "crs" in self.errors:
            return None
        return replace(spec, crs=self.cleaned_data.get("crs", ""))


class CopyForm(RequestForm):
    """What clones, forks and iModels from a template have in common: a source, and how far to copy.

    pinned  which changeset was shown as “now”, as source:index. It is looked up again: if that changeset is still
            the newest, all up to now is asked for; if newer ones came, just the one that was shown
    """

    ways: ClassVar[tuple[str, ...]]
    source = _source("Source iModel", "Pick the iModel to copy.")
    source_id = forms.CharField(required=False, widget=forms.HiddenInput)
    up_to = _typed("Copy up to", "Choose how far to copy.", most=20, template_name="new_imodel/_up_to.html")
    version = _typed(
        "Named version",
        "",
        widget=Combobox("imodels:pick-versions", include="#source_id", icon="down"),
        template_name="components/_combobox.html",
    )
    changeset = _typed(
        "Changeset",
        "",
        help_text="A number like 118 (0 is the baseline), or the id",
        widget=Combobox("imodels:pick-changesets", include="#source_id"),
        template_name="components/_combobox.html",
    )
    pinned = forms.CharField(required=False, widget=forms.HiddenInput)
    field_order: Sequence[str] = ("source", "up_to", "version", "changeset", "itwin", "name", "description")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.newest: Any = None  # the newest changeset of the source, None for a bare baseline
        self.newest_is_known = False
        self.copy: dict[str, Any] | None = None  # how far, as the wish's own fields
        self._index_of_id: int | None = None  # of a changeset that was given by its id

    @property
    def source_picked(self) -> str:
        return str(self.origin.imodel.id if self.origin else self.initial.get("source_id", ""))

    @property
    def pinned_index(self) -> int:
        """What “all up to now” means at this moment."""
        return int(self.newest.index) if self.newest else 0

    @property
    def last_index(self) -> int | None:
        """Of the last changeset to be copied, as far as it is known; 0 is the baseline."""
        copy = self.copy or {}
        known = {ChangesetSelection.BASELINE: 0, ChangesetSelection.EVERYTHING: self.pinned_index}
        index: int | None = known.get(copy.get("up_to", ""), copy.get("changeset_index", self._index_of_id))
        return index

    @property
    def ways_to_copy(self) -> list[tuple[str, str]]:
        return [(way, UP_TO_LABELS[way]) for way in self.ways]

    @property
    def pin(self) -> str:
        """What to carry as pinned: what was shown of this source, or else its newest now."""
        if not self.newest_is_known:
            return str(self.data.get("pinned") or self.initial.get("pinned", ""))
        return f"{self.origin.imodel.id}:{self.shown_index}"

    @property
    def newest_pin(self) -> str:
        return f"{self.origin.imodel.id}:{self.pinned_index}" if self.newest_is_known else ""

    @property
    def shown_index(self) -> int:
        pinned: int | None = (self.copy or {}).get("changeset_index")
        return self.pinned_index if pinned is None or self.data.get("up_to") != ChangesetSelection.LATEST else pinned

    def draft(self) -> CreationSpec | None:
        spec = super().draft()
        if spec is None or self.origin is None or self.copy is None:
            return None
        ref: IModelRef = self.origin.ref
        return self.complete(replace(spec, **self.copy, source=ref))

    def complete(self, spec: CreationSpec) -> CreationSpec:
        return spec

    def clean_up_to(self) -> str:
        way: str = self.cleaned_data["up_to"]
        by_id, by_index = (names & set(self.data) for names in _RAW_CHANGESET)
        if by_id and by_index:
            raise forms.ValidationError("Give a changeset by its id or its number, not both.")
        if by_id or by_index:
            raise forms.ValidationError("Give the changeset in its field, by number or id.")
        if way not in self.ways:
            ways = ", ".join(label for _, label in self.ways_to_copy)
            raise forms.ValidationError(f"Choose how far to copy. The choices are: {ways}.")
        return way

    def look_up(self, cleaned: dict[str, Any]) -> None:
        self.origin = self._find_source(cleaned)
        if self.origin:
            self.origin = self.catalog.with_own_permissions(self.origin)
            self._check_source()
            self._look_into_source(cleaned)
        super().look_up(cleaned)

    def _look_into_source(self, cleaned: dict[str, Any]) -> None:
        """To see an iModel in a list is not yet to see what is in it: it may have permissions of its own."""
        try:
            self.newest = self.catalog.newest_changeset(self.origin.imodel.id)
            self.newest_is_known = True
            self.copy = self._how_far(cleaned)
        except self.catalog.NotFound:
            name = self.origin.imodel.name
            said = f"You may not view the changesets of {name}; you need imodels_webview on it."
            self.add_error("source", f"{said} Ask an administrator there, or pick another.")

    def take_ids(self, cleaned: dict[str, Any]) -> bool:
        return super().take_ids(cleaned) and self.origin is not None and self.copy is not None

    def _find_source(self, cleaned: dict[str, Any]) -> Any:
        return self._find(
            "source",
            "iModel",
            cleaned,
            by_id=self.catalog.source,
            by_text=self._imodels_like,
            id_of=lambda source: source.imodel.id,
            names=lambda source: (source.imodel.name, f"{source.itwin.name} / {source.imodel.name}"),
            refusals=lambda source: f"“{source.imodel.name}” in {source.itwin.name}",
        )

    def _imodels_like(self, text: str) -> list[Any]:
        found, is_all = self.catalog.imodels(text)
        if not is_all:
            self.overlooked = " Not every iTwin was searched: its iTwin’s name, a slash and its own name also find it."
        return found

    def _check_source(self) -> None:
        if not self.origin.imodel.is_initialized:
            said = f"{self.origin.imodel.name} is not ready: the platform is still making it. Pick another, or wait."
            self.add_error("source", said)

    def _how_far(self, cleaned: dict[str, Any]) -> dict[str, Any] | None:
        """The wish's fields, told apart as the platform does: absent, index, id and ""; None with an error."""
        match cleaned.get("up_to"):
            case ChangesetSelection.BASELINE:
                return {"up_to": ChangesetSelection.BASELINE}
            case ChangesetSelection.EVERYTHING:
                return {"up_to": ChangesetSelection.EVERYTHING}
            case ChangesetSelection.LATEST:
                return self._up_to_now(cleaned.get("pinned", ""))
            case "version":
                return self._up_to_version(cleaned.get("version", ""))
            case ChangesetSelection.CHANGESET:
                return self._up_to_changeset(cleaned.get("changeset", ""))
            case _:
                return None

    def _up_to_now(self, pinned: str) -> dict[str, Any]:
        source_id, _, index = pinned.partition(":")
        is_older = _NUMBER.fullmatch(index) and int(index) < self.pinned_index
        if source_id == self.origin.imodel.id and is_older and self._exists(index):
            return {"up_to": ChangesetSelection.CHANGESET, "changeset_index": int(index)}
        return {"up_to": ChangesetSelection.LATEST, "changeset_index": self.pinned_index}

    def _up_to_version(self, text: str) -> dict[str, Any] | None:
        for version in self._found(self._versions, text):
            if text and _same(text, version.name, version.id):
                return {"up_to": ChangesetSelection.CHANGESET, "changeset_index": version.changeset_index}
        self.add_error(VERSION, self._no_version(text, self._versions()))
        return None

    def _versions(self, text: str = "") -> list[Any]:
        return self.catalog.named_versions(self.origin.imodel.id, text)

    def _no_version(self, text: str, versions: list[Any]) -> str:
        if not versions:
            return f"{self.origin.imodel.name} has no named versions. Choose how far to copy in another way."
        there_is = _listed([f"“{version.name}”" for version in versions])
        return f"No named version “{text}”. Pick one: {there_is}." if text else f"Pick a named version: {there_is}."

    def _up_to_changeset(self, text: str) -> dict[str, Any] | None:
        number = _NUMBER.fullmatch(text)
        if number and self._exists(number[1]):
            return {"up_to": ChangesetSelection.CHANGESET, "changeset_index": int(number[1])}
        if _CHANGESET_ID.fullmatch(text) and (found := self._changeset(text.lower())):
            self._index_of_id = found.index
            return {"up_to": ChangesetSelection.CHANGESET, "changeset_id": found.id}
        self.add_error(ChangesetSelection.CHANGESET, self._no_changeset(text, is_well_formed=bool(number)))
        return None

    def _no_changeset(self, text: str, *, is_well_formed: bool) -> str:
        if is_well_formed or _CHANGESET_ID.fullmatch(text):
            what = f"#{text.lstrip('#')}" if is_well_formed else text[:8]
            return f"{self.origin.imodel.name} has no changeset {what}. The newest is #{self.pinned_index}."
        if not text:
            return "Enter the changeset’s number, like 118, or its id."
        return f"“{text[:60]}” is not a changeset. Enter its number, like 118, or its id of 40 characters."

    def _exists(self, id_or_index: str) -> bool:
        # The baseline is there before the first changeset.
        return id_or_index.strip("0") == "" or self._changeset(id_or_index) is not None

    def _changeset(self, id_or_index: str) -> Any:
        try:
            return self.catalog.changeset(self.origin.imodel.id, id_or_index)
        except self.catalog.NotFound:
            return None


class CloneForm(CopyForm):
    """A copy on its own."""

    kind = Kind.CLONE
    ways = (
        ChangesetSelection.LATEST,
        VERSION,
        ChangesetSelection.CHANGESET,
        ChangesetSelection.BASELINE,
        ChangesetSelection.EVERYTHING,
    )
    or_else = ", or paste ids or links and give a changeset by number, which needs no lookup"

    def take_ids(self, cleaned: dict[str, Any]) -> bool:
        self.origin = self.origin or self.catalog.unseen_source(cleaned.get("source", ""))
        self.copy = self.copy or self._far_unseen(cleaned)
        return super().take_ids(cleaned)

    def _far_unseen(self, cleaned: dict[str, Any]) -> dict[str, Any] | None:
        way, changeset = cleaned.get("up_to"), cleaned.get("changeset", "")
        if way in (ChangesetSelection.BASELINE, ChangesetSelection.EVERYTHING):
            return {"up_to": way}
        if way == ChangesetSelection.CHANGESET and (number := _NUMBER.fullmatch(changeset)):
            return {"up_to": way, "changeset_index": int(number[1])}
        if way == ChangesetSelection.CHANGESET and _CHANGESET_ID.fullmatch(changeset):
            return {"up_to": way, "changeset_id": changeset.lower()}
        return None


class TemplateForm(CopyForm, ExtentForm):
    """A new iModel whose baseline is another one's content, up to a changeset.

    region, target_region  where template and target iTwin keep their data, "" where unknown. They must be the same.
    """

    kind = Kind.TEMPLATE
    creation_mode = "fromiModelVersion"
    or_else = ""
    ways = (ChangesetSelection.LATEST, VERSION, ChangesetSelection.CHANGESET, ChangesetSelection.BASELINE)
    region = target_region = ""
    source = _source("Template iModel", "Pick the template iModel.", query="?as=template")
    up_to = _typed("Start from", "Choose how far to copy.", most=20, template_name="new_imodel/_up_to.html")

    def look_up(self, cleaned: dict[str, Any]) -> None:
        super().look_up(cleaned)
        if self.origin and self.into:
            self.region, self.target_region = self.origin.imodel.data_center, self.catalog.region(self.into)
            if self.is_elsewhere:
                self.add_error("source", self._elsewhere())

    @property
    def is_elsewhere(self) -> bool:
        return bool(self.region and self.target_region) and self.region.casefold() != self.target_region.casefold()

    def _elsewhere(self) -> str:
        return (
            f"{self.origin.imodel.name} is in {self.region}, and {self.into.name} in {self.target_region}. "
            "A template and its target must be in the same data center. Pick another."
        )

    def _how_far(self, cleaned: dict[str, Any]) -> dict[str, Any] | None:
        """As for a copy, but by id: the request knows no index, and without an id it is the baseline only."""
        copy = super()._how_far(cleaned)
        if copy is None or copy["up_to"] == ChangesetSelection.BASELINE or copy.get("changeset_index") == 0:
            return copy
        wanted = str(copy.get("changeset_index") or copy["changeset_id"])
        try:
            changeset = self.catalog.changeset(self.origin.imodel.id, wanted)
        except self.catalog.NotFound:  # gone since it was listed
            self.add_error("up_to", self._no_changeset(wanted, is_well_formed=wanted.isdigit()))
            return None
        return copy | {"changeset_index": changeset.index, "changeset_id": changeset.id}


class ForkForm(CopyForm):
    """A copy that can be merged back. Its reason is for the team that looks after the main iModel."""

    kind = Kind.FORK
    or_else = ""  # whom to ask depends on where the main iModel lives
    ways = (ChangesetSelection.LATEST, VERSION, ChangesetSelection.CHANGESET, ChangesetSelection.BASELINE)
    source = _source("Main iModel", "Pick the main iModel.")
    preserve_history = forms.BooleanField(
        label="Preserve history",
        required=False,
        initial=True,
        help_text=(
            "On: all changesets are copied one by one; slower, but you can see who changed what. "
            "Off: they are squashed into the fork’s baseline."
        ),
        widget=forms.CheckboxInput({"class": "iui-toggle-switch", "role": "switch"}),
        template_name="new_imodel/_history.html",
    )
    reason = _typed(
        "Reason, for the approvers",
        "Say why you need the fork. A reason is required.",
        most=2000,
        help_text="One sentence is enough. It stays in the history.",
        widget=Textarea(),
    )
    field_order = (*CopyForm.field_order, "preserve_history", "reason")

    def complete(self, spec: CreationSpec) -> CreationSpec:
        cleaned = self.cleaned_data
        return replace(spec, preserve_history=cleaned["preserve_history"], reason=cleaned.get("reason", ""))


class BaselineForm(ExtentForm):
    """A new iModel from a file: one that came before, in pieces (staged_file, its id), or one that comes with the form.

    staged  the file that was found, arrived or still on its way; None without one
    """

    kind = Kind.BASELINE
    creation_mode = "fromBaseline"
    file = forms.FileField(
        label="Baseline file",
        required=False,
        allow_empty_file=True,
        max_length=1000,
        help_text="It is sent in pieces. You can close the laptop and resume later.",
        widget=forms.FileInput({"accept": ".bim", "aria-required": "true"}),
    )
    staged_file = forms.CharField(required=False, widget=forms.HiddenInput)

    @property
    def staged_picked(self) -> str:
        return str(self.staged.pk if self.staged else self.initial.get("staged_file", ""))

    def look_up(self, cleaned: dict[str, Any]) -> None:
        self.staged = self._find_file(cleaned)
        if self.staged and not self.staged.arrived_at:
            self.add_error("file", f"{self.staged.name} has not fully arrived. Wait until it has, or choose it again.")
        super().look_up(cleaned)

    def _find_file(self, cleaned: dict[str, Any]) -> Any:
        try:
            if cleaned.get("file"):
                return self.catalog.save(cleaned["file"])
            if cleaned.get("staged_file"):
                return self.catalog.staged_file(cleaned["staged_file"])
        except self.catalog.NotFound:
            self.add_error("file", "This file is no longer here. Choose it again.")
        except self.catalog.FileRefused as no:
            self.add_error("file", str(no))
        else:
            self.add_error("file", "Choose the baseline file.")
        return None

    def draft(self) -> CreationSpec | None:
        spec = super().draft()
        if spec is None or self.staged is None:
            return None
        return replace(spec, file_name=self.staged.name, file_size=self.staged.size)


def _same(typed: str, *names: str) -> bool:
    return typed.casefold() in {name.casefold() for name in names if name}


def _unknown_id(noun: str) -> str:
    return f"No {noun} with this id, or you cannot see it. Pick one from the list, or paste its id or link."


def _not_one(noun: str, text: str, found: list[Any], refusals: Callable[[Any], str]) -> str:
    if _GUID.search(text):
        return _unknown_id(noun)
    if not found:
        return f"No {noun} “{text[:60]}” that you can see. Pick one from the list, or paste its id or link."
    names = _listed([refusals(item) for item in found])
    if len(found) == 1:
        return f"The only {noun} like “{text[:60]}” is {names}. Type its full name or pick it from the list."
    return f"{len(found)} {noun}s match “{text[:60]}”: {names}. Pick one from the list, or paste its id or link."


def _listed(names: list[str]) -> str:
    more = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
