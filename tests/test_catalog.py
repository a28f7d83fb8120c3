"""The catalog: what a person may pick, from the sandbox over HTTP."""

import time
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.cache import cache

from imodels_app import catalog as catalog_room
from imodels_app import tokens
from imodels_app.catalog import Catalog, NotFound, SignInNeeded, Unavailable, id_in

GUID = "c3c00000-0000-4000-8000-000000000001"
OTHER = "b2b00000-0000-4000-8000-000000000001"


@pytest.fixture
def of_mara(mara, sandbox):
    tokens.store(mara, sandbox.tokens_for("mara"))
    return Catalog(mara)


@pytest.fixture
def of_otto(otto, sandbox):
    tokens.store(otto, sandbox.tokens_for("otto"))
    return Catalog(otto)


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        (GUID, "imodels", GUID),
        (f"  {GUID.upper()}\n", "imodels", GUID),
        (f"https://api.bentley.com/itwins/{OTHER}/imodels/{GUID}/view?x=1", "imodels", GUID),
        (f"https://api.bentley.com/itwins/{OTHER}/imodels/{GUID}/view?x=1", "itwins", OTHER),
        (f"it is this one: /imodels/{GUID}.", "imodels", GUID),
        (f"/imodels/{GUID}", "itwins", ""),
        (f"{GUID} {OTHER}", "imodels", ""),
        (f"{GUID}0", "imodels", ""),
        ("Main Bridge", "imodels", ""),
    ],
)
def test_an_id_is_found_in_what_is_pasted(text, kind, found):
    assert id_in(text, kind) == found


def test_itwins_are_found_by_part_of_name_or_number(of_mara):
    assert [itwin.name for itwin in of_mara.itwins("corridor")] == ["Rail Corridor 2027"]
    assert [itwin.name for itwin in of_mara.itwins("HB-20")] == ["Harbour Bridge"]


def test_without_a_text_the_recent_itwins_come_first(of_mara, sandbox):
    names = [itwin.name for itwin in of_mara.itwins()]

    assert {"Harbour Bridge", "Rail Corridor 2027", "Water West"} <= set(names)
    assert len(names) == len(set(names))


def test_nobody_picks_what_they_cannot_see(of_mara, sandbox):
    assert of_mara.itwins("City Transit") == []
    assert of_mara.itwins(sandbox.ids["city-transit"]) == []
    assert of_mara.imodels(sandbox.ids["metro-line-4"]) == ([], True)
    with pytest.raises(NotFound):
        of_mara.source(sandbox.ids["metro-line-4"])


def test_imodels_are_found_in_all_itwins_and_say_whether_they_can_be_copied(of_mara):
    found, is_all = of_mara.imodels("main")

    ready = {source.imodel.name: source.is_ready for source in found}
    assert is_all
    assert ready["Main Bridge"]
    assert not ready["Main Bridge temporary works"]  # not initialized
    assert not ready["West Main DN800"]  # view only


def test_imodels_can_be_searched_in_one_itwin(of_mara, sandbox):
    found, _ = of_mara.imodels("", itwin_id=sandbox.ids["rail-corridor"])

    assert {source.imodel.name for source in found} == {"Viaduct", "Depot"}


def test_a_search_over_itwins_that_takes_too_long_shows_what_it_has(of_mara, monkeypatch):
    monkeypatch.setattr(catalog_room, "SEARCH_FOR_S", -1.0)

    assert of_mara.imodels("main")[1] is False


def test_reading_is_enough_for_a_template(of_mara, sandbox):
    pumping = of_mara.source(sandbox.ids["pumping-station"])

    assert (pumping.is_ready, pumping.is_template) == (False, True)
    assert not of_mara.source(sandbox.ids["not-initialized"]).is_template


def test_the_region_of_an_itwin_is_where_its_imodels_are(of_mara, sandbox):
    harbour = of_mara.itwin(sandbox.ids["harbour-bridge"])

    assert of_mara.region(harbour) == "East US"
    assert of_mara.region(replace(harbour, id=str(uuid4()), data_center="West Europe")) == ""
    assert of_mara.region(replace(harbour, id=str(uuid4()), data_center="UK South")) == "UK South"


