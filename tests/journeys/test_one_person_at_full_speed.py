"""One person at full speed on every page that asks the platform: another's operation leaves, their picker answers."""

from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.limits import rate_limits
from imodels_app.models import LookupShare, Operation, TeamITwin
from imodels_app.requesting import card_facts
from imodels_app.runtime import clock
from imodels_app.states import Kind, State
from imodels_app.workers.poll import poll
from imodels_app.workers.submit import submit
from tests.people import fail

pytestmark = pytest.mark.django_db

SAID = "You have looked up a lot in a short time. Try again in"


def _page(name, *args, **asked):
    """Another text or id each time, so that nothing is remembered."""
    return lambda browser: browser.get(reverse(f"imodels:{name}", args=args), {k: v() for k, v in asked.items()})


def _form(name, *args, **sent):
    return lambda browser: browser.post(reverse(f"imodels:{name}", args=args), sent)


def _word():
    return uuid4().hex[:12]


def _id():
    return str(uuid4())


PAGES = {
    "pick iTwins": _page("pick-itwins", q=_word),
    "pick iModels": _page("pick-imodels", q=_word),
    "pick iModels of an iTwin": _page("pick-imodels", q=_word, itwin_id=_id),
    "pick templates": _page("pick-imodels", q=_word, **{"as": lambda: "template"}),
    "pick by a pasted id": _page("pick-imodels", q=_id),
    "pick changesets": _page("pick-changesets", source_id=_id),
    "pick versions": _page("pick-versions", source_id=_id),
    "checks": _page("request-checks", "clone", source=_word, itwin=_word),
    "checks of a fork": _page("request-checks", "fork", source=_id, itwin=_word),
    "a form with a source": _page("request-clone", source=_id),
    "a form with names": _page("request-fork", source=_word, itwin=_word),
    "a form that is sent": lambda browser: browser.post(
        reverse("imodels:request-empty"), {"itwin": _word(), "name": "Pier 7"}
    ),
    "a preset": lambda browser: browser.post(
        reverse("imodels:save-preset", args=["clone"]), {"source": _word(), "itwin": _word()}
    ),
}

# Pages of what is there already; rows: operations by what they are here.
OF_ROWS = {
    "the card": lambda rows: _page("approval-facts", rows["fork"].pk),
    "an edited request": lambda rows: _page("edit-request", rows["own"].pk),
    "lineage": lambda rows: _page("lineage", rows["clone"].pk),
    "an orphan": lambda rows: _page("orphan-detail", rows["failed"].pk),
    "an orphan to delete": lambda rows: _form("delete-orphan", rows["failed"].pk),
    "made again": lambda rows: _form("act-on-several", act="again", pick=rows["own"].pk, sure="on"),
    "a team": lambda rows: _page("team-detail", rows["clone"].team_id),
    "an iTwin for a team": lambda rows: _form("give-itwin", rows["clone"].team_id, itwin=_word()),
}


@pytest.fixture
def trial(settings, sandbox):
    """The tier with the lowest limits, at both ends."""
    settings.ITWIN_TIER = "trial"
    sandbox.limit("all", 500)
    return sandbox


@pytest.fixture
def as_otto(otto, trial):
    tokens.store(otto, trial.tokens_for("otto"))
    browser = Client()
    browser.force_login(otto)
    return browser


@pytest.fixture
def as_ines(ines, trial):
    """An admin: she may see all of it."""
    tokens.store(ines, trial.tokens_for("ines"))
    browser = Client()
    browser.force_login(ines)
    return browser


@pytest.fixture
def rows(bridge_team, signed_in_mara, ines, tomas, spec_for, trial):
    wanted = {"fork": Kind.FORK, "clone": Kind.CLONE, "failed": Kind.FORK}
    made = {what: lifecycle.request(spec_for(kind), by=signed_in_mara) for what, kind in wanted.items()}
    made["own"] = lifecycle.request(spec_for(Kind.FORK), by=ines)
    fail(made["failed"], approved_by=tomas)
    TeamITwin.objects.create(team=bridge_team, itwin_id=_id())
    return made


@pytest.fixture
def as_tomas(tomas, trial):
    tokens.store(tomas, trial.tokens_for("tomas"))
    browser = Client()
    browser.force_login(tomas)
    return browser


def use_up_share(person):
    with suppress(rate_limits.RateLimited):
        while True:
            rate_limits.count_lookup(person.pk, clock.now())


