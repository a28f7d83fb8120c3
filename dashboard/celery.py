"""Celery: the app and the beat timetable. Tasks live in imodels_app/tasks.py.

The row is the queue (imodels_app/models.py). A Celery message is only a hint: losing one, or all of them, costs at
most the seconds until the next sweep, and doing one twice costs a query.
"""

import logging
import logging.config
import os

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings

from dashboard.watchdog import Watchdog

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")

app = Celery("imodel-desk")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["imodels_app"])
app.steps["worker"].add(Watchdog)


def log_like_the_web(loglevel: int, **_: object) -> None:
    """One formatter for all lines: by itself, Celery gives some of its loggers handlers of their own."""
    logging.config.dictConfig(settings.LOGGING)
    logging.getLogger().setLevel(loglevel)


setup_logging.connect(log_like_the_web)

app.conf.beat_schedule = {
    # Queued operations whose time has come, for which the hint at commit got lost or came too early.
    "submit-what-is-ready": {"task": "imodels_app.sweep_queued", "schedule": 2.0},
    # Running operations whose next look has come.
    "follow-what-is-running": {"task": "imodels_app.sweep_running", "schedule": 1.0},
    # Baseline files that wait to go up, or whose uploader died.
    "upload-what-is-there": {"task": "imodels_app.sweep_uploads", "schedule": 2.0},
    # Requests whose answer never came.
    "reconcile-lost-answers": {"task": "imodels_app.sweep_submitting", "schedule": 5.0},
    # Deadlines of decisions, and people who have left.
    "follow-approvals": {"task": "imodels_app.sweep_approvals", "schedule": 60.0},
    # What failures left on the platform, and people want deleted.
    "delete-orphans": {"task": "imodels_app.sweep_orphans", "schedule": 5.0},
    # Events that the audit log does not have yet: 10 s after they were written it must.
    "add-to-audit-log": {"task": "imodels_app.sweep_audit_log", "schedule": 3.0},
    # Destinations that the audit log goes to.
    "stream-events": {"task": "imodels_app.sweep_streams", "schedule": 5.0},
    # iTwins in which somebody may have made, renamed or deleted iModels outside the desk: each once a night.
    "look-outside": {"task": "imodels_app.sweep_outside", "schedule": 60.0},
    # The audit's numbers of today, and of days that are over.
    "sum-up-figures": {"task": "imodels_app.sum_up_figures", "schedule": 60.0},
    # Baseline files that nobody came back for, and those of operations that are over.
    "clean-staging": {"task": "imodels_app.clean_staging", "schedule": 600.0},
    # Sessions that have ended.
    "clear-sessions": {"task": "imodels_app.clear_sessions", "schedule": 600.0},
    # What open pages have heard of by now.
    "forget-changes": {"task": "imodels_app.forget_changes", "schedule": 600.0},
    # Refusals to strangers, counted for ten minutes.
    "record-refusals": {"task": "imodels_app.record_refusals", "schedule": 60.0},
    # E-mails that are due.
    "notify-people": {"task": "imodels_app.send_notifications", "schedule": 5.0},
    # Messages to teams' chats that are due.
    "notify-chats": {"task": "imodels_app.send_chat_messages", "schedule": 5.0},
}
