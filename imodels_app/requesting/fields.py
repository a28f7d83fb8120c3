"""How a field is drawn: label, control, what the platform said of an earlier try, what is wrong, hint.

Templates say `{{ form.name.as_field_group }}`; the template that the field names, or components/_field.html, draws it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.renderers import TemplatesSetting
from django.urls import reverse_lazy
from django.utils.text import format_lazy

from imodels_app.runtime import clock, foreign_text
from imodels_app.runtime.timing import LATEST_START


class BoundField(forms.BoundField):
    """A field that names the lines that are about it, and says whether it is wrong."""

    form: "Form"

    @property
    def refusals(self) -> list[Any]:
        """What the platform said about this field when it refused an earlier request."""
        return list(self.form.refusals.get(self.name, []))

    @property
    def is_bad(self) -> bool:
        return bool(self.errors or self.refusals)

    @property
    def aria_describedby(self) -> str:
        """The ids of the lines below the control (components/_field_lines.html). `msg` may fill while one types."""
        lines = {"refused": self.refusals, "msg": True, "hint": self.help_text}
        return " ".join(f"{self.auto_id}_{line}" for line, is_there in lines.items() if is_there)

    def build_widget_attrs(self, attrs: dict[str, Any], widget: forms.Widget | None = None) -> dict[str, Any]:
        """As Django's, but what is required is not checked by the browser: the server says it in a sentence."""
        attrs = super().build_widget_attrs(attrs, widget)
        if self.field.required:
            attrs["aria-required"] = "true"
        if self.is_bad:
            attrs["aria-invalid"] = "true"
        if self.name == self.form.begins_at:
            attrs["autofocus"] = True
        return attrs


class Renderer(TemplatesSetting):
    """Our own templates, and Django's for what we have none for."""

    field_template_name = "components/_field.html"


class Form(forms.Form):
    """A form in our look. The id of a field is its name.

    refusals   what the platform said about an earlier try, by field (requesting/refusals.py)
    begins_at  the field that has the focus when the page opens; "" for none
    """

    bound_field_class = BoundField
    default_renderer = Renderer
    use_required_attribute = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "%s"} | kwargs)
        self.refusals: dict[str, list[Any]] = {}

    @property
    def begins_at(self) -> str:
        bad = {*self.errors, *self.refusals}
        return next((field.name for field in self.visible_fields() if field.name in bad), "")


class TextInput(forms.TextInput):
    """One line of text."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__({"class": "iui-input", "autocomplete": "off"} | attrs)


class Textarea(forms.Textarea):
    """Several lines. A browser would cut what is pasted, without a word; the form says by how much it is too long."""

    def __init__(self) -> None:
        super().__init__({"class": "iui-input", "rows": 2, "cols": False})

    def build_attrs(self, base_attrs: dict[str, Any], extra_attrs: dict[str, Any] | None = None) -> dict[str, Any]:
        return super().build_attrs(base_attrs, extra_attrs) | {"maxlength": False}


class Combobox(TextInput):
    """A text field with a list of what fits what is typed (js/combobox.js). Without JavaScript it is a text field.

    lists    name of the URL that answers with the list; query: what it is asked besides
    include  another field that the list depends on
    icon     one of img/icons.svg
    """

    def __init__(self, lists: str, *, query: str = "", include: str = "", icon: str = "search") -> None:
        self.icon = icon
        htmx = {
            "hx-get": format_lazy("{}{}", reverse_lazy(lists), query),
            "hx-trigger": "input delay:250ms, open",
            "hx-sync": "this:replace",
            "hx-include": include or False,
        }
        super().__init__(spellcheck="false", **htmx)

    def build_attrs(self, base_attrs: dict[str, Any], extra_attrs: dict[str, Any] | None = None) -> dict[str, Any]:
        attrs = super().build_attrs(base_attrs, extra_attrs)
        return attrs | {"hx-target": f"#{attrs['id']}_pop"}


class TypedText(forms.CharField):
    """What a person types: in one form (foreign_text.tidy), and refused where it has what nobody could read."""

    def __init__(self, *, is_line: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self._is_line = is_line

    def to_python(self, value: Any) -> str:
        typed = super().to_python(value) or ""
        if wrong := foreign_text.why_not(typed, is_line=self._is_line):
            raise ValidationError(wrong, code="unreadable")
        return foreign_text.tidy(typed).strip()

    def run_validators(self, typed: str) -> None:
        """In the place of Django's, which count an emoji as one, and know of no hidden character but NUL."""
        count = foreign_text.length(typed)
        if self.max_length is not None and count > self.max_length:
            emoji = " An emoji counts as two." if count > len(typed) else ""
            said = f"At most {self.max_length} characters; this has {count}.{emoji}"
            raise ValidationError(said, code="max_length")


def text_field(label: str, missing: str, *, most: int = foreign_text.LINE, **options: Any) -> TypedText:
    """A line of text; `missing` is said when it is blank, and a text that is too long says by how much."""
    return TypedText(
        label=label,
        max_length=most,
        required=bool(missing),
        error_messages={"required": missing},
        **{"widget": TextInput()} | options,
    )


def whole_number(label: str, *, least: int, most: int, **options: Any) -> forms.IntegerField:
    said = f"Enter a whole number from {least} to {most}."
    return forms.IntegerField(
        label=label,
        min_value=least,
        max_value=most,
        widget=TextInput(inputmode="numeric", maxlength=10, **{"class": "iui-input num"}),
        error_messages={"invalid": said, "min_value": said, "max_value": said, "required": said},
        **{"required": False} | options,
    )


def tick_field(label: str) -> forms.BooleanField:
    tick = forms.BooleanField(label=label, required=False, widget=forms.CheckboxInput({"class": "iui-checkbox"}))
    tick.template_name = "components/_tick.html"  # type: ignore[attr-defined]
    return tick


def choice_field(label: str, choices: Sequence[tuple[Any, str]], *, help_text: str = "") -> forms.ChoiceField:
    select = forms.Select({"class": "iui-input"})
    choice = forms.ChoiceField(label=label, choices=choices, required=False, widget=select, help_text=help_text)
    choice.template_name = "components/_select.html"  # type: ignore[attr-defined]
    return choice


class StartField(forms.DateTimeField):
    """When something is sent at the earliest. None: as soon as it may be, as for a time that has passed."""

    def __init__(self) -> None:
        said = "Enter a date and a time."
        super().__init__(
            label="Not before",
            required=False,
            widget=forms.DateTimeInput({"type": "datetime-local", "class": "iui-input num"}, format="%Y-%m-%dT%H:%M"),
            help_text="Empty: as soon as it may be sent.",
            error_messages={"invalid": said},
        )

    def clean(self, value: Any) -> datetime | None:
        at: datetime | None = super().clean(value)
        now = clock.now()
        if at and at > now + LATEST_START:
            raise ValidationError(f"At most {LATEST_START.days} days from now.")
        return at if at and at > now else None


class DegreesField(forms.FloatField):
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
