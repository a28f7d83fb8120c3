"""Events: recorded in one place."""

import re
from pathlib import Path

PRODUCT = Path(__file__).resolve().parents[2] / "imodels_app"


def test_events_are_recorded_in_one_place():
    makes_one = re.compile(r"(?<!class )(?<!threading\.)\bEvent\(|\b(Event\.objects|events)\.\w*create")
    writers = [path.relative_to(PRODUCT) for path in PRODUCT.rglob("*.py") if makes_one.search(path.read_text())]

    assert writers == [Path("audit/events.py")]
