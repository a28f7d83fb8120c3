"""The export: no cell is a formula."""

import pytest

from imodels_app.audit.export import safe


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "  @x", "\u00a0=1"])
def test_every_way_to_begin_a_formula_is_shut(text):
    assert safe(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "Pier 7", "a=b", "3 - 2"])
def test_plain_text_stays_as_it_is(text):
    assert safe(text) == text
