"""Pages by keyset: every row once, whatever comes meanwhile, and in each order."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.http import QueryDict

from imodels_app import lifecycle
from imodels_app.models import Event, Operation
from imodels_app.models.search import EVENT_WORDS, OPERATION_WORDS
from imodels_app.states import Kind, State
from imodels_app.tables import filters, keyset
from imodels_app.tables.filters import Filter

pytestmark = pytest.mark.django_db


@pytest.fixture
def operations(bridge_team, mara, tomas, spec_for):
    """60 operations of two people, some of them alike in all that they can be sorted by."""
    for number in range(60):
        kind = Kind.EMPTY if number % 2 else Kind.FORK
        lifecycle.request(spec_for(kind, name=f"Pier {number // 3:02}"), by=(mara, tomas)[number % 2])
    states = [State.SUCCEEDED, State.FAILED]
    for number, operation in enumerate(Operation.objects.order_by("pk")):
        took = timedelta(minutes=number // 4)
        ended = {"state": states[number % 2], "finished_at": F("created_at") + took} if number % 3 else {}
        Operation.objects.filter(pk=operation.pk).update(changed_at=operation.changed_at, **ended)
    return Operation.objects.annotate(lasted=filters.LASTED)


def walk(parts, order, way="older"):
    """All pages, from one neighbour to the next."""
    query = QueryDict(mutable=True)
    while True:
        page = keyset.page(parts, order, query)
        yield page
        place = getattr(page, way)
        if not place:
            return
        query.clear()
        query["after" if way == "older" else "before"] = place


def ids(pages):
    return [row.pk for page in pages for row in page]


def test_each_order_has_every_row_once_in_both_directions(operations):
    for word in [*filters.SORTS, *(f"-{word}" for word in filters.SORTS)]:
        _, order = filters.sorted_by(word)
        pages = list(walk([operations], order))

        assert [len(page) for page in pages] == [25, 25, 10], word
        assert ids(pages) == [row.pk for row in order.of(operations)], word
        last = QueryDict(mutable=True)
        last["before"] = pages[2].newer
        middle = keyset.page([operations], order, last)
        assert middle.rows == pages[1].rows, word
        last["before"] = middle.newer
        assert keyset.page([operations], order, last) == pages[0], word


def test_what_comes_meanwhile_moves_no_row_to_another_page(operations, mara, spec_for):
    pages, pk_sets = walk([operations], filters.NEWEST), []
    for page in pages:
        pk_sets.append({row.pk for row in page})
        lifecycle.request(spec_for(Kind.EMPTY), by=mara)

    assert sum(map(len, pk_sets)) == len(set.union(*pk_sets)) == 60


def test_parts_are_one_table(operations, mara, tomas):
    asked = Filter(people=(str(mara.pk), str(tomas.pk)), text="pier")
    parts = asked.event_parts()

    found = ids(walk(parts, filters.EVENTS_NEWEST))

    assert len(parts) == 6
    assert found == list(Event.objects.order_by("-at", "-pk").values_list("pk", flat=True))
    assert keyset.count(parts) == asked.all_events().count() == len(found)


def test_a_place_in_another_order_is_no_place(operations):
    first = keyset.page([operations], filters.NEWEST, QueryDict())
    elsewhere = QueryDict(mutable=True)
    elsewhere["after"] = first.older

    by_name = filters.SORTS["name"]

    assert keyset.page([operations], by_name, elsewhere).rows[0] == by_name.of(operations)[0]


def test_nothing_is_counted_beyond_what_anybody_needs(operations, monkeypatch):
    monkeypatch.setattr(keyset, "MOST_COUNTED", 40)

    page = keyset.page([operations], filters.NEWEST, QueryDict())

    assert keyset.counted(page, [operations]).total == "40+"
    assert keyset.counted(page, [operations.filter(state=State.FAILED)]).total == "20"


def test_what_stands_in_no_one_index_is_counted_less_far(client, ines, operations, monkeypatch):
    monkeypatch.setattr(keyset, "MOST_COUNTED", 100)
    client.force_login(ines)

    for query, told in (("kind=fork", "30 in total"), ("kind=fork&team=Bridge+team", "10+ in total")):
        assert told in client.get(f"/audit/?{query}").text


QUERIES = ["pier fine", "mara fork", "bridge pier 7", "nowhere pier", "approved 04", "lindqvist bridge 04"]


def test_the_words_of_a_search_stand_in_the_event_or_in_its_operation(operations):
    """As if every event were read with its operation."""
    columns = [*EVENT_WORDS, *(f"operation__{name}" for name in OPERATION_WORDS), "operation__reason"]
    rows = list(Event.objects.values_list("pk", *columns))

    for text in QUERIES:
        expected = {pk for pk, *texts in rows if all(word in " \n".join(texts).lower() for word in text.split())}
        assert set(ids(walk(Filter(text=text).event_parts(), filters.EVENTS_NEWEST))) == expected, text
