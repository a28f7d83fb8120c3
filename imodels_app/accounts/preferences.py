"""What a person chooses for themselves: their time zone, and when each kind of e-mail comes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django import forms

from imodels_app.models import User
from imodels_app.models.people import zone_named, zone_names
from imodels_app.states import NotificationKind

# Names that people look for: an area and a place. The others are older names for the same.
AREAS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
AT_ONCE, DAILY, NEVER = "at_once", "daily", "never"
WHEN = {AT_ONCE: "At once", DAILY: "Once a day", NEVER: "Not at all"}
# In both, first what concerns requesters, then those who decide, then administrators.
# E-mails that ask their reader to act come at once or once a day. Two are never put off: a sign-in that everything
# waits for, and the last day of a decision.
ASKING = {
    NotificationKind.CHANGES_REQUESTED: "To change what you requested",
    NotificationKind.REQUESTED: "To decide about a request",
    NotificationKind.EDITED: "To decide about one that has changed",
    NotificationKind.HALF_WAY: "To decide, as half of the time has passed",
    NotificationKind.APPROVAL_LAPSED: "To decide again, as the approval was not used",
}
# The others can be done without.
TELLING = {
    NotificationKind.APPROVED: "Your request was approved",
    NotificationKind.REJECTED: "Your request was rejected",
    NotificationKind.SENT: "Your request was sent to the platform",
    NotificationKind.SUCCEEDED: "Your iModel is ready",
    NotificationKind.FAILED: "Your request failed",
    NotificationKind.EXPIRED: "Your request expired",
    NotificationKind.COMMENTED: "Somebody commented on your request, or after you did",
    NotificationKind.DECIDED: "Somebody else decided what you were asked to decide",
    NotificationKind.ENDED: "What you decided, or were asked to decide, has ended",
    NotificationKind.START_SET: "Somebody else set when your request, or one you decided, starts",
    NotificationKind.ESCALATED: "Nothing is decided after half of the time",
}


class PreferencesForm(forms.Form):
    """A time zone, and for each kind of e-mail that this person may get one of WHEN: mail-<kind>.

    all_told: one of WHEN for all that can be done without, in the place of what each says.
    """

    def __init__(self, typed: Mapping[str, Any] | None, *, user: User, here: str) -> None:
        """here: the zone that the page is in while the person has chosen none"""
        super().__init__(typed, initial={"time_zone": user.time_zone or here})
        self.user = user
        names = {name for name in zone_names() if name.partition("/")[0] in AREAS} | {"UTC", here}
        zones = [(name, name.replace("_", " ")) for name in sorted(names)]
        self.fields["time_zone"] = _select("Time zone", zones)
        self.fields["all_told"] = _select("All of these", [("", "As below"), *WHEN.items()])
        self.fields["all_told"].required = False
        for kind, label in (ASKING | TELLING).items():
            if kind == NotificationKind.ESCALATED and not user.is_admin:
                continue
            choices = [(word, words) for word, words in WHEN.items() if kind in TELLING or word != NEVER]
            self.fields[f"mail-{kind}"] = _select(label, choices, initial=_when(user, kind))

    @property
    def asking(self) -> Iterator[forms.BoundField]:
        return self._of(ASKING)

    @property
    def telling(self) -> Iterator[forms.BoundField]:
        yield self["all_told"]
        yield from self._of(TELLING)

    def _of(self, kinds: Iterable[NotificationKind]) -> Iterator[forms.BoundField]:
        return (self[f"mail-{kind}"] for kind in kinds if f"mail-{kind}" in self.fields)

    def save(self) -> None:
        chosen = {kind: self.cleaned_data.get(f"mail-{kind}", _when(self.user, kind)) for kind in ASKING | TELLING}
        if all_told := self.cleaned_data["all_told"]:
            chosen |= {kind: all_told for kind in TELLING if f"mail-{kind}" in self.fields}
        self.user.time_zone = self.cleaned_data["time_zone"]
        self.user.muted_mail = _those(chosen, NEVER)
        self.user.daily_mail = _those(chosen, DAILY)
        self.user.save(update_fields=["time_zone", "muted_mail", "daily_mail"])


def learn_zone(user: User, of_browser: str) -> None:
    """The browser's time zone is the person's until they choose another one; it is asked for once."""
    if not user.time_zone and zone_named(of_browser):
        user.time_zone = of_browser
        user.save(update_fields=["time_zone"])


def _select(label: str, choices: list[tuple[str, str]], *, initial: str | None = None) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, choices=choices, initial=initial, widget=forms.Select({"class": "iui-input"}))


def _when(user: User, kind: NotificationKind) -> str:
    return NEVER if user.mutes(kind) else DAILY if user.reads_daily(kind) else AT_ONCE


def _those(chosen: Mapping[NotificationKind, str], word: str) -> str:
    return " ".join(sorted(kind for kind, when in chosen.items() if when == word))
