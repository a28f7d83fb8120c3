"""An iModel to copy from, with what this person may do with it; and where an iModel comes from."""

from dataclasses import dataclass, replace

from imodels_app.itwin.types import CreateOperation, IModel, ITwin
from imodels_app.requesting.spec import IModelRef, ITwinRef

MANAGE, READ, WEBVIEW, DELETE = "imodels_manage", "imodels_read", "imodels_webview", "imodels_delete"


@dataclass(frozen=True, kw_only=True)
class Source:
    """An iModel that can be copied from, with the iTwin it lives in.

    permissions  the person's on the iTwin; None when they did not come in time
    own          the person's on the iModel, where it has permissions of its own; None where not, or not asked for
    """

    imodel: IModel
    itwin: ITwin
    permissions: frozenset[str] | None
    own: frozenset[str] | None = None

    @property
    def is_ready(self) -> bool:
        """To be cloned or forked; where that is not known, the platform may be asked."""
        return self.imodel.is_initialized and (self.permissions is None or MANAGE in self.permissions) and self.may_view

    @property
    def is_known(self) -> bool:
        """Whether the person's permissions are; a list does not ask for those of each iModel."""
        return self.permissions is not None and (self.own is not None or not self.imodel.is_secured)

    @property
    def is_template(self) -> bool:
        """To be read as a template."""
        return self.imodel.is_initialized and self.may_read

    @property
    def may_read(self) -> bool:
        known = self.permissions if self.own is None else self.own
        return known is None or READ in known

    @property
    def may_view(self) -> bool:
        """What an iModel with permissions of its own asks of whoever clones or forks it."""
        return self.own is None or WEBVIEW in self.own

    @property
    def may_be_deleted(self) -> bool:
        return DELETE in (self.permissions or ())

    @property
    def ref(self) -> IModelRef:
        itwin = itwin_ref(self.itwin)
        # An iTwin's iModels need not be in its own region.
        there = replace(itwin, region=self.imodel.data_center or itwin.region)
        return IModelRef(id=self.imodel.id, name=self.imodel.name, itwin=there)


@dataclass(frozen=True)
class Origin:
    """An iModel, and how it was made. itwin_name: "" when it is not told."""

    imodel: IModel
    itwin_name: str
    creation: CreateOperation


def itwin_ref(itwin: ITwin) -> ITwinRef:
    return ITwinRef(
        id=itwin.id, name=itwin.name, number=itwin.number, account_id=itwin.account_id, region=itwin.data_center
    )
