"""What a person typed, checked and tidied into the request for a new iModel. Those that copy one: copy_forms.py.

Every field works without JavaScript: what is typed counts, and the id that a picker put beside it counts only while
the text still is the name of that thing.
"""

import re
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, Self, TypeVar

from django import forms
from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS

from imodels_app.itwin.types import ITwin
from imodels_app.models import Operation, StagedFile
from imodels_app.requesting import drafts, staging
from imodels_app.requesting.catalog import Catalog, CatalogUnavailable, NotInCatalog, SignInNeeded
from imodels_app.requesting.fields import Combobox, DegreesField, Form, StartField, Textarea, TypedText, text_field
from imodels_app.requesting.lookups import ITwinLookup, Lookup
from imodels_app.requesting.sources import Source, itwin_ref
from imodels_app.requesting.spec import CreationSpec, Extent
from imodels_app.runtime import foreign_text
from imodels_app.states import Kind

_CRS = re.compile(r"[A-Za-z]+:[A-Za-z0-9._-]+", re.ASCII)
SIDES = ("north", "south", "west", "east")
T = TypeVar("T")


def reason_field(missing: str = "") -> TypedText:
    """Why somebody wants it. `missing` is said when it is blank, whoever has to approve it."""
    return text_field(
        "Reason",
        missing,
        most=foreign_text.PARAGRAPH,
        is_line=False,
        help_text="One sentence is enough. It stays in the history.",
        widget=Textarea(),
        template_name="new_imodel/_reason.html",
    )


