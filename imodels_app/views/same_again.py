"""What was requested before, requested again without its form: under the next name that is free."""

from collections.abc import Callable
from functools import partial
from uuid import UUID, uuid4, uuid5

from django.http import HttpRequest

from imodels_app import lifecycle
from imodels_app.decorators import count_request, person
from imodels_app.limits import throttles
from imodels_app.models import Operation, User
from imodels_app.requesting.catalog import Catalog
from imodels_app.states import Kind
from imodels_app.views.new_imodel import FORMS, SEND_WITHIN_S, by_ids, tried_again, values_of


def why_not(_user: User, operation: Operation) -> str:
    """Why it takes its form to request this again; empty when it does not."""
    if operation.kind == Kind.BASELINE:
        return "Its file has to be chosen again, in the form."
    return "" if operation.kind in FORMS else f"No form asks for {operation.get_kind_display().lower()}."


def requesting(request: HttpRequest) -> Callable[[Operation], Operation]:
    """What requests one again; all that are requested so share what the platform says, and how long that may take."""
    return partial(_request_again, request, Catalog(person(request), within_s=SEND_WITHIN_S))


def _request_again(request: HttpRequest, catalog: Catalog, earlier: Operation) -> Operation:
    """Judged as its form would be. Raises Conflict with what is in the way, NotAllowed and Throttled.

    The page that asked has an id, so that sent twice it is one operation.
    """
    count_request(request, throttles.REQUESTS)
    kind, given = Kind(earlier.kind), by_ids(values_of(earlier)) | {"name": ""}
    form = FORMS[kind](given, catalog=catalog).completed(like=earlier.name)
    if not form.is_valid():
        raise lifecycle.Conflict(" ".join(str(one) for wrong in form.errors.values() for one in wrong))
    asked = _id_of(request.POST.get("form_id", ""), earlier)
    return lifecycle.request(form.spec(), by=person(request), again_of=tried_again(earlier, kind), operation_id=asked)


def _id_of(form_id: str, earlier: Operation) -> UUID:
    try:
        return uuid5(UUID(form_id), str(earlier.pk))
    except ValueError:
        return uuid4()
