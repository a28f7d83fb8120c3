"""Request forms: what a person may type, and the exact wish it becomes. The platform is the sandbox, over HTTP."""

import json
import uuid

import pytest

from imodels_app.accounts import tokens
from imodels_app.models import ApprovalRule
from imodels_app.requesting.catalog import Catalog
from imodels_app.requesting.copy_forms import CloneForm, ForkForm, TemplateForm
from imodels_app.requesting.forms import EmptyForm
from imodels_app.requesting.ranking import fold
from imodels_app.states import ChangesetSelection
from tests.requesting import picker_questions

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]


@pytest.fixture
def signed_in_mara(mara, sandbox):
    """Mara with tokens of the provider."""
    tokens.store(mara, sandbox.tokens_for("mara"))
    return mara


@pytest.fixture
def filled(signed_in_mara, sandbox):
    """filled(CloneForm, name=...): a form as a person fills it in, sent."""

    def fill(form_of, **typed):
        usual = {"itwin": "Harbour Bridge", "name": "Pier 7", "description": ""}
        if form_of is not EmptyForm:
            usual |= {"source": "Main Bridge", "up_to": "latest"}
        if form_of is ForkForm:
            usual |= {"preserve_history": "on", "reason": "Try the retrofit of pier 7."}
        return form_of(usual | typed, catalog=Catalog(signed_in_mara))

    return fill


def body(form):
    assert form.is_valid(), form.errors
    return form.spec().body


# What a wish becomes


def test_an_empty_form_asks_for_an_empty_imodel(filled, sandbox):
    spec = filled(EmptyForm, name="  Pier 7 ").spec()

    assert spec.path == "/imodels"
    assert spec.body == {"iTwinId": sandbox.ids["harbour-bridge"], "name": "Pier 7"}


def test_a_clone_goes_to_the_source_and_names_the_target(filled, sandbox):
    spec = filled(CloneForm, itwin="rail corridor 2027", description="For the tender").spec()

    assert spec.path == f"/imodels/{sandbox.ids['main-bridge']}/clone"
    assert spec.body["iTwinId"] == sandbox.ids["rail-corridor"]
    assert spec.body["description"] == "For the tender"


def test_a_blank_description_is_not_sent(filled):
    assert "description" not in body(filled(CloneForm, description="   "))


def test_absent_index_id_and_empty_id_are_four_different_requests(filled, signed_in_mara, sandbox):
    forty = Catalog(signed_in_mara).changeset(sandbox.ids["main-bridge"], "40").id
    ways = {
        "everything": body(filled(CloneForm, up_to="everything")),
        "index": body(filled(CloneForm, up_to="changeset", changeset="40")),
        "id": body(filled(CloneForm, up_to="changeset", changeset=forty.upper())),
        "baseline": body(filled(CloneForm, up_to="baseline")),
    }
    parts = {way: {key: sent[key] for key in sent if key.startswith("changeset")} for way, sent in ways.items()}

    assert parts == {
        "everything": {},
        "index": {"changesetIndex": 40},
        "id": {"changesetId": forty},
        "baseline": {"changesetId": ""},
    }


@pytest.mark.parametrize("zero", ["0", "#0", "000"])
def test_changeset_zero_is_the_baseline_by_its_index(filled, zero):
    assert body(filled(CloneForm, up_to="changeset", changeset=zero))["changesetIndex"] == 0


def test_all_up_to_now_is_pinned_at_the_newest_changeset(filled):
    form = filled(CloneForm)

    assert body(form)["changesetIndex"] == 120
    assert form.spec().up_to == ChangesetSelection.LATEST


def test_all_up_to_now_of_a_bare_baseline_is_index_zero(filled):
    assert body(filled(CloneForm, source="Depot"))["changesetIndex"] == 0


def test_what_was_shown_as_now_is_what_is_asked_for_when_newer_ones_came(filled, sandbox):
    form = filled(CloneForm, pinned=f"{sandbox.ids['main-bridge']}:118")

    assert body(form)["changesetIndex"] == 118
    assert form.spec().up_to == ChangesetSelection.CHANGESET


