"""Presets: a form filled in, kept under a name, shared with a team. It works, it refuses, it hides, it is late."""

import html
import re
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from imodels_app.accounts import permissions, tokens
from imodels_app.models import Membership, Operation, Preset
from imodels_app.requesting import presets
from tests.views.test_new_imodel import KINDS, ORESUND, address, text_of, typed

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]


@pytest.fixture
def at_desk(client, mara, sandbox):
    """A browser in which Mara is signed in."""
    tokens.store(mara, sandbox.tokens_for("mara"))
    client.force_login(mara)
    return client


@pytest.fixture
def as_tomas(bridge_team, tomas, sandbox):
    """A browser in which Mara's lead is signed in."""
    tokens.store(tomas, sandbox.tokens_for("tomas"))
    browser = Client()
    browser.force_login(tomas)
    return browser


@pytest.fixture
def as_otto(otto, sandbox):
    tokens.store(otto, sandbox.tokens_for("otto"))
    browser = Client()
    browser.force_login(otto)
    return browser


@pytest.fixture
def monthly(bridge_team, mara, sandbox):
    """Mara's own preset for a clone."""
    values = {"source": "Main Bridge", "source_id": sandbox.ids["main-bridge"], "itwin": "Rail Corridor 2027"}
    return presets.save("clone", "Monthly copy", values | {"up_to": "latest"}, by=mara, team=None)


@pytest.fixture
def shared(monthly, mara, bridge_team):
    """The same, shared with the Bridge team."""
    presets.change(monthly, by=mara, name=monthly.name, team=bridge_team)
    return monthly


def save_address(kind):
    return reverse("imodels:save-preset", args=[kind])


def page_of(preset):
    return reverse("imodels:preset-detail", args=[preset.pk])


def hidden(answer):
    """The hidden fields of the page that asks for a preset's name."""
    fields = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', answer.content.decode())
    return {name: html.unescape(value) for name, value in fields if name != "csrfmiddlewaretoken"}


def keep(browser, kind, name, team="", **more):
    """As a person does it: the form's button, then a name."""
    asked = browser.post(save_address(kind), typed(kind, **more))
    assert asked.status_code == 200
    return browser.post(save_address(kind), hidden(asked) | {"preset_name": name, "preset_team": team})


# It works


@pytest.mark.parametrize("kind", [*KINDS, "baseline"])
def test_every_form_can_be_kept_and_started_from_again(at_desk, settings, kind):
    settings.ITWIN_CREATION_MODES = True
    more = {"description": "Says “hello” & more", **(ORESUND if kind in ("empty", "template", "baseline") else {})}
    more |= {"crs": "EPSG:25832"} if kind == "empty" else {}
    more |= {"up_to": "changeset", "changeset": "40"} if kind in ("template", "clone", "fork") else {}
    first = at_desk.get(keep(at_desk, kind, "Mine", **more)["Location"])

    text = html.unescape(first.text)
    assert Preset.objects.get().kind == kind
    assert all(f'value="{value}"' in text for value in more.values() if value != "changeset")
    assert 'value="Harbour Bridge"' in text
    assert "Filled in from the preset “Mine”." in text_of(first)


def test_keeping_a_preset_makes_nothing(at_desk, sandbox):
    keep(at_desk, "fork", "Mine")

    assert Operation.objects.count() == 0
    assert sandbox.calls("POST", "/imodels") == sandbox.calls("POST", "/fork") == 0


def test_all_up_to_now_stays_that(at_desk, sandbox):
    keep(at_desk, "clone", "Monthly", pinned=f"{sandbox.ids['main-bridge']}:118")
    sandbox.push_changeset(sandbox.ids["main-bridge"])
    cache.clear()  # the catalog remembers for five seconds
    page = at_desk.get(address("clone"), {"preset": Preset.objects.get().pk})

    assert "pinned" not in Preset.objects.get().values
    assert "Pinned at #121" in text_of(page)


def test_no_secret_and_nothing_but_fields_is_kept(at_desk, mara):
    more = {"access_token": "x", "csrfmiddlewaretoken": "y", "is_staff": "1", "pinned": "a:1", "changesetIndex": "3"}
    keep(at_desk, "clone", "Mine", **more)

    assert set(Preset.objects.get().values) <= set(presets.SAVED_FIELDS)
    assert not set(Preset.objects.get().values) & set(more)


