"""Which operations are asked about next, and when: as often as the rate limit leaves calls for it.

Each by itself; or those of an iTwin together by a list (poll_by_list.py), where that costs fewer calls.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from imodels_app import lifecycle
from imodels_app.limits import circuit_breaker, poll_schedule, rate_limits
from imodels_app.limits.past_durations import History
from imodels_app.models import ITwinList, Operation, OperationQuerySet
from imodels_app.runtime import dispatch
from imodels_app.runtime.timing import GUARD_POLL, LONGEST_PAUSE
from imodels_app.states import State, WaitReason

# A little longer than between two sweeps: each poll is announced for its time, not at the sweep after it.
AHEAD = timedelta(seconds=1.2)
_READ = ("pk", "kind", "itwin_id", "due_at", "accepted_at", "polled_at", "changeset_index", "file_size")


@dataclass(frozen=True)
class _Look:
    """What may be asked next. lag_s: by how much the end that it would tell has been missed, as far as is expected."""

    task: str
    key: object
    due_at: datetime
    lag_s: float


def announce_polls(now: datetime) -> None:
    """Announce what is due until the next sweep; of more than the rate limit allows, where most lag is expected."""
    history = History()
    hazards = _hazards_by_itwin(history, now)
    worth_s, guard_s = rate_limits.poll_worth_s(), (next_guard(now) - now).total_seconds()
    by_list = {one: sum(own) for one, own in hazards.items() if poll_schedule.is_list_cheaper(own, worth_s, guard_s)}
    singly = [hazard for itwin_id, own in hazards.items() if itwin_id not in by_list for hazard in own]
    may = rate_limits.polls_a_second(now, expected(sum(singly), sum(by_list.values())))
    worth_s = poll_schedule.worth_s([*by_list.values(), *singly], may)
    rate_limits.set_poll_worth(worth_s)
    for one in _running().exclude(listed_at=None).exclude(itwin_id__in=by_list).only(*_READ):
        one.listed_at = None
        lifecycle.unlist(Operation.objects.filter(pk=one.pk), poll_at=next_poll(one, now))
    looks = [*_polls(history, now), *_lists(by_list, worth_s, now)]
    looks.sort(key=lambda look: -look.lag_s)
    for look in looks[: min(rate_limits.polls_left(now), _at_once(now, len(looks)))]:
        _announce(look, now)


def expected(singly: float, by_list: float) -> float:
    """Calls a second beside those that are planned, by the hazards of all that is polled singly, and by lists.

    As many are sent as end, and what has left a list is confirmed.
    """
    return singly + 2 * by_list


def first_poll(operation: Operation, now: datetime) -> datetime | None:
    """When to look first at an operation that was sent now; None: at once, for there are calls to spare."""
    return next_poll(operation, now) if rate_limits.poll_worth_s() > poll_schedule.LEAST_WORTH_S else None


def next_poll(operation: Operation, now: datetime) -> datetime:
    """When to look again at an operation that is looked at now."""
    if operation.listed_at:
        return next_guard(now)
    pause_s = poll_schedule.pause_s(History().of(operation), _age_s(operation, now), rate_limits.poll_worth_s())
    return now + timedelta(seconds=pause_s)


def next_guard(now: datetime) -> datetime:
    """When to look again at what a list shows."""
    listed = _running().exclude(listed_at=None).count()
    return now + timedelta(seconds=poll_schedule.guard_s(listed, rate_limits.polls_a_second(now)))


def expected_lag_s(operation: Operation, history: History, now: datetime) -> float:
    """By how many seconds its end is expected to have been missed already."""
    looked_at = operation.polled_at or operation.accepted_at or now
    since_s = max(0.0, (now - looked_at).total_seconds())
    return history.of(operation).lag(_age_s(operation, looked_at), since_s)


def _running() -> OperationQuerySet:
    return Operation.objects.filter(state=State.RUNNING, wait_reason=WaitReason.NONE)


def _hazards_by_itwin(history: History, now: datetime) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for operation in _running().only(*_READ):
        found[operation.itwin_id].append(history.of(operation).hazard(_age_s(operation, now)))
    return found


def _polls(history: History, now: datetime) -> Iterable[_Look]:
    for one in Operation.objects.due_for_poll(now + AHEAD).only(*_READ):
        yield _Look("imodels_app.poll", one.pk, one.due_at or now, expected_lag_s(one, history, now))


def _lists(by_list: dict[str, float], worth_s: float, now: datetime) -> Iterable[_Look]:
    """Not before its row is due, and then as soon as it is worth a call: what runs has changed since the last one.

    by_list  the hazard of all that a list shows
    """
    # The database's clock was put back, see lifecycle.reschedule_after_clock_jump.
    ITwinList.objects.filter(due_at__gt=now + LONGEST_PAUSE).update(due_at=now)
    rows = {row.pk: row for row in ITwinList.objects.filter(pk__in=by_list)}
    missing = [ITwinList(pk=itwin_id, due_at=now) for itwin_id in by_list if itwin_id not in rows]
    rows |= {row.pk: row for row in ITwinList.objects.bulk_create(missing, ignore_conflicts=True)}
    for itwin_id, row in rows.items():
        hazard, listed_at = by_list[itwin_id], row.listed_at or now - GUARD_POLL
        due_at = max(row.due_at, listed_at + timedelta(seconds=poll_schedule.list_pause_s(hazard, worth_s)))
        lag_s = hazard * (now - listed_at).total_seconds() ** 2 / 2
        if due_at <= now + AHEAD:
            # By the row's time a look is known that was announced already.
            yield _Look("imodels_app.look_at_list", itwin_id, due_at if due_at > now else row.due_at, lag_s)


def _announce(look: _Look, now: datetime) -> None:
    if look.due_at > now:
        dispatch.send(look.task, look.key, in_s=(look.due_at - now).total_seconds())
    else:
        dispatch.announce(look.task, look.key, due_at=look.due_at)


def _age_s(operation: Operation, at: datetime) -> float:
    return max(0.0, (at - (operation.accepted_at or at)).total_seconds())


def _at_once(now: datetime, due: int) -> int:
    """All that is due, or while the platform does not answer one poll now and then."""
    down = circuit_breaker.outage(now)
    if down is None:
        return due
    return 0 if down.until > now else 1
