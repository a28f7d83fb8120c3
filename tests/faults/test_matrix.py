"""docs/reliability.md names tests that exist, and each line that is promised names one of its own number."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
PROMISES = (HERE.parents[1] / "docs" / "reliability.md").read_text()
TESTS = {
    node.name
    for path in HERE.parent.rglob("test_*.py")
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
}


def test_every_test_that_the_promises_name_exists():
    assert set(re.findall(r"`(test_\w+)`", PROMISES)) <= TESTS


def test_every_promised_line_is_proved_by_a_test_of_its_number():
    for number, row in re.findall(r"^\| (\d+) \|(.*)\|$", PROMISES, re.MULTILINE):
        promised, named = row.split("|")[1].strip(), re.findall(r"`(test_\w+)`", row)
        if promised and not promised.startswith("comes with"):
            assert any(name.startswith(f"test_{int(number):02}_") for name in named), f"line {number}"


def test_all_forty_lines_are_there_in_order():
    numbers = re.findall(r"^\| (\d+) \|", PROMISES, re.MULTILINE)

    assert [int(number) for number in numbers] == list(range(1, 41))