@pytest.mark.parametrize(("sent", "kept"), [("on", True), ("", False)])
def test_a_fork_keeps_its_history_or_not(at_desk, sent, kept):
    keep(at_desk, "fork", "Mine", preserve_history=sent)
    page = at_desk.get(address("fork"), {"preset": Preset.objects.get().pk})

    assert ('"preserveHistory" : true' in text_of(page)) is kept


def test_the_address_goes_before_the_preset(at_desk, monthly):
    page = at_desk.get(address("clone"), {"preset": monthly.pk, "itwin": "Harbour Bridge", "name": "May"}).text

    assert 'name="itwin" value="Harbour Bridge"' in page
    assert 'name="name" value="May"' in page
    assert 'name="source" value="Main Bridge"' in page


def test_presets_are_on_the_new_page_and_above_their_form(at_desk, shared):
    new, clone, fork = (at_desk.get(at).text for at in (reverse("imodels:new"), address("clone"), address("fork")))

    assert f'{address("clone")}?preset={shared.pk}"' in new
    assert re.search(rf'<option value="{shared.pk}">\s*Monthly copy \(Bridge team\)\s*</option>', clone)
    assert "Start from a preset" not in fork


def test_a_team_starts_from_what_one_of_them_shares(as_tomas, shared):
    page = as_tomas.get(address("clone"), {"preset": shared.pk})

    assert "Filled in from the preset “Monthly copy” by Mara Lindqvist." in text_of(page)
    assert 'name="source" value="Main Bridge"' in page.text


def test_its_owner_renames_shares_and_deletes_it(at_desk, monthly, bridge_team):
    at_desk.post(page_of(monthly), {"preset_name": "Weekly copy", "preset_team": bridge_team.pk})
    monthly.refresh_from_db()
    assert (monthly.name, monthly.team) == ("Weekly copy", bridge_team)

    at_desk.post(reverse("imodels:delete-preset", args=[monthly.pk]))
    assert not Preset.objects.exists()


def test_a_lead_renames_and_deletes_what_is_shared_with_the_team_and_cannot_take_it(as_tomas, shared, bridge_team):
    as_tomas.post(page_of(shared), {"preset_name": "Weekly copy", "preset_team": ""})
    shared.refresh_from_db()
    assert (shared.name, shared.team) == ("Weekly copy", bridge_team)

    assert as_tomas.post(reverse("imodels:delete-preset", args=[shared.pk])).status_code == 303
    assert not Preset.objects.exists()


def test_a_preset_outlives_the_team_it_was_shared_with(shared, bridge_team):
    bridge_team.delete()
    shared.refresh_from_db()

    assert shared.team is None


# What is there no more


def test_an_itwin_that_is_gone_is_told_at_its_field(at_desk, monthly, sandbox):
    sandbox.allow(sandbox.ids["rail-corridor"], "mara", None)
    page = at_desk.get(address("clone"), {"preset": monthly.pk})

    at_field = re.search(r'id="itwin_refused">(.*?)</div>', page.text, re.DOTALL)[1]
    assert page.status_code == 200
    assert "No iTwin “Rail Corridor 2027” that you can see." in html.unescape(at_field)
    assert 'name="itwin" value="Rail Corridor 2027"' in page.text
    assert 'name="source" value="Main Bridge"' in page.text


@pytest.mark.parametrize(
    ("lost", "field", "said"),
    [
        ({"source": "Old Mill", "source_id": str(uuid4())}, "source", "No iModel"),
        ({"up_to": "version", "version": "95 % design"}, "version", "No named version “95 % design”."),
        ({"up_to": "changeset", "changeset": "900"}, "changeset", "has no changeset #900."),
    ],
)
def test_whatever_is_gone_is_told_at_its_field(at_desk, monthly, lost, field, said):
    monthly.values |= lost
    monthly.save()
    page = at_desk.get(address("clone"), {"preset": monthly.pk})

    assert said in html.unescape(re.search(rf'id="{field}_refused">(.*?)</div>', page.text, re.DOTALL)[1])


def test_a_thing_that_was_renamed_is_found_by_its_id(at_desk, monthly, sandbox):
    sandbox.world.imodels[sandbox.ids["main-bridge"]].name = "Harbour crossing"
    page = at_desk.get(address("clone"), {"preset": monthly.pk})

    assert 'name="source" value="Harbour crossing"' in page.text
    assert 'id="source_refused"' not in page.text


def test_an_id_left_from_an_earlier_text_is_not_kept(at_desk, sandbox):
    keep(at_desk, "clone", "Mine", source="Viaduct", source_id=sandbox.ids["main-bridge"])

    assert Preset.objects.get().values["source_id"] == sandbox.ids["viaduct"]


