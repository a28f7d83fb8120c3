"""How fields are drawn: what a person sees beside a control, assistive technology is told."""

import re
from pathlib import Path

import pytest
from django import forms
from django.urls import reverse

from imodels_app.requesting.fields import Form, Textarea, TextInput, text_field
from imodels_app.requesting.refusals import FieldRefusal

ROOT = Path(__file__).resolve().parents[2]


class Note(Form):
    title = forms.CharField(max_length=20, widget=TextInput(), help_text="Say it in short.")
    text = forms.CharField(required=False, max_length=20, widget=Textarea())


def drawn(field) -> tuple[str, dict[str, str]]:
    """A field's HTML, and the attributes of its control."""
    html = field.as_field_group()
    return html, dict(re.findall(r'([\w-]+)="([^"]*)"', re.search(r"<(?:input|textarea)[^>]*>", html)[0]))


def test_a_control_names_the_lines_below_it_in_their_order():
    form = Note()
    form.refusals = {"title": [FieldRefusal("The platform said no.", ("title",))]}

    html, control = drawn(form["title"])

    named = control["aria-describedby"].split()
    assert named == ["title_refused", "title_msg", "title_hint"]
    assert named == re.findall(r'id="(title_\w+)"', html)


def test_what_is_required_is_said_and_left_to_the_server_to_check():
    required, optional = drawn(Note()["title"]), drawn(Note()["text"])

    assert required[1]["aria-required"] == "true"
    assert " required" not in required[0]
    assert "aria-required" not in optional[1]
    assert "(optional)" in optional[0]


def test_a_field_is_wrong_by_its_error_and_by_what_the_platform_said():
    refused = Note({"title": "Pier 7"})
    refused.refusals = {"title": [FieldRefusal("The platform said no.", ("title",))]}

    for form in (Note({}), refused):
        html, control = drawn(form["title"])
        assert control["aria-invalid"] == "true"
        assert "field-bad" in html
    assert "aria-invalid" not in drawn(Note({"title": "Pier 7"})["title"])[1]


def test_a_browser_cuts_a_line_but_never_a_text():
    assert drawn(Note()["title"])[1]["maxlength"] == "20"
    assert "maxlength" not in drawn(Note()["text"])[1]


@pytest.mark.parametrize("kind", ["empty", "template", "baseline", "clone", "fork"])
def test_every_line_that_a_form_names_is_on_its_page(client, mara, kind):
    client.force_login(mara)

    page = client.get(reverse(f"imodels:request-{kind}")).text

    named = {line for lines in re.findall(r'aria-describedby="([^"]+)"', page) for line in lines.split()}
    assert named
    assert named <= set(re.findall(r' id="([^"]+)"', page))


def test_no_line_of_a_template_is_longer_than_120_characters():
    lines = ((path, line) for path in (ROOT / "templates").rglob("*.html") for line in path.read_text().splitlines())

    assert not [(path.name, line) for path, line in lines if len(line) > 120]


def test_no_comment_of_a_template_is_shown_to_people():
    """A comment that goes on in the next line is none."""
    lines = ((path, line) for path in (ROOT / "templates").rglob("*.html") for line in path.read_text().splitlines())

    assert not [(path.name, line) for path, line in lines if line.count("{#") != line.count("#}")]


class Typed(Form):
    line = text_field("Name", "Give it a name.", most=10)
    lines = text_field("Reason", "", most=10, is_line=False, widget=Textarea())


@pytest.mark.parametrize("odd", ["\u200b", "Pier\x07", "Pier\u202e7", "Pier\u20667", "Pier\n7", "Pier\t7", "Pier\0"])
def test_a_name_that_nobody_could_read_is_refused_at_its_field(odd):
    form = Typed({"line": odd})

    assert len(form.errors["line"]) == 1
    assert str(form.errors["line"][0]).startswith("This has ")


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        ("Cafe\u0301", "Café"),
        ("می‌خواهم", "می‌خواهم"),
        ("Pier\ufeff 7", "Pier 7"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
        ("Pier\r\n", "Pier"),
    ],
)
def test_a_name_is_taken_in_one_form(typed, taken):
    form = Typed({"line": typed})

    assert form.is_valid(), form.errors
    assert form.cleaned_data["line"] == taken


@pytest.mark.parametrize("typed", ["a\r\nb\r\nc\r\nd\r\ne", "x" * 10, "👍" * 5, "e\u0301" * 10])
def test_what_a_browser_counts_as_short_enough_is(typed):
    assert not Typed({"line": "x", "lines": typed}).errors


def test_a_text_that_is_too_long_says_by_how_much_and_that_an_emoji_counts_as_two():
    assert Typed({"line": "x" * 11}).errors["line"] == ["At most 10 characters; this has 11."]
    assert Typed({"line": "👍" * 6}).errors["line"] == ["At most 10 characters; this has 12. An emoji counts as two."]
