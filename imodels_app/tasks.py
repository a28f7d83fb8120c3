"""Celery's entry points: arguments are ids, and each does one thing that another package knows."""

import mmap
from uuid import UUID

from celery import shared_task
from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings

from imodels_app import workers
from imodels_app.accounts import encryption
from imodels_app.accounts.sessions import SessionStore
from imodels_app.audit import configuration, figures, refusals
from imodels_app.models import Change
from imodels_app.notifications import chats, outbox
from imodels_app.requesting import staging
from imodels_app.runtime import clock
from imodels_app.workers import sweeps


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


worker_ready.connect(lambda **_: configuration.record_change(), weak=False)


def _is_ending() -> bool:
    return bool(_ending[0])


@shared_task(name="imodels_app.look_at_list")
def look_at_list(itwin_id: str) -> None:
    workers.poll_by_list.look(itwin_id)


@shared_task(name="imodels_app.look_outside")
def look_outside(itwin_id: str) -> None:
    workers.outside.look(itwin_id)


@shared_task(name="imodels_app.reconcile")
def reconcile(operation_id: str) -> None:
    workers.reconcile.reconcile(UUID(operation_id))


@shared_task(name="imodels_app.delete_orphan")
def delete_orphan(operation_id: str) -> None:
    workers.cleanup.delete(UUID(operation_id))


@shared_task(name="imodels_app.sweep_queued")
def sweep_queued() -> None:
    sweeps.queued()


@shared_task(name="imodels_app.sweep_running")
def sweep_running() -> None:
    sweeps.running()


@shared_task(name="imodels_app.sweep_submitting")
def sweep_submitting() -> None:
    sweeps.submitting()


@shared_task(name="imodels_app.sweep_approvals")
def sweep_approvals() -> None:
    sweeps.approvals()


@shared_task(name="imodels_app.sweep_orphans")
def sweep_orphans() -> None:
    sweeps.orphans()


@shared_task(name="imodels_app.sweep_uploads")
def sweep_uploads() -> None:
    sweeps.uploads()


@shared_task(name="imodels_app.send_stream")
def send_stream(destination_id: str) -> None:
    workers.stream.send(int(destination_id))


@shared_task(name="imodels_app.sweep_streams")
def sweep_streams() -> None:
    sweeps.streams()


@shared_task(name="imodels_app.sweep_outside")
def sweep_outside() -> None:
    sweeps.outside()


@shared_task(name="imodels_app.sweep_audit_log")
def sweep_audit_log() -> None:
    sweeps.audit_log()


@shared_task(name="imodels_app.sum_up_figures")
def sum_up_figures() -> None:
    figures.sum_up()


@shared_task(name="imodels_app.clean_staging")
def clean_staging() -> None:
    staging.clean(clock.now())


@shared_task(name="imodels_app.clear_sessions")
def clear_sessions() -> None:
    SessionStore.clear_expired()


@shared_task(name="imodels_app.forget_changes")
def forget_changes() -> None:
    Change.objects.delete_old(clock.now())


@shared_task(name="imodels_app.record_refusals")
def record_refusals() -> None:
    refusals.close_windows(clock.now())


@shared_task(name="imodels_app.send_notifications")
def send_notifications() -> None:
    outbox.send_due()


@shared_task(name="imodels_app.send_chat_messages")
def send_chat_messages() -> None:
    chats.send_due(encryption.decrypt)
