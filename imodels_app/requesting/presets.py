"""Presets: a request form filled in, kept under a name. Only what a person types, no token, no pinned changeset."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.db import IntegrityError, transaction

from imodels_app.accounts import permissions
from imodels_app.audit import events
from imodels_app.models import Preset, Team, User
from imodels_app.requesting.fields import Form, text_field
from imodels_app.runtime import clock, foreign_text
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import Verb

# The fields that are kept. “All up to now” stays that: what was pinned is no part of it, nor is what was uploaded.
SAVED_FIELDS = (
    *("source", "source_id", "up_to", "version", "changeset", "itwin", "itwin_id", "name", "description"),
    *("north", "south", "west", "east", "crs", "preserve_history", "reason"),
)
LONGEST = foreign_text.PARAGRAPH


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

    preset_name = text_field("Name of the preset", "Give the preset a name.", most=100)
    preset_team = _TeamChoice()

    def __init__(self, *args: Any, teams: Sequence[tuple[int, str]] | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if teams is None:
            del self.fields["preset_team"]
        else:
            self.fields["preset_team"].choices = [("", "Just me"), *teams]  # type: ignore[attr-defined]


class PresetNameTaken(Exception):
    """Its owner has another preset of this name."""


def values_in(typed: Mapping[str, str]) -> dict[str, str]:
    """What of a form's fields is kept; a text longer than any field takes is cut."""
    cleaned = {field: foreign_text.cleaned(typed.get(field), most=LONGEST, is_line=False) for field in SAVED_FIELDS}
    return {field: text for field, text in cleaned.items() if text}


def save(kind: str, name: str, values: Mapping[str, Any], *, by: User, team: Team | None) -> Preset:
    """Raises PresetNameTaken, and permissions.Denied for a team that the person is not in.

    Saved twice, as by a double click, it is one.
    """
    permissions.require(permissions.why_not_share(by, team))
    preset = Preset(owner=by, team=team, kind=kind, name=name, values=dict(values), created_at=clock.now())
    try:
        _save(preset, Verb.PRESET_SAVED, by)
    except PresetNameTaken:
        before = Preset.objects.filter(owner=by, team=team, kind=kind, name=name).first()
        if before is None or before.values != preset.values:
            raise
        return before
    return preset


def change(preset: Preset, *, by: User, name: str, team: Team | None) -> None:
    """Rename it, and share it or not; only its owner does the latter. Raises PresetNameTaken and permissions.Denied."""
    permissions.require(permissions.why_not_change(by, preset))
    if team != preset.team:
        permissions.require(
            "" if preset.owner_id == by.pk else f"Only {isolated(preset.owner.name)} can decide who may use this."
        )
        permissions.require(permissions.why_not_share(by, team))
    preset.name, preset.team = name, team
    _save(preset, Verb.PRESET_CHANGED, by)


def delete(preset: Preset, *, by: User) -> None:
    """Raises permissions.Denied."""
    permissions.require(permissions.why_not_delete_preset(by, preset))
    with transaction.atomic():
        _record(Verb.PRESET_DELETED, preset, by)
        preset.delete()


def _record(verb: Verb, preset: Preset, by: User) -> None:
    note = f"{preset.name} of {preset.owner.name}"
    events.record(verb, at=clock.now(), by=by, team=preset.team, note=note, preset=str(preset.pk), kind=preset.kind)


def _save(preset: Preset, verb: Verb, by: User) -> None:
    try:
        with transaction.atomic():
            preset.save()
            _record(verb, preset, by)
    except IntegrityError as taken:
        raise PresetNameTaken(preset.name) from taken
