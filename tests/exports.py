"""An export of the audit, as whoever downloads it has it."""

import csv
import io
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any


def unpacked(answer: Any, into: Path) -> Path:
    """The files of a downloaded zip, in this folder."""
    zipfile.ZipFile(io.BytesIO(_all_of(answer))).extractall(into)
    return into


def table(answer: Any) -> list[dict[str, str]]:
    """The rows of its CSV."""
    text = zipfile.ZipFile(io.BytesIO(_all_of(answer))).read("events.csv").decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def checked(folder: Path) -> tuple[int, str]:
    """What the checker says, by nothing but a bare Python: its exit code and its words."""
    command = [sys.executable, "-I", "-S", "verify_export.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, done.stdout.strip()


def _all_of(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)
