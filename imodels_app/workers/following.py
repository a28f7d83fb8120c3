"""Which operations are asked about next, and when: as often as the rate limit leaves calls for it."""

from datetime import datetime, timedelta

from imodels_app.limits import circuit_breaker, poll_schedule, rate_limits
from imodels_app.limits.history import History
from imodels_app.models import Operation
from imodels_app.runtime import dispatch
from imodels_app.states import State, WaitReason

# A little longer than between two sweeps: each poll is announced for its time, not at the sweep after it.
AHEAD = timedelta(seconds=1.2)


def announce_polls(now: datetime) -> None:
    """Announce what is due until the next sweep; of more than the rate limit allows, where most lag is expected."""
    history = History()
    running = Operation.objects.filter(state=State.RUNNING, wait_reason=WaitReason.NONE)
    hazards = [history.of(one).hazard(_age_s(one, now)) for one in running.only(*_READ)]
    rate_limits.set_poll_worth(poll_schedule.worth_s(hazards, rate_limits.polls_a_second(now)))
    due = list(Operation.objects.due_for_poll(now + AHEAD).only(*_READ))
    due.sort(key=lambda one: -expected_lag_s(one, history, now))
    for operation in due[: min(rate_limits.polls_left(now), _at_once(now, len(due)))]:
        if operation.due_at and operation.due_at > now:
            dispatch.send("imodels_app.poll", operation.pk, in_s=(operation.due_at - now).total_seconds())
        else:
            dispatch.announce("imodels_app.poll", operation.pk, due_at=operation.due_at)


def next_poll(operation: Operation, now: datetime) -> datetime:
    """When to look again at an operation that is looked at now."""
    pause_s = poll_schedule.pause_s(History().of(operation), _age_s(operation, now), rate_limits.poll_worth_s())
    return now + timedelta(seconds=pause_s)


def expected_lag_s(operation: Operation, history: History, now: datetime) -> float:
    """By how many seconds its end is expected to have been missed already."""
    looked_at = operation.polled_at or operation.accepted_at or now
    since_s = max(0.0, (now - looked_at).total_seconds())
    return history.of(operation).lag(_age_s(operation, looked_at), since_s)


_READ = ("pk", "kind", "due_at", "accepted_at", "polled_at", "changeset_index", "file_size")


def _age_s(operation: Operation, at: datetime) -> float:
    return max(0.0, (at - (operation.accepted_at or at)).total_seconds())


def _at_once(now: datetime, due: int) -> int:
    """All that is due, or while the platform does not answer one poll now and then."""
    down = circuit_breaker.outage(now)
    if down is None:
        return due
    return 0 if down.until > now else 1
