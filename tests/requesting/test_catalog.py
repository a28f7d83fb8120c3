"""The catalog: what a person may pick, from the sandbox over HTTP."""

import json
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet
from django.core.cache import cache

from imodels_app.accounts import tokens
from imodels_app.requesting import catalog as catalog_cache
from imodels_app.requesting import contents, reader
from imodels_app.requesting.catalog import Catalog, CatalogUnavailable, NotInCatalog, SignInNeeded
from imodels_app.requesting.pasted import id_in

pytestmark = pytest.mark.same_on_both

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
        (f"https://imodelhub.example/Context/{OTHER}/iModel/{GUID.upper()}", "imodels", GUID),
        (f"https://imodelhub.example/Context/{OTHER}/iModel/{GUID}", "itwins", OTHER),
        (f"https://viewer.example/?iTwinId={OTHER}&iModelId={GUID}&changesetId=", "imodels", GUID),
        (f"https://viewer.example/?iTwinId={OTHER}&iModelId={GUID}&changesetId=", "itwins", OTHER),
        (f"https://viewer.example/#/projects/{OTHER}?a=b", "itwins", OTHER),
        (f"https://viewer.example/go?to=%2Fimodels%2F{GUID}", "imodels", GUID),
        (f"https://viewer.example/?iTwinId={OTHER}", "imodels", ""),
        (f"https://somewhere.example/{GUID}/{GUID}", "imodels", GUID),
        ("{" + GUID + "}", "imodels", GUID),
        (GUID.replace("-", "\u2011"), "imodels", GUID),
        (GUID.replace("-", "\u2013"), "itwins", GUID),
        (f'{{"iTwinId": "{OTHER}", "iModelId": "{GUID}"}}', "imodels", GUID),
        (f'{{"iTwinId": "{OTHER}", "iModelId": "{GUID}"}}', "itwins", OTHER),
        (f"https://viewer.example/?itwin={OTHER}&imodel={GUID}#view", "imodels", GUID),
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


def test_favourite_itwins_come_first_and_are_known_as_such(of_mara, sandbox, platform_of):
    sandbox.world.favorites[f"itwins:{sandbox.person('mara').id}"] = [sandbox.ids["water-west"]]
    sandbox.world.recents[f"itwins:{sandbox.person('mara').id}"] = [sandbox.ids["rail-corridor"]]

    assert [itwin.name for itwin in of_mara.itwins()] == ["Water West", "Rail Corridor 2027", "Harbour Bridge"]
    assert of_mara.favourites("itwins") == {sandbox.ids["water-west"]}


def test_favourite_imodels_are_found_wherever_they_are(of_mara, sandbox, monkeypatch):
    monkeypatch.setattr(catalog_cache, "ITWINS_SEARCHED", 0)
    sandbox.world.favorites[f"imodels:{sandbox.person('mara').id}"] = [sandbox.ids["viaduct"]]

    assert [source.imodel.name for source in of_mara.imodels("via")[0]] == ["Viaduct"]
    assert of_mara.favourites("imodels") == {sandbox.ids["viaduct"]}


def test_an_inactive_itwin_is_found_by_its_name_and_comes_after_the_active_ones(of_mara, sandbox):
    sandbox.world.itwins[sandbox.ids["rail-corridor"]].display_name = "Zoo Ferry"

    assert [(itwin.name, itwin.status) for itwin in of_mara.itwins("ferry")] == [
        ("Zoo Ferry", "Active"),
        ("Old Ferry Terminal", "Inactive"),
    ]
    assert "Old Ferry Terminal" not in [itwin.name for itwin in of_mara.itwins()]


@pytest.mark.parametrize(
    "name", ["Pier & Deck", "A+B", "#7", "100 % done", "O'Neill “Quay”", 'a"b', "x?y=z", "Größe/ü"]
)
def test_a_name_with_any_character_is_found_and_known_to_be_taken(of_mara, sandbox, name):
    sandbox.world.imodels[sandbox.ids["viaduct"]].name = name
    sandbox.world.itwins[sandbox.ids["rail-corridor"]].display_name = name

    assert [source.imodel.name for source in of_mara.imodels(name)[0]] == [name]
    assert [itwin.name for itwin in of_mara.itwins(name)] == [name]
    assert not of_mara.is_free(sandbox.ids["rail-corridor"], name)


def test_nobody_picks_what_they_cannot_see(of_mara, sandbox):
    assert of_mara.itwins("City Transit") == []
    assert of_mara.itwins(sandbox.ids["city-transit"]) == []
    assert of_mara.imodels(sandbox.ids["metro-line-4"]) == ([], True)
    with pytest.raises(NotInCatalog):
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