class RequestForm(Form):
    """What every new iModel needs.

    catalog  what this person may pick; asked while the form is cleaned
    edited   the request that is changed, where one is: what it is made of stays

    After cleaning, `into` is the iTwin and `origin` the iModel to copy that were found, right or wrong the rest.
    A platform that does not answer makes an error of the whole form (code "unavailable" or "sign_in"), unless what
    was typed is complete by ids: the platform judges those when it is asked, whenever that is.
    """

    kind: ClassVar[Kind]
    creation_mode: ClassVar[str] = ""  # the newer documentation's word for this kind
    catalog_answered = True
    staged: StagedFile | None = None  # the baseline file, where there is one
    asks_people = False  # once it is known that somebody has to approve it, who needs a reason
    or_else: str = ", or paste the iTwin’s id or link, which needs no lookup"
    itwin = text_field(
        "Into iTwin",
        "Pick the iTwin to put it in.",
        most=1000,
        help_text="Type a name, or paste an id or a link.",
        widget=Combobox("imodels:pick-itwins", icon="down"),
        template_name="new_imodel/_itwin.html",
    )
    itwin_id = forms.CharField(required=False, widget=forms.HiddenInput)
    name = text_field("Name", "Give the new iModel a name.", template_name="new_imodel/_name.html")
    description = text_field("Description", "")
    reason = reason_field()
    not_before = StartField()

    def __init__(self, *args: Any, catalog: Catalog, edited: Operation | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.catalog = catalog
        self.edited = edited
        self.found = self  # the form that was looked up: another one where this was only filled in
        self.into: ITwin | None = None
        self.origin: Source | None = None
        self.suggested: dict[str, str] = {}  # what was filled in for the person (completed)
        self.free_name = ""  # offered when the name is taken
        self.other_name = ""  # offered when the platform says that it is taken, though it seems to be free

    def spec(self) -> CreationSpec:
        """What a valid form asks for."""
        spec = self.draft() if self.is_valid() else None
        if spec is None:
            raise ValueError("Only a valid form has a spec.")
        return spec

    def draft(self) -> CreationSpec | None:
        """As far as it decides the request: None while a part of the request is missing or wrong."""
        cleaned = getattr(self, "cleaned_data", {})
        # A taken name is still a request; a field that failed for another reason is not in cleaned_data.
        name = cleaned.get("name") or (self.free_name and foreign_text.tidy(self.data.get("name", "")).strip())
        if not (self.into and name) or "description" not in cleaned:
            return None
        return CreationSpec(
            kind=self.kind,
            itwin=itwin_ref(self.into),
            name=name,
            description=cleaned["description"],
            creation_mode=self.creation_mode if settings.ITWIN_CREATION_MODES else "",
            reason=cleaned.get("reason", ""),
        )

    @property
    def itwin_picked(self) -> str:
        """The id to render beside the iTwin's text: only ever of something that was found."""
        return str(self.into.id if self.into else self.initial.get("itwin_id", ""))

    @property
    def sign_in_needed(self) -> bool:
        return self.has_error(NON_FIELD_ERRORS, "sign_in")

    @property
    def name_is_unused(self) -> bool:
        """Whether the name was looked up in the iTwin, and is in no use there. Of one that stays this is not asked."""
        was_asked = self.into is not None and self.catalog_answered and "itwin" not in self.errors
        # A request that is changed would stand in its own way.
        kept = self.edited.name if self.edited else ""
        return was_asked and self.cleaned_data.get("name", "") not in ("", kept)

    @property
    def name_is_free(self) -> bool:
        """The same, and no operation under way will use it."""
        return self.name_is_unused and not (
            self.into and self.catalog.is_under_way(self.into.id, self.cleaned_data["name"])
        )

    @property
    def begins_at(self) -> str:
        """The first field that is wrong, or else the first that still needs something, or else the first."""
        blank = [field.name for field in self.visible_fields() if field.field.required and not field.value()]
        return super().begins_at or (blank or [self.visible_fields()[0].name])[0]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        try:
            self.look_up(cleaned)
        except CatalogUnavailable as down:
            self.catalog_answered = False
            if not self.take_ids(cleaned):
                said = f"{down} Send it again in a moment{self.or_else}."
                self.add_error(None, forms.ValidationError(said, code="unavailable"))
        except SignInNeeded:
            self.catalog_answered = False
            said = "You must sign in again before this can be sent."
            self.add_error(None, forms.ValidationError(said, code="sign_in"))
        self._ask_for_reason()
        return cleaned

    def _ask_for_reason(self) -> None:
        """Whoever has to approve it needs to know why it is wanted."""
        spec = self.draft()
        self.asks_people = spec is not None and drafts.decided_by(spec)[-1].asks_people
        if self.asks_people and spec and not spec.reason and "reason" not in self.errors:
            self.add_error("reason", "Say why you need it: somebody has to approve it.")

    def look_up(self, cleaned: dict[str, Any]) -> None:
        """Hold what was typed against the platform."""
        self.into = self._find("itwin", ITwinLookup(self.catalog), cleaned)
        if self.into and cleaned.get("name"):
            self._check_name(cleaned["name"], self.into)

    def take_ids(self, cleaned: dict[str, Any]) -> bool:
        """Take what was picked, or is given by id, at its word, as nothing can be looked up; whether that makes a whole
        request.
        """
        self.into = self.into or self.catalog.unseen_itwin(cleaned.get("itwin", ""), cleaned.get("itwin_id", ""))
        return self.into is not None

    def completed(self, *, like: str = "") -> Self:
        """This form, or one in which what was blank is filled in as far as it follows from the rest.

        like  a name to begin the next free one with
        """
        self.is_valid()
        suggested = self._suggestions(like)
        if not suggested:
            return self
        form = type(self)(dict(self.data.items()) | suggested, catalog=self.catalog)
        form.suggested = suggested
        return form

    def _suggestions(self, like: str) -> dict[str, str]:
        """Values for fields that are blank. None when the platform does not tell: the person types them."""
        with suppress(CatalogUnavailable, SignInNeeded, NotInCatalog):
            into = self._suggested_itwin()
            return self._itwin_as_typed(into) | self._next_name(into or self.into, like)
        return {}

    def _suggested_itwin(self) -> ITwin | None:
        return None

    def _itwin_as_typed(self, into: ITwin | None) -> dict[str, str]:
        return {"itwin": into.name, "itwin_id": into.id} if into else {}

    def _next_name(self, into: ITwin | None, like: str) -> dict[str, str]:
        is_blank = not str(self.data.get("name", "")).strip()
        return {"name": self.catalog.next_name(into.id, like)} if into and like and is_blank else {}

    def _check_name(self, name: str, into: ITwin) -> None:
        if self.catalog.is_free(into.id, name):
            return
        self.free_name = self.catalog.free_name_like(into.id, name)
        self.add_error("name", f"Already in {into.name}. Use “{self.free_name}”")

    def _find(self, field: str, lookup: Lookup[T], cleaned: dict[str, Any]) -> T | None:
        """The one thing that was picked or typed; None with an error at the field, or if nothing was typed."""
        text = cleaned.get(field, "")
        try:
            return lookup.find(text, picked_id=cleaned.get(f"{field}_id", "")) if text else None
        except forms.ValidationError as wrong:
            self.add_error(field, wrong)
            return None


class ExtentForm(RequestForm):
    """What may be given a place on the Earth: four numbers, or none. A map beside them is an addition."""

    north, south = DegreesField("North", 90), DegreesField("South", 90)
    west, east = DegreesField("West", 180), DegreesField("East", 180)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if any(side in self.errors or cleaned.get(side) is not None for side in SIDES):
            for side in SIDES:
                if side not in self.errors and cleaned.get(side) is None:
                    self.add_error(side, "Enter all four numbers, or none.")
        return cleaned

    @property
    def sides(self) -> list[Any]:
        return [self[side] for side in SIDES]

    @property
    def has_extent(self) -> bool:
        """Whether something of it was given, right or wrong: then it is shown unfolded."""
        return bool(self.refusals.get("extent")) or any(side.value() or side.is_bad for side in self.sides)

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
    crs = text_field(
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
        widget=forms.FileInput({"aria-required": "true"}),
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

    def _find_file(self, cleaned: dict[str, Any]) -> StagedFile | None:
        if self.edited:
            return self._kept_file(self.edited)
        try:
            if cleaned.get("file"):
                return self._save(cleaned["file"])
            if cleaned.get("staged_file"):
                return staging.free_file(cleaned["staged_file"], owner=self.catalog.user)
        except staging.FileGone:
            self.add_error("file", "This file is no longer here. Choose it again.")
        except staging.FileRefused as no:
            self.add_error("file", str(no))
        else:
            self.add_error("file", "Choose the baseline file.")
        return None

    def _kept_file(self, edited: Operation) -> StagedFile | None:
        if edited.staged_file is None:
            self.add_error(None, "Its file is no longer here. Withdraw this request, and make another one.")
        return edited.staged_file

    def _save(self, uploaded: Any) -> StagedFile:
        """A file that came with the form (views/uploads.py)."""
        if uploaded.refused:
            raise uploaded.refused
        return staging.complete(uploaded.staged)

    def draft(self) -> CreationSpec | None:
        spec = super().draft()
        if spec is None or self.staged is None:
            return None
        return replace(spec, file_name=self.staged.name, file_size=self.staged.size)
