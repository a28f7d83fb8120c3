"""The table of operations at size: a million operations, and a thousand tabs. What it costs is printed, with its peer.

BENCH_OPERATIONS says how many there are, BENCH_TABS how many tabs, BENCH_LOOKS how often a page is looked at.
"""

import heapq
import http.client
import os
import random
import re
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from html import unescape
from itertools import combinations
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psutil
import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse, QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import path

from dashboard.urls import urlpatterns as ours
from imodels_app import lifecycle
from imodels_app.decorators import signed_in
from imodels_app.models import Change, Operation, User
from imodels_app.requesting.spec import CreationSpec, ITwinRef
from imodels_app.states import Kind
from imodels_app.tables import filters, keyset
from tests.audit.test_speed import LARGE, LOOKS, PAGE_MS, TEXT_MS, _scanned, p95
from tests.size import SIZE, Desk, desk, itwin, session_of
from tests.waiting import PATIENCE_S
from tools import growth_picture

pytestmark = [pytest.mark.measure, pytest.mark.on_postgres]
HTMX = {"HX-Request": "true"}
TABLE = "/operations/"
WHOLE = "&of=all"  # asked for as a page, not as its live parts
TABS, TABS_OPERATIONS, POLLED_EVERY_S, FOR_S = int(os.environ.get("BENCH_TABS", "1000")), 100_000, 5, 30
THREADS = 8
# What is held besides: bytes of an unchanged poll, with its headers, and its cost beside an empty view's.
MOST_BYTES, MOST_OF_EMPTY = 400, 1.5
HOURS_CHANGES = 36_000
# Of a thousand tabs: the 95th percentile of a poll, and what of a core the web may use.
POLL_MS, MOST_CORES = 50, 1


@signed_in
def nothing_at_all(request: HttpRequest) -> HttpResponse:
    """The peer of a poll: what a view costs that knows who is signed in, and does nothing."""
    return HttpResponse(status=204)


urlpatterns = [*ours, path("nothing-at-all/", nothing_at_all)]


def milliseconds(act: Callable[[], object], times: int) -> list[float]:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        took.append((time.perf_counter() - began) * 1000)
    return took


def polled(address: str, token: object) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode({'seen': token})}"


def asked_of(made: Desk) -> dict[str, str]:
    """One of each filter."""
    return {
        "text": "q=pier",
        "two words": "q=4711+bridge",
        "rare text": "q=corridor+977",
        "state": "state=failed",
        "open": "state=running",
        "kind": "kind=fork",
        "iTwin": f"itwin={itwin(500)}",
        "person": f"person={made.engineer.pk}",
        "days": "since=2026-03-01&until=2026-03-31",
        "source": "imodel=c3c00000-0000-4000-9000-000000005003",
    }


def addresses(made: Desk, tab: str) -> Iterator[tuple[str, str]]:
    filters_of = asked_of(made)
    yield "all", f"whose={tab}"
    for what, query in filters_of.items():
        yield what, f"whose={tab}&{query}"
    for one, other in combinations(filters_of, 2):
        if filters_of[one][:2] != filters_of[other][:2]:
            yield f"{one} and {other}", f"whose={tab}&{filters_of[one]}&{filters_of[other]}"
    for sort in ("name", "-name", "state", "-state", "duration", "-duration", "age"):
        yield f"by {sort}", f"whose={tab}&sort={sort}"
        yield f"{sort} of a state", f"whose={tab}&sort={sort}&state=failed"