def test_an_imodel_is_found_by_its_itwins_name_and_its_own(of_mara, sandbox, monkeypatch):
    monkeypatch.setattr(catalog_cache, "ITWINS_SEARCHED", 1)  # and nobody looks beyond Harbour Bridge
    assert of_mara.imodels("viaduct") == ([], False)

    assert [source.imodel.name for source in of_mara.imodels("rail / via")[0]] == ["Viaduct"]
    assert {source.imodel.name for source in of_mara.imodels("rail/")[0]} == {"Viaduct", "Depot"}


def test_a_search_over_itwins_that_takes_too_long_shows_what_it_has(of_mara, monkeypatch):
    monkeypatch.setattr(catalog_cache, "SEARCH_FOR_S", -1.0)

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


@pytest.fixture
def indexes(of_mara, sandbox):
    """indexes("118"): the numbers of the changesets of Main Bridge that are found."""
    return lambda *asked, **how: [
        item.index for item in of_mara.changesets(sandbox.ids["main-bridge"], *asked, **how)[0]
    ]


def test_changesets_are_found_by_number_id_or_description(of_mara, sandbox, indexes):
    newest = of_mara.newest_changeset(sandbox.ids["main-bridge"])

    assert indexes("#4")[:2] == [4, 49]
    assert indexes("118") == [118]
    assert indexes(newest.id) == [120]
    assert indexes(newest.id[:8]) == [120]
    assert 120 in indexes(newest.description[:12])
    assert indexes("no such words") == []


def test_an_old_changeset_is_looked_up_by_its_number(of_mara, sandbox, indexes):
    assert indexes(of_mara.changeset(sandbox.ids["main-bridge"], "1").id) == [1]


@pytest.mark.parametrize("page_size", [None, 7])
def test_every_changeset_is_reached_page_by_page_once(of_mara, sandbox, page_size):
    sandbox.switch(page_size_cap=page_size)
    reached, before = [], None
    while True:
        page, before = of_mara.changesets(sandbox.ids["main-bridge"], before=before, most=12)
        reached += [item.index for item in page]
        if before is None:
            break

    assert reached == list(range(120, 0, -1))


def test_a_search_for_words_goes_on_where_it_stopped(of_mara, sandbox, monkeypatch):
    monkeypatch.setattr(contents, "CHANGESETS_A_PAGE", 10)
    bridge = sandbox.ids["main-bridge"]
    sandbox.world.timelines[bridge][2].description = "The one with the tuned mass damper"

    found, before = of_mara.changesets(bridge, "damper")
    assert (found, before) == ([], 71)
    found, before = of_mara.changesets(bridge, "damper", before=before)
    assert (found, before) == ([], 21)
    found, before = of_mara.changesets(bridge, "damper", before=before)
    assert ([item.index for item in found], before) == ([3], None)


def test_a_changeset_whose_file_has_not_arrived_is_not_offered(of_mara, sandbox, indexes):
    sandbox.push_changeset(sandbox.ids["main-bridge"]).state = "waitingForFile"

    assert indexes()[0] == of_mara.newest_changeset(sandbox.ids["main-bridge"]).index == 120


def test_who_pushed_a_changeset_is_known_by_name(of_mara, sandbox):
    bridge = sandbox.ids["main-bridge"]

    assert of_mara.people(bridge)[of_mara.newest_changeset(bridge).creator_id] in (
        "Mara Lindqvist",
        "Tomas Novak",
        "Ines Duarte",
    )
    assert of_mara.people(str(uuid4())) == {}


def test_hidden_named_versions_come_last_and_say_so(of_mara, sandbox):
    bridge = sandbox.ids["main-bridge"]
    sandbox.world.imodels[bridge].named_versions[1].state = "hidden"

    found = of_mara.named_versions(bridge)
    assert [(version.name, version.is_hidden) for version in found] == [
        ("30 % design", False),
        ("Checked alignment", False),
        ("60 % design", True),
    ]
    assert of_mara.named_versions(bridge, "60 %") == of_mara.named_versions(bridge, found[2].id) == [found[2]]


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


def test_an_imodel_with_permissions_of_its_own_is_asked_for_them(of_mara, sandbox):
    assert of_mara.source(sandbox.ids["viaduct"]).own is None

    sandbox.secure(sandbox.ids["viaduct"], "mara", ["imodels_webview"])
    cache.clear()
    secured = Catalog(of_mara.user).source(sandbox.ids["viaduct"])
    assert secured.own == {"imodels_webview"}
    assert (secured.is_ready, secured.is_template) == (True, False)