def test_only_whoever_searches_240_times_waits(as_otto, as_tomas, bridge_team, tomas, spec_for, trial):
    kinds = (Kind.EMPTY, Kind.CLONE)
    running, queued = (lifecycle.request(spec_for(kind), by=tomas) for kind in kinds)
    submit(running.pk)
    before = len(trial.journal)

    answers = [PAGES["pick iTwins"](as_otto) for _ in range(240)]

    assert {answer.status_code for answer in answers} == {200}
    assert SAID in answers[-1].content.decode()
    assert len(trial.journal) - before < 120  # a share of the 500, and what drips meanwhile
    assert rate_limits.frozen_until(clock.now()) is None
    submit(queued.pk)
    Operation.objects.filter(pk=running.pk).update(due_at=clock.now())
    poll(running.pk)
    assert Operation.objects.get(pk=queued.pk).state == State.RUNNING
    assert trial.calls("GET", "/operations/create") == 1
    assert rate_limits.polls_left(clock.now()) > 0
    assert "Main Bridge" in as_tomas.get(reverse("imodels:pick-imodels"), {"q": "Main"}).content.decode()


@pytest.mark.parametrize("page", PAGES)
def test_whoever_has_used_up_their_share_asks_no_more_on_any_page(as_otto, otto, trial, page):
    use_up_share(otto)
    before = len(trial.journal)

    answers = [PAGES[page](as_otto) for _ in range(3)]

    assert {answer.status_code for answer in answers} <= {200, 422}
    assert len(trial.journal) - before <= 3  # what has dripped in meanwhile


@pytest.mark.parametrize("page", OF_ROWS)
def test_nor_of_what_is_there_already(as_ines, ines, rows, trial, page):
    ask, before = OF_ROWS[page](rows), len(trial.journal)
    ask(as_ines)
    assert len(trial.journal) > before

    use_up_share(ines)
    before = len(trial.journal)
    for _ in range(3):
        cache.clear()  # what was told a moment ago is forgotten
        assert ask(as_ines).status_code < 500

    assert len(trial.journal) - before <= 3  # what has dripped in meanwhile


def test_three_at_full_speed_leave_their_place_to_whoever_comes(
    as_tomas, bridge_team, tomas, spec_for, mara, ines, otto
):
    """Each for itself as fast as they can, whatever their pages are, for some minutes."""
    queued = lifecycle.request(spec_for(Kind.CLONE), by=tomas)
    start = clock.now() - timedelta(minutes=5)
    for seconds in range(0, 5 * 60 + 1, 2):
        for person in (mara, ines, otto):
            with suppress(rate_limits.RateLimited):
                rate_limits.count_lookup(person.pk, start + timedelta(seconds=seconds))

    answer = as_tomas.get(reverse("imodels:pick-imodels"), {"q": "Main"})
    submit(queued.pk)

    assert "Main Bridge" in answer.content.decode()
    assert SAID not in as_tomas.get(reverse("imodels:pick-itwins"), {"q": _word()}).content.decode()
    queued.refresh_from_db()
    assert queued.state == State.RUNNING


def test_who_decides_reads_the_card_however_much_the_requester_has_looked_up(as_tomas, rows, mara, tomas):
    use_up_share(mara)

    as_tomas.get(reverse("imodels:approval-facts", args=[rows["fork"].pk]))

    assert card_facts.remembered(rows["fork"]).facts.source.imodel.name == "Main Bridge"
    assert LookupShare.objects.get(person=tomas).tokens > 1


def test_whoever_has_used_up_their_share_takes_the_card_from_nobody_else(as_ines, as_tomas, ines, rows):
    use_up_share(ines)
    address = reverse("imodels:approval-facts", args=[rows["fork"].pk])

    assert SAID in as_ines.get(address, headers={"HX-Request": "true"}).content.decode()
    assert SAID not in as_tomas.get(address, headers={"HX-Request": "true"}).content.decode()
    assert card_facts.remembered(rows["fork"]).facts


@pytest.mark.parametrize("picker", ["itwins", "imodels", "changesets", "versions"])
def test_whoever_waits_reads_so_in_their_picker(as_otto, otto, trial, picker):
    use_up_share(otto)

    answer = as_otto.get(reverse(f"imodels:pick-{picker}"), {"q": _word(), "source_id": _id()})

    assert answer.status_code == 200
    assert SAID in answer.content.decode()


def test_a_form_says_so_and_keeps_what_was_typed(as_otto, otto, trial):
    use_up_share(otto)

    answer = as_otto.post(reverse("imodels:request-fork"), {"source": "Main Bridge", "name": "Pier 7", "reason": "Why"})

    page = answer.content.decode()
    assert answer.status_code == 422
    assert SAID in page
    assert all(text in page for text in ("Main Bridge", "Pier 7", "Why"))


def test_polls_of_one_person_with_500_operations_do_not_hold_up_anothers(bridge_team, mara, tomas, spec_for, trial):
    many = [lifecycle.request(spec_for(Kind.EMPTY), by=mara) for _ in range(40)]
    one = lifecycle.request(spec_for(Kind.EMPTY), by=tomas)
    now = clock.now()
    Operation.objects.filter(requested_by=mara).update(state=State.RUNNING, due_at=now)
    Operation.objects.filter(pk=one.pk).update(state=State.RUNNING, due_at=now)

    due = list(Operation.objects.due_for_poll(clock.now()))

    assert one in due[:2]
    assert len(due) == len(many) + 1
