"""The pages of an iModel and of an iTwin, and the palette, at a million operations: what each costs is printed."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from imodels_app.models import Operation, User
from tests.audit.test_speed import _scanned
from tests.size import SIZE, desk, itwin

pytestmark = [pytest.mark.measure, pytest.mark.on_postgres]
# What is held: milliseconds of all queries of a page, and of one with a text.
PAGE_MS, TEXT_MS = 60, 150
SOURCE = "c3c00000-0000-4000-9000-00000000{:04}"


def addresses() -> list[str]:
    found = [f"/itwins/{itwin(number)}/" for number in (0, 7, 500)]
    found += [f"/imodels/{SOURCE.format(number)}/" for number in (3, 73, 5003)]
    found += [f"/imodels/{SOURCE.format(3)}/?kind=fork&state=succeeded", f"/itwins/{itwin(0)}/?kind=fork&state=running"]
    return [*found, "/find/", "/find/?q=corridor+50", "/find/?q=main+50", "/find/?q=pier", "/operations/?whose=team"]


def test_no_page_about_one_reads_a_large_table_from_end_to_end_nor_takes_long(transactional_db, record_property):
    wrong = []
    with desk(SIZE) as made:
        named = made.people[5]
        for operation in Operation.objects.order_by("-created_at").exclude(requested_by=named)[:40:7]:
            operation.named.add(named)
        nobody = User.objects.get_or_create(username="nobody")[0]
        readers = [(who, person) for who, person, _ in made.readers] + [("named", named), ("nobody", nobody)]
        for who, person in readers:
            client = Client()
            client.force_login(person)
            for address in addresses():
                client.get(address)
                with CaptureQueriesContext(connection) as queries:
                    status = client.get(address).status_code
                took = sum(float(query["time"]) for query in queries) * 1000
                longest = max(queries, key=lambda query: float(query["time"]))
                figure = f"{took:5.0f} ms of {len(queries)} queries  {status}  {who}, {address}"
                record_property("figure", f"{figure}  ({float(longest['time']) * 1000:.0f} ms of one)")
                scans = {table for query in queries for table in _scanned(query["sql"])} & {"imodels_app_operation"}
                if scans or took > (TEXT_MS if "q=" in address else PAGE_MS):
                    wrong.append((figure, scans, longest["sql"]))
    assert wrong == []
