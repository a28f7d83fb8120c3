"""Where what was made leads: to be opened elsewhere, to be copied from here, to be shown to a colleague."""

from urllib.parse import quote, urlencode

from django.conf import settings
from django.urls import reverse

from imodels_app.models import Operation
from imodels_app.states import Kind


def open_url(operation: Operation) -> str:
    """Where its iModel is opened (OPEN_IMODEL_URL); "" while there is none, or nowhere to open it."""
    if not (operation.is_usable and settings.OPEN_IMODEL_URL):
        return ""
    ids = {"itwin_id": operation.itwin_id, "imodel_id": operation.imodel_id}
    return settings.OPEN_IMODEL_URL.format_map({name: quote(one, safe="") for name, one in ids.items()})


def copy_url(operation: Operation, kind: str) -> str:
    """The form for a clone or a fork of its iModel; "" while there is none."""
    if not operation.is_usable:
        return ""
    return f"{reverse(f'imodels:request-{Kind(kind)}')}?{urlencode({'source': operation.imodel_id})}"


def page_url(operation: Operation) -> str:
    """Its page, as it is sent to a colleague."""
    return settings.DASHBOARD_URL + reverse("imodels:operation-detail", args=[operation.pk])
