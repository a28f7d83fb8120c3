"""Several at once: each by its own right, what cannot be taken back is asked first, and each has its outcome."""

import csv
import io
from uuid import uuid4

import pytest
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.models import Event, Operation, Orphan, Subscription
from imodels_app.requesting.spec import IModelRef, ITwinRef
from imodels_app.states import Kind, OrphanState, State, Verb
from tests.people import HARBOUR, MAIN_BRIDGE

pytestmark = pytest.mark.django_db


@pytest.fixture
def act(client):
    """act("cancel", operations): as the button is pressed; with sure=True, as the question is answered."""

    def press(word, picked, *, sure=False, **more):
        picks = [getattr(one, "pk", one) for one in picked]
        form = {"act": word, "pick": picks} | ({"sure": "yes"} if sure else {}) | more
        return client.post(reverse("imodels:act-on-several"), form)

    return press


def why_not(answer):
    return {one.operation.name: one.why_not for one in answer.context["outcomes"]}


def test_several_are_cancelled_each_by_its_own_right_once_one_is_sure(
    act, client, tomas, mara, running_clone, spec_for
):
    own = lifecycle.request(spec_for(Kind.EMPTY, name="Own one"), by=tomas)
    hers = lifecycle.request(spec_for(Kind.EMPTY, name="Hers"), by=mara)
    client.force_login(tomas)
    ticked = [own, hers, running_clone, uuid4(), "nonsense"]

    asked = act("cancel", ticked)
    assert Operation.objects.get(name="Own one").state == State.QUEUED
    answer = act("cancel", ticked, sure=True)

    assert "Cancel 1 operation?" in asked.text
    assert [one.operation for one in asked.context["can"]] == [own]
    assert {one.operation for one in asked.context["cannot"]} == {hers, running_clone}
    states = dict(Operation.objects.values_list("name", "state"))
    assert (states["Own one"], states["Hers"]) == (State.CANCELLED, State.QUEUED)
    assert "You cancelled 1 of 3" in answer.text
    assert why_not(answer)["Hers"] == "Only Mara Lindqvist can cancel this."
    assert Event.objects.filter(verb="cancelled").count() == 1


@pytest.mark.parametrize("word", ["cancel", "again", "tell", "delete", "export", "unheard-of"])
def test_several_of_another_team_are_not_touched_nor_named(act, client, otto, queued_clone, word):
    client.force_login(otto)

    answer = act(word, [queued_clone], sure=True)

    assert answer.status_code == 302
    assert "Pier 7" not in client.get(answer["Location"]).text
    assert not Subscription.objects.exists()
    assert not Event.objects.filter(verb=Verb.EXPORTED).exists()


@pytest.fixture
def clones(bridge_team, mara, sandbox, spec_for):
    """Two of the same name, both ended: the first succeeded and has the name, the second was cancelled."""
    tokens.store(mara, sandbox.tokens_for("mara"))
    harbour = ITwinRef(id=HARBOUR, name="Harbour Bridge")
    source = IModelRef(id=MAIN_BRIDGE, name="Main Bridge", itwin=harbour)
    made = []
    for _ in range(2):
        clone = lifecycle.request(spec_for(Kind.CLONE, name="Pier 7", source=source, itwin=harbour), by=mara)
        lifecycle.cancel(clone, by=mara)
        made.append(clone)
    return made


def test_the_same_is_requested_again_under_free_names_once_however_often_it_is_sent(
    act, client, mara, clones, baseline_of
):
    client.force_login(mara)
    file = baseline_of(b"a file")
    asked = act("again", [*clones, file])
    form_id = dict(asked.context["sends"])["form_id"]

    answer = act("again", [*clones, file], sure=True, form_id=form_id)
    act("again", [*clones, file], sure=True, form_id=form_id)

    names = set(Operation.objects.filter(state=State.QUEUED, kind=Kind.CLONE).values_list("name", flat=True))
    assert names == {"Pier 7", "Pier 8"}
    assert "You requested 2 of 3 again" in answer.text
    assert why_not(answer)[file.name] == "Its file has to be chosen again, in the form."


def test_what_a_form_would_refuse_is_not_requested_again(act, client, mara, clones, sandbox):
    Operation.objects.update(source_id=str(uuid4()))
    client.force_login(mara)

    answer = act("again", clones[:1], sure=True)

    assert "You requested 0 of 1 again" in answer.text
    assert why_not(answer)["Pier 7"]
    assert not Operation.objects.filter(state=State.QUEUED).exists()


def test_one_is_told_of_those_that_have_not_ended(act, client, tomas, queued_clone, clones):
    client.force_login(tomas)

    answer = act("tell", [queued_clone, clones[0]])

    assert "You will be told when 1 of 2 have ended" in answer.text
    assert [one.operation for one in Subscription.objects.all()] == [queued_clone]


def test_the_chosen_ones_are_exported_and_that_is_an_event(act, client, mara, clones):
    Operation.objects.filter(pk=clones[0].pk).update(name="=1+1")
    client.force_login(mara)

    answer = act("export", clones)

    assert "attachment" in answer["Content-Disposition"]
    lines = list(csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    assert [(line["name"], line["state"]) for line in lines] == [("'=1+1", "cancelled"), ("Pier 7", "cancelled")]
    lasting = {"email": mara.email, "issuer": mara.issuer, "subject": mara.subject, "id": str(mara.pk)}
    assert [{name: line[f"requested_by_{name}"] for name in lasting} for line in lines] == [lasting] * 2
    event = Event.objects.get(verb=Verb.EXPORTED)
    assert (event.actor, event.data["rows"]) == (mara, 2)


def test_orphans_are_deleted_together_but_not_what_can_be_used(act, client, mara, failed_fork, spec_for):
    client.force_login(mara)
    page = client.get(reverse("imodels:orphan-list"))
    assert 'data-can="delete export"' in page.text

    asked = act("delete", [failed_fork])
    Orphan.objects.update(state=OrphanState.USABLE)
    refused = act("delete", [failed_fork], sure=True)
    Orphan.objects.update(state=OrphanState.LEFT)
    answer = act("delete", [failed_fork], sure=True)

    assert "Delete 1 orphaned iModel?" in asked.text
    assert "from its own page only" in why_not(refused)[failed_fork.name]
    assert "You asked to delete 1 of 1" in answer.text
    assert [one.status_text.badge for one in asked.context["can"]] == ["Orphaned"]
    assert Orphan.objects.get().state == OrphanState.DELETING


def test_a_row_says_what_can_be_done_with_it(client, mara, queued_clone, failed_fork):
    client.force_login(mara)

    can = {str(row.operation.name): row.can for row in client.get(reverse("imodels:operation-list")).context["rows"]}

    assert can == {queued_clone.name: "cancel again tell export", failed_fork.name: "again export"}
