"""What passes by itself is waited for by itself: no answer of a moment becomes a wait for a person."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from imodels_app import lifecycle
from imodels_app.accounts import tokens
from imodels_app.models import Notification, Operation, TokenSet
from imodels_app.runtime import clock
from imodels_app.states import Kind, NotificationKind, State, WaitReason
from imodels_app.workers.poll import poll
from imodels_app.workers.submit import submit
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 20
API = r"^/(imodels|itwins)"


@pytest.fixture
def many_clones(bridge_team, signed_in_mara, spec_for, sandbox) -> list[Operation]:
    """What Mara asked for a moment ago."""
    sandbox.advance_by_polls(2)
    return [lifecycle.request(spec_for(Kind.CLONE), by=signed_in_mara) for _ in range(MANY)]


def all_done() -> bool:
    return Operation.objects.filter(state=State.SUCCEEDED).count() == MANY


def nobody_was_asked_to_sign_in() -> bool:
    asked = Operation.objects.filter(events__data__wait=WaitReason.SIGN_IN)
    return not asked.exists() and not Notification.objects.filter(kind=NotificationKind.SIGN_IN).exists()


REFUSALS: dict[str, tuple[str, dict[str, Any]]] = {
    "the first look of each": (r"/operations/create$", {"of_each": True}),
    "the first two looks of each": (r"/operations/create$", {"of_each": True, "times": 2}),
    "the first request of each": (r"/clone$", {"times": MANY}),
    "all looks for 10 s": (r"/operations/create$", {"for_s": 10}),
    "all calls for 10 s": (API, {"for_s": 10}),
    "all calls for 4 minutes": (API, {"for_s": 240}),
}
PLAYED_FIRST = ("the first look of each", "all looks for 10 s")


@pytest.fixture
def as_time_goes_by(tick, virtual_clock, sandbox, monkeypatch):
    """as_time_goes_by(seconds, until): workers work while the clock goes on, that of faults too, until it is true."""
    monkeypatch.setattr(sandbox.platform.faults, "clock", virtual_clock.time)

    def go(seconds: int, until=lambda: False) -> None:
        step = 3 if seconds <= 450 else 10
        for _ in range(0, seconds, step):
            tick()
            virtual_clock.passes(step)
            if until():
                return

    return go


@pytest.mark.parametrize(
    "refusal", [one if one in PLAYED_FIRST else pytest.param(one, marks=pytest.mark.soak) for one in REFUSALS]
)
def test_56_twenty_clones_that_meet_a_401_are_made_and_nobody_is_asked_to_sign_in(
    many_clones, sandbox, as_time_goes_by, refusal
):
    path, how = REFUSALS[refusal]
    sandbox.fault("*", path, status=401, **how)

    as_time_goes_by(how.get("for_s", 0) + 400, until=all_done)

    assert all_done()
    assert nobody_was_asked_to_sign_in()


@pytest.mark.soak
def test_56_a_platform_that_refuses_every_token_for_minutes_asks_for_a_sign_in_and_goes_on_by_itself_when_it_ends(
    many_clones, sandbox, as_time_goes_by
):
    sandbox.fault("*", API, status=401, for_s=600)

    as_time_goes_by(420)
    assert Operation.objects.filter(wait_reason=WaitReason.SIGN_IN).exists()
    assert Notification.objects.filter(kind=NotificationKind.SIGN_IN).count() == 1
    as_time_goes_by(600, until=all_done)

    assert all_done()
    assert Notification.objects.filter(kind=NotificationKind.SIGN_IN).count() == 1


@pytest.mark.soak
@pytest.mark.parametrize(
    ("method", "path", "how"),
    [
        ("GET", r"/operations/create$", {"status": 401, "of_each": True}),
        ("GET", r"/operations/create$", {"status": 401, "for_s": 10}),
        ("POST", r"/connect/token$", {"slow_s": 12}),
    ],
    ids=["the first look of each is refused", "all looks are refused for 10 s", "the token endpoint takes 12 s"],
)
def test_56_58_real_workers_make_twenty_clones_and_nobody_is_asked_to_sign_in(
    many_clones, sandbox, processes, method, path, how
):
    now = clock.now()
    TokenSet.objects.update(expires_at=now + timedelta(seconds=61), obtained_at=now - timedelta(minutes=59))
    sandbox.fault(method, path, **how)

    processes.desk()
    wait_until(all_done, what="twenty clones")

    assert nobody_was_asked_to_sign_in()


def test_58_while_one_persons_refresh_takes_long_others_are_served(
    queued_clone, signed_in_mara, tomas, spec_for, sandbox, monkeypatch
):
    """Mara's operation is first in line, and not even a second worker is held up by it."""
    monkeypatch.setattr(tokens, "WAIT_FOR_OTHERS_S", 0)
    tokens.store(tomas, sandbox.tokens_for("tomas"))
    other = lifecycle.request(spec_for(Kind.CLONE), by=tomas)
    TokenSet.objects.filter(user=signed_in_mara).update(expires_at=clock.now())
    held = sandbox.fault("POST", r"/connect/token$", held=True)
    slow = threading.Thread(target=lambda: (submit(queued_clone.pk), connection.close()))
    slow.start()
    wait_until(lambda: held.holding, what="the refresh")

    submit(queued_clone.pk)
    submit(other.pk)

    other.refresh_from_db()
    queued_clone.refresh_from_db()
    held.release()
    slow.join()
    assert other.state == State.RUNNING
    assert queued_clone.wait_reason == WaitReason.TOKEN


def test_56_a_look_that_is_refused_once_is_made_again_at_once(queued_clone, signed_in_mara, sandbox):
    submit(queued_clone.pk)
    sandbox.fault("GET", r"/operations/create$", status=401)

    poll(queued_clone.pk)
    poll(queued_clone.pk)

    assert sandbox.calls("GET", "/operations/create") == 2
