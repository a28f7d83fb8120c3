"""What a form tells before it is sent: who must agree, what is in the way, and the exact request. Advice only."""

from dataclasses import dataclass

from django.conf import settings

from imodels_app.display import formats, rule_texts
from imodels_app.models import Operation, Orphan, Team, User
from imodels_app.requesting import drafts
from imodels_app.requesting.catalog import CatalogUnavailable, SignInNeeded
from imodels_app.requesting.changesets import Changesets, UpTo
from imodels_app.requesting.copy_forms import CopyForm, TemplateForm
from imodels_app.requesting.forms import BaselineForm, ExtentForm, RequestForm
from imodels_app.requesting.sources import Source
from imodels_app.requesting.spec import CreationSpec
from imodels_app.states import FINISHED, ChangesetSelection, Kind, Who

ICONS = {"good": "st-succeeded", "ask": "warning", "bad": "st-failed", "": "help"}
NUMBERS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


@dataclass(frozen=True)
class Check:
    """One line: tone is good, ask, bad or "" (cannot be known yet)."""

    tone: str
    text: str
    more: str = ""

    @property
    def icon(self) -> str:
        return ICONS[self.tone]


@dataclass(frozen=True)
class Approvers:
    """Whose approvals a request needs, level by level, and how long they have.

    names  the team's leads, the person who asks left out, where they are asked
    """

    team: Team
    names: list[str]
    levels: list[str]
    days: int


@dataclass(frozen=True)
class Preview:
    """The request as it would be sent, without the token."""

    url: str
    body: str

    @property
    def curl(self) -> str:
        return formats.curl(self.url, self.body)


@dataclass(frozen=True)
class Advice:
    """The side column. newer: how many changesets came since the one that is pinned in the form."""

    checks: list[Check]
    approvers: Approvers | None = None
    preview: Preview | None = None
    newer: int = 0


@dataclass(frozen=True)
class Banner:
    """The head of a form that was sent back: one sentence, and a link to each wrong field."""

    title: str
    links: list[tuple[str, str]]


def advise(form: RequestForm, *, by: User) -> Advice:
    """What can be told about a form as it is typed so far. The form is bound, and need not be valid."""
    form.is_valid()  # cleans it, if it is not yet
    spec = form.draft()
    asked = drafts.draft(spec, by=by) if spec else None
    return Advice(
        checks=[*_checks(form), *_rules(form, asked), *_orphan(form, by), *_namesakes(form, by)],
        approvers=_approvers(asked, by) if asked else _usual_approvers(form, by),
        preview=_preview(spec) if spec else None,
        newer=_newer(form, spec),
    )


def banner(form: RequestForm) -> Banner:
    wrong = [
        (form[name].auto_id, _first_sentence(str(form.errors[name][0]))) for name in form.fields if name in form.errors
    ]
    if len(wrong) == 1:
        return Banner("One field needs a change.", wrong)
    count = NUMBERS[len(wrong)] if len(wrong) < len(NUMBERS) else str(len(wrong))
    return Banner(f"{count} fields need a change." if wrong else "", wrong)


def _checks(form: RequestForm) -> list[Check]:
    source = _copy(form) if isinstance(form, CopyForm) else []
    found = [
        _file(form),
        _name(form),
        _status(form),
        *source,
        _rights(form),
        _may_read(form),
        _may_view(form),
        _extent(form),
    ]
    if form.kind == Kind.FORK and form.draft():
        guids = "If any are missing, the fork fails and tells you what to do."
        found.append(Check("", "FederationGuids: known only when it runs", guids))
    found += [Check("bad", str(said)) for said in form.non_field_errors()]
    if not form.catalog_answered and form.draft():
        more = "You can still send it: the platform checks the ids once it answers."
        found.append(Check("ask", "The platform is not answering, so nothing was checked", more))
    return [check for check in found if check]


def _file(form: RequestForm) -> Check | None:
    staged = form.staged if isinstance(form, BaselineForm) else None
    if staged is None:
        return None
    if not staged.arrived_at:
        return Check("", f"{staged.name} is on its way", "The request is sent once it has fully arrived.")
    more = "Whether it is a snapshot, not a briefcase, is known only when it runs."
    return Check("good", f"{staged.name} is here, {formats.file_size(staged.size)}", more)


