"""The page of an iModel and the page of an iTwin: all that the desk knows of it, for whoever may see something of it.

Who may see nothing of it gets what an unknown id gets, and the platform is asked nothing. Administrators read the same
page with its events.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from imodels_app.accounts import deciders, permissions
from imodels_app.decorators import HtmxRequest, person, signed_in
from imodels_app.display import formats, links, rule_texts, status
from imodels_app.display.status import StatusText
from imodels_app.models import (
    Absence,
    ApprovalRule,
    KnownITwin,
    Membership,
    Operation,
    OperationQuerySet,
    Preset,
    SeenIModel,
    Team,
    TeamITwin,
    User,
)
from imodels_app.requesting.catalog import Catalog
from imodels_app.runtime import clock
from imodels_app.states import Asks, Kind
from imodels_app.tables import filters, keyset
from imodels_app.tables.filters import Filter
from imodels_app.views import forks, lineage
from imodels_app.views.audit import event_rows


@dataclass(frozen=True)
class ITwin:
    """What this person may know of one. made: what they see that was asked for in it, in parts (keyset.page)."""

    id: str
    name: str
    number: str
    made: list[OperationQuerySet]

    @property
    def url(self) -> str:
        return links.itwin_url(self.id)


@dataclass(frozen=True)
class IModel:
    """What this person may know of one.

    made_by  the operation that made it, if there is one
    copied   the newest one that is made from it
    copies   all of those, in parts
    seen     how it was when its iTwin was looked at last
    """

    id: str
    made_by: Operation | None
    copied: Operation | None
    copies: list[OperationQuerySet]
    seen: SeenIModel | None

    @property
    def name(self) -> str:
        name = self.made_by.name if self.made_by else self.copied.source_name if self.copied else ""
        return (self.seen.name if self.seen else name) or self.id

    @property
    def itwin_id(self) -> str:
        row, seen = self.made_by or self.copied, self.seen.itwin_id if self.seen else ""
        return (row.itwin_id if row is self.made_by else row.source_itwin_id) or seen if row else seen

    @property
    def itwin_name(self) -> str:
        row = self.made_by or self.copied
        name = "" if row is None else row.itwin_name if row is self.made_by else row.source_itwin_name
        return name or self.itwin_id

    @property
    def gone_at(self) -> datetime | None:
        return self.seen.gone_at if self.seen else None

    @property
    def why_not_copy(self) -> str:
        """Why nothing can be made from it now; empty where it can, as far as the desk knows."""
        if self.gone_at or (self.made_by and hasattr(self.made_by, "orphan")):
            return "it is not there, or not whole"
        return "it is not usable yet" if self.made_by and not self.made_by.is_usable else ""


@dataclass(frozen=True)
class Deciders:
    """Who may decide about what a team looks after.

    kept     how many leads have not signed in yet
    absent   who decides in whose place now
    rules    what is asked of whom (rule_texts.row), as far as this person may read the rules
    is_readable  whether this person may read the team's page
    trouble  why nobody could decide all that is asked, for who may
    """

    team: Team
    leads: list[str]
    kept: int
    absent: list[Absence]
    rules: list[dict[str, Any]]
    is_readable: bool
    trouble: str


@signed_in
@require_safe
def imodel_detail(request: HttpRequest, imodel_id: str) -> HttpResponse:
    """What an iModel was made from and what of it, who may decide about that, and what one can do next."""
    user, now = person(request), timezone.now()
    imodel = _imodel(user, imodel_id.lower())
    home = _found_itwin(user, imodel.itwin_id) if imodel.itwin_id else None
    about = [Operation.objects.visible_to(user).filter(imodel_id=imodel.id), *imodel.copies]
    context: dict[str, Any] = {
        "imodel": imodel,
        "itwin": home,
        "name": imodel.name,
        "status_text": _status_of(imodel, now),
        "open_url": "" if imodel.why_not_copy else links.open_imodel_url(imodel.itwin_id, imodel.id),
        "copy_urls": [links.copy_imodel_url(imodel.id, kind) for kind in (Kind.CLONE, Kind.FORK)],
        "may_delete": imodel.made_by and not permissions.why_not_delete_orphan(user, imodel.made_by),
        "lineage": _lineage(imodel, user, now),
        "presets": _presets(user, values__source_id=imodel.id),
        "deciders": _deciders(user, imodel.itwin_id) if imodel.itwin_id else None,
    }
    context |= forks.around(Operation.objects.filter(source_id=imodel.id), imodel.copies)
    return _page(request, user, now, about, Filter(imodels=(imodel.id,)), context)


@signed_in
@require_safe
@vary_on_headers("HX-Request")
def imodel_lineage(request: HtmxRequest, imodel_id: str) -> HttpResponse:
    """Its tree with what the platform tells, as views.lineage has it."""
    user = person(request)
    imodel = _imodel(user, imodel_id.lower())
    tree = _lineage(imodel, user, timezone.now(), Catalog(user))
    return lineage.answer(request, tree, imodel.name, links.imodel_url(imodel.id))


@signed_in
@require_safe
def itwin_detail(request: HttpRequest, itwin_id: str) -> HttpResponse:
    """What was asked for in an iTwin, who looks after it, and what one can do next."""
    user, now = person(request), timezone.now()
    itwin = _found_itwin(user, itwin_id.lower())
    if itwin is None:
        raise Http404
    context: dict[str, Any] = {
        "itwin": itwin,
        "name": itwin.name,
        "presets": _presets(user, values__itwin_id=itwin.id),
        "deciders": _deciders(user, itwin.id),
    }
    context |= forks.around(Operation.objects.filter(itwin_id=itwin.id), itwin.made)
    return _page(request, user, now, itwin.made, Filter(itwins=(itwin.id,)), context)


def _page(
    request: HttpRequest,
    user: User,
    now: datetime,
    about: list[OperationQuerySet],
    subject: Filter,
    context: dict[str, Any],
) -> HttpResponse:
    """about: operations that are about it, in parts; the address may ask for some of them. subject: of its events."""
    asked = Filter.read(request.GET)
    found = [asked.operations(part.to_show()) for part in about]
    page = keyset.page(found, filters.NEWEST, request.GET)
    rows = [(operation, status.describe(operation, now)) for operation in page]
    context |= {
        "rows": replace(keyset.counted(page, found), rows=rows),
        "filters": asked,
        "page_link": settings.DASHBOARD_URL + request.path,
        "section": "operations",
    }
    if user.is_admin:
        query = f"imodel={subject.imodels[0]}" if subject.imodels else f"itwin={subject.itwins[0]}"
        context |= {"events": event_rows(subject, request), "query": query}
    return render(request, "about/page.html", context)


# What is known


def _imodel(user: User, imodel_id: str) -> IModel:
    made_by = Operation.objects.visible_to(user).to_show().filter(imodel_id=imodel_id).first()
    copies = [part.filter(source_id=imodel_id) for part in Operation.objects.ways_to_see(user)]
    copied, seen = _newest(copies), SeenIModel.objects.filter(pk=imodel_id).first()
    if seen and not _may_read_looks(user, seen.itwin_id):
        seen = None
    if not (made_by or copied or seen):
        raise Http404
    return IModel(imodel_id, made_by, copied, copies, seen)


def _may_read_looks(user: User, itwin_id: str) -> bool:
    """Whether this person is told what a lead's token saw: it is the team's."""
    return user.is_admin or user.membership_set.filter(team=Team.looking_after(itwin_id)).exists()


def _found_itwin(user: User, itwin_id: str) -> ITwin | None:
    """An iTwin of which this person sees an operation, or that a team of theirs looks after."""
    made = [part.filter(itwin_id=itwin_id) for part in Operation.objects.ways_to_see(user)]
    newest, known = _newest(made), KnownITwin.objects.filter(pk=itwin_id).first()
    in_care = TeamITwin.objects.filter(itwin_id=itwin_id, team__in=Team.objects.visible_to(user))
    if not newest and not in_care.exists() and not (user.is_admin and known):
        return None
    name = (known and known.name) or (newest and newest.itwin_name) or itwin_id
    return ITwin(itwin_id, name, newest.itwin_number if newest else "", made)


def _newest(parts: list[OperationQuerySet]) -> Operation | None:
    rows = [row for part in parts if (row := part.order_by("-created_at", "-pk").first())]
    return max(rows, key=lambda row: row.created_at, default=None)


def _status_of(imodel: IModel, now: datetime) -> StatusText | None:
    """How it stands with it; None where nothing is known: the platform made it, or somebody else did."""
    if imodel.gone_at:
        since = f"since {formats.day_time(imodel.gone_at)}"
        return StatusText(badge="No longer there", tone="bad", icon="trash", line=since, remedy="")
    if imodel.made_by is None:
        return None
    if hasattr(imodel.made_by, "orphan"):
        return status.describe_orphan(imodel.made_by.orphan)
    told = status.describe(imodel.made_by, now)
    return replace(told, badge="Usable", line="") if imodel.made_by.is_finished and imodel.made_by.is_usable else told


def _lineage(imodel: IModel, user: User, now: datetime, catalog: Catalog | None = None) -> lineage.Lineage:
    if imodel.made_by:
        return lineage.of(imodel.made_by, user, now, catalog=catalog)
    return lineage.of_imodel(imodel.id, imodel.name, user, now, catalog=catalog)


def _presets(user: User, **uses: str) -> list[Preset]:
    return list(Preset.objects.visible_to(user).filter(**uses).select_related("owner", "team"))


def _deciders(user: User, itwin_id: str) -> Deciders:
    """Names, as whoever asks for something reads them; addresses are for the team's page."""
    team = Team.looking_after(itwin_id)
    is_readable = Team.objects.visible_to(user).filter(pk=team.pk).exists()
    rules = ApprovalRule.objects.visible_to(user).holding_for(team).filter(~Q(asks=Asks.LET_THROUGH))
    return Deciders(
        team=team,
        leads=[lead.name for lead in team.leads()],
        kept=team.membership_set.filter(role=Membership.Role.LEAD, user=None).count(),
        absent=list(Absence.objects.now(clock.now()).filter(team=team).select_related("lead", "deputy")),
        rules=[rule_texts.row(rule) for rule in rules],
        is_readable=is_readable,
        trouble=deciders.why_not_in(team) if is_readable else "",
    )
