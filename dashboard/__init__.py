"""The Django project: settings, addresses, and the wiring of web and workers."""

# Celery's `shared_task` binds to the app that was imported first, so Django has to load ours.
from dashboard.celery import app as celery_app

__all__ = ["celery_app"]
