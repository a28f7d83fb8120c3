"""Text from right to left keeps its order to itself, whatever it names and on whichever page."""

import re

import pytest
from django.test import Client

from imodels_app import lifecycle
from imodels_app.models import Team, User
from imodels_app.requesting import presets
from imodels_app.requesting.spec import IModelRef, ITwinRef
from imodels_app.states import Kind
from tests.pages import every_page
from tests.people import HARBOUR, MAIN_BRIDGE

NAME = "גשר 7 הנמל"
# The exact request is for machines; a field, its list and a fact hold nothing but their text.
BY_ITSELF = re.compile("<(pre|textarea|script|datalist|title|select|dd)[^>]*>.*?</\\1>|<[^>]+>", re.DOTALL)


@pytest.fixture
def named(failed_fork, spec_for, mara, tomas, bridge_team):
    """A waiting fork; what there is has one name."""
    presets.save(Kind.CLONE, "Monthly", {"name": NAME, "itwin": NAME}, by=mara, team=bridge_team)
    User.objects.update(first_name=NAME)
    Team.objects.filter(pk=bridge_team.pk).update(name=NAME)
    mara.refresh_from_db()
    into = ITwinRef(id=HARBOUR, name=NAME)
    source = IModelRef(id=MAIN_BRIDGE, name=NAME, itwin=into)
    return lifecycle.request(spec_for(Kind.FORK, name=NAME, itwin=into, source=source, reason=NAME), by=mara)


@pytest.mark.django_db
def test_a_name_from_right_to_left_is_isolated_on_every_page(named, mara, tomas, ines):
    clients = {person: Client() for person in (mara, tomas, ines)}
    for person, client in clients.items():
        client.force_login(person)
    pages = every_page(clients)
    pages[mara] += [f"/operations/{named.pk}/", f"/new/fork/?from={named.pk}"]
    pages[tomas] += [f"/approvals/{named.pk}/", "/operations/?whose=team"]
    pages[ines] += [f"/audit/operations/{named.pk}/", "/operations/?whose=all", "/audit/?q=7"]

    shown, bare = 0, set()
    for person, client in clients.items():
        for address in pages[person]:
            read = BY_ITSELF.sub("", re.sub("<bdi[^>]*>", "\u2068", client.get(address).text))
            found = re.findall(rf".{{0,60}}(?<!\u2068){NAME}.{{0,9}}", read, re.DOTALL)
            bare |= {(address, " ".join(one.split())) for one in found}
            shown += read.count(NAME)
    assert not bare, "\n".join(sorted(map(str, bare)))
    assert shown > 60


FORMS = [
    *(("mara", f"/new/{kind}/", "name") for kind in Kind),
    ("mara", "/new/clone/preset/", "preset_name"),
    ("mara", "/new/fork/", "reason"),
    ("mara", "/approvals/{fork}/edit", "name"),
    ("mara", "/approvals/{fork}/comment", "text"),
    ("tomas", "/approvals/{fork}/reject", "comment"),
    ("ines", "/approvals/{fork}/bypass", "reason"),
    ("ines", "/teams/new", "name"),
    ("ines", "/approvals/rules/new", "name"),
    ("ines", "/audit/streams/", "name"),
    ("ines", "/filters", "name"),
]


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ("Pier\u202e7", "direction of text"),
        pytest.param("Main\u3164Bridge", "looks like a blank", marks=pytest.mark.soak),
        pytest.param("Br\ufffdcke", "could not be read", marks=pytest.mark.soak),
    ],
)
@pytest.mark.django_db
def test_every_form_refuses_what_nobody_could_read_at_its_field(
    waiting_fork, signed_in_mara, tomas, ines, confirmed_leads, odd, why
):
    people = {"mara": signed_in_mara, "tomas": tomas, "ines": ines}
    for who, address, field in FORMS:
        client = Client()
        client.force_login(people[who])
        typed = {field: odd, "round": "1", "page": "events", "source_id": MAIN_BRIDGE}

        answer = client.post(address.format(fork=waiting_fork.pk), typed, follow=True)

        assert why in answer.text, (address, answer.status_code)
