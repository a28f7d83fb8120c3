"""What the platform refused, told in its own words at the fields of the form that asked for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from imodels_app.display import status, status_table
from imodels_app.models import Operation
from imodels_app.requesting.forms import SIDES, RequestForm
from imodels_app.states import ChangesetSelection, Kind

# First part of a detail's target, in small letters, to our field. Source: the create, clone and fork pages' bodies.
TARGETS = {
    "itwinid": "itwin",
    "name": "name",
    "description": "description",
    "extent": "extent",
    "baselinefile": "file",
    "template": "source",
    "changesetid": "changeset",
    "changesetindex": "changeset",
    "preservehistory": "preserve_history",
    "geographiccoordinatesystem": "crs",
}
# What an error code alone is about.
CODES = {
    "itwinnotfound": "itwin",
    "imodelnotfound": "source",
    "changesetnotfound": "changeset",
    "imodelexists": "name",
    "sourcenotready": "source",
}
# Which controls take a sentence back once they are changed; itself where nothing is said.
HOW_FAR = ("up_to", "version", "changeset", "source")
CONTROLS = {"extent": SIDES, "up_to": HOW_FAR, "changeset": HOW_FAR}


@dataclass(frozen=True)
class FieldRefusal:
    """A sentence at a field, and the names of the controls that take it back."""

    text: str
    controls: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """What is said at fields, and at the form's head what is about none of them. links: id and label of each field."""

    at: dict[str, list[FieldRefusal]]
    head: list[str]
    links: list[tuple[str, str]]
    is_name_taken: bool


def of(operation: Operation, form: RequestForm, given: Mapping[str, Any]) -> Refusal | None:
    """What the platform refused about this operation, as far as the form still says the same; None if it did not.

    given: the operation's request as the form's own fields
    """
    if not status.was_refused(operation):
        return None
    at: dict[str, list[FieldRefusal]] = {}
    needs = {"InsufficientPermissions": _needs(operation), "applicationMayNotFork": status_table.ADMISSION}
    head = [needs[code]] if (code := status.failure(operation)) in needs else []
    for field, text in _said(operation):
        place = _field_for(field, operation, form)
        if not place:
            head.append(text)
        elif _is_unchanged(form, given, controls := CONTROLS.get(place, (place,))):
            at.setdefault(place, []).append(FieldRefusal(text, controls))
    if not at and not head:
        return None
    links = [
        (refused[0].controls[0], "Extent" if place == "extent" else str(form[place].label))
        for place, refused in at.items()
    ]
    return Refusal(at, head, links, is_name_taken="name" in at and operation.failure_code.casefold() == "imodelexists")


def not_found(looked_up: RequestForm, given: Mapping[str, Any]) -> dict[str, list[FieldRefusal]]:
    """What a form was filled in with and is not there any more, or fits no more, at its fields.

    A name that is taken is left out: the form offers another one by itself.
    """
    at: dict[str, list[FieldRefusal]] = {}
    for field, errors in looked_up.errors.items():
        place = "extent" if field in SIDES else field
        if given.get(field) not in (None, "") and field in looked_up.fields and field != "name":
            controls = CONTROLS.get(place, (place,))
            at.setdefault(place, []).extend(FieldRefusal(str(error), controls) for error in errors)
    return at


def _said(operation: Operation) -> Iterator[tuple[str, str]]:
    """Each sentence with the field it is about, "" for none."""
    if not operation.failure_details:
        code = operation.failure_code
        yield CODES.get(code.casefold(), ""), _quoted(operation.failure_message) or status.headline(operation)
    for detail in operation.failure_details:
        target = str(detail.get("target") or "").split(".")[0].split("[")[0]
        yield TARGETS.get(target.casefold(), ""), _quoted(str(detail.get("message") or detail.get("code", "")))


def _quoted(message: str) -> str:
    return f"The platform said: “{message}”" if message else ""


def _field_for(field: str, operation: Operation, form: RequestForm) -> str:
    """The field as this form has it; "" if it has none."""
    if field == "changeset" and operation.changeset_selection != ChangesetSelection.CHANGESET:
        field = "up_to"
    is_there = "north" in form.fields if field == "extent" else field in form.fields
    return field if is_there else ""


def _is_unchanged(form: RequestForm, given: Mapping[str, Any], controls: tuple[str, ...]) -> bool:
    return all(_text(form[name].value()) == _text(given.get(name)) for name in controls if name in form.fields)


def _text(value: object) -> str:
    return {"True": "on", "False": "", "None": ""}.get(str(value), str(value))


def _needs(operation: Operation) -> str:
    return f"It needs {status.needs(operation)}." + (status_table.PREVIEW if operation.kind == Kind.FORK else "")
