"""The pace, played against every way a server may count, on a clock of its own.

A server of each kind, one to eight workers, and delays that a network has: no request is ever refused, and
nearly all of what is allowed is used. No real second passes here.
"""

import heapq
import random
from collections import deque
from datetime import UTC, datetime, timedelta

import pytest

from imodels_app.limits.pacing import MINUTE, Sent, Turn, next_turn
from imodels_app.limits.rate_limits import ONE_AT_A_TIME_FOR
from imodels_app.runtime.timing import LONGEST_CALL
from imodels_app.states import WaitReason

START = datetime(2026, 11, 21, tzinfo=UTC)
MINUTE_S = 60.0
RETRY_AFTER_S = 30.0


class FixedWindow:
    """At most L in each whole minute; where the minutes begin is the server's secret."""

    def __init__(self, limit: int, offset_s: float) -> None:
        self.limit, self.offset_s, self.window, self.count = limit, offset_s, -1, 0

    def allows(self, at_s: float) -> bool:
        window = int((at_s + self.offset_s) // MINUTE_S)
        if window != self.window:
            self.window, self.count = window, 0
        self.count += 1
        return self.count <= self.limit


class SlidingLog:
    """At most L in any 60 s."""

    def __init__(self, limit: int, offset_s: float) -> None:
        self.limit, self.log = limit, deque[float]()

    def allows(self, at_s: float) -> bool:
        while self.log and self.log[0] <= at_s - MINUTE_S:
            self.log.popleft()
        self.log.append(at_s)
        return len(self.log) <= self.limit


class SlidingCounter:
    """This minute's count, and the last one's by the share of it that still overlaps."""

    def __init__(self, limit: int, offset_s: float) -> None:
        self.limit, self.offset_s, self.window, self.count, self.before = limit, offset_s, -1.0, 0, 0

    def allows(self, at_s: float) -> bool:
        window, into = divmod(at_s + self.offset_s, MINUTE_S)
        if window != self.window:
            self.before = self.count if window == self.window + 1 else 0
            self.window, self.count = window, 0
        estimate = self.before * (1 - into / MINUTE_S) + self.count
        if estimate >= self.limit:
            return False
        self.count += 1
        return True


class TokenBucket:
    """L tokens at most, and one more each 60/L s."""

    def __init__(self, limit: int, offset_s: float) -> None:
        self.limit, self.tokens, self.at_s = limit, float(limit), 0.0

    def allows(self, at_s: float) -> bool:
        self.tokens = min(self.limit, self.tokens + (at_s - self.at_s) * self.limit / MINUTE_S)
        self.at_s = at_s
        if self.tokens < 1 - 1e-9:
            return False
        self.tokens -= 1
        return True


SERVERS = [FixedWindow, SlidingLog, SlidingCounter, TokenBucket]


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def play(server, limit: int, *, workers: int, delay, hours: float, seed: int) -> tuple[int, float]:
    """Workers that always have more to send. Returns how many 429 there were, and the share of the limit that was used.

    delay(chance) is the seconds of one way of one request. The server counts at arrival. A 429 is obeyed as
    rate_limits.py does it: nothing until Retry-After has passed, and then one at a time for a while.
    """
    chance = random.Random(seed)
    history: deque[Sent] = deque(maxlen=limit)
    events: list[tuple[float, int, str, float]] = []  # at, number, what, sent at
    now_s, end_s, number, free = 0.0, hours * 3600, 0, workers
    frozen_s, careful_s, refused, accepted = 0.0, 0.0, 0, 0
    answers: dict[int, bool] = {}
    while True:
        turn = next_turn(list(history), limit, one_at_a_time=now_s < careful_s) if free else None
        allowed_s = max(now_s, frozen_s, (turn.at - START).total_seconds() if turn else 0.0)
        if free and allowed_s < end_s and (not events or allowed_s <= events[0][0]):
            now_s, number, free = allowed_s, number + 1, free - 1
            history.appendleft(Sent(at(now_s)))
            heapq.heappush(events, (now_s + delay(chance), number, "arrives", now_s))
            continue
        if not events:
            return refused, accepted / (limit * hours * 60)
        now_s, which, what, sent_s = heapq.heappop(events)
        if what == "arrives":
            answers[which] = server.allows(now_s)
            heapq.heappush(events, (now_s + delay(chance), which, "answered", sent_s))
            continue
        free += 1
        _answer(history, sent_s, now_s)
        accepted += answers[which]
        if not answers[which]:
            refused, frozen_s = refused + 1, max(frozen_s, now_s + RETRY_AFTER_S)
            careful_s = frozen_s + ONE_AT_A_TIME_FOR.total_seconds()


def _answer(history: deque[Sent], sent_at_s: float, back_s: float) -> None:
    for index, one in enumerate(history):
        if one.at == at(sent_at_s) and one.answered_at is None:
            history[index] = Sent(one.at, at(back_s))
            return


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.15])
@pytest.mark.parametrize("limit", [5, 20, 50])
@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.__name__)
def test_no_request_is_refused_and_98_percent_of_the_limit_are_used(kind, limit, delay_s, workers):
    server = kind(limit, offset_s=17.3)

    refused, used = play(
        server, limit, workers=workers, delay=lambda chance: chance.uniform(0, delay_s), hours=1, seed=limit * workers
    )

    assert refused == 0
    assert used >= 0.98


@pytest.mark.parametrize("limit", [5, 20, 50])
@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.__name__)
def test_with_a_long_tail_of_delays_at_most_two_are_refused_in_two_hours(kind, limit):
    def long_tailed(chance: random.Random) -> float:
        return chance.uniform(0.5, 5) if chance.random() < 0.01 else chance.lognormvariate(-2.5, 0.4)

    refused, used = play(kind(limit, offset_s=41.9), limit, workers=8, delay=long_tailed, hours=2, seed=limit)

    assert refused <= 2
    assert used >= 0.9


@pytest.mark.parametrize("limit", [5, 20, 50])
def test_a_server_that_allows_less_than_documented_is_obeyed_and_used_all_the_same(limit):
    """Another program shares the client id and takes half: each 429 costs a pause, and no storm follows."""
    half = SlidingLog(limit // 2, offset_s=0)

    refused, used = play(half, limit, workers=8, delay=lambda chance: chance.uniform(0, 0.15), hours=1, seed=3)

    assert refused <= 60 * 60 / RETRY_AFTER_S
    assert used >= 0.15


def test_the_first_request_leaves_at_once():
    assert next_turn([], 20) is None


def test_requests_are_spaced_evenly():
    assert next_turn([Sent(at(0), at(0.1))], 20) == Turn(at(0) + MINUTE / 20, WaitReason.SPACED)


def test_the_last_of_a_full_minute_waits_for_the_first_ones_answer():
    latest = [Sent(at(number), at(number + 2)) for number in reversed(range(5))]

    assert next_turn(latest, 5) == Turn(at(0 + 2) + MINUTE, WaitReason.OWN_LIMIT)


def test_a_request_without_an_answer_counts_until_its_caller_has_given_up():
    latest = [Sent(at(number)) for number in reversed(range(5))]

    assert next_turn(latest, 5) == Turn(at(0) + LONGEST_CALL + MINUTE, WaitReason.OWN_LIMIT)


def test_after_a_429_each_answer_is_waited_for():
    for sent, counted in ((Sent(at(0), at(4)), at(4)), (Sent(at(0)), at(0) + LONGEST_CALL)):
        assert next_turn([sent], 20, one_at_a_time=True) == Turn(counted + MINUTE / 20, WaitReason.SPACED)
