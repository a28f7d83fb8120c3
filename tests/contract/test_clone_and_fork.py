"""Sections 9, 10 and 11: clone, fork, and the operation that follows."""

import pytest

from tests.contract.conftest import details_of, error_of, new_id_in, operation_state

BOTH = pytest.mark.parametrize("verb", ["clone", "fork"])


@pytest.fixture
def copy(mara, ids):
    """copy("clone", name=...) -> the answer to a clone or fork of Main Bridge into its own iTwin."""

    def ask(verb, source="main-bridge", **body):
        spec = {"iTwinId": ids["harbour-bridge"], "name": "Copy"} | body
        return mara.post(f"/imodels/{ids.get(source, source)}/{verb}", spec)

    return ask


def changesets(caller, imodel_id):
    return caller.get(f"/imodels/{imodel_id}/changesets", **{"$top": 1000}).json()["changesets"]


@BOTH
def test_the_answer_is_202_without_a_body_and_two_headers(sandbox, copy, verb):
    answer = copy(verb)

    new_id = sandbox.imodels_named("Copy")[0].id
    assert (answer.status_code, answer.content) == (202, b"")
    assert answer.headers["Location"] == f"{sandbox.url}/imodels/{new_id}"
    assert answer.headers["Create-iModel-Operation"] == f"{sandbox.url}/imodels/{new_id}/operations/create"


def test_a_clone_names_its_source_and_last_changeset(sandbox, mara, ids, copy):
    new_id = new_id_in(copy("clone"))

    operation = mara.get(f"/imodels/{new_id}/operations/create").json()["createOperation"]
    last = changesets(mara, ids["main-bridge"])[-1]["id"]
    assert operation == {
        "state": "scheduled",
        "clonedFrom": {"iModelId": ids["main-bridge"], "changesetId": last},
        "forkedFrom": None,
    }


def test_a_fork_names_its_main_imodel_and_their_relationship(mara, ids, copy):
    new_id = new_id_in(copy("fork", changesetIndex=5))

    operation = mara.get(f"/imodels/{new_id}/operations/create").json()["createOperation"]
    fifth = changesets(mara, ids["main-bridge"])[4]["id"]
    assert operation["clonedFrom"] is None
    assert operation["forkedFrom"].pop("relationshipId")
    assert operation["forkedFrom"] == {"iModelId": ids["main-bridge"], "changesetId": fifth}


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({}, 120),
        ({"changesetId": None, "changesetIndex": None}, 120),
        ({"changesetId": ""}, 0),
        ({"changesetIndex": 0}, 0),
        ({"changesetIndex": 1}, 1),
        ({"changesetIndex": 120}, 120),
    ],
)
def test_absent_means_all_and_empty_or_0_means_none(sandbox, mara, copy, body, count):
    new_id = new_id_in(copy("clone", **body))
    sandbox.finish(new_id)

    assert len(changesets(mara, new_id)) == count
    cloned_from = mara.get(f"/imodels/{new_id}/operations/create").json()["createOperation"]["clonedFrom"]
    assert bool(cloned_from["changesetId"]) == bool(count)
    assert bool(mara.get(f"/imodels/{new_id}").json()["iModel"]["lastChangesetPushDateTime"]) == bool(count)


def test_a_changeset_by_id_is_the_last_copied(sandbox, mara, ids, copy):
    fifth = changesets(mara, ids["main-bridge"])[4]["id"]
    new_id = new_id_in(copy("clone", changesetId=fifth))
    sandbox.finish(new_id)

    assert [one["index"] for one in changesets(mara, new_id)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("preserve", "count"), [(True, 120), (False, 0), (None, 0)])
def test_a_fork_is_squashed_unless_history_is_preserved(sandbox, mara, copy, preserve, count):
    new_id = new_id_in(copy("fork", preserveHistory=preserve))
    sandbox.finish(new_id)

    assert len(changesets(mara, new_id)) == count


def test_named_versions_are_not_copied(sandbox, mara, copy):
    new_id = new_id_in(copy("clone"))
    sandbox.finish(new_id)

    assert mara.get(f"/imodels/{new_id}/namedversions").json()["namedVersions"] == []


@BOTH
def test_name_description_and_extent_come_from_the_source(mara, ids, verb):
    answer = mara.post(f"/imodels/{ids['main-bridge']}/{verb}", {"iTwinId": ids["rail-corridor"], "name": None})

    source = mara.get(f"/imodels/{ids['main-bridge']}").json()["iModel"]
    made = mara.get(f"/imodels/{new_id_in(answer)}").json()["iModel"]
    assert all(made[name] == source[name] for name in ("name", "description", "extent"))


@BOTH
@pytest.mark.parametrize(("sent", "kept"), [({"containersEnabled": 7}, 7), ({}, 0)])
def test_enabled_containers_are_kept_and_not_copied(sandbox, mara, ids, copy, verb, sent, kept):
    sandbox.world.imodels[ids["main-bridge"]].containers_enabled = 1

    new_id = new_id_in(copy(verb, **sent))

    assert mara.get(f"/imodels/{new_id}").json()["iModel"]["containersEnabled"] == kept


