"""Where what was made leads: to its page, to be opened elsewhere, copied from here, or shown to a colleague."""

from urllib.parse import quote, urlencode

from django.conf import settings
from django.urls import NoReverseMatch, reverse

from imodels_app.models import Operation
from imodels_app.states import Kind


def operation_url(operation: Operation) -> str:
    return reverse("imodels:operation-detail", args=[operation.pk])


def imodel_url(imodel_id: str) -> str:
    """The page of an iModel; "" without one."""
    return _page("imodel", imodel_id)


def itwin_url(itwin_id: str) -> str:
    """The page of an iTwin; "" without one."""
    return _page("itwin", itwin_id)


def open_url(operation: Operation) -> str:
    """Where its iModel is opened (OPEN_IMODEL_URL); "" while there is none, or nowhere to open it."""
    return open_imodel_url(operation.itwin_id, operation.imodel_id) if operation.is_usable else ""


def open_imodel_url(itwin_id: str, imodel_id: str) -> str:
    """The same of one that is there; "" where it is not known in which iTwin."""
    if not (itwin_id and settings.OPEN_IMODEL_URL):
        return ""
    ids = {"itwin_id": itwin_id, "imodel_id": imodel_id}
    return settings.OPEN_IMODEL_URL.format_map({name: quote(one, safe="") for name, one in ids.items()})


def copy_url(operation: Operation, kind: str) -> str:
    """The form for a clone or a fork of its iModel; "" while there is none."""
    return copy_imodel_url(operation.imodel_id, kind) if operation.is_usable else ""


def copy_imodel_url(imodel_id: str, kind: str) -> str:
    """The same of one that is there."""
    return f"{reverse(f'imodels:request-{Kind(kind)}')}?{urlencode({'source': imodel_id})}"


def page_url(operation: Operation) -> str:
    """Its page, as it is sent to a colleague."""
    return settings.DASHBOARD_URL + operation_url(operation)


def _page(of: str, pk: str) -> str:
    # What came from elsewhere, long ago, may be no id.
    try:
        return reverse(f"imodels:{of}-detail", args=[pk.lower()]) if pk else ""
    except NoReverseMatch:
        return ""
