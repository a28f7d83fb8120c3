"""Functions fit one thought, files one subject: neither grows unseen."""

import ast
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("imodels_app", "dashboard", "sandbox", "demo")
FILES = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts]
# Tables of data, which are read line by line.
TABLES = {"imodels_app/display/status_table.py"}


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Without decorators and docstring."""
    first = function.body[0] if ast.get_docstring(function) else None
    return function.end_lineno - function.lineno + 1 - (first.end_lineno - first.lineno + 1 if first else 0)


def test_functions_are_short():
    nodes = {(path, node) for path in FILES for node in ast.walk(ast.parse(path.read_text()))}
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    lines = {f"{path}:{node.lineno}": lines_of(node) for path, node in nodes if isinstance(node, kinds)}

    assert median(lines.values()) <= 7
    assert sorted(lines.values())[len(lines) * 9 // 10] < 18
    assert [where for where, number in lines.items() if number > 45] == []


def test_files_are_short():
    names = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in FILES}

    assert [name for name, number in names.items() if number > 400 and name not in TABLES] == []
