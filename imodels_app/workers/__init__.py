"""One step each: what a Celery task does with one row."""

from imodels_app.workers import cleanup, outside, poll, poll_by_list, reconcile, stream, submit, upload

__all__ = ["cleanup", "outside", "poll", "poll_by_list", "reconcile", "stream", "submit", "upload"]
