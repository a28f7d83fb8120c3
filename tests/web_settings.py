"""The product's settings for a web process that a test starts: static files from their folders, none collected."""

from dashboard.settings import *  # noqa: F403
from dashboard.settings import STORAGES

STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
WHITENOISE_AUTOREFRESH = WHITENOISE_USE_FINDERS = True
