"""Sections 13 and 14: iTwins, users and access control."""

import pytest

from tests.contract.conftest import details_of, error_of


def names(answer):
    assert answer.status_code == 200
    return [one["displayName"] for one in answer.json()["iTwins"]]


@pytest.mark.parametrize(
    ("person", "found"),
    [
        ("mara", ["Harbour Bridge", "Rail Corridor 2027", "Water West"]),
        ("tomas", ["Harbour Bridge", "Rail Corridor 2027"]),
        ("ines", ["Harbour Bridge", "Rail Corridor 2027"]),
        ("otto", ["City Transit", "Water West"]),
    ],
)
@pytest.mark.parametrize("path", ["/itwins", "/itwins/"])
def test_people_see_the_itwins_they_are_members_of(as_person, person, found, path):
    assert names(as_person(person).get(path)) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "Inactive"}, ["Old Ferry Terminal"]),
        ({"status": "Active"}, ["Harbour Bridge", "Rail Corridor 2027", "Water West"]),
        ({"includeInactive": "true", "number": "OF-1998"}, ["Old Ferry Terminal"]),
        ({"subClass": "Asset"}, ["Water West"]),
        ({"subClass": "Project,Asset"}, ["Harbour Bridge", "Rail Corridor 2027", "Water West"]),
        ({"number": "HB-2031"}, ["Harbour Bridge"]),
        ({"displayName": "Harbour Bridge"}, ["Harbour Bridge"]),
        ({"displayName": "Harbour"}, []),
        ({"$search": "rail"}, ["Rail Corridor 2027"]),
        ({"$search": "hb-20"}, ["Harbour Bridge"]),
        ({"type": "Bridge"}, ["Harbour Bridge"]),
        ({"$filter": "contains(tolower(displayName),'west')", "subClass": "Asset"}, ["Water West"]),
        ({"$orderby": "displayName desc", "$top": 1}, ["Water West"]),
        ({"$top": 1, "$skip": 1}, ["Rail Corridor 2027"]),
    ],
)
def test_my_itwins_filter_sort_and_page(mara, query, found):
    assert names(mara.get("/itwins", **query)) == found


@pytest.mark.parametrize(
    "query",
    [
        {"status": "Active", "includeInactive": "true"},
        {"$search": "x", "number": "1"},
        {"$search": "x", "displayName": "1"},
        {"$filter": "contains(displayName,'x')", "status": "Active"},
        {"$filter": "year(createdDateTime) gt 2020"},
        {"status": "Sleeping"},
        {"subClass": "Bridge"},
        {"$top": 1001},
    ],
)
def test_what_excludes_each_other_is_422(mara, query):
    assert details_of(mara.get("/itwins", **query))


def test_an_item_is_minimal_unless_a_representation_is_preferred(mara, ids):
    minimal = mara.get("/itwins", number="HB-2031").json()["iTwins"][0]
    full = mara.full("/itwins", number="HB-2031").json()["iTwins"][0]

    assert set(minimal) == {"id", "class", "subClass", "type", "number", "displayName", "iTwinAccountId"}
    assert full == mara.get(f"/itwins/{ids['harbour-bridge']}").json()["iTwin"]
    assert set(full) - set(minimal) == {
        "geographicLocation", "latitude", "longitude", "ianaTimeZone", "dataCenterLocation", "status", "parentId",
        "imageName", "image", "createdDateTime", "createdBy", "lastModifiedDateTime", "lastModifiedBy",
    }  # fmt: skip
    assert full["createdDateTime"].endswith("+00:00")


def test_paging_silently_stops_at_x_max_return(mara):
    answer = mara.ask("GET", "/itwins", params={"$top": 1}, headers={"X-Max-Return": "2"})
    second = mara.ask("GET", answer.json()["_links"]["next"]["href"], headers={"X-Max-Return": "2"})

    assert answer.headers["X-Max-Return"] == "2"
    assert second.json()["_links"]["next"] is None


