"""Celery's entry points: arguments are ids, and each does one thing that another package knows."""

import mmap
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from celery import shared_task
from celery.signals import worker_shutting_down
from django.conf import settings

from imodels_app import lifecycle, workers
from imodels_app.limits import circuit_breaker, fair_queue, rate_limits
from imodels_app.models import Operation, Orphan, Upload
from imodels_app.notifications import outbox
from imodels_app.requesting import staging
from imodels_app.runtime import clock, dispatch, heartbeat
from imodels_app.runtime.loops import for_each
from imodels_app.runtime.timing import UPLOAD_LEASE

# Rows that one sweep announces at most; the next sweep is seconds away.
BATCH = 100


@shared_task(name="imodels_app.submit")
def submit(operation_id: str) -> None:
    workers.submit.submit(UUID(operation_id))


@shared_task(name="imodels_app.poll")
def poll(operation_id: str) -> None:
    workers.poll.poll(UUID(operation_id))


@shared_task(
    name="imodels_app.upload",
    soft_time_limit=settings.UPLOAD_TIME_LIMIT_S,
    time_limit=settings.UPLOAD_TIME_LIMIT_S + 60,
)
def upload(operation_id: str) -> None:
    workers.upload.upload(UUID(operation_id), ending=_is_ending)


# Memory that the pool's processes share with the worker they were forked from: only that one hears of the end.
_ending = mmap.mmap(-1, 1)


@worker_shutting_down.connect(weak=False)
def _end(**_: object) -> None:
    _ending[0] = 1


def _is_ending() -> bool:
    return bool(_ending[0])


@shared_task(name="imodels_app.reconcile")
def reconcile(operation_id: str) -> None:
    workers.reconcile.reconcile(UUID(operation_id))


@shared_task(name="imodels_app.delete_orphan")
def delete_orphan(operation_id: str) -> None:
    workers.cleanup.delete(UUID(operation_id))


@shared_task(name="imodels_app.sweep_queued")
def sweep_queued() -> None:
    """Announce whoever is next in each bucket."""
    for_each(fair_queue.KINDS, lambda bucket: workers.submit.announce_next(bucket, clock.now()))


@shared_task(name="imodels_app.sweep_running")
def sweep_running() -> None:
    """Announce what is due for a poll, the longest due first, as many as the rate limit allows."""
    heartbeat.record()
    now = clock.now()
    due = list(Operation.objects.due_for_poll(now).values_list("pk", "due_at")[:BATCH])
    for pk, due_at in due[: min(rate_limits.polls_left(now), _at_once(now))] if due else ():
        dispatch.announce("imodels_app.poll", pk, due_at=due_at)


def _at_once(now: datetime) -> int:
    """All that is due, or while the platform does not answer one poll now and then."""
    down = circuit_breaker.outage(now)
    if down is None:
        return BATCH
    return 0 if down.until > now else 1


@shared_task(name="imodels_app.sweep_submitting")
def sweep_submitting() -> None:
    """Announce lost answers, and end waits for people who came, or did not come in time."""
    now = clock.now()
    lifecycle.reschedule_after_clock_jump(now)
    lifecycle.wake_all_signed_in()
    for pk in Operation.objects.due_for_reconcile(now).values_list("pk", flat=True)[:BATCH]:
        dispatch.announce("imodels_app.reconcile", pk)
    # All of them: one that can never expire stays in front of the others.
    for_each(Operation.objects.overdue(now).select_related("team"), _expire)


def _expire(operation: Operation) -> None:
    with suppress(lifecycle.Conflict):  # it was decided in this very moment
        lifecycle.expire(operation)


@shared_task(name="imodels_app.sweep_orphans")
def sweep_orphans() -> None:
    """Announce what is to be deleted, and was not: the hint got lost, or its worker died."""
    for pk in Orphan.objects.due(clock.now()).values_list("pk", flat=True)[:BATCH]:
        dispatch.announce("imodels_app.delete_orphan", pk)


@shared_task(name="imodels_app.clean_staging")
def clean_staging() -> None:
    staging.clean(clock.now())


@shared_task(name="imodels_app.sweep_uploads")
def sweep_uploads() -> None:
    """Announce baseline files that nobody is at. Not often: a worker that is busy with others keeps the hint."""
    for pk in Upload.objects.due(clock.now()).values_list("pk", flat=True)[:BATCH]:
        dispatch.announce("imodels_app.upload", pk, for_s=UPLOAD_LEASE.total_seconds())


@shared_task(name="imodels_app.send_notifications")
def send_notifications() -> None:
    outbox.send_due()
