"""One person at full speed on every page that asks the platform: another's operation leaves, their picker answers."""

from contextlib import suppress
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.limits import rate_limits
from imodels_app.models import Operation
from imodels_app.runtime import clock
from imodels_app.states import Kind, State
from imodels_app.workers.poll import poll
from imodels_app.workers.submit import submit

pytestmark = pytest.mark.django_db

SAID = "You have looked up a lot in a short time. Try again in"


def _page(name, *args, **asked):
    """Another text or id each time, so that nothing is remembered."""
    return lambda browser: browser.get(reverse(f"imodels:{name}", args=args), {k: v() for k, v in asked.items()})


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
