"""Pickers: what stands first is what was meant, among many that are called alike."""

import html
import re

import pytest
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.models import User
from imodels_app.requesting.spec import IModelRef, ITwinRef
from imodels_app.states import Kind
from tests.requesting import picker_questions as asked

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]


@pytest.fixture
def at_desk(client, mara, sandbox, spec_for):
    """A browser in which Mara is signed in, who has cloned Area 0500 Road before."""
    asked.build(sandbox)
    sandbox.limits_off()
    tokens.store(mara, sandbox.tokens_for("mara"))
    client.force_login(mara)
    [road] = sandbox.imodels_named("Area 0500 Road")
    source = IModelRef(id=road.id, name=road.name, itwin=ITwinRef(id=road.itwin_id, name="Harbour Bridge"))
    lifecycle.request(spec_for(Kind.CLONE, source=source), by=mara)
    return client


@pytest.fixture
def listed(at_desk, sandbox):
    """listed("imodels", "main"): the page part, and the names in it from first to last."""

    def ask(kind, text, **more):
        ids = sandbox.ids | {name.upper(): known.upper() for name, known in sandbox.ids.items()}
        text = re.sub(r"\{([\w-]+)\}", lambda named: ids[named[1]], text)
        part = at_desk.get(reverse(f"imodels:pick-{kind}"), {"q": text, **more}).text
        return part, [html.unescape(name) for name in re.findall(r'data-text="([^"]*)"', part)]

    return ask


@pytest.mark.parametrize(("typed", "wanted"), asked.IMODEL_QUESTIONS)
def test_the_imodel_that_was_meant_stands_first(listed, typed, wanted):
    assert listed("imodels", typed)[1][:1] == [wanted]


@pytest.mark.parametrize(("typed", "wanted"), asked.TEMPLATE_QUESTIONS)
def test_the_template_that_was_meant_stands_first(listed, typed, wanted):
    assert listed("imodels", typed, **{"as": "template"})[1][:1] == [wanted]


@pytest.mark.parametrize(("typed", "wanted"), asked.ITWIN_QUESTIONS)
def test_the_itwin_that_was_meant_stands_first(listed, typed, wanted):
    assert listed("itwins", typed)[1][:1] == [wanted]


@pytest.mark.parametrize(("typed", "wanted"), asked.VERSION_QUESTIONS)
def test_the_named_version_that_was_meant_stands_first(listed, sandbox, typed, wanted):
    assert listed("versions", typed, source_id=sandbox.ids["viaduct"])[1][:1] == [wanted]


@pytest.mark.parametrize(("typed", "wanted"), asked.CHANGESET_QUESTIONS)
def test_the_changeset_that_was_meant_stands_first(listed, sandbox, typed, wanted):
    assert listed("changesets", typed, source_id=sandbox.ids["main-bridge"])[1][:1] == [wanted]


@pytest.mark.parametrize(
    ("typed", "marked"),
    [("cable-stayed", ["cable-stayed"]), ("SPAN main", ["main", "span"]), ("main bridge", [])],
)
def test_what_is_found_by_its_description_shows_the_words_that_fit(listed, typed, marked):
    first = listed("imodels", typed)[0].partition("</li>")[0]

    assert 'data-text="Main Bridge"' in first
    assert re.findall("<mark>(.*?)</mark>", first) == marked


@pytest.mark.parametrize(("typed", "is_found"), [("JOSÉ", 1), (asked.decomposed("quay josé"), 1), ("jose", 0)])
def test_every_search_looks_past_capitals_and_forms_and_never_past_accents(
    at_desk, listed, sandbox, mara, ines, spec_for, typed, is_found
):
    """What the platform finds is its own rule, and that tells letters apart by their accents; so do all searches."""
    name, harbour = "José Quay", sandbox.ids["harbour-bridge"]
    asked.add_itwin(sandbox.world, mara.subject, name, "JQ-1")
    asked.add_imodel(sandbox.world, mara.subject, name, "", "harbour-bridge")
    User.objects.create(username="jose", subject="jose", first_name="José", last_name="Quay")
    lifecycle.request(spec_for(Kind.EMPTY, name=name, itwin=ITwinRef(id=harbour, name=name)), by=mara)

    found = {kind: listed(kind, typed)[1].count(name) for kind in ("imodels", "itwins")}
    at_desk.force_login(ines)
    for address in ("/operations/", "/audit/", "/audit/operations/", "/find/", "/people/"):
        few, many = (at_desk.get(address, {"q": text, "whose": "all"}).text.count(name) for text in ("zzz", typed))
        found[address] = int(many > few)

    assert found == dict.fromkeys(found, is_found)
