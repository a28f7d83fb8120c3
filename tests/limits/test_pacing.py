"""The pace, played against every way a server may count, on a clock of its own.

One to eight workers, and delays that a network has: no request is ever refused, by any kind of server whenever its
windows begin, and nearly all of what is allowed is used. No real second passes here.
"""

import heapq
import os
import random
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from imodels_app.limits.pacing import GRACE, MATTERS_FOR, MINUTE, Others, Pace, Sent, Turn
from imodels_app.limits.rate_limits import NO_BURSTS_FOR, ONE_AT_A_TIME_FOR
from imodels_app.runtime.timing import CLAIM_LASTS, LONGEST_CALL
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
# When their windows begin.
OFFSETS_S = (0.0, 7.7, 17.3, 29.9, 41.9, 59.8)
HOURS = float(os.environ.get("BENCH_HOURS", "12"))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def by_network(chance: random.Random) -> float:
    """Seconds of one way of one request."""
    return chance.uniform(0, 0.15)


def long_tailed(chance: random.Random) -> float:
    return chance.uniform(0.5, 5) if chance.random() < 0.01 else chance.lognormvariate(-2.5, 0.4)


def bursts(limit: int, chance: random.Random, hours: float) -> Iterator[float]:
    """When people ask: now and then for one, or for up to twice what a minute allows."""
    asked_s = 0.0
    while asked_s < hours * 3600:
        yield from [asked_s] * chance.choice([1, 2, 3, max(limit // 2, 1), limit, limit, 2 * limit])
        asked_s += chance.expovariate(1 / chance.choice([20, 90, 200]))


class Played:
    """Workers and servers. asked_s: when each request is asked for; None: there is always one more.

    ticks  seconds of the servers' clocks for each of ours

    Every server sees the same requests, counted at their arrival. A 429 of the first one is obeyed as rate_limits.py
    does it; none of the others is expected to refuse any.
    """

    def __init__(self, limit, servers, *, workers, delay, hours, seed, asked_s=None, ticks=1.0) -> None:
        self.ticks = ticks
        self.limit, self.servers, self.delay, self.chance = limit, servers, delay, random.Random(seed)
        self.now_s, self.end_s, self.free = 0.0, hours * 3600, workers
        self.asked_s = None if asked_s is None else deque(asked_s)
        self.sent: deque[Sent] = deque()
        self.events: list[tuple[float, int, str, Sent, bool]] = []
        self.refused, self.accepted, self.frozen_s = 0, 0, -1e9
        while self._step():
            pass

    @property
    def used(self) -> float:
        return self.accepted / (self.limit * self.end_s / 60)

    def _step(self) -> bool:
        send_s = self._next_send_s()
        if self.events and (send_s is None or self.events[0][0] < send_s):
            self.now_s, _, what, sent, allowed = heapq.heappop(self.events)
            self._arrives(sent) if what == "arrives" else self._answered(sent, allowed)
        elif send_s is None or send_s > self.end_s:
            return bool(self.events)
        elif send_s > self.now_s:
            self.now_s = send_s
        else:
            self._send()
        return True

    def _next_send_s(self) -> float | None:
        if not self.free or (self.asked_s is not None and not self.asked_s):
            return None
        now_s = max(self.now_s, self.asked_s[0]) if self.asked_s else self.now_s
        turn = self._pace(at(now_s)).turn()
        return max(now_s, (turn.at - START).total_seconds())

    def _pace(self, now: datetime) -> Pace:
        while self.sent and self.sent[-1].at < now - MATTERS_FOR:
            self.sent.pop()
        frozen = at(self.frozen_s)
        return Pace(
            list(self.sent),
            self.limit,
            now,
            is_even=now < frozen + NO_BURSTS_FOR,
            after_answer=now < frozen + ONE_AT_A_TIME_FOR,
            frozen_until=frozen if now < frozen else None,
        )

    def _send(self) -> None:
        self.free -= 1
        if self.asked_s:
            self.asked_s.popleft()
        sent = Sent(at(self.now_s))
        self.sent.appendleft(sent)
        self._later("arrives", sent, True)

    def _arrives(self, sent: Sent) -> None:
        answers = [server.allows(self.now_s * self.ticks) for server in self.servers]
        self._later("answered", sent, all(answers))

    def _answered(self, sent: Sent, allowed: bool) -> None:
        self.free += 1
        object.__setattr__(sent, "answered_at", at(self.now_s))
        self.accepted += allowed
        if not allowed:
            self.refused, self.frozen_s = self.refused + 1, max(self.frozen_s, self.now_s + RETRY_AFTER_S)

    def _later(self, what: str, sent: Sent, allowed: bool) -> None:
        at_s = self.now_s + self.delay(self.chance)
        heapq.heappush(self.events, (at_s, self.chance.getrandbits(60), what, sent, allowed))


def all_servers(limit: int) -> list:
    return [kind(limit, offset_s) for kind in SERVERS for offset_s in OFFSETS_S]


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("limit", [5, 20, 50])
def test_no_server_refuses_any_and_98_percent_of_the_limit_are_used(limit, workers):
    played = Played(limit, all_servers(limit), workers=workers, delay=by_network, hours=5 / limit, seed=workers)

    assert played.refused == 0
    assert played.used >= 0.98


@pytest.mark.parametrize("ticks", [0.996, 1.004])
@pytest.mark.parametrize("limit", [5, 20])
def test_no_server_whose_clock_ticks_a_little_slower_or_faster_refuses_any(limit, ticks):
    asked_s = bursts(limit, random.Random(7), hours=1)
    how = {"workers": 8, "delay": by_network, "seed": 8, "ticks": ticks}

    full = Played(limit, all_servers(limit), hours=5 / limit, **how)
    burst = Played(limit, all_servers(limit), hours=1, asked_s=asked_s, **how)

    assert (full.refused, burst.refused) == (0, 0)


@pytest.mark.parametrize("delay", [by_network, long_tailed])
@pytest.mark.parametrize("limit", [5, 20, 50])
def test_no_server_refuses_any_of_a_burst_that_follows_a_pause(limit, delay):
    asked_s = bursts(limit, random.Random(7), hours=1)

    played = Played(limit, all_servers(limit), workers=8, delay=delay, hours=1, seed=limit, asked_s=asked_s)

    assert played.accepted > 10 * limit
    assert played.refused == 0


@pytest.mark.measure
@pytest.mark.parametrize("delay", [by_network, long_tailed])
@pytest.mark.parametrize("workers", [1, 2, 4, 8])
@pytest.mark.parametrize("limit", [5, 20, 50])
def test_hours_at_full_speed_and_in_bursts_meet_no_429(limit, workers, delay, record_property):
    hours = HOURS * 5 / limit
    asked_s = bursts(limit, random.Random(workers), hours)
    full = Played(limit, all_servers(limit), workers=workers, delay=delay, hours=hours / 2, seed=workers)
    burst = Played(limit, all_servers(limit), workers=workers, delay=delay, hours=hours, seed=limit, asked_s=asked_s)

    record_property(
        "figure",
        f"limiter, {limit} a minute, {workers} workers, {delay.__name__}: {full.used:.1%} of the rate; refused "
        f"{full.refused} of {full.accepted} under full load and {burst.refused} of {burst.accepted} in bursts",
    )
    assert full.refused == burst.refused == 0
    # A worker that is busy for seconds now and then cannot do it alone.
    assert full.used >= (0.98 if delay is by_network else 0.9)


@pytest.mark.parametrize("limit", [5, 20, 50])
def test_a_server_that_allows_less_than_documented_is_obeyed_and_used_all_the_same(limit):
    """Another program shares the client id and takes half: each 429 costs a pause, and no storm follows."""
    half = SlidingLog(limit // 2, offset_s=0)

    played = Played(limit, [half], workers=8, delay=by_network, hours=1, seed=3)

    assert played.refused <= 60 * 60 / RETRY_AFTER_S + limit
    assert played.used >= 0.15


# ---------- one turn ----------


def pace(*sent: Sent, limit: int = 20, now_s: float = 0.0, **more) -> Pace:
    return Pace(sorted(sent, key=lambda one: one.at, reverse=True), limit, at(now_s), **more)


def burst(count: int, *, at_s: float = 0.0, by: int | None = None) -> list[Sent]:
    return [Sent(at(at_s), at(at_s + 0.1), by) for _ in range(count)]


def wait_s(turn: Turn, now_s: float = 0.0) -> float:
    return (turn.at - at(now_s)).total_seconds()


def test_after_a_pause_a_whole_minutes_requests_leave_at_once():
    for count in range(20):
        assert pace(*burst(count), now_s=0.2).turn() == Turn(at(0.2), WaitReason.NONE)


def test_the_last_of_a_full_minute_waits_for_the_first_ones_answer():
    assert wait_s(pace(*burst(20), now_s=5).turn()) == pytest.approx(60.4, abs=0.01)
    assert pace(*burst(20), now_s=5).turn().reason == WaitReason.OWN_LIMIT


def test_the_minute_after_a_burst_is_used_evenly():
    """A counter still holds the burst's minute against us, the less the longer it is over."""
    turn = pace(*burst(20), *burst(1, at_s=60.5), now_s=60.7).turn()

    assert wait_s(turn) == pytest.approx(60.4 + MINUTE.total_seconds() / 20, abs=0.02)
    assert turn.reason == WaitReason.SPACED


def test_a_request_without_an_answer_counts_until_its_sender_has_given_up():
    unanswered = [Sent(at(0)) for _ in range(5)]
    given_up_s = (CLAIM_LASTS + LONGEST_CALL).total_seconds()

    assert wait_s(pace(*unanswered, limit=5, now_s=10).turn()) >= 10 + 60
    assert wait_s(pace(*unanswered, limit=5, now_s=100).turn()) == pytest.approx(given_up_s + 60.3, abs=0.01)


def test_after_a_429_there_are_no_bursts_and_at_first_each_answer_is_waited_for():
    sent = Sent(at(0), at(0.4))

    assert wait_s(pace(sent, now_s=1, is_even=True).turn()) == pytest.approx(60.3 / 20)
    assert wait_s(pace(sent, now_s=1, is_even=True, after_answer=True).turn()) == pytest.approx(0.4 + 60.3 / 20)
    unanswered = pace(Sent(at(0)), now_s=1, after_answer=True).turn()
    assert unanswered.at == at(0) + CLAIM_LASTS + LONGEST_CALL + MINUTE / 20


# ---------- others ----------

ONE, NINE = Others(are_about=True, places=1), Others(are_about=True, places=9)
ME = 1


def send_all_that_may(limit: int, others: Others, *, seconds: int) -> list[Sent]:
    """One person who always has more to ask for."""
    sent: list[Sent] = []
    for tick in range(seconds * 5):
        now_s = tick / 5
        while pace(*sent, limit=limit, now_s=now_s).turn(ME, others).at <= at(now_s):
            sent.append(Sent(at(now_s), at(now_s), ME))
    return sent


@pytest.mark.parametrize("limit", [5, 20, 50])
def test_a_burst_by_one_takes_half_while_others_are_about_and_then_goes_on_evenly(limit):
    sent = send_all_that_may(limit, ONE, seconds=20)

    assert sum(one.at == at(0) for one in sent) == limit // 2
    assert len(sent) > limit // 2


@pytest.mark.parametrize("limit", [5, 20, 50])
@pytest.mark.parametrize(("others", "newcomers"), [(ONE, 1), (NINE, 9)])
def test_whenever_others_who_are_about_come_they_leave_within_a_few_seconds(limit, others, newcomers):
    """However long one person has used all that they may. Of five a minute, three are for others."""
    sent = send_all_that_may(limit, others, seconds=150)
    places = min(newcomers, limit - limit // 2)

    for come_s in range(1, 150, 7):
        before = [one for one in sent if one.at <= at(come_s)]
        last = pace(*before, limit=limit, now_s=come_s).start_of(places)
        assert last <= at(come_s) + MINUTE / limit + GRACE + timedelta(seconds=0.5)