@pytest.mark.parametrize("value", ["0", "10001", "all"])
def test_x_max_return_is_1_to_10000(mara, value):
    assert mara.ask("GET", "/itwins", headers={"X-Max-Return": value}).status_code == 422


@pytest.mark.parametrize("path", ["/itwins/{}", "/itwins/{}/account"])
def test_an_itwin_is_for_members_only(mara, ids, path):
    answer = mara.get(path.format(ids["city-transit"]))

    assert (answer.status_code, error_of(answer)["code"]) == (404, "iTwinNotFound")


def test_an_inactive_itwin_still_has_details(mara, ids):
    assert mara.get(f"/itwins/{ids['old-ferry']}").json()["iTwin"]["status"] == "Inactive"


def test_the_account_of_an_itwin_and_ones_own(mara, ids):
    account = mara.get(f"/itwins/{ids['harbour-bridge']}/account").json()["iTwin"]

    assert (account["class"], account["displayName"]) == ("Account", "Harbour Engineering")
    assert mara.get("/itwins/myprimaryaccount").json()["iTwin"] == account


def test_favourites_are_posted_and_deleted(mara, ids):
    path = f"/itwins/favorites/{ids['rail-corridor']}"

    assert mara.post(path).status_code == 204
    assert names(mara.get("/itwins/favorites")) == ["Rail Corridor 2027"]
    assert mara.ask("DELETE", path).status_code == 204
    assert names(mara.get("/itwins/favorites")) == []


def test_recents_are_newest_first_each_once(mara, ids):
    for name in ("rail-corridor", "harbour-bridge", "rail-corridor"):
        assert mara.post(f"/itwins/recents/{ids[name]}").status_code == 204

    assert names(mara.get("/itwins/recents")) == ["Rail Corridor 2027", "Harbour Bridge"]


def test_me(sandbox, mara):
    user = mara.get("/users/me").json()["user"]

    assert user["id"] == sandbox.person("mara").id
    assert (user["givenName"], user["surname"], user["email"]) == (
        "Mara",
        "Lindqvist",
        "mara.lindqvist@harbour.example",
    )
    assert {"displayName", "organizationName", "createdDateTime", "language"} <= set(user)


def test_users_are_searched_within_the_organization(mara):
    assert [one["givenName"] for one in mara.get("/users", **{"$search": "nov"}).json()["users"]] == ["Tomas"]
    assert mara.get("/users", **{"$search": "otto"}).json()["users"] == []
    assert mara.get("/users", **{"$search": "no"}).status_code == 422


def test_users_by_their_ids(sandbox, mara):
    answer = mara.post("/users/getbyidlist", [sandbox.person("ines").id, "unknown"])

    assert [one["email"] for one in answer.json()["users"]] == ["ines.duarte@harbour.example"]


@pytest.mark.parametrize(
    ("itwin", "missing"),
    [
        ("harbour-bridge", set()),
        ("rail-corridor", {"imodels_delete"}),
        ("water-west", {"imodels_write", "imodels_manage", "imodels_delete"}),
    ],
)
def test_my_permissions_on_an_itwin(mara, ids, itwin, missing):
    mine = set(mara.get(f"/accesscontrol/itwins/{ids[itwin]}/permissions").json()["permissions"])

    every = {"imodels_webview", "imodels_read", "imodels_write", "imodels_manage", "imodels_delete"}
    assert every - mine == missing


def test_access_control_spells_its_404_differently(mara, ids):
    answer = mara.get(f"/accesscontrol/itwins/{ids['city-transit']}/permissions")

    assert (answer.status_code, error_of(answer)["code"]) == (404, "ItwinNotFound")


def test_among_ten_thousand_a_search_finds_and_paging_silently_stops_at_the_thousandth(sandbox, mara):
    sandbox.crowd(10_000)

    assert names(mara.get("/itwins", **{"$search": "section 04242"})) == ["Section 04242"]
    assert names(mara.get("/itwins", **{"$skip": 999, "$top": 5})) == ["Section 00998"]  # after two others


def test_all_permissions(mara):
    assert "imodels_manage" in mara.get("/accesscontrol/itwins/permissions").json()["permissions"]
