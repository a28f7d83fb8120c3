"""Settings fail loudly, and the README tells of each of them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def start_with(**env: str) -> subprocess.CompletedProcess[str]:
    """Load the settings in a process of its own, with this environment and no other."""
    usual = {"PATH": os.environ["PATH"], "SECRET_KEY": "x", "TOKEN_KEYS": "x"}
    return subprocess.run(
        [sys.executable, "-c", "import dashboard.settings"],
        cwd=ROOT,
        env=usual | env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_pictures_of_a_page_over_tls_come_over_tls():
    tiles = "http://tiles.example/{z}/{x}/{y}.png"

    assert start_with(MAP_TILES_URL=tiles).returncode == 0
    assert "MAP_TILES_URL" in start_with(MAP_TILES_URL=tiles, DASHBOARD_URL="https://desk.example").stderr


def test_the_readme_lists_each_setting_and_no_other():
    source = (ROOT / "dashboard/settings.py").read_text()
    read = set(re.findall(r'env_(?:text|flag|secret|url|number|tiles)\(\s*"([A-Z_]+)"', source))
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE))

    assert listed == read


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ITWIN_TIER", "gold"),
        ("DEBUG", "true"),
        ("BASELINE_MAX_MIB", "20 GiB"),
        ("STAGING_PERSON_MIB", "-1"),
        ("STAGING_RESERVE_MIB", "0"),
        ("DASHBOARD_URL", "desk.example"),
        ("OIDC_ISSUER", "ftp://ims.example"),
        ("MAP_TILES_URL", "https://tiles.example/{z}/{x}.png"),
        ("MAP_TILES_URL", "tiles.example/{z}/{x}/{y}.png"),
        ("MAP_TILES_URL", "https://{s}.tiles.example/{z}/{x}/{y}.png"),
        ("MAP_TILES_URL", "https://mara:secret@tiles.example/{z}/{x}/{y}.png"),
        ("MAP_TILES_URL", "https://tiles.example:abc/{z}/{x}/{y}.png"),
        ("MAP_TILES_URL", "https://tiles.example; script-src */{z}/{x}/{y}.png"),
        ("MAP_TILES_URL", "https://[bad/{z}/{x}/{y}.png"),
        ("LOG_LEVEL", "loud"),
        ("SECRET_KEY", ""),
        ("SECRET_KEY_FILE", "/nowhere/at/all"),
    ],
)
def test_a_misspelt_value_stops_the_start_and_is_named(name, value):
    started = start_with(**{name: value})

    assert started.returncode != 0
    assert name in started.stderr.splitlines()[-1]


def test_a_secret_can_come_from_a_file(tmp_path):
    (tmp_path / "key").write_text("from a file\n")

    assert start_with(SECRET_KEY="", SECRET_KEY_FILE=str(tmp_path / "key")).returncode == 0


def test_the_content_policy_lets_nothing_in_from_outside():
    from django.conf import settings

    directives = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]

    assert directives["default-src"] == ["'self'"]
    assert directives["img-src"] == ["'self'", "data:"]
    assert not {"script-src", "style-src"} & set(directives)
