"""An export of 100,000 events: how soon it begins, what memory it takes, and that no spreadsheet finds a formula."""

import csv
import time
import zipfile

import psutil
import pytest
from django.utils import timezone

from imodels_app.audit import log
from imodels_app.models import Event
from tests.memory import MIB

pytestmark = [pytest.mark.django_db, pytest.mark.measure]
ROWS = 100_000
FORMULAS = "=1+1", "+1", "-1", "@x", "\t=1", "x;=1", "x,=1", "x\t=1", "Fine."


def test_it_begins_at_once_in_little_memory_and_has_no_formula(client, ines, tmp_path, record_property):
    at = timezone.now()
    notes = (FORMULAS[number % len(FORMULAS)] for number in range(ROWS))
    Event.objects.bulk_create((Event(at=at, verb="approved", note=note) for note in notes), batch_size=1000)
    while log.waiting():
        log.add_events()
    client.force_login(ines)
    b"".join(client.get("/audit/export", {"event": "exported"}))  # as a process that has answered before
    process = psutil.Process()
    before = peak = process.memory_info().rss
    began = time.perf_counter()

    pieces = iter(client.get("/audit/export", {"separator": "semicolon", "event": "approved"}))
    with (tmp_path / "export.zip").open("wb") as file:
        file.write(next(pieces))
        first_s = time.perf_counter() - began
        for piece in pieces:
            file.write(piece)
            peak = max(peak, process.memory_info().rss)

    took_s, grown_mib = time.perf_counter() - began, (peak - before) / MIB
    record_property("figure", f"{first_s:.2f} s to the first byte, {took_s:.0f} s in all, {grown_mib:.0f} MiB more")
    zipfile.ZipFile(tmp_path / "export.zip").extract("events.csv", tmp_path)
    for separator in ",;\t":
        with (tmp_path / "events.csv").open(encoding="utf-8-sig", newline="") as file:
            cells = (cell for row in csv.reader(file, delimiter=separator) for cell in row)
            assert not [cell for cell in cells if cell.lstrip(" ")[:1] in tuple("=+-@\t\r")]
    assert grown_mib < 64
    assert first_s < 0.5
