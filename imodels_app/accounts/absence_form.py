"""Who decides in the place of a lead while they are away: the form, and what it stores."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from imodels_app.accounts import rights
from imodels_app.models import Absence, Membership, User

LONGEST = timedelta(days=366)


def _day(label: str) -> forms.DateField:
    said = {"required": "Choose a day.", "invalid": "Choose a day."}
    picker = forms.DateInput({"class": "iui-input num", "type": "date"}, format="%Y-%m-%d")
    return forms.DateField(label=label, error_messages=said, widget=picker)


class AbsenceForm(forms.Form):
    """A deputy among the people of a team that this person leads, from one day to another, both whole."""

    deputy = forms.ChoiceField(widget=forms.Select({"class": "iui-input"}))
    since = _day("From")
    until = _day("To")

    def __init__(self, typed: Any, *, lead: User) -> None:
        super().__init__(typed)
        self.lead = lead
        self._places = {str(place.pk): place for place in _others_of(lead)}
        choices = [(pk, f"{place.user}, {place.team}") for pk, place in self._places.items()]
        deputy = self.fields["deputy"]
        assert isinstance(deputy, forms.ChoiceField)  # noqa: S101 - for mypy
        deputy.choices = choices

    @property
    def has_choices(self) -> bool:
        return bool(self._places)

    def clean(self) -> dict[str, Any]:
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        if since and until and not since <= until < since + LONGEST:
            raise ValidationError("The last day is not before the first, and at most a year later.")
        if until and until < timezone.localdate():
            raise ValidationError("That is over.")
        if since and until and (place := self._places.get(self.cleaned_data.get("deputy", ""))):
            self._require_another(place, since, until)
        return self.cleaned_data

    def _require_another(self, place: Membership, since: date, until: date) -> None:
        """Nobody is named twice for one day."""
        begins, ends = _midnight(since), _midnight(until + timedelta(days=1))
        named = Absence.objects.filter(team=place.team, lead=self.lead, deputy=place.user)
        if named.filter(starts_at__lt=ends, ends_at__gt=begins).exists():
            self.add_error("since", f"{place.user} stands in for you on some of these days already.")

    def save(self) -> Absence:
        """Raises permissions.Denied. Days are those of the lead's time zone."""
        place = self._places[self.cleaned_data["deputy"]]
        absence = Absence(
            team=place.team,
            lead=self.lead,
            deputy=place.user,
            starts_at=_midnight(self.cleaned_data["since"]),
            ends_at=_midnight(self.cleaned_data["until"] + timedelta(days=1)),
        )
        rights.save(absence, by=self.lead)
        return absence


def _others_of(lead: User) -> Iterable[Membership]:
    """The places of others in the teams that this person leads."""
    led = lead.membership_set.filter(role=Membership.Role.LEAD).values("team")
    places = Membership.objects.filter(team__in=led, user__is_active=True).exclude(user=lead)
    return places.select_related("user", "team").order_by("team__name", "user__first_name", "pk")


def _midnight(day: Any) -> datetime:
    return timezone.make_aware(datetime.combine(day, datetime.min.time()))