@pytest.mark.parametrize("pinned", ["", "garbage", "{source}:121", "{source}:-1", "{source}:", "{other}:3"])
def test_a_pin_that_fits_nothing_is_not_believed(filled, sandbox, pinned):
    pinned = pinned.format(source=sandbox.ids["main-bridge"], other=sandbox.ids["viaduct"])

    assert body(filled(CloneForm, pinned=pinned))["changesetIndex"] == 120


@pytest.mark.parametrize(("version", "index"), [("60 % design", 96), ("checked alignment", 0)])
def test_a_named_version_is_asked_for_by_its_changeset_even_if_that_is_the_baseline(filled, version, index):
    assert body(filled(CloneForm, up_to="version", version=version))["changesetIndex"] == index


def test_a_fork_keeps_its_history_or_not_and_never_sends_its_reason(filled):
    assert body(filled(ForkForm))["preserveHistory"] is True
    assert body(filled(ForkForm, preserve_history=""))["preserveHistory"] is False
    assert "reason" not in body(filled(ForkForm))
    assert filled(ForkForm).spec().reason == "Try the retrofit of pier 7."


def test_a_fork_knows_number_account_and_region_of_both_itwins(filled):
    """For whoever decides: names can be the same."""
    spec = filled(ForkForm).spec()

    assert spec.source
    for itwin in (spec.itwin, spec.source.itwin):
        assert itwin.number
        assert itwin.account_id
        assert itwin.region == "East US"


# From a template


@pytest.mark.parametrize(
    ("typed", "index"),
    [
        ({"up_to": "latest"}, 120),
        ({"up_to": "changeset", "changeset": "40"}, 40),
        ({"up_to": "changeset", "changeset": "#120"}, 120),
        ({"up_to": "version", "version": "60 % design"}, 96),
    ],
)
def test_a_template_is_asked_for_by_the_id_of_its_changeset(filled, signed_in_mara, sandbox, typed, index):
    form = filled(TemplateForm, **typed)
    source = sandbox.ids["main-bridge"]
    changeset = Catalog(signed_in_mara).changeset(source, str(index))

    assert body(form)["template"] == {"iModelId": source, "changesetId": changeset.id}
    assert (form.spec().path, form.spec().changeset_index) == ("/imodels", index)


def test_a_template_by_the_id_of_a_changeset_knows_its_number(filled, signed_in_mara, sandbox):
    forty = Catalog(signed_in_mara).changeset(sandbox.ids["main-bridge"], "40").id
    form = filled(TemplateForm, up_to="changeset", changeset=forty.upper())

    assert body(form)["template"]["changesetId"] == forty
    assert form.spec().changeset_index == 40


@pytest.mark.parametrize(
    "typed",
    [
        {"up_to": "baseline"},
        {"up_to": "changeset", "changeset": "0"},
        {"up_to": "version", "version": "Checked alignment"},
        {"source": "Depot"},
    ],
    ids=["baseline", "zero", "version", "bare"],
)
def test_a_template_without_a_changeset_is_its_baseline_only(filled, typed):
    assert set(body(filled(TemplateForm, **typed))["template"]) == {"iModelId"}


def test_a_template_is_pinned_at_the_changeset_that_was_shown(filled, signed_in_mara, sandbox):
    source = sandbox.ids["main-bridge"]
    form = filled(TemplateForm, pinned=f"{source}:118")

    assert body(form)["template"]["changesetId"] == Catalog(signed_in_mara).changeset(source, "118").id


def test_a_template_is_never_whatever_is_there_when_it_runs(filled):
    assert "up_to" in filled(TemplateForm, up_to="everything").errors


def test_a_template_may_be_read_only_but_must_be_in_the_same_data_center(filled, sandbox):
    sandbox.allow(sandbox.ids["city-transit"], "mara", ["imodels_webview", "imodels_read"])

    assert filled(TemplateForm, source="Pumping Station 3").is_valid()
    elsewhere = filled(TemplateForm, source=sandbox.ids["metro-line-4"])
    said = "Metro Line 4 is in North Europe, and Harbour Bridge in East US. "
    assert elsewhere.errors["source"] == [
        f"{said}A template and its target must be in the same data center. Pick another."
    ]


