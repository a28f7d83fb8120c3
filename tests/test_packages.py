"""Who may import whom: the list of rooms, held against the imports that the files really have."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "imodels_app"

# Room -> the rooms of ours that it may call. A room is a file or a folder of imodels_app.
WEB = {
    "forms",
    "models",
    "states",
    "wishes",
    "lifecycle",
    "policy",
    "live",
    "catalog",
    "identity",
    "formats",
    "words",
    "wording",
    "history",
    "charts",
    "presets",
    "staging",
}
ROOMS: dict[str, set[str]] = {
    "states": set(),
    "timing": set(),
    "dispatch": {"timing"},
    "itwin": {"timing"},
    "provider": {"timing"},
    "clock": set(),
    "pulse": {"clock"},
    "failpoints": set(),
    "circuit": {"models"},
    "apps": {"checks"},
    "checks": set(),
    "wishes": {"states"},
    "models": {"states"},
    "live": {"states", "models"},
    "staging": {"clock", "models", "formats"},
    "fields": set(),
    "forms": {"fields", "states", "wishes"},
    "policy": {"states", "models"},
    "presets": {"clock", "models", "policy"},
    "messages": {"clock", "states", "models", "formats", "wording"},
    "lifecycle": {"clock", "dispatch", "failpoints", "messages", "models", "policy", "states", "timing", "wishes"},
    "pacing": {"timing"},
    "budget": {"models", "pacing", "states", "timing"},
    "turns": {"states", "models", "budget"},
    "estimates": {"states", "models"},
    "formats": set(),
    "words": {"states"},
    "wording": {"states", "models", "estimates", "turns", "formats", "words"},
    "charts": {"states"},
    "history": {"states", "models", "formats", "words", "wording"},
    "tokens": {"clock", "failpoints", "itwin", "models", "provider", "timing"},
    "gateway": {"budget", "circuit", "clock", "failpoints", "itwin", "models", "states", "timing", "tokens"},
    "identity": {"models", "tokens", "provider"},
    "catalog": {"clock", "gateway", "itwin", "models", "staging", "states", "tokens", "wishes"},
    "submit": {
        "budget",
        "clock",
        "dispatch",
        "failpoints",
        "gateway",
        "itwin",
        "lifecycle",
        "models",
        "staging",
        "states",
        "timing",
        "tokens",
        "turns",
    },
    "upload": {
        "circuit",
        "clock",
        "dispatch",
        "failpoints",
        "gateway",
        "itwin",
        "lifecycle",
        "models",
        "staging",
        "states",
        "timing",
        "tokens",
    },
    "poll": {"clock", "failpoints", "gateway", "itwin", "lifecycle", "models", "staging", "states", "timing"},
    "settle": {"clock", "failpoints", "gateway", "itwin", "lifecycle", "models", "states", "timing"},
    "leftovers": {"clock", "failpoints", "gateway", "itwin", "lifecycle", "models", "states", "timing"},
    "tasks": {
        "budget",
        "circuit",
        "clock",
        "dispatch",
        "leftovers",
        "lifecycle",
        "messages",
        "models",
        "poll",
        "pulse",
        "settle",
        "staging",
        "submit",
        "timing",
        "turns",
        "upload",
    },
    "views": WEB | {"budget", "circuit", "clock", "turns", "estimates", "provider", "pulse"},
    "templatetags": {"formats", "wording", "models", "states"},
    "admin": {"models", "identity"},
    "management": {"models", "states", "lifecycle", "tokens", "identity"},
    "urls": {"views"},
    "migrations": {"models"},
}
# The web never submits and never speaks to the platform itself; workers never render.
NEVER = {
    "views": {"itwin", "gateway", "tokens", "submit", "poll", "settle", "upload", "tasks"},
    "forms": {"itwin", "catalog", "models"},
}


def _room(path: Path) -> str:
    return path.relative_to(APP).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    """The rooms of ours that a file imports, itself left out."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "imodels_app":
            rooms |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("imodels_app."):
            rooms.add((node.module or "").split(".")[1])
        elif isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("imodels_app.")}
    return rooms - {_room(path)}


FILES = sorted(path for path in APP.rglob("*.py") if path.name != "__init__.py" or path.parent != APP)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(APP)))
def test_a_file_imports_only_the_packages_its_own_may_call(path):
    room = _room(path)

    assert room in ROOMS, f"{room} is a new room: say here whom it may call"
    assert _imports(path) <= ROOMS[room]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(APP)))
def test_imports_are_absolute_and_stand_at_the_top_of_the_file(path):
    tree = ast.parse(path.read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]

    assert not [node for node in imports if isinstance(node, ast.ImportFrom) and node.level]
    assert {id(node) for node in imports} <= {id(node) for node in tree.body}


def test_the_list_itself_keeps_the_web_away_from_the_platform():
    for room, forbidden in NEVER.items():
        assert not ROOMS[room] & forbidden


@pytest.mark.parametrize("path", sorted((ROOT / "sandbox").rglob("*.py")), ids=lambda path: path.name)
def test_the_sandbox_shares_no_code_with_the_product(path):
    names = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }

    assert not names & {"imodels_app", "dashboard", "django"}


@pytest.mark.parametrize("path", [*APP.rglob("*.py"), *(ROOT / "dashboard").rglob("*.py")], ids=lambda path: path.name)
def test_nothing_of_ours_imports_the_sandbox(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] != "sandbox"
        elif isinstance(node, ast.Import):
            assert all(alias.name.split(".")[0] != "sandbox" for alias in node.names)