def test_the_clients_spelling_of_a_permission_is_taken_too(of_mara, sandbox):
    sandbox.allow(sandbox.ids["harbour-bridge"], "mara", ["imodels_webview", "imodels-delete"])

    assert "imodels_delete" in of_mara.permissions(sandbox.ids["harbour-bridge"])


def test_a_list_that_came_only_in_part_is_shown_as_far_as_it_came(of_mara, mara, sandbox):
    sandbox.fault("GET", r"/permissions$", status=503, times=50)
    found, _ = of_mara.imodels("viaduct")
    assert [(source.itwin.name, source.permissions, source.is_ready) for source in found] == [
        ("Rail Corridor 2027", None, True)
    ]

    sandbox.world.recents[f"imodels:{sandbox.person('mara').id}"] = [sandbox.ids["viaduct"]]
    sandbox.fault("GET", r"^/imodels$", status=503, times=50)
    found, is_all = Catalog(mara, max_age_s=0).imodels("via")
    assert ([source.imodel.name for source in found], is_all) == (["Viaduct"], False)


def test_what_a_list_has_told_of_an_itwin_is_not_asked_again(of_mara, sandbox):
    of_mara.imodels("main")

    assert not [entry for entry in sandbox.journal if entry.path.startswith("/itwins/b2b")]


def test_all_its_questions_together_have_an_end(of_mara, mara, sandbox):
    sandbox.fault("GET", r"/", slow_s=0.3, times=100)

    with pytest.raises(CatalogUnavailable):
        Catalog(mara, within_s=0.5).imodels("main")

    assert sandbox.calls("GET", "/") <= 2


def test_an_answer_is_remembered_for_a_moment_and_for_one_person_only(of_mara, of_otto, sandbox, mara):
    of_mara.itwins("bridge")
    Catalog(mara).itwins("bridge")
    assert sandbox.calls("GET", "/itwins") == 1

    assert of_otto.itwins("bridge") == []
    assert Catalog(mara, max_age_s=0).itwins("bridge")
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


def test_a_slow_platform_is_given_up_on(of_mara, sandbox, monkeypatch):
    monkeypatch.setattr(reader, "READ_TIMEOUT_S", 0.5)
    held = sandbox.fault("GET", r"/itwins", cut=True, held=True, times=100)

    with pytest.raises(CatalogUnavailable, match="not answering"):
        of_mara.itwins("bridge")

    assert held.holding


def test_a_platform_that_wants_fewer_questions_says_for_how_long(of_mara, sandbox):
    sandbox.fault("GET", r"/itwins", status=429, retry_after=7, times=100)

    with pytest.raises(CatalogUnavailable, match="for another 7 s"):
        of_mara.itwins("bridge")


def test_a_token_that_ran_out_early_is_refreshed_once(of_mara, mara, sandbox):
    mara.tokens.obtained_at -= timedelta(hours=1)
    mara.tokens.save(update_fields=["obtained_at"])
    sandbox.expire_tokens()

    assert of_mara.itwins("bridge")


def test_without_tokens_a_person_has_to_sign_in(mara, sandbox):
    with pytest.raises(SignInNeeded):
        Catalog(mara).itwins()


def test_whose_token_this_process_cannot_open_has_to_sign_in(of_mara, settings):
    settings.TOKEN_KEYS = [Fernet.generate_key().decode()]

    with pytest.raises(SignInNeeded):
        of_mara.itwins("bridge")


def test_the_catalog_only_reads(of_mara, sandbox):
    of_mara.imodels("main")
    of_mara.free_name_like(sandbox.ids["harbour-bridge"], "Main Bridge")

    assert sandbox.calls("POST", "/") == sandbox.calls("PUT", "/") == 0


@pytest.mark.parametrize("exists", ["Café Überführung", "Cafe\u0301 U\u0308berfu\u0308hrung"])
@pytest.mark.parametrize("typed", ["Café Überführung", "Cafe\u0301 U\u0308berfu\u0308hrung", "CAFÉ ÜBERFÜHRUNG"])
def test_a_name_is_the_same_in_either_form(of_mara, sandbox, platform_of, exists, typed):
    platform_of("mara").start("/imodels", json.dumps({"iTwinId": OTHER, "name": exists}))

    assert not of_mara.is_free(OTHER, typed)
    found, _ = of_mara.imodels(typed, itwin_id=OTHER)
    assert [one.imodel.name for one in found] == ["Café Überführung"]
