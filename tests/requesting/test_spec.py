"""From a wish to the exact request: absent, "", 0, an index and an id stay five different things."""

import json

import pytest

from imodels_app.requesting.spec import fingerprint
from imodels_app.states import ChangesetSelection, Kind

SHA = "1f2e04b666edce395e37a795e2231e995cbf8349"


@pytest.mark.parametrize(
    ("fields", "changeset"),
    [
        ({"up_to": ChangesetSelection.EVERYTHING, "changeset_index": None}, {}),
        ({"up_to": ChangesetSelection.BASELINE, "changeset_index": None}, {"changesetId": ""}),
        ({"up_to": ChangesetSelection.CHANGESET, "changeset_index": 0}, {"changesetIndex": 0}),
        ({"up_to": ChangesetSelection.CHANGESET, "changeset_index": 118}, {"changesetIndex": 118}),
        ({"up_to": ChangesetSelection.CHANGESET, "changeset_index": None, "changeset_id": SHA}, {"changesetId": SHA}),
        ({"up_to": ChangesetSelection.LATEST, "changeset_index": 120}, {"changesetIndex": 120}),
    ],
)
def test_each_way_to_say_a_changeset_is_its_own_body(spec_for, fields, changeset):
    body = json.loads(spec_for(Kind.CLONE, name="Pier 7", **fields).body_text)

    assert {key: body[key] for key in body if key.startswith("changeset")} == changeset


def test_an_empty_description_is_not_sent(spec_for):
    assert "description" not in spec_for(Kind.CLONE, description="").body
    assert spec_for(Kind.CLONE, description="East").body["description"] == "East"


def test_a_template_is_sent_to_the_collection_with_the_id_alone(spec_for):
    spec = spec_for(Kind.TEMPLATE, changeset_id=SHA)

    assert spec.path == "/imodels"
    assert spec.body["template"] == {"iModelId": spec.source.id, "changesetId": SHA}
    assert not [key for key in spec.body if key.startswith("changeset")]
    assert spec_for(Kind.TEMPLATE, up_to=ChangesetSelection.BASELINE).body["template"] == {"iModelId": spec.source.id}


def test_a_clone_never_speaks_of_history(spec_for):
    assert "preserveHistory" not in spec_for(Kind.CLONE).body
    assert spec_for(Kind.FORK, preserve_history=False).body["preserveHistory"] is False


@pytest.mark.parametrize("change", [{"name": "Pier 8"}, {"changeset_index": 119}, {"preserve_history": False}])
def test_another_request_has_another_fingerprint(spec_for, change):
    asked = spec_for(Kind.FORK, name="Pier 7")

    assert spec_for(Kind.FORK, name="Pier 7").fingerprint("1") == asked.fingerprint("1")
    assert spec_for(Kind.FORK, **({"name": "Pier 7"} | change)).fingerprint("1") != asked.fingerprint("1")


def test_another_requester_has_another_fingerprint(spec_for):
    asked = spec_for(Kind.FORK)

    assert asked.fingerprint("1") != asked.fingerprint("2")


def test_no_shifting_of_text_between_parts_gives_the_same_fingerprint():
    assert fingerprint("/a", "b", "c", {}) != fingerprint("/ab", "", "c", {})
