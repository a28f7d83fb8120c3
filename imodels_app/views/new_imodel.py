"""Asking for a new iModel: the New page, and a form for each kind."""

import json
import math
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4, uuid5

from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import HttpResponseClientRedirect

from imodels_app import lifecycle
from imodels_app.decorators import person, preserve_input_on_sign_out, signed_in, throttled
from imodels_app.limits import fair_queue, throttles
from imodels_app.models import Operation, Preset, StagedFile, User
from imodels_app.requesting import advice, refusals, staging
from imodels_app.requesting.catalog import Catalog, CatalogUnavailable, SignInNeeded
from imodels_app.requesting.copy_forms import CloneForm, CopyForm, ForkForm, TemplateForm
from imodels_app.requesting.forms import SIDES, BaselineForm, EmptyForm, RequestForm
from imodels_app.requesting.spec import crs_in, extent_in
from imodels_app.runtime import clock
from imodels_app.states import FINISHED, ChangesetSelection, Kind, State
from imodels_app.views import uploads
from imodels_app.views.pickers import signed_in_part

FORMS: dict[Kind, type[RequestForm]] = {
    form.kind: form for form in (EmptyForm, TemplateForm, BaselineForm, CloneForm, ForkForm)
}
SAME_AGAIN = 5
# How long the platform may take: for names in a page that comes filled in, for its side column, for what is sent.
FILL_IN_S, CHECK_WITHIN_S, SEND_WITHIN_S = 2.0, 8.0, 20.0
# Forms sent one after the other share what the platform has just said, of their source for one.
SHARED_FOR_S = 5.0
# Within it a request for what has just been made is the click that made it.
A_SECOND_CLICK = timedelta(minutes=1)
# What may come in the address to fill in a form.
PREFILLED = (
    "itwin",
    "source",
    "name",
    "description",
    "up_to",
    "version",
    "changeset",
    "reason",
    *SIDES,
    "crs",
    "staged_file",
)
# Not typed by the person, and so not what makes one request different from another.
NOT_TYPED = {"csrfmiddlewaretoken", "form_id"}
# "Try again" names what it tries again; after anything else it is merely the same again.
TRIED_AGAIN = {State.FAILED, State.REJECTED, State.EXPIRED}


@signed_in
@require_safe
def new(request: HttpRequest) -> HttpResponse:
    """A card for each way to make an iModel, presets, and the last ones to make again."""
    user = person(request)
    context = {"section": "new", "again": _last_different(user), "presets": _presets_of(user)}
    return render(request, "new_imodel/new.html", context)


def redisplay_form(request: HttpRequest, form_of: type[RequestForm]) -> HttpResponse:
    """The form with all that was typed: to be sent after signing in elsewhere, or once more where that was done."""
    # A switch that is off is not sent, so its absence is what was typed.
    typed = request.POST.dict() | {"preserve_history": "preserve_history" in request.POST}
    form = form_of(initial=typed, catalog=Catalog(request.user))
    context = {
        "section": "new",
        "form": form,
        "form_id": request.POST.get("form_id"),
        "again_of": request.POST.get("from", ""),
        "is_old": request.user.is_authenticated,
        "signed_out": not request.user.is_authenticated,
        "rules": uploads.rules(),
    }
    return render(request, f"new_imodel/{form.kind.value}.html", context, status=422)


@preserve_input_on_sign_out(partial(redisplay_form, form_of=EmptyForm))
@require_http_methods(["GET", "POST"])
def request_empty(request: HttpRequest) -> HttpResponseBase:
    return _for_person(request, EmptyForm)


@preserve_input_on_sign_out(partial(redisplay_form, form_of=TemplateForm))
@require_http_methods(["GET", "POST"])
def request_template(request: HttpRequest) -> HttpResponseBase:
    return _for_person(request, TemplateForm)


@preserve_input_on_sign_out(partial(redisplay_form, form_of=BaselineForm))
@csrf_exempt
@require_http_methods(["GET", "POST"])
def request_baseline(request: HttpRequest) -> HttpResponseBase:
    """Its file is put on disk by a handler of our own, which has to be there before anything reads the form: so the
    check of the form's token comes after it, in _request_baseline.
    """
    if request.user.is_authenticated:
        request.upload_handlers = [uploads.IntoStaging(request)]
    return _request_baseline(request)


