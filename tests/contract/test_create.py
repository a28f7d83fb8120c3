"""Section 6: Create iModel."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.conftest import details_of, error_of, operation_state

EXTENT = {"southWest": {"latitude": 46.1, "longitude": 7.6}, "northEast": {"latitude": 46.3, "longitude": 7.8}}


@pytest.fixture
def spec(ids):
    return {"iTwinId": ids["harbour-bridge"], "name": "Sun City"}


def test_the_answer_has_every_documented_property(sandbox, mara, spec):
    answer = mara.post("/imodels", spec | {"description": "Wind and solar", "extent": EXTENT})

    imodel = answer.json()["iModel"]
    url = f"{sandbox.url}/imodels/{imodel['id']}"
    assert answer.status_code == 201
    assert imodel.pop("createdDateTime").endswith("Z")
    assert imodel == {
        "id": imodel["id"],
        "displayName": "Sun City",
        "dataCenterLocation": "East US",
        "name": "Sun City",
        "description": "Wind and solar",
        "state": "initialized",
        "lastChangesetPushDateTime": None,
        "iTwinId": spec["iTwinId"],
        "isSecured": False,
        "extent": EXTENT,
        "containersEnabled": 0,
        "_links": {
            "creator": {"href": f"{url}/users/{sandbox.person('mara').id}"},
            "changesets": {"href": f"{url}/changesets"},
            "namedVersions": {"href": f"{url}/namedversions"},
            "upload": None,
            "complete": None,
        },
    }


@pytest.mark.parametrize("path", ["/imodels", "/imodels/"])
def test_the_last_slash_does_not_matter(mara, spec, path):
    assert mara.post(path, spec).status_code == 201


def test_empty_without_a_mode_is_finished_in_the_answer(mara, spec):
    imodel = mara.post("/imodels", spec).json()["iModel"]

    assert imodel["state"] == "initialized"
    assert operation_state(mara, imodel["id"]) == "successful"


@pytest.mark.parametrize(
    ("extra", "state"),
    [
        ({"creationMode": "empty"}, "scheduled"),
        ({"creationMode": "empty", "geographicCoordinateSystem": {"horizontalCRSId": "EPSG:3857"}}, "scheduled"),
        ({"template": {"iModelId": "main-bridge"}}, "scheduled"),
        ({"template": {"iModelId": "main-bridge"}, "creationMode": "fromiModelVersion"}, "scheduled"),
        ({"template": {"iModelId": "main-bridge"}, "creationMode": "fromIModelVersion"}, "scheduled"),
        ({"baselineFile": {"size": 10}}, "waitingForFile"),
        ({"baselineFile": {"size": 10}, "creationMode": "fromBaseline"}, "waitingForFile"),
    ],
)
def test_every_other_way_is_followed_by_its_operation(mara, ids, spec, extra, state):
    if "template" in extra:
        extra = extra | {"template": {"iModelId": ids["main-bridge"]}}
    imodel = mara.post("/imodels", spec | extra).json()["iModel"]

    assert imodel["state"] == "notInitialized"
    operation = mara.get(f"/imodels/{imodel['id']}/operations/create").json()
    assert operation == {"createOperation": {"state": state, "clonedFrom": None, "forkedFrom": None}}


def test_null_template_and_baseline_mean_empty(mara, spec):
    answer = mara.post("/imodels", spec | {"template": None, "baselineFile": None, "extent": None})

    assert answer.json()["iModel"]["state"] == "initialized"


@pytest.mark.parametrize(
    ("extra", "detail"),
    [
        ({"iTwinId": None}, ("MissingRequiredProperty", "iTwinId")),
        ({"iTwinId": 7}, ("InvalidValue", "iTwinId")),
        ({"name": None}, ("MissingRequiredProperty", "name")),
        ({"name": ""}, ("InvalidValue", "name")),
        ({"name": " \t "}, ("InvalidValue", "name")),
        ({"name": "x" * 256}, ("InvalidValue", "name")),
        ({"name": 5}, ("InvalidValue", "name")),
        ({"description": "x" * 256}, ("InvalidValue", "description")),
        ({"extent": {"southWest": {"latitude": 1, "longitude": 1}}}, ("InvalidValue", "extent")),
        ({"extent": EXTENT | {"northEast": {"latitude": 1}}}, ("InvalidValue", "extent")),
        ({"extent": EXTENT | {"northEast": {"latitude": 90.1, "longitude": 1}}}, ("InvalidValue", "extent")),
        ({"extent": EXTENT | {"northEast": {"latitude": 9, "longitude": -180.1}}}, ("InvalidValue", "extent")),
        ({"extent": "everywhere"}, ("InvalidValue", "extent")),
        ({"template": {"changesetId": "x"}}, ("MissingRequiredProperty", "template.iModelId")),
        ({"template": "x"}, ("InvalidValue", "template")),
        ({"baselineFile": {}}, ("MissingRequiredProperty", "baselineFile.size")),
        ({"baselineFile": {"size": 0}}, ("InvalidValue", "baselineFile.size")),
        ({"baselineFile": {"size": "10"}}, ("InvalidValue", "baselineFile.size")),
        ({"baselineFile": {"size": 1}, "template": {"iModelId": "x"}}, ("MutuallyExclusivePropertiesProvided", None)),
        ({"creationMode": "clone"}, ("InvalidValue", "creationMode")),
        ({"creationMode": "fromBaseline"}, ("MissingRequiredProperty", "baselineFile")),
        ({"creationMode": "empty", "baselineFile": {"size": 1}}, ("InvalidValue", "creationMode")),
        ({"geographicCoordinateSystem": "EPSG:3857"}, ("InvalidValue", "geographicCoordinateSystem")),
        ({"containersEnabled": 8}, ("InvalidValue", "containersEnabled")),
        ({"containersEnabled": True}, ("InvalidValue", "containersEnabled")),
        ({"itwinId": "x"}, ("InvalidValue", "itwinId")),
    ],
)
def test_what_is_wrong_is_named_with_its_property(mara, spec, extra, detail):
    assert details_of(mara.post("/imodels", spec | extra)) == [detail]


def test_all_that_is_wrong_is_said_at_once(mara, spec):
    answer = mara.post("/imodels", {"extent": EXTENT | {"southWest": {"latitude": -91, "longitude": 0}}})

    assert set(details_of(answer)) == {
        ("MissingRequiredProperty", "iTwinId"),
        ("MissingRequiredProperty", "name"),
        ("InvalidValue", "extent"),
    }
    assert "Valid 'latitude' value range is -90 to 90." in answer.text


@pytest.mark.parametrize("description", [None, "", "  ", "x" * 255])
def test_a_description_may_be_null_blank_or_255_long(mara, spec, description):
    answer = mara.post("/imodels", spec | {"description": description})

    assert answer.json()["iModel"]["description"] == description


def test_a_description_that_is_too_long_is_refused_in_the_platforms_words(mara, spec):
    answer = mara.post("/imodels", spec | {"description": "x" * 256})

    message = "Provided 'description' value is not valid. The value exceeds allowed 255 characters."
    assert error_of(answer)["details"] == [{"code": "InvalidValue", "message": message, "target": "description"}]


@pytest.mark.parametrize("containers", [0, 1, 7])
def test_enabled_containers_are_kept(mara, spec, containers):
    made = mara.post("/imodels", spec | {"containersEnabled": containers}).json()["iModel"]

    assert made["containersEnabled"] == containers
    assert mara.get(f"/imodels/{made['id']}").json()["iModel"] == made


def test_an_unknown_property_is_ignored_when_switched(sandbox, mara, spec):
    sandbox.switch(strict=False)

    assert mara.post("/imodels", spec | {"itwinId": "x"}).status_code == 201


def test_a_swapped_extent_is_accepted(mara, spec):
    swapped = {"southWest": EXTENT["northEast"], "northEast": EXTENT["southWest"]}

    assert mara.post("/imodels", spec | {"extent": swapped}).status_code == 201


@given(name=st.text(min_size=1, max_size=255).filter(str.strip).filter(lambda text: text.isprintable()))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_of_1_to_255_characters_can_be_found_again(sandbox, mara, spec, name):
    sandbox.limits_off()
    for old in sandbox.imodels_named(name, spec["iTwinId"]):
        sandbox.world.delete_imodel(old.id)

    made = mara.post("/imodels", spec | {"name": name}).json()["iModel"]

    found = mara.get("/imodels", iTwinId=spec["iTwinId"], name=name).json()["iModels"]
    assert [one["id"] for one in found] == [made["id"]]
    assert made["name"] == name


@pytest.mark.parametrize("name", ["Main Bridge", "main bridge", "MAIN BRIDGE"])
def test_a_name_is_taken_whatever_its_case(mara, spec, name):
    answer = mara.post("/imodels", spec | {"name": name})

    assert answer.status_code == 409
    message = "iModel with the same name already exists within the iTwin."
    assert answer.json() == {"error": {"code": "iModelExists", "message": message}}


def test_the_same_name_is_free_in_another_itwin(mara, ids):
    answer = mara.post("/imodels", {"iTwinId": ids["rail-corridor"], "name": "Main Bridge"})

    assert answer.status_code == 201


@pytest.mark.parametrize("itwin", ["city-transit", "unknown", "not a guid"])
def test_an_itwin_one_may_not_see_is_404(mara, ids, itwin):
    answer = mara.post("/imodels", {"iTwinId": ids.get(itwin, itwin), "name": "x"})

    assert answer.status_code == 404
    assert answer.json() == {"error": {"code": "iTwinNotFound", "message": "Requested iTwin is not available."}}


def test_without_manage_on_the_itwin_it_is_403(mara, ids):
    answer = mara.post("/imodels", {"iTwinId": ids["water-west"], "name": "x"})

    assert answer.status_code == 403
    message = "The user has insufficient permissions for the requested operation."
    assert answer.json() == {"error": {"code": "InsufficientPermissions", "message": message}}


@pytest.mark.parametrize(
    ("template", "status", "code"),
    [
        ({"iModelId": "unknown"}, 404, "iModelNotFound"),
        ({"iModelId": "metro-line-4"}, 404, "iModelNotFound"),
        ({"iModelId": "main-bridge", "changesetId": "f" * 40}, 404, "ChangesetNotFound"),
        ({"iModelId": "not-initialized"}, 409, "iModelNotInitialized"),
        ({"iModelId": "main-bridge", "changesetId": ""}, 201, None),
        ({"iModelId": "main-bridge", "changesetId": None}, 201, None),
        ({"iModelId": "west-main"}, 201, None),
    ],
)
def test_a_template_must_exist_and_be_ready(mara, ids, spec, template, status, code):
    template = template | {"iModelId": ids.get(template["iModelId"], template["iModelId"])}
    answer = mara.post("/imodels", spec | {"template": template})

    assert answer.status_code == status
    assert code is None or error_of(answer)["code"] == code


def test_a_template_needs_imodels_read(sandbox, mara, ids, spec):
    sandbox.allow(ids["water-west"], "mara", ["imodels_webview"])

    assert mara.post("/imodels", spec | {"template": {"iModelId": ids["west-main"]}}).status_code == 403


def test_a_template_with_permissions_of_its_own_needs_imodels_read_there(sandbox, mara, ids, spec):
    sandbox.secure(ids["viaduct"], "mara", ["imodels_webview"])
    assert mara.post("/imodels", spec | {"template": {"iModelId": ids["viaduct"]}}).status_code == 403

    sandbox.secure(ids["viaduct"], "mara", ["imodels_webview", "imodels_read"])
    assert mara.post("/imodels", spec | {"template": {"iModelId": ids["viaduct"]}}).status_code == 201


def test_a_template_from_another_data_center_is_refused(sandbox, mara, ids, spec):
    sandbox.allow(ids["city-transit"], "mara", ["imodels_webview", "imodels_read"])

    answer = mara.post("/imodels", spec | {"template": {"iModelId": ids["metro-line-4"]}})

    assert details_of(answer) == [("InvalidValue", "template")]


def test_the_changesets_of_a_template_are_not_copied(sandbox, mara, ids, spec):
    made = mara.post("/imodels", spec | {"template": {"iModelId": ids["main-bridge"]}}).json()["iModel"]
    sandbox.finish(made["id"])

    assert mara.get(f"/imodels/{made['id']}/changesets").json()["changesets"] == []
