"""The audit at size: a million operations and six million events, on PostgreSQL. What each page costs is printed.

BENCH_OPERATIONS says how many operations there are, BENCH_LOOKS how often each page is looked at. What is held is that
no page reads a large table from end to end, and how long it may take.
"""

import json
import os
import statistics
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection, reset_queries
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from imodels_app.audit import figures
from imodels_app.models import Event, KnownITwin, Operation, SummedDay, Team, User
from imodels_app.tables import filters, keyset
from tests.triggers import triggers_off

pytestmark = [pytest.mark.django_db, pytest.mark.measure, pytest.mark.on_postgres]
SIZE = int(os.environ.get("BENCH_OPERATIONS", "1000000"))
# What is held: the 95th percentile of so many looks at a page, with a text, and of the numbers.
LOOKS, PAGE_MS, TEXT_MS, NUMBERS_MS = int(os.environ.get("BENCH_LOOKS", "20")), 60, 150, 300
LARGE = {"imodels_app_operation", "imodels_app_event"}
EVENTS, OPERATIONS = "/audit/", "/audit/operations/"

# One row for each operation: what it is drawn from, the newest last, 60 s apart.
DRAWN = """
CREATE TEMPORARY TABLE drawn AS SELECT n, gen_random_uuid() AS id, gen_random_uuid() AS imodel_id,
  now() - (%(size)s - n) * interval '60 seconds' AS at, (random() ^ 2 * 999)::int AS itwin,
  %(person)s + (random() ^ 2 * 1999)::int AS person, %(team)s + (random() * 19)::int AS team,
  (ARRAY['empty', 'template', 'baseline', 'clone', 'fork'])[1 + (random() * 4)::int] AS kind,
  CASE WHEN random() < 0.05 THEN 'failed' WHEN random() < 0.05 THEN 'cancelled' ELSE 'succeeded' END AS state,
  (ARRAY['Pier', 'Quay', 'Station', 'Tunnel', 'Bridge', 'Gate', 'Depot', 'Ramp'])[1 + (random() * 7)::int]
    || ' ' || (random() * 9999)::int AS name, interval '1 second' * (5 + random() ^ 4 * 4000) AS took
FROM generate_series(1, %(size)s) AS n
"""
OPERATION = {
    "id": "d.id",
    "kind": "d.kind",
    "state": "d.state",
    "name": "d.name",
    "created_at": "d.at",
    "changed_at": "d.at + d.took",
    "finished_at": "d.at + d.took",
    "accepted_at": "d.at + interval '2 seconds'",
    "requested_by_id": "d.person",
    "requested_by_name": "'Person ' || d.person",
    "requester_email": "'p' || d.person || '@harbour.example'",
    "team_id": "d.team",
    "itwin_id": "'b2b00000-0000-4000-9000-' || lpad(d.itwin::text, 12, '0')",
    "itwin_name": "'Corridor ' || d.itwin",
    "source_id": "'c3c00000-0000-4000-9000-' || lpad((d.itwin * 10 + mod(d.n, 10))::text, 12, '0')",
    "source_name": "'Main ' || d.itwin",
    "imodel_id": "d.imodel_id::text",
    "failure_code": "CASE WHEN d.state = 'failed' THEN (ARRAY['exists', 'vanished'])[1 + mod(d.n, 2)] ELSE '' END",
    "due_at": "NULL",
}
EVENT = {
    "at": "d.at + d.took * e.part",
    "verb": "CASE WHEN e.verb = 'ended' THEN d.state ELSE e.verb END",
    "actor_id": "CASE WHEN e.part = 0 THEN d.person END",
    "actor_name": "CASE WHEN e.part = 0 THEN 'Person ' || d.person ELSE '' END",
    "actor_email": "CASE WHEN e.part = 0 THEN 'p' || d.person || '@harbour.example' ELSE '' END",
    "operation_id": "d.id",
    "operation_name": "d.name",
    "team_name": "'Team ' || d.team",
    "note": "CASE WHEN e.verb = 'requested' AND mod(d.n, 1000) = 0 THEN 'seismic retrofit ' || d.n ELSE e.verb END",
    "data": "'{}'::jsonb",
}
STEPS = """(VALUES ('requested', 0), ('claimed', 0.1), ('called', 0.2), ('accepted', 0.2), ('platform_state', 0.5),
  ('ended', 1)) AS e (verb, part)"""


@pytest.fixture
def at_size(queued_clone, ines, client):
    """Rows like those of one real operation and one real event, but for what is drawn."""
    people = User.objects.bulk_create(
        User(username=f"p{n}", first_name="Person", last_name=str(n)) for n in range(2000)
    )
    teams = Team.objects.bulk_create(Team(name=f"Team {number}") for number in range(20))
    itwins = (f"b2b00000-0000-4000-9000-{number:012}" for number in range(1000))
    KnownITwin.objects.bulk_create(KnownITwin(itwin_id=pk, name=f"Corridor {int(pk[-12:])}") for pk in itwins)
    with triggers_off(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL maintenance_work_mem = '1GB'")
        indexes = _without_indexes(cursor)
        cursor.execute(DRAWN, {"size": SIZE, "person": people[0].pk, "team": teams[0].pk})
        _fill(cursor, Operation, queued_clone.pk, OPERATION, "drawn AS d ORDER BY d.n")
        _fill(cursor, Event, queued_clone.events.first().pk, EVENT, f"drawn AS d, {STEPS} ORDER BY d.n, e.part")
        for index in indexes:
            cursor.execute(index)
        cursor.execute("ANALYZE")
    # As if all but the last weeks had been summed up.
    SummedDay.objects.create(day=timezone.localdate() - timedelta(days=29), at=timezone.now(), is_over=True)
    client.force_login(ines)
    return client


def _without_indexes(cursor) -> list[str]:
    """Drop the indexes of the large tables, but for those that are constraints; how to make them anew."""
    cursor.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s) AND indexname NOT IN"
        " (SELECT conname FROM pg_constraint)",
        [sorted(LARGE)],
    )
    found = cursor.fetchall()
    for name, _ in found:
        cursor.execute(f'DROP INDEX "{name}"')
    return [definition for _, definition in found]


