"""Events: recorded in one place."""

import re
from pathlib import Path

from imodels_app.states import Verb

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ROOT / "imodels_app"


def test_events_are_recorded_in_one_place():
    makes_one = re.compile(r"(?<!class )(?<!threading\.)\bEvent\(|\b(Event\.objects|events)\.\w*create")
    writers = [path.relative_to(PRODUCT) for path in PRODUCT.rglob("*.py") if makes_one.search(path.read_text())]

    assert writers == [Path("audit/events.py")]


def test_the_documentation_lists_each_event_with_its_sentence():
    table = "".join(f"| `{verb.value}` | {verb.label} |\n" for verb in Verb)

    assert f"| verb | means |\n| --- | --- |\n{table}\n" in (ROOT / "docs/audit.md").read_text()
    assert all(verb.label.endswith(".") for verb in Verb)
