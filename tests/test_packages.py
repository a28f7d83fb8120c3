"""Imports: what the contracts in pyproject.toml cannot say. Who may import whom stands there."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "imodels_app").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_are_absolute_and_stand_at_the_top_of_the_file(path):
    tree = ast.parse(path.read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    for_types = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    at_the_top = {id(node) for part in (tree, *for_types) for node in part.body}

    assert not [node for node in imports if isinstance(node, ast.ImportFrom) and node.level]
    assert {id(node) for node in imports} <= at_the_top
