"""Made from what, and what was made from it: as far as rows and platform tell this person."""

import html
import json
import re
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.models import Membership, Operation, Orphan, Team
from imodels_app.requesting.spec import IModelRef, ITwinRef
from imodels_app.states import ChangesetSelection, Kind, OrphanState, State
from imodels_app.views.lineage import LEVELS_UP, SIDE_BY_SIDE
from tests.people import HARBOUR, MAIN_BRIDGE

pytestmark = [pytest.mark.django_db, pytest.mark.same_on_both]


@pytest.fixture
def made(bridge_team, mara, spec_for, sandbox):
    """made("B", of=a): a copy that succeeded, of another one of ours (of Main Bridge if of none); by whom."""

    def make(name, *, of=None, kind=Kind.CLONE, by=None, source_id="", state=State.SUCCEEDED, index=40):
        origin = (of.imodel_id, of.name) if of else (source_id or MAIN_BRIDGE, "Main Bridge")
        source = IModelRef(id=origin[0], name=origin[1], itwin=ITwinRef(id=HARBOUR, name="Harbour Bridge"))
        spec = spec_for(kind, name=name, source=source, up_to=ChangesetSelection.CHANGESET, changeset_index=index)
        operation = lifecycle.request(spec, by=by or mara)
        Operation.objects.filter(pk=operation.pk).update(state=state, imodel_id=str(uuid4()))
        operation.refresh_from_db()
        return operation

    return make


def text_of(page) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def tree_of(client, operation, *, asked=False, **headers) -> str:
    name = "imodels:lineage" if asked else "imodels:operation-detail"
    page = client.get(reverse(name, args=[operation.pk]), headers=headers).content.decode()
    return page[page.index('<div class="lineage"') : page.rindex("</ul>")] if 'class="lineage"' in page else ""


def place_of(tree: str, name: str) -> int:
    """Where a name stands; -1 if nowhere."""
    found = re.search(rf">\s*{re.escape(name)}\s*<", tree)
    return found.start() if found else -1


def depth_of(tree: str, name: str) -> int:
    """How many lists stand around a name."""
    before = tree[: place_of(tree, name)]
    return before.count("<ul>") - before.count("</ul>")


@pytest.fixture
def at_desk(client, signed_in_mara):
    client.force_login(signed_in_mara)
    return client


def test_each_generation_is_a_list_in_the_one_before(at_desk, made):
    parent = made("Parent")
    here = made("Here", of=parent, kind=Kind.FORK)
    child = made("Child", of=here, kind=Kind.TEMPLATE, index=None)
    made("Grandchild", of=child)

    tree = tree_of(at_desk, here)

    assert [depth_of(tree, name) for name in ("Main Bridge", "Parent", "Here", "Child", "Grandchild")] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert 'aria-current="true"' in tree[tree.index("forked at #40") - 99 : place_of(tree, "Here")]
    for words in ("Harbour Bridge, succeeded", "this one", "cloned at #40", "forked at #40", "as template"):
        assert words in text_of(tree)


def test_what_was_not_made_is_not_called_made(at_desk, waiting_fork, mara):
    assert "to be forked at #120" in text_of(tree_of(at_desk, waiting_fork))
    lifecycle.cancel(waiting_fork, by=mara)

    assert "was to be forked at #120" in text_of(tree_of(at_desk, waiting_fork))


def test_what_was_made_beside_the_desk_is_told_by_the_platform(at_desk, made, platform_of, sandbox):
    body = {"iTwinId": HARBOUR, "name": "Made with curl", "changesetIndex": 40}
    outside = platform_of("tomas").start(f"/imodels/{MAIN_BRIDGE}/clone", json.dumps(body))
    here = made("Here", source_id=outside)

    before = tree_of(at_desk, here)
    asked = tree_of(at_desk, here, asked=True)

    assert f'hx-get="{reverse("imodels:lineage", args=[here.pk])}"' in before
    assert [depth_of(asked, name) for name in ("Main Bridge", "Made with curl", "Here")] == [1, 2, 3]
    assert "cloned at" in text_of(asked)
    assert "not usable yet" in text_of(asked)
    assert tree_of(at_desk, here) == asked, "the page remembers what was told"


def test_for_htmx_the_tree_comes_alone(at_desk, made):
    here = made("Here")

    answer = at_desk.get(reverse("imodels:lineage", args=[here.pk]), headers={"HX-Request": "true"})

    assert answer.content.decode().lstrip().startswith('<div class="lineage"')
    assert b"hx-get" not in answer.content


def test_a_page_waits_for_no_platform(at_desk, made, sandbox):
    here = made("Here")

    tree_of(at_desk, here)

    assert not [call for call in sandbox.journal if call.path.startswith("/imodels")]


