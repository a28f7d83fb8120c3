"""The pages of an iModel and of an iTwin: what each person may know of it, and where it leads."""

import re
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.accounts import rights
from imodels_app.models import Membership, Operation, Orphan, SeenIModel, Team
from imodels_app.requesting import presets
from imodels_app.requesting.spec import IModelRef, ITwinRef
from imodels_app.runtime import clock
from imodels_app.states import Kind, OrphanState
from tests.people import HARBOUR, MAIN_BRIDGE

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]

IMODEL, ITWIN = f"/imodels/{MAIN_BRIDGE}/", f"/itwins/{HARBOUR}/"
ELSEWHERE = ITwinRef(id="b2b00000-0000-4000-8000-000000000099", name="Ring Road")


@pytest.fixture
def read(client):
    """read(person, address) is the text of their page, its tags left out; None where there is none."""

    def of(person, address: str) -> str | None:
        client.force_login(person)
        answer = client.get(address)
        assert answer.status_code in (200, 404)
        text = re.sub(r"\s+", " ", re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", answer.text, flags=re.DOTALL))
        return text if answer.status_code == 200 else None

    return of


@pytest.fixture
def of_transit(otto, spec_for):
    """of_transit("Secret"): a fork of Main Bridge into Ring Road, by Otto and for his team alone to see."""

    def make(name: str) -> Operation:
        fork = lifecycle.request(spec_for(Kind.FORK, name=name, itwin=ELSEWHERE), by=otto)
        Operation.objects.filter(pk=fork.pk).update(team=Team.objects.get(name="Transit team"))
        return fork

    return make


def test_an_imodel_tells_where_it_is_what_was_made_from_it_and_who_decides(
    read, mara, bridge_team, succeeded_clone, failed_fork, spec_for, of_transit
):
    waiting = lifecycle.request(spec_for(Kind.FORK, name="Pier 8 retrofit"), by=mara)
    presets.save(Kind.CLONE, "Monthly", {"source_id": MAIN_BRIDGE}, by=mara, team=bridge_team)
    presets.save(Kind.CLONE, "Another", {"source_id": str(uuid4())}, by=mara, team=None)
    of_transit("Secret")

    page = read(mara, IMODEL)

    for told in (
        *("Main Bridge", "In iTwin Harbour Bridge", "Looked after by Bridge team", "Not with iModel Desk"),
        "Open forks Pier 8 retrofit awaiting approval 1 that you cannot see",
        "Earlier forks Pier 7 retrofit failed",
        *("Tomas Novak leads Bridge team", "Forks need a lead Forks: 1 lead of the team"),
        *("Clone this", "Fork this", "Monthly", "3 in total"),
    ):
        assert told in page
    for hidden in ("Secret", "Another", "Events"):
        assert hidden not in page
    assert waiting.name in read(mara, f"{IMODEL}?kind=fork&state=person")
    assert succeeded_clone.name not in read(mara, f"{IMODEL}?kind=fork&state=person").partition("newest first")[2]


def test_what_was_made_here_has_its_own_page(client, read, mara, succeeded_clone, settings):
    settings.OPEN_IMODEL_URL = "https://viewer.example/{itwin_id}/{imodel_id}"
    address = f"/imodels/{succeeded_clone.imodel_id}/"

    page = read(mara, address)

    for told in ("Pier 7 copy", "Usable", "Made as Clone of Main Bridge @ 120", "Requested by Mara Lindqvist"):
        assert told in page
    shown = client.get(address).text
    for leads in (
        f'href="https://viewer.example/{HARBOUR}/{succeeded_clone.imodel_id}"',
        f'href="/new/clone/?source={succeeded_clone.imodel_id}"',
        f'href="{IMODEL}"',
        f'href="{ITWIN}"',
        f'href="/operations/{succeeded_clone.pk}/"',
    ):
        assert leads in shown


def test_whoever_may_see_nothing_gets_what_an_unknown_id_gets_and_the_platform_is_asked_nothing(
    read, otto, mara, succeeded_clone, sandbox
):
    Membership.objects.filter(user=otto).delete()
    unknown, before = uuid4(), len(sandbox.journal)

    for person, addresses in {
        otto: [IMODEL, ITWIN, f"{IMODEL}lineage", f"/imodels/{succeeded_clone.imodel_id}/"],
        mara: [f"/imodels/{unknown}/", f"/itwins/{unknown}/", f"/imodels/{unknown}/lineage", "/imodels/-/"],
    }.items():
        assert [read(person, address) for address in addresses] == [None] * len(addresses)
    assert len(sandbox.journal) == before


def test_an_administrator_reads_its_events_on_the_same_page(client, read, ines, mara, failed_fork, succeeded_clone):
    for address in (IMODEL, ITWIN):
        assert "Events" not in read(mara, address)
        page = read(ines, address)
        assert "Filter and export its events" in page
        assert {event.verb for event, _, _ in client.get(address).context["events"]} >= {"requested", "approved"}


def test_each_of_two_tables_has_pages_of_its_own(client, ines, mara, bridge_team, spec_for):
    for number in range(30):
        lifecycle.request(spec_for(Kind.CLONE, name=f"Number {number}"), by=mara)
    client.force_login(ines)

    first = client.get(ITWIN)
    older = client.get(re.search(r'id="events-older"\s+href="([^"]+)"', first.text)[1])
    rows = client.get(re.search(r'id="operations-older"\s+href="([^"]+)"', first.text)[1])

    assert older.context["rows"].rows == first.context["rows"].rows
    assert len(older.context["events"]) == 5
    assert [operation.name for operation, _ in rows.context["rows"]] == [f"Number {one}" for one in range(4, -1, -1)]


@pytest.mark.parametrize("state", list(OrphanState))
def test_what_a_failure_left_says_what_became_of_it(read, mara, failed_fork, state):
    due = timezone.now() if state == OrphanState.DELETING else None
    Orphan.objects.update(state=state, due_at=due, requested_by_name="Mara Lindqvist")

    page = read(mara, f"/imodels/{failed_fork.imodel_id}/")

    words = {"left": "Orphaned", "deleting": "Deleting", "deleted": "Deleted", "gone": "Already gone"}
    assert words.get(state, "Usable after all") in page
    assert "Not possible: it is not there, or not whole" in page


def test_an_unfinished_one_cannot_be_copied_and_an_unknown_state_is_said(read, mara, running_clone):
    lifecycle.polled(running_clone, platform_state="odd\u202eone", due_at=timezone.now())

    page = read(mara, f"/imodels/{running_clone.imodel_id}/")

    assert "Not possible: it is not usable yet" in page
    assert "Unknown state" in page


def test_what_a_lead_s_token_saw_is_told_to_the_team_alone(read, mara, otto, ines, succeeded_clone, of_transit):
    of_transit("From Main Bridge")
    seen = {"itwin_id": HARBOUR, "gone_at": clock.now(), "name": "Renamed outside"}
    SeenIModel.objects.create(imodel_id=MAIN_BRIDGE, **seen)

    for person in (mara, ines):
        page = read(person, IMODEL)
        assert "Renamed outside" in page
        assert "No longer there" in page
    page = read(otto, IMODEL)
    assert "Main Bridge" in page
    assert "Renamed outside" not in page
    assert "No longer there" not in page


def test_a_team_reads_of_its_itwin_before_anything_is_asked_for_in_it(client, read, mara, bridge_team, otto):
    page = read(mara, ITWIN)

    assert "No operations yet" in page
    assert "New here" in page
    new = client.get(f"/new/?itwin={HARBOUR}")
    assert f'href="/new/clone/?itwin={HARBOUR}"' in new.text
    assert read(otto, ITWIN) is None


def test_a_name_from_right_to_left_is_isolated(client, mara, spec_for, bridge_team):
    name = "جسر 7"
    source = IModelRef(id=MAIN_BRIDGE, name=name, itwin=ITwinRef(id=HARBOUR, name=name))
    lifecycle.request(spec_for(Kind.CLONE, name=name, source=source, itwin=source.itwin), by=mara)
    client.force_login(mara)

    for address in (IMODEL, ITWIN):
        page = client.get(address).text
        assert f"<h1><bdi>{name}</bdi></h1>" in page


# ---------- the palette ----------


def found(person, text: str) -> dict[str, list[str]]:
    """What bears the letters, by group: the addresses."""
    client = Client()
    client.force_login(person)
    page = client.get("/find/", {"q": text}, headers={"HX-Request": "true"}).text
    groups = re.split(r'<h2 class="menu-title">', page)[1:]
    return {re.match(r"\w+", group)[0]: re.findall(r'<a href="([^"]+)"', group) for group in groups}


def test_the_palette_leads_to_imodels_and_itwins_however_old_what_tells_of_them_is(
    mara, otto, ines, bridge_team, succeeded_clone, spec_for, of_transit
):
    for number in range(40):
        lifecycle.request(spec_for(Kind.EMPTY, name=f"Later {number}", itwin=ELSEWHERE), by=mara)
    of_transit("Secret")

    assert found(mara, "main bridge")["iModels"] == [IMODEL]
    assert found(mara, "pier 7 co")["iModels"] == [f"/imodels/{succeeded_clone.imodel_id}/"]
    assert found(mara, succeeded_clone.imodel_id)["iModels"] == [f"/imodels/{succeeded_clone.imodel_id}/"]
    assert found(mara, "harbour")["iTwins"] == [ITWIN]
    assert found(mara, HARBOUR[:12])["iTwins"] == [f"/itwins/{ELSEWHERE.id}/", ITWIN]
    assert len(found(mara, "later")["Operations"]) == 8
    assert "iModels" not in found(mara, "later"), "what is not there yet has no page"
    assert found(otto, "pier 7") == {}
    assert found(otto, "secret")["Operations"]
    assert found(ines, "main")["iModels"] == [IMODEL]


def test_a_name_that_somebody_else_knows_an_imodel_by_finds_nothing(mara, otto, queued_clone, spec_for):
    renamed = IModelRef(id=MAIN_BRIDGE, name="Merger with Transit", itwin=ELSEWHERE)
    lifecycle.request(spec_for(Kind.CLONE, source=renamed, itwin=ELSEWHERE), by=otto)

    assert found(mara, "merger") == {}
    assert found(otto, "merger")["iModels"] == [IMODEL]
    assert found(otto, "main bridge") == {}


# ---------- whom a rule names ----------


def test_what_a_rule_names_somebody_for_stands_in_their_tab_team(client, read, mara, otto, waiting_fork):
    address = "/operations/?whose=team"
    assert waiting_fork.name not in read(otto, address)

    waiting_fork.named.add(otto)

    assert waiting_fork.name in read(otto, address)
    assert waiting_fork.name in read(otto, IMODEL)
    assert read(otto, f"/operations/{waiting_fork.pk}/")
    assert client.get(address).context["tabs"][1][2] == "1"


def test_who_no_longer_is_in_the_team_reads_no_more_than_their_own(read, mara, bridge_team, queued_clone, failed_fork):
    place = Membership.objects.get(user=mara)
    rights.delete(place, by=None)

    page = read(mara, IMODEL)

    assert "Looked after by Bridge team" in page
    assert "2 in total" in page
