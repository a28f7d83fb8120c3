"""The cache holds JSON: what is put in comes back, and what somebody else put there is not executed."""

import pickle
from datetime import UTC, datetime

import pytest
import redis
from django.core.cache import cache

from imodels_app.itwin import types
from imodels_app.requesting.catalog import Catalog
from imodels_app.requesting.sources import Origin
from imodels_app.runtime import heartbeat

AT = datetime(2026, 11, 29, 8, 30, 0, 123456, tzinfo=UTC)
IMODEL = types.IModel("1", "Ä", "", "2", True, AT, None, "3", "UK South", upload=types.UploadLink("https://a/?sig=1"))
ITWIN = types.ITwin("2", "Harbour", "B-2", "Active", "UK South")
ORIGIN = Origin(
    imodel=IMODEL, itwin_name="Harbour", creation=types.CreateOperation("successful", True, False, "1", "", "")
)


class Boom:
    """What pickle would execute when it is read."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


@pytest.fixture
def raw(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -7, 2**70, 1.5, "", "Ä\n\x00", [], {}, {"a": [1, {"b": None}]}, AT, AT.date().isoformat()),
        *((1, ("a", frozenset({"b"}))), set(), {"a"}, frozenset({"x"}), [[], ()], {"people": {"id": "Mara"}}),
        *(IMODEL, [IMODEL], ([IMODEL], True), ITWIN, ORIGIN, types.NamedVersion("1", "V1", 3, is_hidden=True)),
        types.Changeset("abc", 3, "Pier 7", AT, "m"),
    ],
    ids=repr,
)
def test_what_is_put_in_comes_back(value, redis_url):
    cache.set("value", value)

    found = cache.get("value")

    assert found == value
    assert type(found) is type(value)


def test_what_the_catalog_asks_for_comes_back(redis_url, mara, signed_in_mara, sandbox):
    def ask() -> list[object]:
        catalog = Catalog(mara)
        imodel = catalog.imodels("")[0][0].imodel
        asked = [catalog.itwins(), catalog.imodels(""), catalog.permissions(imodel.itwin_id), catalog.source(imodel.id)]
        asked += [catalog.origin(imodel.id), catalog.people(imodel.id), catalog.named_versions(imodel.id)]
        return [*asked, catalog.favourites("itwins"), catalog.newest_changeset(imodel.id)]

    first = ask()
    calls = len(sandbox.journal)

    assert ask() == first
    assert len(sandbox.journal) == calls


def test_a_counter_counts(redis_url):
    cache.set("count", 1)

    assert cache.incr("count") == 2


@pytest.mark.parametrize(
    "written",
    [
        *(
            pickle.dumps(Boom()),
            pickle.dumps(Boom(), 0),
            pickle.dumps({"a": 1}),
            b"",
            b"\xff\xfe",
            b"{",
            b"[" * 100_000,
        ),
        *(b'{"$": "os.system", "of": ["id"]}', b'{"$": "IModel"}', b'{"$": "IModel", "id": "1", "more": 1}'),
        *(
            b'{"$": "datetime", "at": "soon"}',
            b'{"$": "datetime"}',
            b'{"$": "set", "of": [{"a": 1}]}',
            b'{"$": ["set"]}',
        ),
        b"9" * 5000,
    ],
    ids=lambda written: repr(written[:40]),
)
def test_what_somebody_else_wrote_counts_as_not_there(written, raw, db, client):
    raw.set(cache.make_key(heartbeat.KEY), written)

    assert cache.get(heartbeat.KEY) is None
    silent = {"worker": "not consuming", "poller": "not consuming"}
    assert client.get("/readyz").json() == {"database": "ok", "redis": "ok", **silent}


@pytest.mark.parametrize("written", [b'"now"', b"[]", b"{}", b"true", b"null"])
def test_a_sign_of_life_that_is_no_time_is_none(written, raw, db, client):
    raw.set(cache.make_key(heartbeat.KEY), written)

    assert client.get("/readyz").json()["worker"] == "not consuming"


def test_no_message_that_is_not_json_is_read():
    from dashboard.celery import app

    assert app.conf.accept_content == ["json"]
    assert (app.conf.task_serializer, app.conf.event_serializer) == ("json", "json")