def places(scope, query: str) -> Iterator[tuple[str, str]]:
    """The first page, one in the middle, and the last."""
    yield "first", query
    asked = QueryDict(query)
    _, order = filters.sorted_by(asked.get("sort", ""))
    rows = order.of(filters.Filter.read(asked).operations(scope.annotate(lasted=filters.LASTED)))
    count = rows.order_by().count()
    for page, number in (("middle", count // 2), ("last", max(count - keyset.PAGE_SIZE, 0))):
        if count > keyset.PAGE_SIZE:
            yield page, f"{query}&{urlencode({'after': keyset._signed(order, rows[number])})}"


@pytest.fixture
def figure(record_property):
    def note(text: str) -> None:
        print(text, flush=True)
        record_property("figure", text)

    return note


@pytest.fixture
def growth():
    """growth(panel, x, {line: y}): points of the picture in docs, when BENCH_GROWTH names its file of figures."""

    def note(panel: str, x: float, lines: dict[str, float]) -> None:
        if path := os.environ.get("BENCH_GROWTH"):
            growth_picture.note(Path(path), panel, x, lines)

    return note


@pytest.fixture
def made(request, transactional_db) -> Iterator[Desk]:
    """The desk of the size that the test names."""
    with desk(request.param) as at_size:
        yield at_size


def of_sizes(*sizes: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("made", sorted(set(sizes)), indirect=True)


@of_sizes(10_000, 100_000, SIZE)
def test_a_poll_costs_at_a_million_operations_what_it_costs_without(made, processes, settings, figure, growth):
    settings.ROOT_URLCONF = __name__
    an_hour_of_changes()
    web = processes.web()
    for who, person, tab in made.readers:
        client = Client()
        client.force_login(person)
        # What is over, so that nothing of it changes by time alone.
        address = f"{TABLE}?whose={tab}&state=succeeded"
        poll = polled(address, client.get(address).context["seen"])
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(poll, headers=HTMX)
        count = len(queries)
        assert (answer.status_code, count <= 4) == (204, True)
        assert any("imodels_app_change" in query["sql"] for query in queries)
        assert not any(_scanned(query["sql"], LARGE | {"imodels_app_change"}) for query in queries)
        (took, wall), (peer, peer_wall) = side_by_side(client, poll, "/nothing-at-all/")
        (anew, _), (whole, _) = side_by_side(client, polled(address, ""), f"{address}{WHOLE}", times=20)
        sent = len_on_the_wire(web, poll, person)
        size, said = Operation.objects.count(), f"{count} queries, {sent} bytes"
        cpu = f"{took:.1f} ms of CPU, {took / peer:.2f} of an empty view"
        by_clock = f"{wall:.1f} ms by the clock, {wall / peer_wall:.2f} of it"
        figure(f"unchanged poll, {size:,} operations, {who}: {said}, {cpu}; {by_clock}")
        if who == "engineer":
            lines = {"whole page": whole, "read anew": anew, "unchanged poll": took, "empty view": peer}
            growth("Milliseconds of CPU, by operations", size, lines)
        assert (sent <= MOST_BYTES, took <= MOST_OF_EMPTY * peer) == (True, True)


def an_hour_of_changes() -> None:
    """Ten a second, of any operations: older than what a poll asks for, and not yet forgotten."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO imodels_app_change (number, at, about, operation_id, team_id, is_asking, is_queued)"
            " SELECT pg_current_xact_id()::text::bigint - 1, now() - row_number() OVER () * interval '0.1 s',"
            " 'operation', id, team_id, false, false FROM imodels_app_operation LIMIT %s",
            [HOURS_CHANGES - Change.objects.count()],
        )
        cursor.execute("ANALYZE imodels_app_change")


def side_by_side(client: Client, *addresses: str, times: int = 200) -> list[tuple[float, float]]:
    """Milliseconds of CPU and by the clock of each, in turns, so that they meet the same machine."""
    took: dict[str, list[tuple[float, float]]] = {address: [] for address in addresses}
    for _ in range(times):
        for address in addresses:
            began, began_at = time.thread_time(), time.perf_counter()
            client.get(address, headers={} if address.endswith(WHOLE) else HTMX)
            took[address].append(((time.thread_time() - began) * 1000, (time.perf_counter() - began_at) * 1000))
    return [
        (statistics.median(cpu), statistics.median(wall))
        for cpu, wall in (zip(*one, strict=True) for one in took.values())
    ]


def len_on_the_wire(web: str, address: str, person: User) -> int:
    """Bytes of the answer to a poll that has missed nothing, with its headers."""
    with closing(socket.create_connection(("127.0.0.1", urlsplit(web).port), PATIENCE_S)) as line:
        said = HTMX | {"Host": urlsplit(web).netloc, "Cookie": session_of(person), "Connection": "close"}
        headers = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        line.sendall(f"GET {address} HTTP/1.1\r\n{headers}\r\n".encode())
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 204 "), answer
    return len(answer)


@of_sizes(SIZE)
def test_every_filter_pair_and_sort_at_a_million_operations(made, figure):
    scans, slow = [], []
    for who, person, tab in made.readers:
        client = Client()
        client.force_login(person)
        scope = filters.whose(person, tab)
        for what, query in addresses(made, tab):
            for page, address in places(scope, query):
                took = p95(milliseconds(lambda: client.get(f"{TABLE}?{address}"), LOOKS))  # noqa: B023
                with CaptureQueriesContext(connection) as queries:
                    assert client.get(f"{TABLE}?{address}").status_code == 200
                longest = max(queries, key=lambda one: float(one["time"]))
                if any("imodels_app_operation" in _scanned(query["sql"]) for query in queries):  # here events are few
                    scans.append(f"{who}, {what}, {page}")
                what_of = (
                    f"{took:6.0f} ms  {who}, {what}, {page}  ({float(longest['time']) * 1000:.0f} ms of one query)"
                )
                figure(what_of)
                slow += [what_of] if took > (TEXT_MS if "q=" in address else PAGE_MS) else []
    assert (scans, slow) == ([], [])


# ---------- a thousand tabs ----------


class Tab:
    """A tab that polls as live.js does, on a connection of its own."""

    def __init__(self, address: str, person: User, query: str) -> None:
        self.headers = HTMX | {"Cookie": session_of(person)}
        self.query, self.seen = query, ""
        self._web = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE_S)
        self.close = self._web.close

    def poll(self) -> int:
        """The status. Without a token it is the whole table."""
        try:
            answer = self._ask()
        except ConnectionError:  # it was silent for long, and the server has closed it
            self._web.close()
            answer = self._ask()
        found = SEEN_IN.search(answer.read().decode())
        self.seen = answer.getheader("Seen") or (unescape(found[1]) if found else self.seen)
        return answer.status

    def _ask(self) -> http.client.HTTPResponse:
        self._web.request("GET", polled(f"{TABLE}?{self.query}", self.seen), headers=self.headers)
        return self._web.getresponse()


SEEN_IN = re.compile(r'{"seen": "([^"]+)"}')


def filter_of(made: Desk, number: int) -> str:
    """Each tab has a filter of its own."""
    own = [
        f"person={made.people[number].pk}",
        f"itwin={itwin(number)}",
        f"state=running&q=corridor+{number}",
        f"kind=clone&q={number}",
        f"since=2026-01-{number % 28 + 1:02}",
    ]
    return f"whose=team&{own[number % len(own)]}"


def play(tabs: list[Tab], for_s: float, change: Callable[[], object], *, keep: bool = True) -> list[tuple[int, float]]:
    """Status, and milliseconds from when each poll was due to its answer, while something changes each second."""
    took: list[tuple[int, float]] = []
    began = time.monotonic() + 1

    def sit(some: list[Tab]) -> None:
        due = sorted((began + random.random() * POLLED_EVERY_S, number) for number in range(len(some)))
        while due and due[0][0] < began + for_s:
            at, number = heapq.heappop(due)
            time.sleep(max(at - time.monotonic(), 0))
            if not keep:
                some[number].seen = ""
            status = some[number].poll()
            took.append((status, (time.monotonic() - at) * 1000))
            heapq.heappush(due, (max(at + POLLED_EVERY_S, time.monotonic()), number))

    crew = [threading.Thread(target=sit, args=(tabs[one::THREADS],)) for one in range(THREADS)]
    for thread in crew:
        thread.start()
    while any(thread.is_alive() for thread in crew):
        change()
        time.sleep(1)
    return took


@pytest.mark.parametrize("count", sorted({one for one in (10, 100, TABS) if one <= TABS}))
@of_sizes(TABS_OPERATIONS)
def test_a_thousand_tabs(made, processes, figure, growth, count):
    address = processes.web()
    web = psutil.Process(processes._web.pid)
    tabs = [Tab(address, made.people[number], filter_of(made, number)) for number in range(count)]
    for tab in tabs:
        assert tab.poll() == 200
    spec = CreationSpec(kind=Kind.EMPTY, name="Changes", itwin=ITwinRef(id=itwin(3), name="Corridor 3"))
    asked: list[Operation] = []

    def change() -> None:
        if asked:
            one = asked.pop()
            lifecycle.cancel(one, by=one.requested_by)
        else:
            asked.append(lifecycle.request(spec, by=random.choice(made.people)))

    def core(act: Callable[[], list[tuple[int, float]]]) -> tuple[list[tuple[int, float]], float]:
        before, began = used_s(web), time.monotonic()
        return act(), (used_s(web) - before) / (time.monotonic() - began)

    for what, for_s, keep in (("all drawn anew", FOR_S / 3, False), ("polls", FOR_S, True)):
        answers, cores = core(lambda: play(tabs, for_s, change, keep=keep))  # noqa: B023
        took, statuses = [ms for _, ms in answers], Counter(status for status, _ in answers)
        middle, said = statistics.median(took), ", ".join(f"{n} of {status}" for status, n in sorted(statuses.items()))
        figure(f"{count} tabs, {what}: {said}, p50 {middle:.0f}, p95 {p95(took):.0f} ms, {cores:.2f} cores")
        # Some saw a change and most saw none; whoever forgets what they have seen gets all of it.
        assert set(statuses) == ({200, 204} if keep else {200})
        line = "" if keep else "anew, "
        growth("Milliseconds to the answer, by tabs", count, {f"{line}p50": middle, f"{line}p95": p95(took)})
        growth("Hundredths of a core, by tabs", count, {what: 100 * cores})
    for tab in tabs:
        tab.close()
    if count < TABS:
        return
    assert (p95(took) <= POLL_MS, cores <= MOST_CORES) == (True, True)


def used_s(web: psutil.Process) -> float:
    """Seconds of a core that the web server has used."""
    times = [one.cpu_times() for one in (web, *web.children(recursive=True))]
    return sum(one.user + one.system for one in times)
