"""Presets: keep a form as it is filled in, rename it, share it, delete it. Forms are filled in by views/requests.py."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from imodels_app.accounts import permissions
from imodels_app.decorators import person, preserve_input_on_sign_out, signed_in, throttled
from imodels_app.error_handlers import denied
from imodels_app.limits import throttles
from imodels_app.models import Preset, Team, User
from imodels_app.redirects import own_path
from imodels_app.requesting import presets
from imodels_app.requesting.catalog import Catalog
from imodels_app.requesting.changesets import UP_TO_LABELS
from imodels_app.requesting.forms import RequestForm
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import Kind
from imodels_app.views import new_imodel


def _redisplay_form(request: HttpRequest, kind: str) -> HttpResponse:
    """The form again, with all that was typed."""
    return new_imodel.redisplay_form(request, _form_of(kind))


@preserve_input_on_sign_out(_redisplay_form)
@signed_in
@require_http_methods(["GET", "POST"])
@throttled(throttles.PRESETS)
def save_preset(request: HttpRequest, kind: str) -> HttpResponse:
    """What a request form holds, brought here by its own button: first to be named, and then kept."""
    form_of = _form_of(kind)
    if request.method == "GET":  # reloaded, or come back from the sign-in: what was typed is gone
        return redirect(f"imodels:request-{form_of.kind.value}")
    user, named = person(request), "preset_name" in request.POST
    typed = form_of(request.POST, catalog=Catalog(user, within_s=new_imodel.FILL_IN_S))
    values = _values(request, typed, are_sure=named)
    # A file is no part of a preset, but stays chosen in the form.
    file = {"staged_file": request.POST["staged_file"]} if request.POST.get("staged_file") else {}
    sent = request.POST if named else None
    form = presets.PresetForm(sent, teams=_teams_of(user), initial={"preset_name": _name_for(values)})
    if form.is_valid():
        name, team = form.cleaned_data["preset_name"], _team(form, None)
        try:
            preset = presets.save(form_of.kind, name, values, by=user, team=team)
        except presets.PresetNameTaken:
            form.add_error(
                "preset_name", "You already have a preset with this name. Choose another, or delete that one first."
            )
        else:
            messages.success(request, f"Saved as “{isolated(preset.name)}”.")
            return _see(_form(form_of, {"preset": str(preset.pk)} | file))
    context = {
        "form": form,
        "kind": form_of.kind,
        "values": values,
        "summary": _described(values, typed.fields),
        "back": _form(form_of, {name: text for name, text in values.items() if not name.endswith("_id")} | file),
    }
    return _page(request, "new_imodel/preset_new.html", context | file, form)


@signed_in
@require_http_methods(["GET", "POST"])
@throttled(throttles.PRESETS)
def preset_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What a preset holds; to be renamed and shared by whoever may."""
    user, preset = person(request), _visible(request, pk)
    is_mine = preset.owner == user
    why_not = permissions.why_not_change(user, preset)
    form = presets.PresetForm(
        request.POST if request.method == "POST" else None,
        teams=_teams_of(user) if is_mine else None,
        initial={"preset_name": preset.name, "preset_team": preset.team_id},
    )
    if request.method == "POST" and why_not:
        return denied(request, why_not, back=reverse("imodels:new"))
    if form.is_valid():
        try:
            presets.change(preset, by=user, name=form.cleaned_data["preset_name"], team=_team(form, preset.team))
        except presets.PresetNameTaken:
            whose = "You have" if is_mine else f"{preset.owner.name} has"
            form.add_error("preset_name", f"{whose} another preset with this name.")
            preset.refresh_from_db()
        else:
            messages.success(request, f"“{isolated(preset.name)}” was changed.")
            return _see(reverse("imodels:new"))
    fields = new_imodel.FORMS[Kind(preset.kind)](catalog=Catalog(user)).fields
    context = {"form": form, "preset": preset, "why_not": why_not, "summary": _described(preset.values, fields)}
    return _page(request, "new_imodel/preset.html", context, form)


@signed_in
@require_POST
@throttled(throttles.PRESETS)
def delete_preset(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One's own, a team's that one leads, and for administrators any: from the page of its owner."""
    user = person(request)
    preset = get_object_or_404(Preset, pk=pk) if permissions.may_administer(user) else _visible(request, pk)
    try:
        presets.delete(preset, by=user)
    except permissions.Denied as no:
        return denied(request, str(no), back=reverse("imodels:new"))
    messages.success(request, f"“{isolated(preset.name)}” was deleted. iModels made with it stay.")
    return _see(own_path(request.POST.get("next", ""), reverse("imodels:new")))


def _values(request: HttpRequest, typed: RequestForm, *, are_sure: bool) -> dict[str, str]:
    """What is kept of a form. are_sure: its ids were looked up when the preset was to be named.

    Until then they are not: without JavaScript one may be left from an earlier text.
    """
    values = {name: text for name, text in presets.values_in(request.POST.dict()).items() if name in typed.fields}
    if "preserve_history" in typed.fields:
        values.setdefault("preserve_history", "no")
    if are_sure:
        return values
    typed.is_valid()
    return {name: text for name, text in values.items() if not name.endswith("_id")} | new_imodel.names_found(typed)


def _form_of(kind: str) -> type[RequestForm]:
    if kind not in new_imodel.FORMS:
        raise Http404
    return new_imodel.FORMS[Kind(kind)]


def _form(form_of: type[RequestForm], asked: dict[str, str]) -> str:
    return f"{reverse(f'imodels:request-{form_of.kind.value}')}?{urlencode(asked)}"


def _visible(request: HttpRequest, pk: UUID) -> Preset:
    shown = Preset.objects.visible_to(person(request)).select_related("owner", "team")
    return get_object_or_404(shown, pk=pk, kind__in=list(new_imodel.FORMS))


def _teams_of(user: User) -> list[tuple[int, str]]:
    return list(Team.objects.filter(membership__user=user).values_list("pk", "name"))


def _team(form: presets.PresetForm, team: Team | None) -> Team | None:
    """Who it is for, by the form; `team` where that was not asked."""
    if "preset_team" not in form.fields:
        return team
    return Team.objects.filter(pk=form.cleaned_data["preset_team"]).first()


def _name_for(values: dict[str, str]) -> str:
    """A first idea of what to call it."""
    return (values.get("name") or " ".join(part for part in (values.get("source"), values.get("itwin")) if part))[:100]


def _described(values: dict[str, Any], fields: dict[str, Any]) -> list[tuple[str, str]]:
    """Label and text of each field that is kept, for a person to read."""
    choices = {"up_to": UP_TO_LABELS.get(values.get("up_to", ""), "")}
    if "preserve_history" in values:
        choices["preserve_history"] = "Yes" if values["preserve_history"] == "on" else "No"
    shown = [name for name in fields if name in values and not name.endswith("_id")]
    return [(str(fields[name].label), choices.get(name) or str(values[name])) for name in shown]


def _page(request: HttpRequest, template: str, context: dict[str, Any], form: presets.PresetForm) -> HttpResponse:
    return render(request, template, context | {"section": "new"}, status=422 if form.errors else 200)


def _see(address: str) -> HttpResponse:
    return HttpResponse(status=303, headers={"Location": address})
