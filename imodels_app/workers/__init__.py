"""One step each: what a Celery task does with one row."""

from imodels_app.workers import cleanup, listing, poll, reconcile, submit, upload

__all__ = ["cleanup", "listing", "poll", "reconcile", "submit", "upload"]