@BOTH
def test_an_unknown_property_is_ignored_when_switched(sandbox, copy, verb):
    sandbox.switch(strict=False)

    assert copy(verb, extent=None).status_code == 202


@BOTH
def test_without_a_name_a_copy_into_the_same_itwin_collides(copy, verb):
    answer = copy(verb, name=None)

    assert (answer.status_code, error_of(answer)["code"]) == (409, "iModelExists")


@BOTH
@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"iTwinId": None}, ("MissingRequiredProperty", "iTwinId")),
        ({"name": ""}, ("InvalidValue", "name")),
        ({"name": "   "}, ("InvalidValue", "name")),
        ({"name": "x" * 256}, ("InvalidValue", "name")),
        ({"description": ""}, ("InvalidValue", "description")),
        ({"description": "x" * 256}, ("InvalidValue", "description")),
        ({"changesetIndex": -1}, ("InvalidValue", "changesetIndex")),
        ({"changesetIndex": "5"}, ("InvalidValue", "changesetIndex")),
        ({"changesetIndex": True}, ("InvalidValue", "changesetIndex")),
        ({"changesetIndex": 1.5}, ("InvalidValue", "changesetIndex")),
        ({"changesetIndex": 2**63}, ("InvalidValue", "changesetIndex")),
        ({"changesetId": 5}, ("InvalidValue", "changesetId")),
        ({"changesetId": "", "changesetIndex": 0}, ("MutuallyExclusivePropertiesProvided", None)),
        ({"changesetId": "f" * 40, "changesetIndex": 5}, ("MutuallyExclusivePropertiesProvided", None)),
        ({"containersEnabled": "all"}, ("InvalidValue", "containersEnabled")),
        ({"extent": None}, ("InvalidValue", "extent")),
        ({"template": None}, ("InvalidValue", "template")),
    ],
)
def test_what_is_wrong_is_named_with_its_property(copy, verb, body, detail):
    answer = copy(verb, **body)

    assert details_of(answer) == [detail]
    assert error_of(answer)["message"] == f"Cannot {verb} iModel."


def test_a_clone_knows_no_preserve_history(copy):
    assert details_of(copy("clone", preserveHistory=True)) == [("InvalidValue", "preserveHistory")]


def test_preserve_history_is_a_boolean(copy):
    assert details_of(copy("fork", preserveHistory="yes")) == [("InvalidValue", "preserveHistory")]


@BOTH
@pytest.mark.parametrize(
    ("source", "body", "status", "code"),
    [
        ("unknown", {}, 404, "iModelNotFound"),
        ("metro-line-4", {}, 404, "iModelNotFound"),
        ("main-bridge", {"iTwinId": "unknown"}, 404, "iTwinNotFound"),
        ("main-bridge", {"changesetId": "f" * 40}, 404, "ChangesetNotFound"),
        ("main-bridge", {"changesetIndex": 121}, 404, "ChangesetNotFound"),
        ("depot", {"changesetIndex": 1}, 404, "ChangesetNotFound"),
        ("main-bridge", {"name": "old quay"}, 409, "iModelExists"),
        ("not-initialized", {}, 409, "iModelNotInitialized"),
        ("pumping-station", {}, 403, "InsufficientPermissions"),
    ],
)
def test_what_is_refused_says_why(copy, verb, source, body, status, code):
    answer = copy(verb, source, **body)

    assert (answer.status_code, error_of(answer)["code"]) == (status, code)


@BOTH
def test_manage_is_needed_on_the_target_too(copy, ids, verb):
    assert copy(verb, iTwinId=ids["water-west"]).status_code == 403


@BOTH
def test_a_secured_source_needs_webview_on_itself_beside_manage_on_its_itwin(sandbox, otto, ids, verb):
    metro, spec = ids["metro-line-4"], {"iTwinId": ids["city-transit"], "name": "Copy"}

    sandbox.world.imodels[metro].permissions = {}
    assert otto.post(f"/imodels/{metro}/{verb}", spec).status_code == 403

    sandbox.world.imodels[metro].permissions = {sandbox.person("otto").id: ["imodels_webview"]}
    assert otto.post(f"/imodels/{metro}/{verb}", spec).status_code == 202


def test_an_application_outside_the_preview_may_not_fork(sandbox, copy):
    sandbox.switch(fork_preview=False)

    answer = copy("fork")

    assert (answer.status_code, error_of(answer)["code"]) == (403, "InsufficientPermissions")
    assert copy("clone").status_code == 202


