"""The requester changes a request that waits for a decision, and sends it again."""

import math
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from imodels_app import error_handlers, lifecycle
from imodels_app.accounts import permissions
from imodels_app.decorators import person, signed_in, throttled
from imodels_app.limits import throttles
from imodels_app.models import Operation
from imodels_app.requesting.catalog import Catalog
from imodels_app.requesting.forms import SIDES, RequestForm
from imodels_app.states import UNDECIDED, ChangesetSelection, Kind
from imodels_app.views import approval_card
from imodels_app.views.new_imodel import FORMS, SEND_WITHIN_S, values_of

EDITABLE = ("name", "description", "up_to", "version", "changeset", "pinned", *SIDES, "reason")


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
@throttled(throttles.REQUESTS)
def edit_request(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The form with what is asked for; sent, the changed request, or the form again: 422 wrong, 409 too late."""
    operation = approval_card.visible(person(request), pk)
    if why := permissions.why_not_edit(person(request), operation) if operation.state in UNDECIDED else "":
        return error_handlers.denied(request, why, back=reverse("imodels:approval-detail", args=[pk]))
    form = _form(request, operation)
    if request.method != "POST":
        form.is_valid()  # looked up, for what the form offers; nobody is scolded yet
        return _show(request, operation, form)
    if not form.is_valid():
        return _show(request, operation, form, status=422)
    try:
        lifecycle.edit(operation, form.spec(), by=person(request), seen=_round(request, operation))
    except lifecycle.NotAllowed as no:
        form.add_error(None, str(no))
        return _show(request, operation, form, status=422)
    except lifecycle.Conflict as late:
        return _show(request, approval_card.visible(person(request), pk), form, status=409, late=str(late))
    messages.success(request, "Changed and sent. Whoever decides is asked again.")
    return redirect("imodels:approval-detail", pk)


def _form(request: HttpRequest, operation: Operation) -> RequestForm:
    """What was typed over what is asked for; where it goes and what it is made of stay."""
    values = {name: str(value) for name, value in values_of(operation).items() if value not in (None, "")}
    values["preserve_history"] = "on" if operation.preserve_history else ""
    if operation.changeset_selection == ChangesetSelection.LATEST:
        values["pinned"] = f"{operation.source_id}:{operation.changeset_index}"
    typed = {name: request.POST[name] for name in EDITABLE if name in request.POST}
    if typed.get("up_to") and "pinned" not in typed:
        values.pop("pinned", None)  # to be pinned again
    fixed = {"itwin": operation.itwin_id, "source": operation.source_id}
    given = {**values, **typed, **fixed, "itwin_id": operation.itwin_id, "source_id": operation.source_id}
    max_age_s = 0 if request.method == "POST" else math.inf
    catalog = Catalog(person(request), max_age_s=max_age_s, within_s=SEND_WITHIN_S)
    form_of = FORMS[Kind(operation.kind)]
    return form_of({name: value for name, value in given.items() if value}, catalog=catalog, edited=operation)


def _round(request: HttpRequest, operation: Operation) -> int:
    shown = request.POST.get("round", "")
    return int(shown) if shown.isdecimal() and len(shown) < 9 else operation.plan.number


def _show(
    request: HttpRequest, operation: Operation, form: RequestForm, *, status: int = 200, **more: Any
) -> HttpResponse:
    shown = [form[name] for name in ("name", "description", "up_to") if name in form.fields]
    context = {"section": "approvals", "operation": operation, "form": form, "fields": shown, "status": status}
    # What comes back to be corrected is still about the words that were edited.
    context["round"] = _round(request, operation) if status == 422 else operation.plan.number
    return render(request, "approvals/edit.html", context | more, status=status)