def test_creation_modes_are_sent_only_when_they_are_switched_on(filled, settings):
    assert {"creationMode", "geographicCoordinateSystem"}.isdisjoint(body(filled(EmptyForm, crs="EPSG:25832")))

    settings.ITWIN_CREATION_MODES = True
    empty = body(filled(EmptyForm, crs="25832"))
    assert (empty["creationMode"], empty["geographicCoordinateSystem"]) == ("empty", {"horizontalCRSId": "EPSG:25832"})
    assert "geographicCoordinateSystem" not in body(filled(EmptyForm))
    assert body(filled(TemplateForm))["creationMode"] == "fromiModelVersion"
    assert "creationMode" not in body(filled(CloneForm))


def test_a_coordinate_system_that_is_none_is_refused_at_its_field(filled, settings):
    settings.ITWIN_CREATION_MODES = True

    form = filled(EmptyForm, crs="somewhere in Denmark")
    assert form.errors["crs"] == ["“somewhere in Denmark” is not a coordinate system. Enter its id, like EPSG:25832."]
    assert form.draft() is None


# Where on the Earth

ORESUND = {"north": "55.6800", "south": "55,55", "west": "12.6", "east": "12.9"}


@pytest.mark.parametrize("form_of", [EmptyForm, TemplateForm])
def test_an_extent_is_sent_as_its_two_corners(filled, form_of):
    assert body(filled(form_of, **ORESUND))["extent"] == {
        "southWest": {"latitude": 55.55, "longitude": 12.6},
        "northEast": {"latitude": 55.68, "longitude": 12.9},
    }


def test_without_an_extent_none_is_sent(filled):
    assert "extent" not in body(filled(EmptyForm))


def test_a_clone_never_has_an_extent_of_its_own(filled):
    assert "extent" not in body(filled(CloneForm, **ORESUND))


def test_zero_degrees_are_degrees(filled):
    sent = body(filled(EmptyForm, north="0", south="-0", west="0", east="−0.0"))["extent"]

    assert json.dumps(sent).count("-") == 0
    assert sent["southWest"] == {"latitude": 0.0, "longitude": 0.0}


def test_a_partly_filled_extent_is_an_error_at_each_missing_side(filled):
    form = filled(EmptyForm, north="55.68", west="12.6")

    assert form.errors == {side: ["Enter all four numbers, or none."] for side in ("south", "east")}
    assert form.draft() is None


@pytest.mark.parametrize(
    ("side", "typed", "said"),
    [
        ("north", "90.1", "North is between −90 and 90 degrees."),
        ("south", "-91", "South is between −90 and 90 degrees."),
        ("west", "-180.5", "West is between −180 and 180 degrees."),
        ("east", "181", "East is between −180 and 180 degrees."),
        ("east", "12° 36′", "Enter degrees as a number, like 55.68."),
        ("north", "nan", "Enter degrees as a number, like 55.68."),
        ("north", "1e999", "Enter degrees as a number, like 55.68."),
    ],
)
def test_a_side_that_is_no_place_on_the_earth_is_refused_there(filled, side, typed, said):
    form = filled(EmptyForm, **(ORESUND | {side: typed}))

    assert form.errors == {side: [said]}


@pytest.mark.parametrize(("side", "most"), [("north", 90), ("south", -90), ("east", 180), ("west", -180)])
def test_the_whole_earth_is_allowed(filled, side, most):
    assert filled(EmptyForm, **(ORESUND | {side: str(most)})).is_valid()


# What is picked


@pytest.mark.parametrize(
    "typed",
    ["{id}", "  {ID} ", "https://developer.bentley.com/my-itwins/itwins/{id}/view", "see /itwins/{ID}?x=1, please"],
)
def test_an_itwin_can_be_pasted_as_id_or_link(filled, sandbox, typed):
    rail = sandbox.ids["rail-corridor"]

    assert body(filled(EmptyForm, itwin=typed.format(id=rail, ID=rail.upper())))["iTwinId"] == rail


def test_an_imodel_can_be_pasted_as_a_link_that_names_its_itwin_too(filled, sandbox):
    link = f"https://api.bentley.com/itwins/{sandbox.ids['rail-corridor']}/imodels/{sandbox.ids['viaduct']}/"

    assert filled(CloneForm, source=link).spec().source.name == "Viaduct"


def test_what_was_picked_counts_while_its_name_stands_there(filled, sandbox):
    rail = sandbox.ids["rail-corridor"]

    assert body(filled(EmptyForm, itwin="Rail Corridor 2027", itwin_id=rail))["iTwinId"] == rail


