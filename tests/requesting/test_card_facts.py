"""What the platform says about a request that waits: asked as its requester, at most once a minute, and bounded."""

import pytest
from django.core.cache import cache
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.limits import rate_limits
from imodels_app.models import LookupShare
from imodels_app.requesting import card_facts
from imodels_app.requesting.spec import ITwinRef
from imodels_app.states import ChangesetSelection, Kind
from tests.people import HARBOUR, MAIN_BRIDGE
from tests.waiting import wait_until

API = ("/imodels/", "/itwins/", "/accesscontrol/")

pytestmark = [pytest.mark.same_on_both, pytest.mark.usefixtures("signed_in_mara")]


@pytest.fixture
def fork_of(bridge_team, mara, spec_for):
    """fork_of(...): Mara's request to fork Main Bridge, which has 120 changesets."""
    return lambda **fields: lifecycle.request(spec_for(Kind.FORK, **fields), by=mara)


def test_50_four_changesets_after_the_pin_are_four_newer_ones_and_whose(client, tomas, waiting_fork, sandbox):
    for number in range(4):
        sandbox.push_changeset(MAIN_BRIDGE, f"Girder {number}")
    client.force_login(tomas)

    client.get(reverse("imodels:approval-facts", args=[waiting_fork.pk]))
    card = " ".join(client.get(reverse("imodels:approval-detail", args=[waiting_fork.pk])).text.split())

    newer = card_facts.remembered(waiting_fork).facts.newer
    assert (newer.count, newer.index, newer.is_all, newer.authors) == (4, 124, True, ("Tomas Novak",))
    assert "4 newer changesets since." in card
    assert "Main Bridge is at #124 now, pushed by Tomas Novak." in card


@pytest.mark.parametrize(
    ("pinned", "newer"),
    [
        pytest.param({"changeset_index": 118}, 2, id="index"),
        pytest.param({"up_to": ChangesetSelection.BASELINE, "changeset_index": None}, 0, id="baseline"),
        pytest.param({"up_to": ChangesetSelection.EVERYTHING, "changeset_index": None}, 0, id="everything"),
    ],
)
def test_newer_is_counted_from_what_the_request_copies(fork_of, sandbox, tomas, pinned, newer):
    assert card_facts.ask(fork_of(**pinned), looker=tomas).facts.newer.count == newer


def test_a_changeset_that_was_asked_for_by_id_is_the_one_that_is_counted_from(fork_of, sandbox, tomas):
    changeset = next(one for one in sandbox.world.changesets_of(sandbox.world.imodels[MAIN_BRIDGE]) if one.index == 117)
    by_id = {"up_to": ChangesetSelection.CHANGESET, "changeset_index": None, "changeset_id": changeset.id}

    facts = card_facts.ask(fork_of(**by_id), looker=tomas).facts

    assert (facts.last.index, facts.newer.count) == (117, 3)


def test_the_named_versions_that_stand_where_it_copies_to_are_told(fork_of, sandbox, tomas):
    facts = card_facts.ask(fork_of(changeset_index=96), looker=tomas).facts

    assert facts.versions == ("60 % design",)
    assert facts.author in {"Mara Lindqvist", "Tomas Novak", "Ines Duarte"}


def test_however_many_look_it_is_asked_once_a_minute_with_the_requesters_token_and_the_lookers_share(
    waiting_fork, tomas, sandbox, monkeypatch
):
    for _ in range(3):
        card_facts.ask(waiting_fork, looker=tomas)
    asked = [entry for entry in sandbox.journal if entry.method == "GET" and entry.path.startswith(API)]
    assert [entry.path for entry in asked].count(f"/imodels/{MAIN_BRIDGE}") == 1
    assert {entry.person for entry in asked} == {sandbox.person("mara").id}
    assert len(asked) <= rate_limits.CALLS_A_LOOK
    assert list(LookupShare.objects.values_list("person_id", flat=True)) == [tomas.pk]

    cache.clear()
    monkeypatch.setattr(card_facts, "ASKED_EVERY_S", 1)
    first = card_facts.ask(waiting_fork, looker=tomas)
    wait_until(lambda: card_facts.remembered(waiting_fork).is_due)
    assert card_facts.ask(waiting_fork, looker=tomas).facts.at > first.facts.at


def test_a_platform_that_is_down_leaves_the_card_and_says_what_is_not_known_and_why(
    client, tomas, waiting_fork, sandbox
):
    sandbox.fault("GET", "/imodels/", status=503, times=99)
    client.force_login(tomas)

    client.get(reverse("imodels:approval-facts", args=[waiting_fork.pk]))
    card = client.get(reverse("imodels:approval-detail", args=[waiting_fork.pk]))

    assert card.status_code == 200
    assert "Newer changesets, permissions and region are not known" in card.text
    assert "The platform is not answering." in card.text
    assert reverse("imodels:approve", args=[waiting_fork.pk]) in card.text


def test_what_was_known_before_stays_with_its_time(waiting_fork, sandbox, tomas):
    before = card_facts.ask(waiting_fork, looker=tomas).facts
    cache.delete(f"card:{waiting_fork.pk}:{waiting_fork.request_hash}:asked")
    sandbox.revoke("mara")
    sandbox.expire_tokens()

    known = card_facts.ask(waiting_fork, looker=tomas)

    assert known.facts == before
    assert known.problem == "Mara Lindqvist has to sign in again before it can be asked, and before this can be sent."


def test_what_the_copy_loses_and_what_the_requester_may_not_is_told(fork_of, sandbox, tomas):
    water = sandbox.ids["water-west"]
    sandbox.secure(MAIN_BRIDGE, "mara", ["imodels_webview"])
    sandbox.allow(HARBOUR, "mara", ["imodels_webview"])

    facts = card_facts.ask(fork_of(itwin=ITwinRef(id=water, name="Water West")), looker=tomas).facts

    assert facts.loses_permissions
    assert facts.missing == [("imodels_manage", "Harbour Bridge"), ("imodels_manage", "Water West")]
    assert (facts.target.itwin.name, facts.own_permissions) == ("Water West", ["imodels_webview"])


def test_a_main_imodel_that_the_requester_no_longer_sees_is_told(client, tomas, waiting_fork, sandbox):
    sandbox.allow(HARBOUR, "mara", None)
    client.force_login(tomas)

    client.get(reverse("imodels:approval-facts", args=[waiting_fork.pk]))

    card = " ".join(client.get(reverse("imodels:approval-detail", args=[waiting_fork.pk])).text.split())
    assert "The platform no longer shows Main Bridge to Mara." in card