@csrf_protect
def _request_baseline(request: HttpRequest) -> HttpResponseBase:
    return _for_person(request, BaselineForm)


@preserve_input_on_sign_out(partial(redisplay_form, form_of=CloneForm))
@require_http_methods(["GET", "POST"])
def request_clone(request: HttpRequest) -> HttpResponseBase:
    return _for_person(request, CloneForm)


@preserve_input_on_sign_out(partial(redisplay_form, form_of=ForkForm))
@require_http_methods(["GET", "POST"])
def request_fork(request: HttpRequest) -> HttpResponseBase:
    return _for_person(request, ForkForm)


@signed_in_part
@require_safe
def request_checks(request: HttpRequest, kind: str) -> HttpResponse:
    """The side column for what is typed so far: who must agree, what is in the way, the exact request. Advice only.

    With `again` the platform is asked, whatever it said a moment ago.
    """
    if kind not in FORMS:
        raise Http404
    fair_queue.has_form_open(person(request), clock.now())
    max_age_s = 0 if "again" in request.GET else math.inf
    catalog = Catalog(person(request), max_age_s=max_age_s, within_s=CHECK_WITHIN_S)
    form = FORMS[Kind(kind)](request.GET, catalog=catalog).completed()
    context = {"form": form, "advice": advice.advise(form, by=person(request))}
    return render(request, "new_imodel/_advice.html", context)


@signed_in
@throttled(throttles.REQUESTS)
def _for_person(request: HttpRequest, form_of: type[RequestForm]) -> HttpResponse:
    """The form, perhaps filled in; sent: an operation, or the form again (422) with what is in the way."""
    earlier = _earlier(request)
    if request.method == "POST":
        return _submit(request, form_of, earlier)
    fair_queue.has_form_open(person(request), clock.now())
    preset = _preset(request)
    asked = _given(request, earlier, preset)
    given = {"up_to": ChangesetSelection.LATEST.value, "preserve_history": True} | asked
    # What was made once is made again under another name; what was not may still have its own.
    is_made_again = earlier and earlier.state not in TRIED_AGAIN and "name" not in request.GET
    like = str(given.pop("name", "")) if is_made_again else ""
    # What came in the address is looked up like what is typed, but nobody is scolded for what is still missing.
    looked_up = form_of(by_ids(given), catalog=Catalog(person(request), within_s=FILL_IN_S))
    if asked:
        looked_up = looked_up.completed(like=like)
    form_advice = advice.advise(looked_up, by=person(request)) if asked else None
    given = {"name": like} | given | looked_up.suggested
    form = form_of(initial=given | names_found(looked_up), catalog=looked_up.catalog)
    if form_advice and looked_up.catalog_answered:
        form.initial = _without_ids(given) | names_found(looked_up)
        form.refusals = refusals.not_found(looked_up, given)
    return _show(request, form, looked_up, form_advice if looked_up.catalog_answered else None, earlier, preset=preset)


def _submit(request: HttpRequest, form_of: type[RequestForm], earlier: Operation | None) -> HttpResponse:
    operation_id = _one_time_id(request)
    if sent_before := _sent_before(request, operation_id):
        return _to_page_of(request, sent_before)
    catalog = Catalog(person(request), max_age_s=SHARED_FOR_S, within_s=SEND_WITHIN_S)
    form = form_of(request.POST, request.FILES, catalog=catalog)
    is_valid = form.is_valid()
    # Looked for again: what is wrong now may be the work of the same form's first click, which was quicker.
    if sent_before := _sent_before(request, operation_id) or _same_under_way(request, form):
        return _to_page_of(request, sent_before)
    if is_valid:
        try:
            operation = lifecycle.request(
                form.spec(),
                by=person(request),
                again_of=tried_again(earlier, form.kind),
                operation_id=operation_id,
                staged_file=form.staged,
                not_before=form.cleaned_data["not_before"],
            )
            return _to_page_of(request, operation)
        except lifecycle.FileTaken as taken:
            if sent_before := _sent_before(request, operation_id):
                return _to_page_of(request, sent_before)
            form.staged = None
            form.add_error("file", str(taken))
        except lifecycle.NotAllowed as no:
            form.add_error(None, str(no))
    form = form.completed()
    return _show(request, form, form, advice.advise(form, by=person(request)), earlier, status=422)