def _name(form: RequestForm) -> Check | None:
    if form.into is None:
        return None
    if form.free_name:
        return Check("bad", f"Name is taken in {form.into.name}", f"“{form.free_name}” is free.")
    return Check("good", f"Name is free in {form.into.name}") if form.name_is_free else None


def _status(form: RequestForm) -> Check | None:
    """The documentation does not say what an inactive iTwin refuses."""
    if not form.into or form.into.status != "Inactive":
        return None
    return Check("ask", f"{form.into.name} is inactive", "Is this the one you mean? The platform may refuse it.")


def _namesakes(form: RequestForm, by: User) -> list[Check]:
    """Operations under way that will make an iModel of this name there."""
    if form.into is None or not form.name_is_unused:
        return []
    under_way = Operation.objects.visible_to(by).exclude(state__in=FINISHED)
    same = under_way.filter(itwin_id=form.into.id, name__iexact=form.cleaned_data["name"])
    who = [operation.requested_by_name for operation in same[:3]]
    return [Check("ask", "One with this name is already under way", f"Requested by {', '.join(who)}.")] if who else []


def _orphan(form: RequestForm, by: User) -> list[Check]:
    """A name that is taken by what a failed operation of ours left there."""
    if form.into is None or not form.free_name:
        return []
    name = str(form["name"].value()).strip()
    orphans = Orphan.objects.visible_to(by).still_there()
    if not orphans.filter(operation__itwin_id=form.into.id, operation__name__iexact=name).exists():
        return []
    return [Check("ask", "A failed operation left this name taken", "Delete it under Orphaned iModels.")]


def _copy(form: CopyForm) -> list[Check | None]:
    if not form.origin or not form.catalog_answered:
        return []
    imodel = form.origin.imodel
    if why_not := form.origin.why_not_ready:
        return [Check("bad", f"{imodel.name} is not ready", f"{why_not[0].upper()}{why_not[1:]}.")]
    if form.changesets is None:
        return [Check("bad", f"You may not view the changesets of {imodel.name}", "Pick another iModel.")]
    how_much = _how_much(form, form.copy_up_to, form.changesets) if form.copy_up_to else None
    return [Check("good", f"{imodel.name} is ready"), how_much, _region(form, form.origin)]


def _how_much(form: CopyForm, up_to: UpTo, changesets: Changesets) -> Check:
    if up_to.selection == ChangesetSelection.EVERYTHING:
        now = f"Now up to #{changesets.newest_index}, and any added before it runs."
        return Check("", "All changesets will be copied", now)
    index = up_to.last_index
    if index == 0:
        more = "No changeset is sent, which means baseline only." if form.kind == Kind.TEMPLATE else ""
        return Check("good", "Only the baseline will be copied", more)
    if form.kind == Kind.TEMPLATE:
        return Check("good", f"Content up to #{index} becomes the baseline", "Without history: no changeset is copied.")
    if form.kind == Kind.FORK and not form.cleaned_data.get("preserve_history"):
        become = f"{index} changesets become" if index != 1 else "1 changeset becomes"
        more = "With “Preserve history” they are copied one by one."
        return Check("ask", f"The fork loses its history: {become} one baseline", more)
    # Their numbers rise, and are not promised to be without gaps.
    return Check("good", f"Changesets up to #{index} will be copied", f"{index} at most.")


def _region(form: CopyForm, source: Source) -> Check | None:
    if isinstance(form, TemplateForm):
        return _same_region(form)
    here = source.imodel.data_center or source.itwin.data_center
    there = form.into.data_center if form.into else ""
    if not (here and there):
        return None
    if here == there:
        return Check("good", f"Same region, {here}")
    return Check("ask", f"From {here} to {there}", "The platform may refuse to copy between regions.")


def _same_region(form: TemplateForm) -> Check | None:
    """For a template the platform insists."""
    if not form.into:
        return None
    if not (form.region and form.target_region):
        return Check("", "Data centers: known only when it runs", "Template and target must be in the same one.")
    if form.is_elsewhere:
        return Check("bad", f"From {form.region} to {form.target_region}", "They must be in the same data center.")
    return Check("good", f"Same data center, {form.region}")