def test_what_is_typed_over_a_pick_counts(filled, sandbox):
    form = filled(EmptyForm, itwin="Harbour Bridge", itwin_id=sandbox.ids["rail-corridor"])

    assert body(form)["iTwinId"] == sandbox.ids["harbour-bridge"]


# What is refused


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("name", "   ", "Give the new iModel a name."),
        ("name", "x" * 256, "At most 255 characters; this has 256."),
        ("description", "x" * 256, "At most 255 characters; this has 256."),
        ("name", "main bridge", "Already in Harbour Bridge. Use “main bridge 2”"),
        ("itwin", "", "Pick the iTwin to put it in."),
        ("itwin", "Atlantis", "No iTwin “Atlantis” that you can see."),
        ("itwin", "harbour", "The only iTwin like “harbour” is “Harbour Bridge” (HB-2031)."),
        ("itwin", "{city-transit}", "No iTwin with this id, or you cannot see it."),
        ("itwin", "City Transit", "No iTwin “City Transit” that you can see."),
        ("itwin", "11111111-1111-4111-8111-111111111111", "No iTwin with this id, or you cannot see it."),
    ],
)
def test_a_wrong_field_says_what_to_do(filled, sandbox, field, typed, said):
    typed = sandbox.ids[typed.strip("{}")] if typed.startswith("{") else typed
    form = filled(EmptyForm, **{field: typed})

    assert not form.is_valid()
    assert list(form.errors) == [field]
    assert form.errors[field][0].startswith(said)


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("source", "", "Pick the iModel to copy."),
        ("source", "Main Bridge temporary works", "Main Bridge temporary works is not ready"),
        ("source", "{metro-line-4}", "No iModel with this id, or you cannot see it."),
        ("source", "main", "2 iModels match “main”|3 iModels match “main”|4 iModels match “main”"),
        ("up_to", "", "Choose how far to copy."),
        ("up_to", "sideways", "Choose how far to copy. The choices are: All up to now"),
        ("up_to", "LATEST", "Choose how far to copy."),
    ],
)
def test_a_wrong_source_or_way_to_copy_says_what_to_do(filled, sandbox, field, typed, said):
    typed = sandbox.ids[typed.strip("{}")] if typed.startswith("{") else typed
    form = filled(CloneForm, **{field: typed})

    assert not form.is_valid()
    assert list(form.errors) == [field]
    assert form.errors[field][0].startswith(tuple(said.split("|")))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "Enter the changeset’s number"),
        ("-1", "“-1” is not a changeset."),
        ("three", "“three” is not a changeset."),
        ("1.5", "“1.5” is not a changeset."),
        ("²", "“²” is not a changeset."),
        ("9" * 30, "“9999"),
        ("121", "Main Bridge has no changeset #121. The newest is #120."),
        ("f" * 40, "Main Bridge has no changeset ffffffff."),
    ],
)
def test_a_changeset_that_is_none_is_refused_at_its_field(filled, typed, said):
    form = filled(CloneForm, up_to="changeset", changeset=typed)

    assert not form.is_valid()
    assert form.errors["changeset"][0].startswith(said)


def test_a_version_that_is_none_is_refused_and_those_there_are_are_named(filled):
    form = filled(CloneForm, up_to="version", version="90 % design")

    assert form.errors["version"] == [
        "No named version “90 % design”. Pick one: “60 % design”, “30 % design”, “Checked alignment”."
    ]


@pytest.mark.parametrize(
    "raw",
    [{"changesetId": "", "changesetIndex": "0"}, {"changeset_id": "a" * 40, "changeset_index": "3"}],
)
def test_both_changeset_properties_by_hand_are_refused(filled, raw):
    form = filled(CloneForm, **raw)

    assert form.errors["up_to"] == ["Give a changeset by its id or its number, not both."]


@pytest.mark.parametrize("raw", ["changesetId", "changesetIndex"])
def test_one_changeset_property_by_hand_is_not_silently_left_out(filled, raw):
    assert "up_to" in filled(CloneForm, **{raw: "5"}).errors


def test_a_fork_is_always_pinned_and_needs_a_reason(filled):
    form = filled(ForkForm, up_to="everything", reason=" ")

    assert list(form.errors) == ["up_to", "reason"]
    assert form.errors["reason"][0].startswith("Say why you need the fork.")