def _sent_before(request: HttpRequest, operation_id: UUID) -> Operation | None:
    return Operation.objects.filter(pk=operation_id, requested_by=person(request)).first()


def _same_under_way(request: HttpRequest, form: RequestForm) -> Operation | None:
    """An operation of the person's for exactly this, as from another tab. A second one would only meet its name."""
    spec = None if set(form.errors) - {"name"} else form.draft()
    if spec is None:
        return None
    same = Operation.objects.filter(requested_by=person(request), request_path=spec.path, request_body=spec.body_text)
    is_new = Q(state=State.SUCCEEDED, created_at__gt=clock.now() - A_SECOND_CLICK)
    found = same.filter(~Q(state__in=FINISHED) | is_new).first()
    if found:
        messages.info(request, "You had already requested exactly this, so nothing more was sent.")
    return found


def _show(
    request: HttpRequest,
    form: RequestForm,
    looked_up: RequestForm,
    form_advice: advice.Advice | None,
    earlier: Operation | None,
    *,
    preset: Preset | None = None,
    status: int = 200,
) -> HttpResponse:
    refused = refusals.of(earlier, form, values_of(earlier)) if earlier and earlier.kind == form.kind else None
    form.found = looked_up
    if refused:
        form.refusals |= refused.at
        form.other_name = _free_name(looked_up) if refused.is_name_taken else ""
    context = {
        "section": "new",
        "form": form,
        "advice": form_advice,
        "earlier": earlier,
        "preset": preset,
        "presets": _presets_of(person(request), form.kind),
        "refused": refused,
        "form_id": request.POST.get("form_id") or uuid4(),
        "other_files": _other_files(looked_up),
        "full": staging.why_no_more(person(request)) if form.kind == Kind.BASELINE else "",
        "rules": uploads.rules(),
        "banner": advice.banner(form) if form.is_bound else None,
    }
    return render(request, f"new_imodel/{form.kind.value}.html", context, status=status)


def _other_files(form: RequestForm) -> list[StagedFile]:
    """The person's files that are here, or on their way, besides the one in the form."""
    if not isinstance(form, BaselineForm):
        return []
    return [staged for staged in staging.free_files(form.catalog.user) if staged != form.staged]


def _free_name(form: RequestForm) -> str:
    """Another name, where the platform refused this one though it seems to be free."""
    if form.into is None or form.free_name or not form.name_is_unused:
        return ""
    try:
        return form.catalog.free_name_like(form.into.id, form.cleaned_data["name"])
    except (CatalogUnavailable, SignInNeeded):
        return ""


def _to_page_of(request: HttpRequest, operation: Operation) -> HttpResponse:
    page = reverse("imodels:operation-detail", args=[operation.pk])
    if getattr(request, "htmx", False):
        return HttpResponseClientRedirect(page)
    return HttpResponse(status=303, headers={"Location": page})


def _one_time_id(request: HttpRequest) -> UUID:
    """The id of the operation this form and these words make: a double click, or Back and the same again, is one.

    Made of the form's own id, the person and all that was typed, so that changed words are another request.
    """
    try:
        form_id = UUID(request.POST.get("form_id", ""))
    except ValueError:
        return uuid4()
    typed = sorted((key, request.POST.getlist(key)) for key in request.POST if key not in NOT_TYPED)
    files = [file for file in request.FILES.values() if isinstance(file, uploads.StagedUpload)]
    typed += [(file.name or "", [str(file.size)]) for file in files]
    return uuid5(form_id, json.dumps([str(person(request).pk), request.path, typed]))


def _earlier(request: HttpRequest) -> Operation | None:
    """The operation to make again (?from=<id>), if this person may see it; 404 if not."""
    asked = request.POST.get("from") or request.GET.get("from")
    if not asked:
        return None
    try:
        return get_object_or_404(Operation.objects.visible_to(person(request)), pk=UUID(asked))
    except ValueError as garbled:
        raise Http404 from garbled


