"""The iTwin Platform's client: connections, timeouts, an error tree, typed results. No Django, none of our models."""

from imodels_app.itwin import errors
from imodels_app.itwin.http import Call
from imodels_app.itwin.platform import Platform

__all__ = ["Call", "Platform", "errors"]
