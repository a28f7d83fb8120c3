"""Section 12 and 4: details, lists and their pages, update, delete, changesets, named versions, users, favourites."""

import pytest

from tests.contract.conftest import details_of, error_of, walk


@pytest.fixture
def many(sandbox, mara, ids):
    """Seven iModels in Rail Corridor beside Viaduct and Depot."""
    for number in range(7):
        mara.post("/imodels", {"iTwinId": ids["rail-corridor"], "name": f"Section {number}", "description": "a & b"})
    return ids["rail-corridor"]


def names(answer):
    assert answer.status_code == 200
    return [one["displayName"] for one in answer.json()["iModels"]]


def test_details_are_the_full_representation(mara, ids):
    imodel = mara.get(f"/imodels/{ids['main-bridge']}").json()["iModel"]

    assert (imodel["displayName"], imodel["state"]) == ("Main Bridge", "initialized")
    assert imodel["lastChangesetPushDateTime"].endswith("Z")
    assert imodel["_links"]["upload"] is None


def test_ids_compare_whatever_their_case(mara, ids):
    assert mara.get(f"/imodels/{ids['main-bridge'].upper()}").status_code == 200


@pytest.mark.parametrize("path", ["", "/operations/create", "/changesets", "/namedversions", "/users", "/permissions"])
def test_what_one_may_not_see_is_404(mara, ids, path):
    answer = mara.get(f"/imodels/{ids['metro-line-4']}{path}")

    assert (answer.status_code, error_of(answer)["code"]) == (404, "iModelNotFound")


def test_a_list_of_an_itwin_one_may_not_see_is_404(mara, ids):
    answer = mara.get("/imodels", iTwinId=ids["city-transit"])

    assert (answer.status_code, error_of(answer)["code"]) == (404, "iTwinNotFound")


@pytest.mark.parametrize("path", ["/imodels", "/imodels/"])
def test_a_list_is_minimal_unless_a_representation_is_preferred(mara, ids, path):
    minimal = mara.get(path, iTwinId=ids["harbour-bridge"]).json()["iModels"][0]
    full = mara.full(path, iTwinId=ids["harbour-bridge"]).json()["iModels"][0]

    assert minimal == {"id": ids["main-bridge"], "displayName": "Main Bridge", "dataCenterLocation": "East US"}
    assert full == mara.get(f"/imodels/{ids['main-bridge']}").json()["iModel"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"name": "Section 3"}, ["Section 3"]),
        ({"name": "Section"}, []),
        ({"$search": "SECTION"}, [f"Section {n}" for n in range(7)]),
        ({"$search": "a & b", "$top": 2}, ["Section 0", "Section 1"]),
        ({"$search": "approach"}, ["Viaduct"]),
        ({"state": "notInitialized"}, []),
        ({"$orderBy": "name desc", "$top": 2}, ["Viaduct", "Section 6"]),
        ({"$orderBy": "createdDateTime desc", "$top": 1}, ["Section 6"]),
        ({"$orderBy": "createdDateTime", "$top": 2}, ["Viaduct", "Depot"]),
        ({"$top": 2, "$skip": 1}, ["Section 0", "Section 1"]),
        ({"$skip": 100}, []),
    ],
)
def test_a_list_filters_sorts_and_pages(mara, many, query, found):
    assert names(mara.get("/imodels", iTwinId=many, **query)) == found


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"$top": "many"}, ("InvalidValue", "$top")),
        ({"$skip": -1}, ("InvalidValue", "$skip")),
        ({"$orderBy": "size"}, ("InvalidValue", "$orderBy")),
        ({"state": "ready"}, ("InvalidValue", "state")),
        ({"$continuationToken": "nonsense"}, ("InvalidValue", "$continuationToken")),
        ({"$continuationToken": "", "$skip": 1}, ("MutuallyExclusiveParametersProvided", None)),
    ],
)
def test_a_parameter_out_of_range_is_422(mara, many, query, detail):
    assert details_of(mara.get("/imodels", iTwinId=many, **query)) == [detail]


@pytest.mark.parametrize("start", [{}, {"$skip": 0}, {"$continuationToken": ""}])
def test_following_next_finds_every_imodel_once(mara, many, start):
    answer = mara.get("/imodels", iTwinId=many, **{"$top": 2, "$search": "", **start})

    found = [one["displayName"] for one in walk(mara, answer, "iModels")]
    assert found == ["Depot", *(f"Section {n}" for n in range(7)), "Viaduct"]


