"""One step each: what a Celery task does with one row."""

from imodels_app.workers import cleanup, poll, poll_by_list, reconcile, submit, upload

__all__ = ["cleanup", "poll", "poll_by_list", "reconcile", "submit", "upload"]