@pytest.mark.parametrize("form_of", [EmptyForm, TemplateForm, CloneForm])
def test_a_reason_is_asked_for_where_a_rule_asks_people_to_approve_it(filled, form_of):
    assert filled(form_of).is_valid()
    ApprovalRule.objects.update(kinds=[])

    assert filled(form_of).errors == {"reason": ["Say why you need it: somebody has to approve it."]}
    assert filled(form_of, reason="For the tender.").spec().reason == "For the tender."


def test_a_platform_that_does_not_answer_is_nobodys_field(filled, sandbox):
    sandbox.fault("GET", r"/itwins", status=503, times=100)
    form = filled(EmptyForm)

    assert list(form.errors) == ["__all__"]
    assert "The platform is not answering. Send it again in a moment" in str(form.errors)
    assert form.draft() is None


def test_a_sign_in_that_ended_is_told_and_not_raised(filled, signed_in_mara):
    signed_in_mara.tokens.delete()
    signed_in_mara.refresh_from_db()

    assert filled(EmptyForm).sign_in_needed


@pytest.mark.parametrize("way", [{}, {"up_to": "version", "version": "60 % design"}, {"up_to": "baseline"}])
@pytest.mark.parametrize("is_picked", [False, True])
@pytest.mark.parametrize("form_of", [CloneForm, ForkForm, TemplateForm])
def test_a_source_into_which_one_may_not_look_is_refused_there(filled, sandbox, form_of, is_picked, way):
    sandbox.secure(sandbox.ids["depot"], "tomas", ["imodels_webview"])
    picked = {"source_id": sandbox.ids["depot"]} if is_picked else {}
    form = filled(form_of, source="Depot", **picked, **way)

    assert list(form.errors) == ["source"]
    assert form.errors["source"][0].startswith("You may not view the changesets of Depot; you need")


@pytest.mark.parametrize("form_of", [EmptyForm, CloneForm])
def test_a_text_that_the_platform_refuses_to_search_for_finds_nothing(filled, sandbox, form_of):
    sandbox.fault("GET", r"^/itwins$", status=422, times=9)
    form = filled(form_of)

    assert form.errors["itwin"] == [
        "No iTwin “Harbour Bridge” that you can see. Pick one from the list, or paste its id or link."
    ]


@pytest.mark.parametrize("form_of", [EmptyForm, CloneForm])
def test_a_text_longer_than_any_name_is_not_searched_for(filled, sandbox, form_of):
    form = filled(form_of, itwin="x" * 900, source="y" * 900)

    assert form.errors["itwin"][0].startswith("No iTwin “xxx")
    assert form_of is EmptyForm or form.errors["source"][0].startswith("No iModel “yyy")
    assert not [entry for entry in sandbox.journal if "xxx" in entry.query or "yyy" in entry.query]


def test_a_version_that_the_platform_refuses_to_search_for_is_none(filled, sandbox):
    sandbox.fault("GET", r"/namedversions$", status=422, times=1)
    form = filled(CloneForm, up_to="version", version="60 % design")

    assert "No named version “60 % design”." in form.errors["version"][0]


def test_a_name_that_was_not_looked_for_everywhere_is_not_said_to_be_nowhere(filled, sandbox):
    sandbox.crowd(40)

    assert filled(CloneForm, source="Section 00040 / Track bed 00040").is_valid()
    assert "Not every iTwin was searched" in filled(CloneForm, source="Track bed 00040").errors["source"][0]
    assert "searched" not in filled(CloneForm, source="Main Bridge", itwin="Atlantis").errors["itwin"][0]


# Without an answer


@pytest.fixture
def silent(sandbox):
    """A platform that answers nothing that is asked of it."""
    sandbox.fault("GET", r"/", status=503, times=500)
    return sandbox


def test_an_itwin_by_its_id_need_not_be_looked_up(filled, silent):
    spec = filled(EmptyForm, itwin=f"https://viewer.example/?iTwinId={silent.ids['harbour-bridge']}").spec()

    assert spec.body == {"iTwinId": silent.ids["harbour-bridge"], "name": "Pier 7"}