def test_pages_link_to_their_neighbours(mara, many):
    first = mara.get("/imodels", iTwinId=many, **{"$top": 2}).json()["_links"]
    second = mara.get(first["next"]["href"]).json()["_links"]

    assert first["prev"] is None
    assert mara.get(second["prev"]["href"]).json()["iModels"] == mara.get(first["self"]["href"]).json()["iModels"]


def test_a_continued_list_hands_out_a_token(mara, many):
    href = mara.get("/imodels", iTwinId=many, **{"$top": 2, "$continuationToken": ""}).json()["_links"]["next"]["href"]

    assert "$continuationToken=" in href
    assert "$skip" not in href


def test_the_server_may_return_smaller_pages(sandbox, mara, many):
    sandbox.switch(page_size_cap=3)

    answer = mara.get("/imodels", iTwinId=many, **{"$top": 100})

    assert len(answer.json()["iModels"]) == 3
    assert len(list(walk(mara, answer, "iModels"))) == 9


def test_a_list_may_lag(sandbox, mara, many):
    sandbox.switch(list_lag_s=60)

    assert names(mara.get("/imodels", iTwinId=many)) == ["Depot", "Viaduct"]


def test_a_secured_imodel_is_absent_for_those_it_excludes(sandbox, mara, ids):
    sandbox.world.imodels[ids["west-main"]].permissions = {sandbox.person("otto").id: ["imodels_webview"]}

    assert "West Main DN800" not in names(mara.get("/imodels", iTwinId=ids["water-west"]))
    assert mara.get(f"/imodels/{ids['west-main']}").status_code == 403


def test_manage_lists_secured_imodels_too(sandbox, otto, ids):
    sandbox.world.imodels[ids["west-main"]].permissions = {}

    assert "West Main DN800" in names(otto.get("/imodels", iTwinId=ids["water-west"]))
    assert otto.get(f"/imodels/{ids['west-main']}/permissions").json() == {"permissions": []}


@pytest.mark.parametrize("part", ["", "/changesets", "/changesets/1", "/namedversions", "/operations/create"])
def test_what_is_in_a_secured_imodel_needs_webview_on_itself(sandbox, otto, ids, part):
    sandbox.world.imodels[ids["metro-line-4"]].permissions = {}
    assert otto.get(f"/imodels/{ids['metro-line-4']}{part}").status_code == 403

    sandbox.world.imodels[ids["metro-line-4"]].permissions = {sandbox.person("otto").id: ["imodels_webview"]}
    assert otto.get(f"/imodels/{ids['metro-line-4']}{part}").status_code == 200


# -- update and delete ---------------------------------------------------------------------------------------------


def test_an_update_changes_what_it_names(mara, ids):
    answer = mara.ask("PATCH", f"/imodels/{ids['depot']}", json={"name": "Depot West", "description": None})

    assert answer.status_code == 200
    assert answer.json()["iModel"] == mara.get(f"/imodels/{ids['depot']}").json()["iModel"]
    assert answer.json()["iModel"]["displayName"] == "Depot West"


def test_an_update_ignores_an_unknown_property_when_switched(sandbox, mara, ids):
    sandbox.switch(strict=False)

    answer = mara.ask("PATCH", f"/imodels/{ids['depot']}", json={"name": "Depot West", "state": "notInitialized"})

    assert (answer.json()["iModel"]["name"], answer.json()["iModel"]["state"]) == ("Depot West", "initialized")


def test_an_update_may_change_the_case_of_its_own_name(mara, ids):
    assert mara.ask("PATCH", f"/imodels/{ids['depot']}", json={"name": "DEPOT"}).status_code == 200


@pytest.mark.parametrize(
    ("imodel", "body", "status"),
    [
        ("depot", {}, 422),
        ("depot", {"name": " "}, 422),
        ("depot", {"name": None}, 422),
        ("depot", {"state": "initialized"}, 422),
        ("depot", {"name": "viaduct"}, 409),
        ("west-main", {"name": "x"}, 403),
        ("metro-line-4", {"name": "x"}, 404),
    ],
)
def test_an_update_is_refused(mara, ids, imodel, body, status):
    assert mara.ask("PATCH", f"/imodels/{ids[imodel]}", json=body).status_code == status


def test_a_deleted_imodel_is_gone_and_its_name_free(mara, ids):
    answer = mara.ask("DELETE", f"/imodels/{ids['no-federation-guids']}")

    assert (answer.status_code, answer.content) == (204, b"")
    assert mara.get(f"/imodels/{ids['no-federation-guids']}").status_code == 404
    assert mara.get(f"/imodels/{ids['no-federation-guids']}/operations/create").status_code == 404
    assert mara.post("/imodels", {"iTwinId": ids["harbour-bridge"], "name": "Old Quay"}).status_code == 201


