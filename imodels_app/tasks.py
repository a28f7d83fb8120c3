"""Celery's entry points: arguments are ids, and each does one thing that another room knows."""

import mmap
from datetime import datetime
from uuid import UUID

from celery import shared_task
from celery.signals import worker_shutting_down
from django.conf import settings

from imodels_app import lifecycle
from imodels_app.limits import circuit_breaker, fair_queue, rate_limits
from imodels_app.models import Operation, Orphan, Upload
from imodels_app.notifications import outbox
from imodels_app.requesting import staging
from imodels_app.runtime import clock, dispatch, heartbeat
from imodels_app.runtime.timing import UPLOAD_LEASE
from imodels_app.workers.cleanup import delete as delete_what_was_left
from imodels_app.workers.poll import poll as look
from imodels_app.workers.reconcile import reconcile as look_for_lost
from imodels_app.workers.submit import announce_next
from imodels_app.workers.submit import submit as carry
from imodels_app.workers.upload import upload as carry_file

# Rows that one sweep announces at most; the next sweep is seconds away.
BATCH = 100


@shared_task(name="imodels_app.submit")
def submit(operation_id: str) -> None:
    carry(UUID(operation_id))


@shared_task(name="imodels_app.poll")
def poll(operation_id: str) -> None:
    look(UUID(operation_id))


@shared_task(
    name="imodels_app.upload",
    soft_time_limit=settings.UPLOAD_TIME_LIMIT_S,
    time_limit=settings.UPLOAD_TIME_LIMIT_S + 60,
)
def upload(operation_id: str) -> None:
    carry_file(UUID(operation_id), ending=_is_ending)


# Memory that the pool's processes share with the worker they were forked from: only that one hears of the end.
_ending = mmap.mmap(-1, 1)


@worker_shutting_down.connect(weak=False)
def _end(**_: object) -> None:
    _ending[0] = 1


def _is_ending() -> bool:
    return bool(_ending[0])


@shared_task(name="imodels_app.settle")
def reconcile(operation_id: str) -> None:
    look_for_lost(UUID(operation_id))


@shared_task(name="imodels_app.delete_leftover")
def delete_orphan(operation_id: str) -> None:
    delete_what_was_left(UUID(operation_id))


@shared_task(name="imodels_app.sweep_queued")
def sweep_queued() -> None:
    """Announce whoever is next in each budget."""
    for bucket in fair_queue.KINDS:
        announce_next(bucket, clock.now())


@shared_task(name="imodels_app.sweep_running")
def sweep_running() -> None:
    """Announce what is due for a look, the longest due first, as many as the budget allows."""
    heartbeat.record()
    now = clock.now()
    due = list(Operation.objects.due_for_poll(now).values_list("pk", "due_at")[:BATCH])
    for pk, due_at in due[: min(rate_limits.polls_left(now), _at_once(now))] if due else ():
        dispatch.announce("imodels_app.poll", pk, due_at=due_at)


def _at_once(now: datetime) -> int:
    """All that is due, or while the platform does not answer one look now and then."""
    down = circuit_breaker.outage(now)
    if down is None:
        return BATCH
    return 0 if down.until > now else 1


@shared_task(name="imodels_app.sweep_lost")
def sweep_submitting() -> None:
    """Announce lost answers, and end waits for people who came, or did not come in time."""
    now = clock.now()
    lifecycle.reschedule_after_clock_jump(now)
    lifecycle.wake_all_signed_in()
    for pk in Operation.objects.due_for_reconcile(now).values_list("pk", flat=True)[:BATCH]:
        dispatch.announce("imodels_app.settle", pk)
    for operation in Operation.objects.overdue(now).select_related("team")[:BATCH]:
        try:
            lifecycle.expire(operation)
        except lifecycle.Conflict:
            continue  # it was decided in this very moment


@shared_task(name="imodels_app.sweep_leftovers")
def sweep_orphans() -> None:
    """Announce what is to be deleted, and was not: the hint got lost, or its worker died."""
    for pk in Orphan.objects.due(clock.now()).values_list("pk", flat=True)[:BATCH]:
        dispatch.announce("imodels_app.delete_leftover", pk)


@shared_task(name="imodels_app.clean_staging")
def clean_staging() -> None:
    staging.clean(clock.now())


@shared_task(name="imodels_app.sweep_uploads")
def sweep_uploads() -> None:
    """Announce baseline files that nobody is at. Not often: a worker that is busy with others keeps the hint."""
    for pk in Upload.objects.due(clock.now()).values_list("pk", flat=True)[:BATCH]:
        dispatch.announce("imodels_app.upload", pk, for_s=UPLOAD_LEASE.total_seconds())


@shared_task(name="imodels_app.send_messages")
def send_notifications() -> None:
    outbox.send_due()
