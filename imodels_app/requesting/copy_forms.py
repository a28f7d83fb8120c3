"""Forms for what is made from another iModel: clones, forks, and iModels from a template."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from django import forms

from imodels_app.itwin.types import IModel, ITwin
from imodels_app.models import ApprovalRule
from imodels_app.requesting.catalog import NotInCatalog
from imodels_app.requesting.changesets import UP_TO_LABELS, VERSION, Changesets, UpTo, choose_unseen
from imodels_app.requesting.fields import Combobox, TypedText, text_field
from imodels_app.requesting.forms import ExtentForm, RequestForm, reason_field
from imodels_app.requesting.lookups import IModelLookup
from imodels_app.requesting.sources import Source
from imodels_app.requesting.spec import CreationSpec
from imodels_app.states import ChangesetSelection, Kind

# The platform's own properties are not fields here: whoever sends them by hand means something we would not do.
_RAW_CHANGESET = ({"changesetId", "changeset_id"}, {"changesetIndex", "changeset_index"})


def _source(label: str, missing: str, *, query: str = "") -> TypedText:
    """The iModel to copy from, picked from a list or typed."""
    return text_field(
        label,
        missing,
        most=1000,
        help_text="Type a name, or paste an id or a link from the platform.",
        widget=Combobox("imodels:pick-imodels", query=query),
        template_name="new_imodel/_source.html",
    )


class CopyForm(RequestForm):
    """What clones, forks and iModels from a template have in common: a source, and how far to copy.

    pinned      which changeset was shown as “now”, as source:index. It is looked up again: if that changeset is still
                the newest, all up to now is asked for; if newer ones came, just the one that was shown
    changesets  the source's, once it was looked into
    copy_up_to  how far to copy, once that is clear
    """

    ways: ClassVar[tuple[str, ...]]
    source = _source("Source iModel", "Pick the iModel to copy.")
    source_id = forms.CharField(required=False, widget=forms.HiddenInput)
    up_to = text_field("Copy up to", "Choose how far to copy.", most=20, template_name="new_imodel/_up_to.html")
    version = text_field(
        "Named version",
        "",
        widget=Combobox("imodels:pick-versions", include="#source_id", icon="down"),
        template_name="components/_combobox.html",
    )
    changeset = text_field(
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
        self.changesets: Changesets | None = None
        self.copy_up_to: UpTo | None = None

    @property
    def source_picked(self) -> str:
        return str(self.origin.imodel.id if self.origin else self.initial.get("source_id", ""))

    @property
    def ways_to_copy(self) -> list[tuple[str, str]]:
        return [(way, UP_TO_LABELS[way]) for way in self.ways]

    @property
    def pin(self) -> str:
        """What to carry as pinned: what was shown of this source, or else its newest now."""
        if self.changesets is None:
            return str(self.data.get("pinned") or self.initial.get("pinned", ""))
        return self.changesets.pin(self.shown_index)

    @property
    def shown_index(self) -> int:
        pinned = self.copy_up_to.changeset_index if self.copy_up_to else None
        if pinned is not None and self.data.get("up_to") == ChangesetSelection.LATEST:
            return pinned
        return self.changesets.newest_index if self.changesets else 0

    def draft(self) -> CreationSpec | None:
        spec, up_to = super().draft(), self.copy_up_to
        if spec is None or self.origin is None or up_to is None:
            return None
        copy = replace(
            spec,
            source=self.origin.ref,
            up_to=up_to.selection,
            changeset_index=up_to.changeset_index,
            changeset_id=up_to.changeset_id,
        )
        return self.complete(copy)

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

    def _suggested_itwin(self) -> ITwin | None:
        """The source’s own, if the person may create there."""
        if self.origin is None or str(self.data.get("itwin", "")).strip():
            return None
        home = self.origin.itwin
        return home if self.catalog.may_manage(home.id) else None

    def _next_name(self, into: ITwin | None, like: str) -> dict[str, str]:
        return super()._next_name(into, like or (self.origin.imodel.name if self.origin else ""))

    def look_up(self, cleaned: dict[str, Any]) -> None:
        self.origin = self._find("source", IModelLookup(self.catalog), cleaned)
        if self.origin:
            self.origin = self.catalog.with_own_permissions(self.origin)
            self._check_source(self.origin)
            self._look_into(self.origin.imodel, cleaned)
        super().look_up(cleaned)

    def take_ids(self, cleaned: dict[str, Any]) -> bool:
        """What was picked from a list counts as it was shown there."""
        text, picked_id = cleaned.get("source", ""), cleaned.get("source_id", "")
        self.origin = self.origin or self.catalog.shown_source(text, picked_id) or self.unseen_source(text)
        if self.origin and self.copy_up_to is None:
            self.copy_up_to = self.choose_unseen(cleaned, self.origin.imodel.id)
        return super().take_ids(cleaned) and self.origin is not None and self.copy_up_to is not None

    def unseen_source(self, text: str) -> Source | None:
        """A source to take at its word."""
        return None

    def choose_unseen(self, cleaned: dict[str, Any], source_id: str) -> UpTo | None:
        return choose_unseen(cleaned, self.catalog, source_id)

    def choose(self, changesets: Changesets, cleaned: dict[str, Any]) -> UpTo | None:
        """How far to copy of the source. Raises ValidationError for the field that is wrong."""
        return changesets.choose(cleaned)

    def _check_source(self, source: Source) -> None:
        if source.why_not_ready:
            self.add_error("source", f"{source.imodel.name} is not ready: {source.why_not_ready}. Pick another.")

    def _look_into(self, imodel: IModel, cleaned: dict[str, Any]) -> None:
        """To see an iModel in a list is not yet to see what is in it: it may have permissions of its own."""
        try:
            self.changesets = Changesets(self.catalog, imodel)
            self.copy_up_to = self.choose(self.changesets, cleaned)
        except NotInCatalog:
            said = f"You may not view the changesets of {imodel.name}; you need imodels_webview on it."
            self.add_error("source", f"{said} Ask an administrator there, or pick another.")
        except forms.ValidationError as wrong:
            self.add_error(None, wrong)  # which names its field


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

    def unseen_source(self, text: str) -> Source | None:
        """Not where a rule asks about clones: whom, depends on where the source lives."""
        if ApprovalRule.objects.asking_about(self.kind):
            self.or_else = ""
            return None
        return self.catalog.unseen_source(text)


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
    up_to = text_field("Start from", "Choose how far to copy.", most=20, template_name="new_imodel/_up_to.html")

    def look_up(self, cleaned: dict[str, Any]) -> None:
        super().look_up(cleaned)
        if self.origin and self.into:
            self.region, self.target_region = self.origin.imodel.data_center, self.catalog.region(self.into)
            if self.is_elsewhere:
                self.add_error("source", self._elsewhere(self.origin.imodel.name, self.into.name))

    @property
    def is_elsewhere(self) -> bool:
        return bool(self.region and self.target_region) and self.region.casefold() != self.target_region.casefold()

    def _elsewhere(self, template: str, target: str) -> str:
        return (
            f"{template} is in {self.region}, and {target} in {self.target_region}. "
            "A template and its target must be in the same data center. Pick another."
        )

    def choose(self, changesets: Changesets, cleaned: dict[str, Any]) -> UpTo | None:
        up_to = super().choose(changesets, cleaned)
        return changesets.with_id(up_to) if up_to else None

    def choose_unseen(self, cleaned: dict[str, Any], source_id: str) -> UpTo | None:
        up_to = super().choose_unseen(cleaned, source_id)
        if up_to is None or up_to.last_index == 0 or up_to.changeset_id:
            return up_to
        found = self._shown_id(source_id, cleaned.get("version", ""), str(up_to.changeset_index))
        return replace(up_to, changeset_id=found) if found else None

    def _shown_id(self, source_id: str, version: str, index: str) -> str:
        """Of the changeset that was shown with its number, or with a version that stands on it; empty when none was."""
        changeset = self.catalog.shown_changeset(source_id, index)
        on_it = self.catalog.shown_version(source_id, version)
        if changeset is None and on_it and str(on_it.changeset_index) == index:
            return on_it.changeset_id
        return changeset.id if changeset else ""


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
    reason = reason_field("Say why you need the fork. A reason is required.")
    field_order = (*CopyForm.field_order, "preserve_history", "reason")

    def complete(self, spec: CreationSpec) -> CreationSpec:
        return replace(spec, preserve_history=self.cleaned_data["preserve_history"])
