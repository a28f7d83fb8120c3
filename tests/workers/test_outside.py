"""What is made, renamed or deleted outside iModel Desk: each once, nothing else, and never with a token of who did not
let it be used.
"""

import random
from collections import Counter
from contextlib import suppress
from uuid import uuid4

import pytest

from imodels_app import lifecycle
from imodels_app.accounts import rights, tokens, watches
from imodels_app.models import Event, Membership, Operation, SeenIModel, Watch, WatchedITwin
from imodels_app.runtime import clock, failpoints
from imodels_app.states import EVENT_GROUPS, Kind
from imodels_app.tables.filters import Filter
from imodels_app.workers import outside
from imodels_app.workers.poll import poll
from imodels_app.workers.submit import submit
from sandbox import world as w
from tests.people import HARBOUR

pytestmark = pytest.mark.django_db
OUTSIDE = EVENT_GROUPS["outside"][1]


@pytest.fixture
def tomas_there(tomas, bridge_team, sandbox):
    tokens.store(tomas, sandbox.tokens_for("tomas"))
    return tomas


@pytest.fixture
def watched(tomas_there, bridge_team):
    """Tomas lets it be looked, and what is there already has been seen."""
    watches.switch_on(tomas_there, bridge_team)
    night()


def night() -> None:
    watches.follow()
    WatchedITwin.objects.update(due_at=clock.now())
    for itwin in WatchedITwin.objects.all():
        outside.look(itwin.pk)


def seen() -> list[tuple[str, str, str]]:
    told = Event.objects.filter(verb__in=OUTSIDE).order_by("pk")
    return [(event.verb, event.data["imodel"], event.data["name"]) for event in told]


def made_by_otto(sandbox, name: str) -> str:
    at = sandbox.platform.time()
    made = w.IModel(str(uuid4()), HARBOUR, name, sandbox.person("otto").id, at, w.Creation("empty"))
    return sandbox.world.add_imodel(made).id


def test_what_is_made_renamed_and_deleted_outside_is_told_once(watched, otto, sandbox, tomas):
    made = made_by_otto(sandbox, "Jetty")
    night()
    sandbox.world.imodels[made].name = "Jetty, final"
    night()
    night()
    sandbox.world.delete_imodel(made)
    night()
    night()

    assert seen() == [
        ("made_outside", made, "Jetty"),
        ("renamed_outside", made, "Jetty, final"),
        ("deleted_outside", made, "Jetty, final"),
    ]
    event = Event.objects.filter(verb="made_outside").get()
    assert event.note == "Jetty, by Otto Brandt"
    assert {entry.person for entry in sandbox.journal} == {sandbox.person("tomas").id}


def test_whose_it_is_is_whoever_made_it_and_whose_token_saw_it_is_the_watcher(watched, otto, sandbox, tomas):
    made_by_otto(sandbox, "Jetty")
    stranger = w.IModel(str(uuid4()), HARBOUR, "Odd", str(uuid4()), sandbox.platform.time(), w.Creation("empty"))
    sandbox.world.add_imodel(stranger)

    night()

    told = Event.objects.filter(verb="made_outside").order_by("note").values_list("data__person", "data__watcher")
    assert list(told) == [(otto.pk, tomas.pk), (None, tomas.pk)]
    assert Filter(people=(str(otto.pk),), events=("outside",)).all_events().count() == 1
    assert not Filter(people=(str(tomas.pk),), events=("outside",)).all_events().exists()


def test_what_is_back_after_it_was_gone_is_told_and_can_go_again(watched, sandbox):
    made = made_by_otto(sandbox, "Jetty")
    night()
    for _ in range(2):
        one = sandbox.world.imodels[made]
        sandbox.world.delete_imodel(made)
        night()
        assert SeenIModel.objects.get(pk=made).gone_at
        sandbox.world.add_imodel(one)
        night()

    assert [verb for verb, *_ in seen()] == [
        "made_outside",
        *["deleted_outside", "returned_outside"] * 2,
    ]
    assert SeenIModel.objects.get(pk=made).gone_at is None


def test_what_the_desk_makes_and_deletes_is_not_outside_but_what_others_do_to_it_is(
    watched, signed_in_mara, spec_for, sandbox, tomas
):
    mine, under_way = (
        lifecycle.request(spec_for(Kind.EMPTY, name=name), by=signed_in_mara) for name in ("Mine", "Way")
    )
    for operation in (mine, under_way):
        lifecycle.claim(operation, bucket="create", now=clock.now())
    lost = sandbox.world.add_imodel(  # its answer never came
        w.IModel(str(uuid4()), HARBOUR, "Way", sandbox.person("mara").id, sandbox.platform.time(), w.Creation("empty"))
    )
    made = sandbox.world.add_imodel(
        w.IModel(str(uuid4()), HARBOUR, "Mine", sandbox.person("mara").id, sandbox.platform.time(), w.Creation("empty"))
    )
    lifecycle.accepted(mine, imodel_id=made.id)
    lifecycle.succeeded(mine)
    night()
    assert WatchedITwin.objects.get().due_at <= clock.now() + outside.AGAIN_AFTER  # the other is looked at again
    lifecycle.accepted(under_way, imodel_id=lost.id)
    night()
    assert seen() == []

    made.name = "Yours"
    night()
    sandbox.world.delete_imodel(made.id)
    night()

    assert seen() == [("renamed_outside", made.id, "Yours"), ("deleted_outside", made.id, "Yours")]
    assert {event.operation for event in Event.objects.filter(verb__in=OUTSIDE)} == {mine}


