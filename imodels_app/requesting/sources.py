"""An iModel to copy from, with what this person may do with it; and where an iModel comes from."""

from dataclasses import dataclass, replace

from imodels_app.itwin.types import CreateOperation, IModel, ITwin
from imodels_app.requesting.spec import IModelRef, ITwinRef

MANAGE, READ, WEBVIEW, DELETE = "imodels_manage", "imodels_read", "imodels_webview", "imodels_delete"

# What the platform's word for the state of its creation means for one that is not initialized: in a list, as a reason.
_BEING_MADE = ("being made", "the platform is still making it")
_FAILED = ("could not be made", "the platform could not make it")
_NOT_READY = {
    "scheduled": _BEING_MADE,
    "successful": _BEING_MADE,
    "waitingForFile": ("waiting for its file", "its baseline file has not been uploaded"),
    "failed": _FAILED,
    "mainIModelIsMissingFederationGuids": _FAILED,
    "sourceIsMissingFederationGuids": _FAILED,
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """An iModel that can be copied from, with the iTwin it lives in.

    permissions  the person's on the iTwin; None when they did not come in time
    own          the person's on the iModel, where it has permissions of its own; None where not, or not asked for
    creation     the platform's word for the state of its creation, where it is not ready; "" where that is not known
    why          the piece of its description by which it was found, in parts: True for the words that were typed
    """

    imodel: IModel
    itwin: ITwin
    permissions: frozenset[str] | None
    own: frozenset[str] | None = None
    creation: str = ""
    why: tuple[tuple[str, bool], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What a person may call it."""
        return self.imodel.name, f"{self.itwin.name} / {self.imodel.name}"

    @property
    def is_ready(self) -> bool:
        """To be cloned or forked; where that is not known, the platform may be asked."""
        return self.imodel.is_initialized and (self.permissions is None or MANAGE in self.permissions) and self.may_view

    @property
    def not_ready(self) -> str:
        """How it stands with one that is not ready, in a word or two; "" for one that is."""
        return "" if self.imodel.is_initialized else self._not_ready[0]

    @property
    def why_not_ready(self) -> str:
        """The same as a reason."""
        return "" if self.imodel.is_initialized else self._not_ready[1]

    @property
    def is_being_made(self) -> bool:
        return self.not_ready == _BEING_MADE[0]

    @property
    def _not_ready(self) -> tuple[str, str]:
        return _NOT_READY.get(self.creation, ("not ready", "the platform has not initialized it"))

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
        # Of one that was not looked up nothing is known.
        is_secured = self.imodel.is_secured if self.itwin.id else None
        return IModelRef(id=self.imodel.id, name=self.imodel.name, itwin=there, is_secured=is_secured)


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