def test_initialized_may_precede_successful(sandbox, mara, copy):
    sandbox.advance_manually()
    new_id = new_id_in(copy("clone"))

    states = [(mara.get(f"/imodels/{new_id}").json()["iModel"]["state"], operation_state(mara, new_id))]
    sandbox.initialize(new_id)
    states.append((mara.get(f"/imodels/{new_id}").json()["iModel"]["state"], operation_state(mara, new_id)))
    sandbox.finish(new_id)
    states.append((mara.get(f"/imodels/{new_id}").json()["iModel"]["state"], operation_state(mara, new_id)))

    assert states == [
        ("notInitialized", "scheduled"),
        ("initialized", "scheduled"),
        ("initialized", "successful"),
    ]


def test_by_the_clock_main_bridge_takes_forty_seconds_and_is_usable_before(sandbox, mara, copy):
    now = sandbox.world.clock()
    new_id = new_id_in(copy("clone"))
    creation = sandbox.world.imodels[new_id].creation

    assert 39 < creation.ends_at - now < 42
    assert creation.initialized_at < creation.ends_at


def test_a_faster_sandbox_ends_sooner(sandbox, mara, copy):
    sandbox.advance_by_clock(speed=1_000_000)

    assert operation_state(mara, new_id_in(copy("fork", preserveHistory=True))) == "successful"


def test_by_looks_an_operation_ends_after_so_many(sandbox, mara, copy):
    sandbox.advance_by_polls(2)
    new_id = new_id_in(copy("clone"))

    assert [operation_state(mara, new_id) for _ in range(4)] == ["scheduled", "scheduled", "successful", "successful"]


def test_a_fork_without_federation_guids_fails_by_its_own_name(sandbox, mara, copy):
    sandbox.advance_by_clock(speed=1_000_000)

    assert operation_state(mara, new_id_in(copy("fork", "no-federation-guids"))) == "mainIModelIsMissingFederationGuids"
    assert operation_state(mara, new_id_in(copy("clone", "no-federation-guids", name="Other"))) == "successful"


@pytest.mark.parametrize("outcome", ["failed", "mainIModelIsMissingFederationGuids", "somethingNew"])
def test_the_next_creation_ends_as_ordered_and_only_that(sandbox, mara, copy, outcome):
    sandbox.advance_by_clock(speed=1_000_000)
    sandbox.next_outcome(outcome)
    failed, fine = new_id_in(copy("fork")), new_id_in(copy("fork", name="Another"))

    assert operation_state(mara, failed) == outcome
    assert mara.get(f"/imodels/{failed}").json()["iModel"]["state"] == "notInitialized"
    assert operation_state(mara, fine) == "successful"


@pytest.mark.parametrize(("keeps", "status"), [(True, 409), (False, 202)])
def test_a_failed_creation_keeps_its_name_unless_switched(sandbox, copy, keeps, status):
    sandbox.switch(failed_keeps_name=keeps)
    sandbox.finish(new_id_in(copy("clone")), "failed")

    assert copy("clone").status_code == status


def test_a_name_is_taken_while_the_clone_is_being_made(copy):
    copy("clone")

    assert copy("clone", name="copy").status_code == 409


def test_the_operation_of_what_one_may_not_see_is_404(otto, copy):
    answer = otto.get(f"/imodels/{new_id_in(copy('clone'))}/operations/create")

    assert answer.status_code == 404
    assert answer.json() == {"error": {"code": "iModelNotFound", "message": "Requested iModel is not available."}}


def test_the_operation_may_be_late_to_appear(sandbox, mara, copy):
    sandbox.switch(operation_lag_s=60)

    assert mara.get(f"/imodels/{new_id_in(copy('clone'))}/operations/create").status_code == 404


def test_webview_is_enough_to_look_at_an_operation(mara, ids):
    assert operation_state(mara, ids["west-main"]) == "successful"


def test_the_imodel_that_never_gets_ready_stays_scheduled(sandbox, mara, ids):
    assert operation_state(mara, ids["not-initialized"]) == "scheduled"


def test_changesets_pushed_later_do_not_reach_a_clone(sandbox, mara, ids, copy):
    new_id = new_id_in(copy("clone"))
    sandbox.finish(new_id)
    sandbox.push_changeset(ids["main-bridge"])

    assert len(changesets(mara, ids["main-bridge"])) == 121
    assert len(changesets(mara, new_id)) == 120


def test_changesets_pushed_to_a_clone_do_not_reach_its_source(sandbox, mara, ids, copy):
    new_id = new_id_in(copy("clone", changesetIndex=10))
    sandbox.finish(new_id)
    sandbox.push_changeset(new_id)

    assert len(changesets(mara, new_id)) == 11
    assert len(changesets(mara, ids["main-bridge"])) == 120


def test_a_clone_outlives_its_source(sandbox, mara, ids, copy):
    new_id = new_id_in(copy("clone"))
    sandbox.finish(new_id)
    mara.ask("DELETE", f"/imodels/{ids['main-bridge']}")

    assert len(changesets(mara, new_id)) == 120
