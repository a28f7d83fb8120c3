"""What beat has done every few seconds: find the rows that are due, and announce each to whoever takes its step."""

from contextlib import suppress

from django.db import transaction

from imodels_app import lifecycle
from imodels_app.accounts import watches
from imodels_app.audit import log
from imodels_app.limits import fair_queue, rate_limits
from imodels_app.models import Destination, Operation, Orphan, Upload, User, WatchedITwin
from imodels_app.notifications import outbox
from imodels_app.runtime import clock, dispatch, heartbeat
from imodels_app.runtime.loops import for_each
from imodels_app.runtime.timing import OUTSIDE_LEASE, UPLOAD_LEASE
from imodels_app.workers import following, submit

# Rows that one sweep announces at most; the next sweep is seconds away.
BATCH = 100


def queued() -> None:
    """Announce whoever is next in each bucket."""
    heartbeat.record()
    for_each(fair_queue.KINDS, lambda bucket: submit.announce_next(bucket, clock.now()))


def running() -> None:
    """Announce what is due for a poll, each for its time, as many as the rate limit allows."""
    heartbeat.record(heartbeat.POLLER)
    following.announce_polls(clock.now())


def submitting() -> None:
    """Announce lost answers, and end waits for people who came, or did not come in time."""
    now = clock.now()
    lifecycle.reschedule_after_clock_jump(now)
    lifecycle.wake_all_signed_in()
    lifecycle.follow_rights()
    for pk in Operation.objects.due_for_reconcile(now).values_list("pk", flat=True)[:BATCH]:
        dispatch.announce("imodels_app.reconcile", pk)
    # All of them: one that can never expire stays in front of the others.
    for_each(Operation.objects.overdue(now).select_related("team"), _expire)


def approvals() -> None:
    """Remind whoever has to act, void approvals that were not used in time, and see that somebody is left to decide."""
    now = clock.now()
    waiting = Operation.objects.select_related("team", "requested_by")
    for_each(waiting.to_remind(now), lifecycle.remind)
    for_each(waiting.lapsed(now), _lapse)
    lifecycle.ask_who_is_left(waiting.undecided())


def orphans() -> None:
    """Announce what is to be deleted, and was not: the hint got lost, or its worker died."""
    for pk in Orphan.objects.due(clock.now()).values_list("pk", flat=True)[:BATCH]:
        dispatch.announce("imodels_app.delete_orphan", pk)


def uploads() -> None:
    """Announce baseline files that nobody is at. Not often: a worker that is busy with others keeps the hint."""
    for pk in Upload.objects.due(clock.now()).values_list("pk", flat=True)[:BATCH]:
        dispatch.announce("imodels_app.upload", pk, for_s=UPLOAD_LEASE.total_seconds())


def outside() -> None:
    """Announce iTwins that are due for a look at what was made outside, as many as the rate limit leaves calls for."""
    now = clock.now()
    watches.follow()
    for pk in WatchedITwin.objects.due(now).values_list("pk", flat=True)[: min(BATCH, rate_limits.polls_left(now))]:
        dispatch.announce("imodels_app.look_outside", pk, for_s=OUTSIDE_LEASE.total_seconds())


def streams() -> None:
    """Announce destinations for which the audit log has more; or less than they were sent, which the step then says."""
    due = Destination.objects.due(clock.now()).exclude(position=log.head().size)
    for pk in due.values_list("pk", flat=True):
        dispatch.announce("imodels_app.send_stream", pk)


def audit_log() -> None:
    """Add events to the audit log, and once a day let its head be sent."""
    log.add_events()
    with transaction.atomic():
        event = log.record_head()
        if event:
            outbox.enqueue_about(event, User.objects.filter(is_staff=True))


def _expire(operation: Operation) -> None:
    with suppress(lifecycle.Conflict):  # it was decided in this very moment
        lifecycle.expire(operation)


def _lapse(operation: Operation) -> None:
    with suppress(lifecycle.Conflict):  # it is being sent in this very moment
        lifecycle.lapse(operation)
