"""The export: no cell is a formula, whichever separator a spreadsheet reads it with."""

import csv
import io

import pytest

from imodels_app.audit.verify_export import SEPARATORS, safe, written


@pytest.mark.parametrize(
    "formula", ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", "\t=1", "\r=1", " =1", "  @x", "\u00a0=1", '"=1+1"']
)
@pytest.mark.parametrize("written_with", SEPARATORS.values())
@pytest.mark.parametrize("before", ["", "x;", "x,", "x\t", "x|", "x\n", "x\r\n", 'x";', "x; ", ";;"])
def test_every_way_to_begin_a_formula_is_shut_whichever_separator_it_is_read_with(formula, before, written_with):
    file = "".join(written([["at", before + formula, "end"]], written_with))

    for separator in ",;\t|":
        cells = [cell for row in csv.reader(io.StringIO(file, newline=""), delimiter=separator) for cell in row]
        assert not [cell for cell in cells if cell.lstrip(" \u00a0")[:1] in tuple("=+-@＝\t\r")]


@pytest.mark.parametrize("text", ["", "Pier 7", "a=b", "3 - 2", "a, b; c"])
def test_plain_text_stays_as_it_is(text):
    assert safe(text) == text