def _rights(form: RequestForm) -> Check | None:
    """Whether the person has imodels_manage in each iTwin concerned; a template has to be read only.

    Advice only: an organization administrator may create without it, and the platform does not list that.
    """
    concerned = {form.into.id: form.into.name} if form.into else {}
    if isinstance(form, CopyForm) and form.origin and form.kind != Kind.TEMPLATE:
        concerned[form.origin.itwin.id] = form.origin.itwin.name or "the source’s iTwin"
    if not concerned or not form.catalog_answered:
        return None
    try:
        missing = [name for itwin_id, name in concerned.items() if not form.catalog.may_manage(itwin_id)]
    except (CatalogUnavailable, SignInNeeded):
        where = " and ".join(concerned.values())
        return Check("", f"Your permissions in {where} are not known", "The platform is not answering.")
    if missing:
        where = " and in ".join(missing)
        more = "The platform will refuse unless you administer the organization."
        return Check("ask", f"You do not have imodels_manage in {where}", more)
    where = " and ".join(concerned.values())
    return Check("good", f"You may create iModels in {where}", "You have imodels_manage there.")


def _may_read(form: RequestForm) -> Check | None:
    """Of a template, advice only, too."""
    if not isinstance(form, TemplateForm) or not form.origin or not form.catalog_answered:
        return None
    name, secured = form.origin.imodel.name, form.origin.own is not None
    if form.origin.may_read:
        return Check("good", f"You may read {name}", "You have imodels_read there.")
    where = f"on {name}" if secured else f"in {form.origin.itwin.name or 'the template’s iTwin'}"
    more = "It has permissions of its own. " if secured else ""
    return Check("ask", f"You do not have imodels_read {where}", f"{more}The platform may refuse to read it.")


def _may_view(form: RequestForm) -> Check | None:
    """What a source with permissions of its own asks beside imodels_manage on its iTwin."""
    if form.kind not in (Kind.CLONE, Kind.FORK) or not form.origin or not form.origin.imodel.is_secured:
        return None
    name, own = form.origin.imodel.name, "It has permissions of its own."
    if form.origin.own is None:
        return Check("", f"Your permissions on {name} are not known", own)
    if form.origin.may_view:
        return Check("good", f"You may view {name}", own)
    return Check("ask", f"You do not have imodels_webview on {name}", f"{own} The platform may refuse to copy it.")


def _extent(form: RequestForm) -> Check | None:
    """The platform takes any corners, but corners the wrong way round are rarely meant."""
    extent = form.extent if isinstance(form, ExtentForm) else None
    if extent is None:
        return None
    if extent.south > extent.north:
        return Check("ask", "South is north of North", "Swapped? It is sent as it is.")
    if extent.west > extent.east:
        return Check("ask", "West is east of East", "Swapped, or across the 180th meridian? It is sent as it is.")
    return None


def _newer(form: RequestForm, spec: CreationSpec | None) -> int:
    if not isinstance(form, CopyForm) or form.data.get("up_to") != ChangesetSelection.LATEST:
        return 0
    if spec is None or spec.changeset_index is None or form.changesets is None:
        return 0
    return form.changesets.newest_index - spec.changeset_index


def _rules(form: RequestForm, asked: Operation | None) -> list[Check]:
    """A rule refuses it, or nobody could decide; unless that is what a form that was sent came back with."""
    why = drafts.why_not(asked) if asked else ""
    return [Check("bad", "This cannot be requested", why)] if why and why not in form.non_field_errors() else []


def _approvers(asked: Operation, by: User) -> Approvers | None:
    """As today's rules ask for them; None where it is let through."""
    team, plan = asked.team, asked.plan
    if not plan.asks_people:
        return None
    levels = [rule_texts.level(level, team.name) for level in plan.levels]
    is_for_leads = any(one.who == Who.LEADS for level in plan.levels for one in level)
    return Approvers(team, _leads(team, by) if is_for_leads else [], levels, plan.decide_days(team.approval_days))


def _usual_approvers(form: RequestForm, by: User) -> Approvers | None:
    """Of a fork that is not filled in yet: its team is known by its main iModel."""
    if form.kind != Kind.FORK or not isinstance(form, CopyForm) or not form.origin:
        return None
    team = Team.looking_after(form.origin.itwin.id)
    return Approvers(team, _leads(team, by), [f"Leads of {team.name}"], team.approval_days)


def _leads(team: Team, by: User) -> list[str]:
    return [lead.name for lead in team.leads() if lead != by]


def _preview(spec: CreationSpec) -> Preview:
    return Preview(settings.ITWIN_API_URL + spec.path, spec.body_text)


def _first_sentence(text: str) -> str:
    return text.split(". ")[0].rstrip(".")