def test_the_newest_changeset_is_none_on_a_bare_baseline(of_mara, sandbox):
    assert of_mara.newest_changeset(sandbox.ids["main-bridge"]).index == 120
    assert of_mara.newest_changeset(sandbox.ids["depot"]) is None


def test_changesets_are_found_by_number_id_or_description(of_mara, sandbox):
    bridge = sandbox.ids["main-bridge"]
    newest = of_mara.changesets(bridge)[0]

    assert [item.index for item in of_mara.changesets(bridge, "#4")][:2] == [4, 49]
    assert [item.index for item in of_mara.changesets(bridge, "118")] == [118]
    assert [item.index for item in of_mara.changesets(bridge, newest.id)] == [120]
    assert of_mara.changesets(bridge, newest.description[:12])
    assert of_mara.changesets(bridge, "no such words") == []


def test_an_old_changeset_is_looked_up_by_its_number(of_mara, sandbox):
    bridge = sandbox.ids["main-bridge"]
    old = of_mara.changeset(bridge, "1")

    assert [item.index for item in of_mara.changesets(bridge, old.id)] == [1]


def test_a_taken_name_is_taken_whatever_its_capitals_and_another_is_offered(of_mara, sandbox):
    harbour = sandbox.ids["harbour-bridge"]

    assert not of_mara.is_free(harbour, "MAIN bridge")
    assert of_mara.free_name_like(harbour, "MAIN bridge") == "MAIN bridge 2"
    assert of_mara.free_name_like(harbour, "Main Bridge 2") == "Main Bridge 3"
    assert of_mara.is_free(harbour, "Main")
    assert len(of_mara.free_name_like(harbour, "x" * 255)) == 255


def test_permissions_are_the_persons_own(of_mara, of_otto, sandbox):
    water = sandbox.ids["water-west"]

    assert not of_mara.may_manage(water)
    assert of_otto.may_manage(water)
    assert of_mara.permissions("11111111-1111-4111-8111-111111111111") == frozenset()


def test_an_answer_is_remembered_for_a_moment_and_for_one_person_only(of_mara, of_otto, sandbox, mara):
    of_mara.itwins("bridge")
    Catalog(mara).itwins("bridge")
    assert sandbox.calls("GET", "/itwins") == 1

    assert of_otto.itwins("bridge") == []
    assert Catalog(mara, is_fresh=True).itwins("bridge")
    assert sandbox.calls("GET", "/itwins") == 3


def test_a_cache_that_is_down_is_done_without(of_mara, settings):
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
            "OPTIONS": {"socket_connect_timeout": 1},
        }
    }
    cache.close()

    assert of_mara.itwins("bridge")


def test_a_slow_platform_is_given_up_on(of_mara, sandbox):
    sandbox.fault("GET", r"/itwins", hang_s=30, times=100)
    began = time.monotonic()

    with pytest.raises(Unavailable, match="not answering"):
        of_mara.itwins("bridge")
    assert time.monotonic() - began < 5


def test_a_platform_that_wants_fewer_questions_says_for_how_long(of_mara, sandbox):
    sandbox.fault("GET", r"/itwins", status=429, retry_after=7, times=100)

    with pytest.raises(Unavailable, match="for 7 s"):
        of_mara.itwins("bridge")


def test_a_token_that_ran_out_early_is_refreshed_once(of_mara, mara, sandbox):
    mara.tokens.obtained_at -= timedelta(hours=1)
    mara.tokens.save(update_fields=["obtained_at"])
    sandbox.expire_tokens()

    assert of_mara.itwins("bridge")


def test_without_tokens_a_person_has_to_sign_in(mara, sandbox):
    with pytest.raises(SignInNeeded):
        Catalog(mara).itwins()


def test_the_catalog_only_reads(of_mara, sandbox):
    of_mara.imodels("main")
    of_mara.free_name_like(sandbox.ids["harbour-bridge"], "Main Bridge")

    assert sandbox.calls("POST", "/") == sandbox.calls("PUT", "/") == 0
