"""Presets: a request form filled in, kept under a name. Only what a person types, no token, no pinned changeset."""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from imodels_app.accounts import permissions
from imodels_app.models import Preset, Team, User
from imodels_app.runtime import clock

# The fields that are kept. “All up to now” stays that: what was pinned is no part of it, nor is what was uploaded.
SAVED_FIELDS = (
    *("source", "source_id", "up_to", "version", "changeset", "itwin", "itwin_id", "name", "description"),
    *("north", "south", "west", "east", "crs", "preserve_history", "reason"),
)
LONGEST = 2000


class PresetNameTaken(Exception):
    """Its owner has another preset of this name."""


def values_in(typed: Mapping[str, str]) -> dict[str, str]:
    """What of a form's fields is kept; a text longer than any field takes is cut."""
    return {field: typed[field][:LONGEST] for field in SAVED_FIELDS if typed.get(field)}


def save(kind: str, name: str, values: Mapping[str, Any], *, by: User, team: Team | None) -> Preset:
    """Raises PresetNameTaken, and permissions.Denied for a team that the person is not in."""
    permissions.require(permissions.why_not_share(by, team))
    preset = Preset(owner=by, team=team, kind=kind, name=name, values=dict(values), created_at=clock.now())
    _save(preset)
    return preset


def change(preset: Preset, *, by: User, name: str, team: Team | None) -> None:
    """Rename it, and share it or not; only its owner does the latter. Raises PresetNameTaken and permissions.Denied."""
    permissions.require(permissions.why_not_change(by, preset))
    if team != preset.team:
        permissions.require(
            "" if preset.owner_id == by.pk else f"Only {preset.owner.name} can decide who may use this."
        )
        permissions.require(permissions.why_not_share(by, team))
    preset.name, preset.team = name, team
    _save(preset)


def delete(preset: Preset, *, by: User) -> None:
    """Raises permissions.Denied."""
    permissions.require(permissions.why_not_change(by, preset))
    preset.delete()


def _save(preset: Preset) -> None:
    try:
        with transaction.atomic():
            preset.save()
    except IntegrityError as taken:
        raise PresetNameTaken(preset.name) from taken
