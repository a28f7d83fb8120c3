"""One step each: what a Celery task does with one row."""