def test_a_clone_by_ids_is_looked_up_where_a_rule_asks_about_clones(filled, silent):
    """Who is asked depends on where its source lives: nobody gets past that team while the platform is silent."""
    ApprovalRule.objects.update(kinds=["clone"])

    ids = {"itwin": silent.ids["harbour-bridge"], "source": silent.ids["main-bridge"]}
    form = filled(CloneForm, **ids, up_to="baseline", reason="Why.")

    assert form.has_error("__all__", "unavailable")


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ({"up_to": "baseline"}, {"changesetId": ""}),
        ({"up_to": "everything"}, {}),
        ({"up_to": "changeset", "changeset": "#40"}, {"changesetIndex": 40}),
        ({"up_to": "changeset", "changeset": "0"}, {"changesetIndex": 0}),
        ({"up_to": "changeset", "changeset": "A" * 40}, {"changesetId": "a" * 40}),
    ],
)
def test_a_clone_by_ids_need_not_be_looked_up(filled, silent, typed, sent):
    ids = {"itwin": silent.ids["harbour-bridge"].upper(), "source": silent.ids["main-bridge"]}
    spec = filled(CloneForm, **ids, **typed).spec()

    assert spec.path == f"/imodels/{silent.ids['main-bridge']}/clone"
    assert spec.body == {"iTwinId": silent.ids["harbour-bridge"], "name": "Pier 7", **sent}


@pytest.mark.parametrize(
    ("form_of", "typed"),
    [
        (EmptyForm, {"itwin": "Harbour Bridge"}),
        (CloneForm, {"up_to": "latest"}),
        (CloneForm, {"up_to": "version", "version": "60 % design"}),
        (CloneForm, {"up_to": "baseline", "source": "Main Bridge"}),
        (TemplateForm, {"up_to": "baseline"}),
        (ForkForm, {"up_to": "baseline"}),
    ],
)
def test_whatever_depends_on_an_answer_waits_for_it(filled, silent, form_of, typed):
    ids = {"itwin": silent.ids["harbour-bridge"], "source": silent.ids["main-bridge"]}

    assert filled(form_of, **(ids | typed)).has_error("__all__", "unavailable")


def test_an_unanswered_question_never_pins_the_baseline(filled, sandbox):
    sandbox.fault("GET", r"/changesets", status=503, times=50)
    form = filled(CloneForm, pinned="")
    form.is_valid()
    assert form.pin == ""

    shown_before = f"{sandbox.ids['main-bridge']}:120"
    form = filled(CloneForm, pinned=shown_before)
    form.is_valid()
    assert form.pin == shown_before


# What is typed in full, among many that are called alike


@pytest.fixture
def crowded(sandbox):
    picker_questions.build(sandbox)
    sandbox.limits_off()
    return sandbox


@pytest.mark.parametrize("itwin", ["Rail", "RAIL", " rail ", "rl-1", "Area 077 Rail", "ar-130"])
def test_an_itwin_typed_in_full_is_that_one_among_many(filled, crowded, itwin):
    form = filled(EmptyForm, itwin=itwin)

    assert form.is_valid(), form.errors
    assert itwin.strip().casefold() in (form.into.name.casefold(), form.into.number.casefold())


@pytest.mark.parametrize(
    "name", ["Road", "Area 0007 Road", "AREA 1100 ROAD", "main  BRIDGE", picker_questions.decomposed("Örtliche Brücke")]
)
def test_an_imodel_typed_in_full_is_that_one_among_many(filled, crowded, name):
    form = filled(CloneForm, source=f"Harbour Bridge / {name}")

    assert form.is_valid(), form.errors
    assert fold(form.origin.imodel.name) == fold(name)


@pytest.mark.parametrize(("version", "number"), [("V1", 1), ("v1", 1), ("V1100", 1100), (str(uuid.UUID(int=700)), 700)])
def test_a_named_version_typed_in_full_is_that_one_among_many(filled, crowded, version, number):
    form = filled(CloneForm, source=crowded.ids["viaduct"], up_to="version", version=version)

    assert body(form)["changesetIndex"] == number % 14 + 1


def test_a_list_that_was_cut_decides_nothing(filled, crowded):
    form = filled(CloneForm, source="Main Bridge")

    said = "Is it “Main Bridge” in Harbour Bridge? Not every iTwin was searched for another of this name. "
    assert form.errors["source"] == [f"{said}Pick it from the list, or type “Harbour Bridge / Main Bridge”."]
    assert filled(CloneForm, source="Main Bridge", source_id=crowded.ids["main-bridge"]).is_valid()