def test_a_platform_that_is_silent_leaves_what_the_rows_know(at_desk, made, sandbox):
    here = made("Here")
    sandbox.fault("GET", r"/imodels/", status=503, times=9)

    assert "Main Bridge" in tree_of(at_desk, here, asked=True)


def test_what_is_gone_or_hidden_has_no_name(at_desk, made, sandbox):
    here = made("Here", source_id=str(uuid4()))
    Operation.objects.filter(pk=here.pk).update(source_name="")

    assert here.source_id in tree_of(at_desk, here, asked=True), "what was asked for may be read, and no more"


@pytest.fixture
def of_another_team(otto, made):
    """of_another_team("Secret", ...) is seen by Otto and his team alone."""

    def make(name, **how):
        operation = made(name, by=otto, **how)
        Operation.objects.filter(pk=operation.pk).update(team=Team.objects.get(name="Transit team"))
        return operation

    return make


def test_what_another_team_made_from_it_is_counted_and_not_named(at_desk, made, of_another_team):
    here = made("Here")
    of_another_team("Secret", of=here)

    tree = tree_of(at_desk, here)

    assert "Secret" not in tree
    assert "1 you cannot see" in text_of(tree)


def test_an_ancestor_of_another_team_is_not_named(at_desk, made, of_another_team, mara, sandbox):
    secret = of_another_team("Secret")
    outside = made("Outside", of=secret)
    Operation.objects.filter(pk=outside.pk).update(source_name="")
    here = made("Here", of=outside)

    for asked in (False, True):
        tree = tree_of(at_desk, here, asked=asked)
        assert "Secret" not in tree
        assert reverse("imodels:operation-detail", args=[secret.pk]) not in tree


def test_another_teams_lineage_cannot_be_asked_for(client, otto, made):
    client.force_login(otto)

    assert client.get(reverse("imodels:lineage", args=[made("Here").pk])).status_code == 404


def test_everything_is_named_for_an_admin(client, ines, made, of_another_team, sandbox):
    tokens.store(ines, sandbox.tokens_for("ines"))
    client.force_login(ines)
    here = made("Here")
    of_another_team("Secret", of=here)

    assert "Secret" in tree_of(client, here)


def test_a_crowd_is_cut_and_counted(at_desk, made):
    here = made("Here")
    for number in range(SIDE_BY_SIDE + 3):
        made(f"Child {number}", of=here)

    tree = tree_of(at_desk, here)

    assert tree.count(">Child ") == SIDE_BY_SIDE
    assert "3 more" in text_of(tree)
    assert f'href="/imodels/{here.imodel_id}/">3 more' in tree


def test_a_long_line_is_cut_above_and_below(at_desk, made):
    line = [made("Number 0")]
    for number in range(1, 12):
        line.append(made(f"Number {number}", of=line[-1]))

    tree = tree_of(at_desk, line[LEVELS_UP + 2])

    assert "Earlier ones" in tree
    assert (">Number 1<" in tree, ">Number 2<" in tree, ">Number 10<" in tree, ">Number 11<" in tree) == (
        False,
        True,
        True,
        False,
    )


def test_a_circle_ends(at_desk, made):
    here = made("Here")
    other = made("Other", of=here)
    Operation.objects.filter(pk=here.pk).update(source_id=other.imodel_id)

    assert place_of(tree_of(at_desk, here), "Here") > 0


def test_an_orphan_says_so(at_desk, made, mara):
    failed = made("Failed one", state=State.FAILED)
    Orphan.objects.create(operation=failed, state=OrphanState.DELETED, changed_at=timezone.now())

    assert "failed, deleted" in text_of(tree_of(at_desk, made("Here", of=failed)))


def test_its_cost_does_not_grow_with_what_was_made(at_desk, made, django_assert_max_num_queries):
    here = made("Here")
    for number in range(SIDE_BY_SIDE):
        child = made(f"Child {number}", of=here)
        made(f"Grandchild {number}", of=child)

    with django_assert_max_num_queries(36):
        tree_of(at_desk, here)


def test_what_is_made_of_nothing_has_no_lineage(at_desk, bridge_team, mara, spec_for):
    operation = lifecycle.request(spec_for(Kind.EMPTY, name="Alone"), by=mara)

    assert tree_of(at_desk, operation) == ""
    assert "Made from nothing" in at_desk.get(reverse("imodels:lineage", args=[operation.pk])).content.decode()


def test_members_of_the_team_see_the_line_too(client, tomas, made):
    assert Membership.objects.filter(user=tomas).exists()
    client.force_login(tomas)

    assert place_of(tree_of(client, made("Here")), "Main Bridge") > 0