def test_who_may_no_longer_see_the_itwin_tells_of_nothing_deleted(watched, sandbox, monkeypatch):
    monkeypatch.setattr(outside, "MOST_HIDDEN_ASKED", 2)
    made_by_otto(sandbox, "Jetty")
    night()
    before = seen()
    members = sandbox.world.itwins[HARBOUR].members
    hidden = members.pop(sandbox.person("tomas").id)
    night()
    members[sandbox.person("tomas").id] = [w.WEBVIEW]
    for imodel in sandbox.world.imodels_of(HARBOUR):
        imodel.permissions = {}  # of their own: hidden from lists, and refused by id
    night()
    sandbox.platform.journal.clear()
    night()

    assert hidden
    assert seen() == before
    # What is known to be hidden is asked about now and then, and keeps nothing else waiting.
    assert sum(entry.path.startswith("/imodels/") for entry in sandbox.journal) == 2


def test_with_nobodys_switch_on_nothing_is_asked(tomas_there, bridge_team, sandbox):
    WatchedITwin.objects.create(itwin_id=HARBOUR, since=clock.now(), due_at=clock.now())
    night()

    watches.switch_on(tomas_there, bridge_team)
    watches.switch_off(tomas_there, bridge_team)
    night()

    assert sandbox.journal == []
    assert list(Event.objects.filter(verb__startswith="watch_").values_list("verb", "actor")) == [
        ("watch_begun", tomas_there.pk),
        ("watch_ended", tomas_there.pk),
    ]


def set_to(row, **facts):
    for name, value in facts.items():
        setattr(row, name, value)
    return row


def revoke(tomas, sandbox) -> None:
    sandbox.revoke("tomas")
    type(tomas.tokens).objects.update(expires_at=clock.now())


ENDS = {
    "the grant": revoke,
    "the account": lambda tomas, sandbox: rights.save(set_to(tomas, is_active=False), by=None),
    "the team": lambda tomas, sandbox: rights.delete(Membership.objects.get(user=tomas).team, by=None),
    "the role": lambda tomas, sandbox: rights.save(
        set_to(Membership.objects.get(user=tomas), role=Membership.Role.MEMBER), by=None
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_it_ends_with_what_it_rests_on(watched, tomas, sandbox, end):
    ENDS[end](tomas, sandbox)
    night()
    sandbox.platform.journal.clear()
    night()

    assert not Watch.objects.exists()
    assert Event.objects.filter(verb="watch_ended", data__person=tomas.pk).count() == 1
    assert sandbox.journal == []


@pytest.mark.parametrize("many", [40, pytest.param(1000, marks=pytest.mark.soak)])
def test_over_seven_nights_with_looks_that_are_cut_off_each_is_told_once_and_nothing_else(
    watched, signed_in_mara, spec_for, sandbox, settings, tmp_path, many
):
    settings.FAILPOINTS = str(tmp_path)
    dice = random.Random(many)
    expected: Counter[tuple[str, str]] = Counter()
    others: list[str] = []
    for number in range(7):
        for one in dice.sample(others, len(others) // 3):
            if dice.random() < 0.5:
                sandbox.world.imodels[one].name = f"Renamed {number} {one[:8]}"
                expected["renamed_outside", one] += 1
            else:
                sandbox.world.delete_imodel(one)
                others.remove(one)
                expected["deleted_outside", one] += 1
        for _ in range(-(-many // 7)):
            others.append(made_by_otto(sandbox, f"Outside {number}-{len(others)}"))
            expected["made_outside", others[-1]] += 1
        own = lifecycle.request(spec_for(Kind.EMPTY), by=signed_in_mara)
        submit(own.pk)
        poll(own.pk)
        if number % 2:
            (tmp_path / "outside.told").write_text("cut")
        if number % 3 == 0:
            sandbox.fault("GET", r"/imodels$", status=503, times=3)
        for _ in range(3):  # what was cut off is done again in the same night
            with suppress(failpoints.Cut):
                night()

    told = Counter((event.verb, event.data["imodel"]) for event in Event.objects.filter(verb__in=OUTSIDE))
    assert told == expected
    assert Operation.objects.count() == 7
    assert SeenIModel.objects.filter(gone_at=None).count() == len(sandbox.world.imodels_of(HARBOUR))