def tried_again(earlier: Operation | None, kind: Kind) -> Operation | None:
    return earlier if earlier and earlier.kind == kind and earlier.state in TRIED_AGAIN else None


def _preset(request: HttpRequest) -> Preset | None:
    """The preset to start from (?preset=<id>), if this person may use it; 404 if not."""
    asked = request.GET.get("preset")
    if not asked:
        return None
    try:
        return get_object_or_404(Preset.objects.visible_to(person(request)).select_related("owner"), pk=UUID(asked))
    except ValueError as garbled:
        raise Http404 from garbled


def _presets_of(user: User, kind: Kind | None = None) -> list[Preset]:
    """What the person may start from; only of one kind, or of all that have a form."""
    shown = Preset.objects.visible_to(user).filter(kind__in=[kind] if kind else list(FORMS))
    return list(shown.select_related("owner", "team"))


def _given(request: HttpRequest, earlier: Operation | None, preset: Preset | None) -> dict[str, Any]:
    """What fills in the form: an earlier operation’s request or a preset, and over it what the address says."""
    given = (values_of(earlier) if earlier else {}) | (preset.values if preset else {})
    if "preserve_history" in given:
        given["preserve_history"] = given["preserve_history"] in (True, "on")
    asked = {key: request.GET[key] for key in PREFILLED if request.GET.get(key)}
    if "preserve_history" in request.GET:
        given["preserve_history"] = request.GET["preserve_history"] not in ("", "no", "false", "0")
    # What stands in the address was not picked from a list.
    for key in asked:
        given.pop(f"{key}_id", None)
    return given | asked


def by_ids(given: dict[str, Any]) -> dict[str, Any]:
    """With ids in place of the names that were kept beside them: names may have changed since."""
    ids = {field: given[f"{field}_id"] for field in ("itwin", "source") if given.get(f"{field}_id")}
    return given | ids


def _without_ids(given: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in given.items() if not field.endswith("_id")}


def values_of(operation: Operation) -> dict[str, Any]:
    """What its form was filled in with."""
    return {
        "itwin": operation.itwin_name or operation.itwin_id,
        "itwin_id": operation.itwin_id,
        "source": operation.source_name or operation.source_id,
        "source_id": operation.source_id,
        "name": operation.name,
        "description": operation.description,
        "reason": operation.reason,
        "preserve_history": operation.preserve_history is not False,
        "up_to": operation.changeset_selection or ChangesetSelection.LATEST.value,
        "crs": crs_in(operation.request_body),
        "staged_file": str(operation.staged_file_id or ""),
        **_sides_of(operation),
        "changeset": _changeset_of(operation) if operation.changeset_selection == ChangesetSelection.CHANGESET else "",
    }


def _sides_of(operation: Operation) -> dict[str, float]:
    extent = extent_in(operation.request_body)
    return {side: getattr(extent, side) for side in SIDES} if extent else {}


def _changeset_of(operation: Operation) -> str:
    """As a person says it: by its number where that is known."""
    return operation.changeset_id if operation.changeset_index is None else str(operation.changeset_index)


def names_found(form: RequestForm) -> dict[str, str]:
    """Names instead of ids and links, for what was found."""
    names: dict[str, str] = {}
    if form.into:
        names |= {"itwin": form.into.name, "itwin_id": form.into.id}
    if isinstance(form, CopyForm) and form.origin:
        names |= {"source": form.origin.imodel.name, "source_id": form.origin.imodel.id}
    return names


def _last_different(user: User) -> list[Operation]:
    """The person's last operations, each kind of request once."""
    mine = Operation.objects.filter(requested_by=user, kind__in=list(FORMS)).order_by("-created_at")[:50]
    different: dict[tuple[str, ...], Operation] = {}
    for operation in mine:
        made_of = operation.source_id or operation.file_name
        spec = (operation.kind, made_of, operation.itwin_id, operation.changeset_selection)
        different.setdefault(spec, operation)
    return list(different.values())[:SAME_AGAIN]