def _fill(cursor, model, like, drawn: dict[str, str], source: str) -> None:
    fields = [field for field in model._meta.concrete_fields if not (field.primary_key and field.column not in drawn)]
    columns = ", ".join(f'"{field.column}"' for field in fields)
    values = ", ".join(drawn.get(field.column, f'l."{field.column}"') for field in fields)
    table = model._meta.db_table
    cursor.execute(
        f"INSERT INTO {table} ({columns}) SELECT {values} FROM (SELECT * FROM {table} WHERE id = %s) AS l, {source}",
        [like],
    )


def addresses() -> Iterator[tuple[str, str]]:
    person, itwin = User.objects.get(username="p700").pk, "b2b00000-0000-4000-9000-000000000500"
    busy, imodel = User.objects.get(username="p0").pk, "c3c00000-0000-4000-9000-000000005003"
    both = {
        "all": "",
        "person": f"person={person}",
        "busiest person": f"person={busy}",
        "iTwin": f"itwin={itwin}",
        "iModel": f"imodel={imodel}",
        "team": "team=Team+7",
        "kind": "kind=fork",
        "outcome": "state=failed",
        "code": "code=vanished",
        "days": "since=2026-01-01&until=2026-01-31",
        "person and iTwin": f"person={person}&itwin={itwin}",
        "kind and code": "kind=fork&code=vanished",
        "team and outcome": "team=Team+7&state=failed",
    }
    for what, query in both.items():
        yield f"events, {what}", f"{EVENTS}?{query}"
        yield f"operations, {what}", f"{OPERATIONS}?{query}"
    for verb in ("approvals", "sign-ins", "failed", "requested", "outside"):
        yield f"events, {verb}", f"{EVENTS}?event={verb}"
    for sort in ("name", "state", "duration", "age"):
        yield f"operations by {sort}", f"{OPERATIONS}?sort=-{sort}"
    for text in ("seismic", "retrofit 77000", "bridge 4711", "corridor 500 pier", "pier"):
        yield f"events, text “{text}”", f"{EVENTS}?q={text}"
        yield f"operations, text “{text}”", f"{OPERATIONS}?q={text}"
    for page, part in (("middle", 2), ("last", 100)):
        event = Event.objects.order_by("pk")[SIZE * 6 // part]
        yield f"events, {page} page", f"{EVENTS}?after={keyset._signed(filters.EVENTS_NEWEST, event)}"
        operation = Operation.objects.order_by("created_at")[SIZE // part]
        yield f"operations, {page} page", f"{OPERATIONS}?after={keyset._signed(filters.NEWEST, operation)}"
    yield "the table, all", "/operations/?whose=all"
    yield "person", f"/audit/people/{person}/"
    yield "iTwin", f"/itwins/{itwin}/"
    yield "iModel", f"/imodels/{imodel}/"
    yield "numbers", "/audit/numbers/"


def test_no_page_reads_a_large_table_from_end_to_end_nor_takes_long(at_size, record_property):
    figures.sum_up()
    scans, slow = [], []
    for what, address in addresses():
        # Looked at apart: whoever notes each query makes a page half as slow again.
        reset_queries()
        with CaptureQueriesContext(connection) as queries:
            at_size.get(address)
        slowest = max(queries, key=lambda query: float(query["time"]))
        milliseconds = []
        for _ in range(LOOKS):
            began_at = time.perf_counter()
            answer = at_size.get(address)
            milliseconds.append((time.perf_counter() - began_at) * 1000)
            assert answer.status_code == 200
        took = p95(milliseconds)
        figure = f"p50 {statistics.median(milliseconds):6.0f} ms, p95 {took:6.0f} ms  {what}"
        record_property("figure", f"{figure}  ({float(slowest['time']) * 1000:.0f} ms of one query)")
        scans += [f"{what}: {table}" for query in queries for table in _scanned(query["sql"])]
        slow += (
            [figure] if took > (NUMBERS_MS if what == "numbers" else TEXT_MS if "q=" in address else PAGE_MS) else []
        )
        if os.environ.get("BENCH_EXPLAIN") and float(slowest["time"]) > 0.05:
            print(what, slowest["sql"], _plan(slowest["sql"], "TEXT"), sep="\n")
    assert (scans, slow) == ([], [])


def p95(figures: list[float]) -> float:
    return statistics.quantiles(figures, n=20)[-1] if len(figures) > 1 else figures[0]


def _scanned(sql: str, tables: set[str] = LARGE) -> set[str]:
    # A count ends at 10,000 rows, wherever they are.
    if not sql.startswith("SELECT") or sql.startswith("SELECT COUNT(*)"):
        return set()
    return {node["Relation Name"] for node in _nodes(_plan(sql, "JSON")) if node["Node Type"] == "Seq Scan"} & tables


def _plan(sql: str, form: str):
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN ({'ANALYZE, BUFFERS, ' if form == 'TEXT' else ''}FORMAT {form}) {sql}")
        rows = cursor.fetchall()
    return "\n".join(row[0] for row in rows) if form == "TEXT" else rows[0][0]


def _nodes(plan) -> Iterator[dict]:
    plan = json.loads(plan) if isinstance(plan, str) else plan
    waiting = [one["Plan"] for one in plan]
    while waiting:
        node = waiting.pop()
        waiting += node.get("Plans", [])
        yield node
