"""People are named by what lasts, and places by what tells them apart: names can be chosen, and the same twice."""

import pytest
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts import rights
from imodels_app.models import User
from imodels_app.requesting.spec import IModelRef, ITwinRef
from imodels_app.states import Kind
from tests.exports import table
from tests.people import HARBOUR, MAIN_BRIDGE

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]
ELSEWHERE = "b2b00000-0000-4000-8000-00000000abcd"


@pytest.fixture
def fork_by_a_namesake(bridge_team, mara, spec_for):
    """Mara calls herself like her lead, and asks for a fork."""
    rights.signed_in(mara, name=("Tomas", "Novak"), email=mara.email, is_admin=False)
    return lifecycle.request(spec_for(Kind.FORK), by=mara)


def lasting(person: User) -> str:
    return f"{person.email}, {person.subject} at {person.issuer}, person {person.pk}"


@pytest.mark.parametrize("page", ["approval-detail", "operation-detail"])
def test_a_namesake_is_told_apart_on_card_and_timeline(client, fork_by_a_namesake, mara, tomas, page):
    lifecycle.approve(fork_by_a_namesake, by=tomas)
    client.force_login(tomas)

    shown = client.get(reverse(f"imodels:{page}", args=[fork_by_a_namesake.pk])).text

    assert lasting(mara) in shown
    assert lasting(tomas) in shown


def test_a_namesake_is_told_apart_in_the_export(client, fork_by_a_namesake, mara, tomas, ines):
    lifecycle.approve(fork_by_a_namesake, by=tomas)
    client.force_login(ines)

    rows = table(client.get(reverse("imodels:audit-export")))

    row = next(row for row in rows if row["verb"] == "approved")
    for column, person in (("actor", tomas), ("requested_by", mara), ("decided_by", tomas)):
        cells = [row[f"{column}_{what}"] for what in ("email", "issuer", "subject", "id")]
        assert cells == [person.email, person.issuer, person.subject, str(person.pk)]


def test_the_record_keeps_the_address_of_then(client, fork_by_a_namesake, mara, ines):
    before = lasting(mara)
    rights.signed_in(mara, name=("M", "L"), email="m@elsewhere.example", is_admin=False)
    client.force_login(ines)

    assert before in client.get(reverse("imodels:operation-detail", args=[fork_by_a_namesake.pk])).text


@pytest.mark.parametrize("page", ["operation-list", "audit", "approval-list"])
def test_admins_are_warned_of_twins(client, ines, mara, tomas, page):
    User.objects.create(username="twin", subject="twin", email=tomas.email.upper())

    for person, is_warned in ((ines, True), (mara, False)):
        client.force_login(person)
        if page == "audit" and not is_warned:
            continue
        shown = client.get(reverse(f"imodels:{page}")).text
        assert (f"Several accounts have the address {tomas.email}." in shown) == is_warned


# Where a fork goes


@pytest.mark.parametrize(
    ("target", "warning"),
    [
        ({}, ""),
        ({"id": ELSEWHERE}, "another iTwin."),
        ({"id": ELSEWHERE, "account_id": "other"}, "another iTwin and account."),
        ({"id": ELSEWHERE, "region": "UK South"}, "another iTwin and region."),
        ({"id": ELSEWHERE, "account_id": "other", "region": "UK South"}, "another iTwin, account and region."),
        ({"id": ELSEWHERE, "account_id": "", "region": ""}, "another iTwin."),
    ],
)
def test_the_card_says_where_a_fork_goes_whatever_that_is_called(
    client, bridge_team, mara, tomas, spec_for, target, warning
):
    home = {"id": HARBOUR, "name": "Harbour Bridge", "number": "HB-1", "account_id": "ours", "region": "East US"}
    source = IModelRef(id=MAIN_BRIDGE, name="Main Bridge", itwin=ITwinRef(**home))
    fork = lifecycle.request(spec_for(Kind.FORK, source=source, itwin=ITwinRef(**home | target)), by=mara)
    client.force_login(tomas)

    shown = " ".join(client.get(reverse("imodels:approval-detail", args=[fork.pk])).text.split())

    team = "Default team" if target else "Bridge team"
    short = "b2b00000…abcd" if target else "b2b00000…0001"
    assert f"number HB-1, id {short}, looked after by {team}" in shown
    assert ("It goes to another" in shown) == bool(warning)
    assert warning in shown