def test_deleting_again_finds_nothing(mara, ids):
    path = f"/imodels/{ids['no-federation-guids']}"

    assert [mara.ask("DELETE", path).status_code for _ in range(2)] == [204, 404]


@pytest.mark.parametrize(("imodel", "status"), [("depot", 403), ("west-main", 403), ("metro-line-4", 404)])
def test_deleting_needs_imodels_delete(mara, ids, imodel, status):
    assert mara.ask("DELETE", f"/imodels/{ids[imodel]}").status_code == status


def test_an_imodel_may_be_deleted_while_it_is_being_made(mara, ids):
    assert mara.ask("DELETE", f"/imodels/{ids['not-initialized']}").status_code == 204


# -- changesets and named versions -----------------------------------------------------------------------------------


def test_a_changeset_has_every_documented_property(sandbox, mara, ids):
    item = mara.get(f"/imodels/{ids['main-bridge']}/changesets", **{"$top": 1}).json()["changesets"][0]

    assert set(item) == {
        "id", "displayName", "description", "index", "parentId", "creatorId", "pushDateTime", "state",
        "containingChanges", "fileSize", "briefcaseId", "groupId", "_links",
    }  # fmt: skip
    assert (item["displayName"], item["index"], item["parentId"]) == ("1", 1, "")
    assert (len(item["id"]), item["state"]) == (40, "fileUploaded")
    assert item["creatorId"] in sandbox.world.people
    assert set(item["_links"]) == {"self", "creator"}


def test_a_preferred_representation_says_more_of_a_changeset(mara, ids):
    item = mara.full(f"/imodels/{ids['main-bridge']}/changesets", **{"$top": 1}).json()["changesets"][0]

    assert item["application"]["name"]
    assert "synchronizationInfo" in item
    assert {"namedVersion", "currentOrPrecedingCheckpoint", "download"} <= set(item["_links"])


def test_each_changeset_names_the_one_before(mara, ids):
    answer = mara.get(f"/imodels/{ids['main-bridge']}/changesets", **{"$top": 50})
    found = list(walk(mara, answer, "changesets"))

    assert len(found) == 120
    assert [one["parentId"] for one in found[1:]] == [one["id"] for one in found[:-1]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"afterIndex": 117}, [118, 119, 120]),
        ({"lastIndex": 2}, [1, 2]),
        ({"lastIndex": 71, "$orderBy": "index desc", "$top": 2}, [71, 70]),
        ({"afterIndex": 5, "lastIndex": 7}, [6, 7]),
        ({"$orderBy": "index desc", "$top": 2}, [120, 119]),
    ],
)
def test_changesets_filter_and_sort_by_index(mara, ids, query, found):
    answer = mara.get(f"/imodels/{ids['main-bridge']}/changesets", **query)

    assert [one["index"] for one in answer.json()["changesets"]] == found


def test_one_changeset_by_id_or_index(mara, ids):
    url = f"/imodels/{ids['main-bridge']}/changesets"
    by_index = mara.get(f"{url}/40").json()["changeset"]

    assert by_index["index"] == 40
    assert mara.get(f"{url}/{by_index['id']}").json()["changeset"] == by_index
    assert by_index["_links"]["namedVersion"]["href"].startswith(mara.url)


@pytest.mark.parametrize("which", ["0", "121", "f" * 40])
def test_an_unknown_changeset_is_404(mara, ids, which):
    answer = mara.get(f"/imodels/{ids['main-bridge']}/changesets/{which}")

    assert (answer.status_code, error_of(answer)["code"]) == (404, "ChangesetNotFound")


def test_named_versions_point_at_changesets_and_one_at_the_baseline(mara, ids):
    versions = mara.get(f"/imodels/{ids['main-bridge']}/namedversions").json()["namedVersions"]

    assert [(one["displayName"], one["changesetIndex"]) for one in versions] == [
        ("Checked alignment", 0),
        ("30 % design", 40),
        ("60 % design", 96),
    ]
    assert versions[0]["changesetId"] is None
    assert set(versions[1]) == {"id", "displayName", "changesetId", "changesetIndex"}


@pytest.mark.parametrize(
    ("query", "count"), [({"name": "30 % design"}, 1), ({"$search": "DESIGN"}, 2), ({"state": "hidden"}, 0)]
)
def test_named_versions_filter(mara, ids, query, count):
    versions = mara.get(f"/imodels/{ids['main-bridge']}/namedversions", **query).json()["namedVersions"]

    assert len(versions) == count