@pytest.mark.parametrize("page_size", [7, 100])
def test_however_short_its_pages_are_the_platform_is_asked_for_what_is_named_exactly(filled, crowded, page_size):
    crowded.switch(page_size_cap=page_size)

    assert filled(EmptyForm, itwin="Rail").is_valid()
    assert filled(CloneForm, source="Harbour Bridge / Road").is_valid()
    assert filled(CloneForm, source=crowded.ids["viaduct"], up_to="version", version="V1").is_valid()
    assert "name" in filled(EmptyForm, name="Road").errors


def test_capitals_decide_between_two_that_differ_by_nothing_else(filled, sandbox):
    versions = sandbox.world.imodels[sandbox.ids["main-bridge"]].named_versions
    versions[1].name = "60 % DESIGN"
    versions[0].name = "60 % design"

    assert body(filled(CloneForm, up_to="version", version="60 % DESIGN"))["changesetIndex"] == 96
    assert body(filled(CloneForm, up_to="version", version="60 % design"))["changesetIndex"] == 40
    said = filled(CloneForm, up_to="version", version="60 % Design").errors["version"][0]
    assert said.startswith("2 named versions are called that: ")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("scheduled", "the platform is still making it"),
        ("waitingForFile", "its baseline file has not been uploaded"),
        ("failed", "the platform could not make it"),
        ("mainIModelIsMissingFederationGuids", "the platform could not make it"),
        ("abandoned", "the platform has not initialized it"),
    ],
)
def test_a_source_that_is_not_ready_says_truly_why(filled, sandbox, state, said):
    sandbox.world.imodels[sandbox.ids["not-initialized"]].creation.state = state
    form = filled(CloneForm, source="Main Bridge temporary works")

    assert form.errors["source"] == [f"Main Bridge temporary works is not ready: {said}. Pick another."]


# What was picked while the platform still answered


@pytest.fixture
def picked(signed_in_mara, sandbox):
    """What Mara was shown in lists, before the platform went down; the ids that she picked."""
    catalog, bridge = Catalog(signed_in_mara), sandbox.ids["main-bridge"]
    catalog.itwins("harbour")
    catalog.imodels("main")
    catalog.named_versions(bridge)
    catalog.newest_changeset(bridge)
    sandbox.fault("GET", r"/", status=503, times=500)
    return {"itwin_id": sandbox.ids["harbour-bridge"], "source_id": bridge}


@pytest.mark.parametrize(
    "typed",
    [
        {"up_to": "baseline"},
        {"up_to": "latest", "pinned": "{main-bridge}:120"},
        {"up_to": "version", "version": "60 % design"},
        {"up_to": "changeset", "changeset": "120"},
    ],
)
@pytest.mark.parametrize("form_of", [EmptyForm, CloneForm, ForkForm, TemplateForm])
def test_what_was_picked_is_used_while_the_platform_is_down(filled, sandbox, picked, form_of, typed):
    typed = {name: text.replace("{main-bridge}", sandbox.ids["main-bridge"]) for name, text in typed.items()}
    form = filled(form_of, **picked, **typed)

    assert form.is_valid(), form.errors
    spec = form.spec()
    assert form_of is not TemplateForm or typed["up_to"] == "baseline" or len(spec.changeset_id) == 40
    assert (spec.itwin.name, spec.itwin.id) == ("Harbour Bridge", picked["itwin_id"])
    assert form_of is EmptyForm or (spec.source.name, spec.source.itwin.name) == ("Main Bridge", "Harbour Bridge")


@pytest.mark.parametrize("typed", [{"itwin": "Rail Corridor 2027"}, {"source": "Viaduct"}, {"pinned": "{other}:3"}])
def test_what_was_typed_over_it_or_never_shown_waits_for_the_platform(filled, picked, typed):
    assert filled(CloneForm, **picked, **typed).has_error("__all__", "unavailable")


def test_what_one_person_was_shown_is_no_answer_for_another(picked, otto):
    assert Catalog(otto).unseen_itwin("Harbour Bridge", picked["itwin_id"]) is None
    assert Catalog(otto).shown_source("Main Bridge", picked["source_id"]) is None
