"""docs/reliability.md has a section for each of the forty faults, with all tests of its number; and they exist."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROMISES = (HERE.parents[1] / "docs" / "reliability.md").read_text()
SECTIONS = dict(re.findall(r"^### (\d+)\. (.*?)(?=^##)", PROMISES, re.MULTILINE | re.DOTALL))
FILES = HERE.parent.rglob("test_*.py")
TESTS = {name for path in FILES for name in re.findall(r"^ *def (test_\w+)", path.read_text(), re.MULTILINE)}


def named_in(text: str) -> set[str]:
    return set(re.findall(r"`(test_\w+)`", text))


def test_every_test_that_the_promises_name_exists():
    assert named_in(PROMISES) <= TESTS


def test_all_forty_faults_are_there_in_order():
    assert [int(number) for number in SECTIONS] == list(range(1, 41))


@pytest.mark.parametrize("number", SECTIONS)
def test_a_fault_lists_the_tests_of_its_number_and_has_one(number):
    of_its_number = {name for name in TESTS if name.startswith(f"test_{int(number):02}_")}

    assert of_its_number
    assert named_in(SECTIONS[number]) == of_its_number