def test_one_named_version(mara, ids):
    version = mara.full(f"/imodels/{ids['main-bridge']}/namedversions").json()["namedVersions"][1]

    assert mara.get(f"/imodels/{ids['main-bridge']}/namedversions/{version['id']}").json()["namedVersion"] == version
    assert {"name", "description", "createdDateTime", "state", "application", "_links"} <= set(version)
    answer = mara.get(f"/imodels/{ids['main-bridge']}/namedversions/unknown")
    assert (answer.status_code, error_of(answer)["code"]) == (404, "NamedVersionNotFound")
    assert error_of(answer)["message"] == "Requested Named Version is not available."


# -- users, permissions, favourites, recents -------------------------------------------------------------------------


def test_the_creator_link_leads_to_the_user(mara, ids):
    creator = mara.get(f"/imodels/{ids['main-bridge']}").json()["iModel"]["_links"]["creator"]["href"]

    user = mara.get(creator).json()["user"]
    assert (user["displayName"], user["surname"]) == ("tomas.novak@harbour.example", "Novak")
    assert user["statistics"]["pushedChangesetsCount"] > 0


def test_users_are_listed_and_an_unknown_one_is_404(mara, ids):
    users = mara.get(f"/imodels/{ids['main-bridge']}/users").json()["users"]

    assert [one["givenName"] for one in users] == ["Ines", "Mara", "Tomas"]
    answer = mara.get(f"/imodels/{ids['main-bridge']}/users/unknown")
    assert (answer.status_code, error_of(answer)["code"]) == (404, "UserNotFound")


@pytest.mark.parametrize(
    ("order", "given_names"),
    [
        ("givenName", ["Mara", "Otto"]),
        ("givenName desc", ["Otto", "Mara"]),
        ("surname", ["Otto", "Mara"]),
        ("surname desc,givenName", ["Mara", "Otto"]),
    ],
)
def test_users_are_sorted_by_name(mara, ids, order, given_names):
    users = mara.get(f"/imodels/{ids['west-main']}/users", **{"$orderBy": order}).json()["users"]

    assert [one["givenName"] for one in users] == given_names


def test_users_are_sorted_by_nothing_else(mara, ids):
    answer = mara.get(f"/imodels/{ids['main-bridge']}/users", **{"$orderBy": "email"})

    assert details_of(answer) == [("InvalidValue", "$orderBy")]


@pytest.mark.parametrize(
    ("imodel", "permissions"),
    [
        ("main-bridge", ["imodels_webview", "imodels_read", "imodels_write", "imodels_manage", "imodels_delete"]),
        ("viaduct", ["imodels_webview", "imodels_read", "imodels_write", "imodels_manage"]),
        ("west-main", ["imodels_webview", "imodels_read"]),
    ],
)
def test_my_permissions_on_an_imodel(mara, ids, imodel, permissions):
    assert mara.get(f"/imodels/{ids[imodel]}/permissions").json() == {"permissions": permissions}


def test_an_imodel_with_permissions_of_its_own_tells_those(sandbox, mara, ids):
    sandbox.secure(ids["viaduct"], "mara", ["imodels_webview", "imodels_read"])

    assert mara.get(f"/imodels/{ids['viaduct']}").json()["iModel"]["isSecured"] is True
    assert mara.get(f"/imodels/{ids['viaduct']}/permissions").json() == {
        "permissions": ["imodels_webview", "imodels_read"]
    }


def test_no_imodel_has_a_thumbnail(mara, ids):
    assert mara.get(f"/imodels/{ids['depot']}/thumbnail", size="small").status_code == 404


def test_favourites_are_put_and_deleted(mara, ids):
    path = f"/imodels/favorites/{ids['viaduct']}"

    assert mara.ask("PUT", path).status_code == 204
    assert names(mara.get("/imodels/favorites", iTwinId=ids["rail-corridor"])) == ["Viaduct"]
    assert names(mara.get("/imodels/favorites", iTwinId=ids["harbour-bridge"])) == []
    assert mara.ask("DELETE", path).status_code == 204
    assert names(mara.get("/imodels/favorites")) == []


def test_recents_are_newest_first_each_once_at_most_25(sandbox, mara, ids):
    for number in range(25):
        body = {"iTwinId": ids["harbour-bridge"], "name": f"R{number}"}
        mara.post(f"/imodels/recents/{mara.post('/imodels', body).json()['iModel']['id']}")
    for name in ("depot", "viaduct", "depot"):
        assert mara.ask("POST", f"/imodels/recents/{ids[name]}").status_code == 204

    found = names(mara.get("/imodels/recents"))
    assert found[:3] == ["Depot", "Viaduct", "R24"]
    assert len(found) == 25


def test_a_favourite_must_be_visible(mara, ids):
    assert mara.ask("PUT", f"/imodels/favorites/{ids['metro-line-4']}").status_code == 404
