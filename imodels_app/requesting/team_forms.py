"""The forms of a team: what it is called, a place in it, and an iTwin in its care."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from imodels_app.itwin.types import ITwin
from imodels_app.models import Membership, Team, TeamITwin
from imodels_app.requesting.catalog import Catalog, CatalogUnavailable, SignInNeeded
from imodels_app.requesting.fields import Combobox, Form, choice_field, text_field, tick_field, whole_number
from imodels_app.requesting.lookups import ITwinLookup

MOST_DAYS = 365


class TeamForm(Form):
    """Name, and days to decide. Only what was changed here counts: somebody else may have changed the other."""

    name = text_field("Name", "Give the team a name.", most=100, show_hidden_initial=True)
    approval_days = whole_number(
        "Days to decide",
        least=1,
        most=MOST_DAYS,
        required=True,
        show_hidden_initial=True,
        help_text="Where no rule says otherwise.",
    )

    def __init__(self, data: Any = None, *, team: Team) -> None:
        super().__init__(data, initial={"name": team.name, "approval_days": team.approval_days})
        self.team = team

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if Team.objects.filter(name__iexact=name).exclude(pk=self.team.pk).exists():
            raise ValidationError("Another team has this name.")
        return name

    def filled(self) -> Team:
        """The team as it is to be."""
        for column in self.changed_data if self.team.pk else self.fields:
            setattr(self.team, column, self.cleaned_data[column])
        return self.team


class PlaceForm(Form):
    """A place for an e-mail address, bound to its person now or at their first sign-in."""

    email = forms.EmailField(
        label="E-mail address",
        max_length=254,
        help_text="As the sign-in service knows it. They need not have signed in yet.",
        widget=forms.EmailInput({"class": "iui-input", "autocomplete": "off", "list": "known"}),
        error_messages={"required": "Enter an e-mail address.", "invalid": "This is not an e-mail address."},
    )
    role = choice_field("Role", Membership.Role.choices)

    def __init__(self, data: Any = None, *, team: Team) -> None:
        super().__init__(data)
        self.team = team
        self.fields["role"].required = True

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"].lower()
        if self.team.membership_set.filter(email__iexact=email).exists():
            raise ValidationError("This address has a place in the team already.")
        return email

    def filled(self) -> Membership:
        """The place that is to be."""
        return Membership(team=self.team, email=self.cleaned_data["email"], role=self.cleaned_data["role"])


class _Lookup(ITwinLookup):
    remedy = "Pick one from the list, type its full name or number, or paste its id or link."


class TeamITwinForm(Form):
    """An iTwin for a team. It is looked up: a wrong id would send forks to the wrong team.

    found  the iTwin that is meant; None while it is not known
    held   the row of the other team that looks after it
    """

    itwin = text_field(
        "iTwin",
        "Pick an iTwin.",
        most=1000,
        help_text="Its name, number, id or a link to it.",
        widget=Combobox("imodels:pick-itwins", icon="down"),
        template_name="teams/_itwin.html",
    )
    itwin_id = forms.CharField(required=False, widget=forms.HiddenInput)
    take_over = tick_field("Take it over")

    def __init__(self, data: Any = None, *, team: Team, catalog: Catalog) -> None:
        super().__init__(data)
        self.team, self.catalog = team, catalog
        self.found: ITwin | None = None
        self.held: TeamITwin | None = None

    @property
    def itwin_picked(self) -> str:
        return self.found.id if self.found else ""

    def clean(self) -> dict[str, Any]:
        typed: dict[str, Any] = super().clean() or {}
        if "itwin" in typed:
            try:
                self.found = self._look_up(typed["itwin"], typed.get("itwin_id", ""))
                self.held = TeamITwin.objects.select_related("team").filter(itwin_id=self.found.id).first()
                self._check_care(is_wanted=bool(typed.get("take_over")))
            except ValidationError as no:
                self.add_error("itwin", no)
        return typed

    def filled(self) -> TeamITwin:
        """The row that is to be: a new one, or another team's that is taken over."""
        row = self.held or TeamITwin(itwin_id=self.itwin_picked)
        row.team = self.team
        return row

    def _look_up(self, typed: str, picked_id: str) -> ITwin:
        try:
            return _Lookup(self.catalog).find(typed, picked_id=picked_id)
        except CatalogUnavailable as down:
            raise ValidationError(f"{down} The iTwin could not be looked up: try again later.") from down
        except SignInNeeded as ended:
            raise ValidationError("Sign in again before you add an iTwin: it has to be looked up.") from ended

    def _check_care(self, *, is_wanted: bool) -> None:
        if self.held and self.held.team == self.team:
            raise ValidationError("The team looks after this iTwin already.")
        if self.held and not is_wanted:
            raise ValidationError(f"{self.held.team} looks after this iTwin. Tick “Take it over” to move it here.")