def test_a_platform_that_is_down_hinders_neither_keeping_nor_starting(at_desk, sandbox):
    sandbox.fault("GET", r"/", status=503, times=200)
    page = at_desk.get(keep(at_desk, "clone", "Mine")["Location"])

    assert page.status_code == 200
    assert 'name="source" value="Main Bridge"' in page.text
    assert "_told" not in page.text


# It refuses


def test_two_presets_of_one_person_have_two_names(at_desk, monthly):
    answer = keep(at_desk, "empty", "MONTHLY copy")

    assert answer.status_code == 422
    assert "You already have a preset with this name." in text_of(answer)
    assert Preset.objects.count() == 1


def test_a_preset_has_a_name(at_desk):
    assert keep(at_desk, "empty", "  ").status_code == 422
    assert keep(at_desk, "empty", "x" * 101).status_code == 422
    assert not Preset.objects.exists()


def test_nobody_shares_with_a_team_they_are_not_in(at_desk, mara, monthly, otto):
    theirs = otto.membership_set.get().team

    assert keep(at_desk, "empty", "Mine", team=theirs.pk).status_code == 422
    assert at_desk.post(page_of(monthly), {"preset_name": "Mine", "preset_team": theirs.pk}).status_code == 422
    with pytest.raises(permissions.Denied):
        presets.save("empty", "Mine", {}, by=mara, team=theirs)
    assert not Preset.objects.filter(team=theirs).exists()


def test_a_member_who_neither_owns_nor_leads_only_uses_it(client, shared, otto, bridge_team, sandbox):
    Membership.objects.create(team=bridge_team, email=otto.email, user=otto)
    client.force_login(otto)

    assert "Only Mara Lindqvist and leads of Bridge team can change this." in text_of(client.get(page_of(shared)))
    assert client.post(page_of(shared), {"preset_name": "Mine now"}).status_code == 403
    assert client.post(reverse("imodels:delete-preset", args=[shared.pk])).status_code == 403
    shared.refresh_from_db()
    assert shared.name == "Monthly copy"


def test_presets_are_kept_and_deleted_only_with_the_csrf_token(mara, monthly):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(mara)

    for at in (save_address("clone"), page_of(monthly), reverse("imodels:delete-preset", args=[monthly.pk])):
        assert strict.post(at, typed("clone") | {"preset_name": "Mine"}).status_code == 403
    assert Preset.objects.get().name == "Monthly copy"


def test_a_preset_is_not_deleted_by_a_link(at_desk, monthly):
    assert at_desk.get(reverse("imodels:delete-preset", args=[monthly.pk])).status_code == 405


# It hides


def test_somebody_elses_preset_does_not_exist_for_others(as_otto, shared):
    for answer in (
        as_otto.get(address("clone"), {"preset": shared.pk}),
        as_otto.get(page_of(shared)),
        as_otto.post(page_of(shared), {"preset_name": "Mine"}),
        as_otto.post(reverse("imodels:delete-preset", args=[shared.pk])),
    ):
        assert answer.status_code == 404
    assert "Monthly copy" not in as_otto.get(reverse("imodels:new")).text


def test_what_is_not_shared_does_not_exist_for_the_lead_either(as_tomas, monthly):
    assert as_tomas.get(page_of(monthly)).status_code == 404
    assert as_tomas.get(address("clone"), {"preset": monthly.pk}).status_code == 404


def test_a_preset_that_never_was_is_not_found(at_desk):
    for asked in (uuid4(), "garbage"):
        assert at_desk.get(address("clone"), {"preset": asked}).status_code == 404


def test_what_is_kept_is_shown_as_text(at_desk):
    keep(at_desk, "empty", "<script>alert(1)</script>", description='"><script>alert(2)</script>')

    for at in (reverse("imodels:new"), page_of(Preset.objects.get()), address("empty")):
        assert "<script>alert" not in at_desk.get(at).text


# It is late


def test_whoever_was_signed_out_meanwhile_keeps_all_that_was_typed(client, db):
    answer = client.post(save_address("fork"), typed("fork", name="Pier 7 retrofit"))

    assert answer.status_code == 422
    assert "You are signed out." in text_of(answer)
    assert 'value="Pier 7 retrofit"' in answer.text


def test_a_page_that_is_loaded_again_leads_to_the_form(at_desk):
    assert at_desk.get(save_address("clone"))["Location"] == address("clone")
    assert at_desk.get(save_address("sideways")).status_code == 404
