"""How soon the next request of a rate-limited kind may leave. Arithmetic only: no clock, no queries.

The platform documents how many a minute, not how it counts: a fixed window, a sliding log, a sliding counter or a
token bucket. One rule satisfies all four. A sliding counter at time t, whose windows begin at times like b, counts

    E(b, t) = counted(b .. t) + (1 - (t - b) / 60) · counted(b - 60 .. b)

and takes a request while that is less than L. Where its windows begin is its secret, so a request leaves only when
E(b, t) < L for every b in the last minute. With b = t that is the sliding log; without the second term the fixed
window; and as no minute holds more than L, a bucket of L that refills L a minute never runs dry. After a pause of two
minutes L requests leave at once; after a burst, and under full load, one each 60/L s.

When a request was counted nobody tells: between its sending and its answer. It is held to be counted as late as it can
have been, at its answer, or now while that is awaited. So neither delays nor requests that overtake each other can make
the platform's sum larger than ours: whichever of them was sent last was weighed against all the others.
tests/limits/test_pacing.py plays it against all four.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from imodels_app.runtime.timing import CLAIM_LASTS, LONGEST_CALL
from imodels_app.states import WaitReason

# A minute, and a little for clocks that do not tick alike: half a per cent of the allowed rate.
MINUTE = timedelta(seconds=60.3)
# What was counted before that does not matter any more.
MATTERS_FOR = 2 * MINUTE + CLAIM_LASTS + LONGEST_CALL
# Past the very moment at which a sum has fallen to L.
_PAST = timedelta(milliseconds=1)
# Somebody else's first request never waits longer than 60/L s and this, of which a second is for whoever sends it.
GRACE = timedelta(seconds=4)


@dataclass(frozen=True)
class Turn:
    """When a request may leave, and what it waits for until then.

    reason  SPACED, OWN_LIMIT, or RATE_LIMIT for the platform's own 429; NONE: nothing
    """

    at: datetime
    reason: WaitReason


@dataclass(frozen=True)
class Sent:
    """One request. answered_at: None while there is no answer, or when its sender died; by: whose it was."""

    at: datetime
    answered_at: datetime | None = None
    by: int | None = None

    def counted_by(self, now: datetime) -> datetime:
        """The latest instant up to now at which the platform can have counted it."""
        # Its sender holds the claim for a while before it sends, and has given up by then.
        return self.answered_at or min(self.at + CLAIM_LASTS + LONGEST_CALL, max(now, self.at))


def next_turn(sent: Iterable[Sent], limit: int, now: datetime) -> Turn:
    """When the next request may leave, and why not before; now, for no reason, when it may at once.

    sent   all that were sent within MATTERS_FOR, in any order
    limit  requests a minute

    What is not answered yet may make it later: ask again at that time.
    """
    counted = sorted(one.counted_by(now) for one in sent)
    at, reason = now, WaitReason.NONE
    if len(counted) >= limit and counted[-limit] + MINUTE >= now:
        at, reason = counted[-limit] + MINUTE + _PAST, WaitReason.OWN_LIMIT
    # Between those, E falls; and no later beginning undoes what an earlier one asked for.
    for begins in sorted({start for one in counted for start in (one, one + MINUTE)}):
        if begins <= at <= begins + MINUTE and (free := _below(limit, counted, begins)) > at:
            at, reason = free, WaitReason.SPACED
    return Turn(at, reason)


def _below(limit: int, counted: Sequence[datetime], begins: datetime) -> datetime:
    """When the sum of a counter whose window begins then is less than the limit."""
    first = bisect_left(counted, begins)
    current, previous = len(counted) - first, first - bisect_left(counted, begins - MINUTE)
    if current >= limit:
        return begins + MINUTE + _PAST
    if current + previous < limit:
        return begins
    return begins + MINUTE * (1 - (limit - current) / previous) + _PAST


def later(*turns: Turn) -> Turn:
    """What really has to be waited for, of several."""
    return max(turns, key=lambda turn: turn.at)


@dataclass(frozen=True)
class Others:
    """Who else may want a request of this kind: they sent one of late, have asked for one, or have a form open.

    places  how many of them have not sent any in the last minute, so that a place of it is kept for each
    """

    are_about: bool = False
    places: int = 0


NOBODY = Others()


@dataclass(frozen=True)
class Pace:
    """What was sent of one kind by `now`, and whose turn comes when.

    sent          what was sent within MATTERS_FOR, newest first
    is_even       no bursts: for a day after a 429
    after_answer  and wait for each answer: for minutes after a 429, as our count and the platform's differ somehow
    frozen_until  Retry-After of the last 429 that held this kind, or all
    """

    sent: Sequence[Sent]
    limit: int
    now: datetime
    is_even: bool = False
    after_answer: bool = False
    frozen_until: datetime | None = None
    _free: dict[tuple[int, datetime], Turn] = field(default_factory=dict)

    def turn(self, by: int | None = None, others: Others = NOBODY) -> Turn:
        """When this person's next request may leave; now, for no reason, when it may at once."""
        turns = [self._free_for(self.limit, self.now), *self._evenly(by, others)]
        if others.places:
            # After it, so many others can still leave in time. Half a burst is for those who are not there.
            grace = MINUTE / self.limit + GRACE
            left = self._free_for(self.limit - min(others.places, self.limit - self.limit // 2), self.now + grace)
            if left.at > self.now + grace:
                turns.append(Turn(left.at - grace, WaitReason.SPACED))
        if self.frozen_until:
            turns.append(Turn(self.frozen_until, WaitReason.RATE_LIMIT))
        return later(*turns)

    def start_of(self, number: int) -> datetime:
        """When the one at this place in the queue (1, 2, ...) is expected to leave."""
        rounds, at_place = divmod(number - 1, self.limit)
        at, sent = self.turn().at, list(self.sent)
        for _ in range(at_place):
            sent.append(Sent(at, at))
            soonest = at + MINUTE / self.limit if self.is_even else at
            at = max(soonest, next_turn(sent, self.limit, at).at)
        return at + rounds * MINUTE

    def _evenly(self, by: int | None, others: Others) -> list[Turn]:
        """What keeps requests 60/L s apart: a 429 of late, or a person's half of a burst while others are about."""
        own = [one for one in self.sent if one.by == by] if others.are_about else []
        has_had_half = sum(one.at > self.now - MINUTE for one in own) >= self.limit // 2
        after = [one.at for one in own[:1] if has_had_half] + [one.at for one in self.sent[:1] if self.is_even]
        if self.after_answer:
            after += [one.answered_at or one.at + CLAIM_LASTS + LONGEST_CALL for one in self.sent[:1]]
        turns = [Turn(at + MINUTE / self.limit, WaitReason.SPACED) for at in after]
        return [one for one in turns if one.at > self.now]

    def _free_for(self, limit: int, at: datetime) -> Turn:
        # Many people share few answers.
        if (limit, at) not in self._free:
            self._free[limit, at] = next_turn(self.sent, limit, at)
        return self._free[limit, at]
