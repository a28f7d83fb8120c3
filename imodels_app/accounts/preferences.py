"""What a person chooses for themselves: their time zone, and which e-mails they do without."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import available_timezones

from django import forms

from imodels_app.models import User
from imodels_app.models.people import zone_named
from imodels_app.states import NotificationKind

# Names that people look for: an area and a place. The others are older names for the same.
AREAS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
# E-mails that ask for nothing, and so can be done without.
MAILS = {
    NotificationKind.APPROVED: "Yours was approved",
    NotificationKind.REJECTED: "Yours was rejected",
    NotificationKind.SENT: "Yours was sent to the platform",
    NotificationKind.SUCCEEDED: "Yours succeeded",
    NotificationKind.FAILED: "Yours failed",
    NotificationKind.EXPIRED: "Yours expired",
    NotificationKind.DECIDED: "Somebody else decided what you were asked to",
    NotificationKind.ENDED: "One that you decided or were asked to has ended",
}


class PreferencesForm(forms.Form):
    """mail: the kinds of e-mail that the person wants, of those that can be done without."""

    mail = forms.MultipleChoiceField(
        label="E-mail",
        required=False,
        choices=[(kind.value, label) for kind, label in MAILS.items()],
        widget=forms.CheckboxSelectMultiple({"class": "iui-checkbox"}),
    )

    def __init__(self, typed: Mapping[str, Any] | None, *, user: User, here: str) -> None:
        """here: the zone that the page is in while the person has chosen none"""
        wanted = [kind for kind in MAILS if not user.mutes(kind)]
        super().__init__(typed, initial={"time_zone": user.time_zone or here, "mail": wanted})
        self.user = user
        names = {name for name in available_timezones() if name.partition("/")[0] in AREAS} | {"UTC", here}
        zones = [(name, name.replace("_", " ")) for name in sorted(names)]
        select = forms.Select({"class": "iui-input"})
        self.fields["time_zone"] = forms.ChoiceField(label="Time zone", choices=zones, widget=select)

    def save(self) -> None:
        muted = sorted(set(MAILS) - set(self.cleaned_data["mail"]))
        self.user.time_zone, self.user.muted_mail = self.cleaned_data["time_zone"], " ".join(muted)
        self.user.save(update_fields=["time_zone", "muted_mail"])


def learn_zone(user: User, of_browser: str) -> None:
    """The browser's time zone is the person's until they choose another one; it is asked for once."""
    if not user.time_zone and zone_named(of_browser):
        user.time_zone = of_browser
        user.save(update_fields=["time_zone"])
