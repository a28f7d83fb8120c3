"""The form of an approval rule, and that of a request to try the rules with."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from imodels_app.accounts import deciders, rights
from imodels_app.approvals.plan import USE_WITHIN_DAYS, Facts
from imodels_app.models import ApprovalRule, Team, User
from imodels_app.requesting.fields import Form, Textarea, choice_field, text_field, tick_field, whole_number
from imodels_app.runtime import foreign_text
from imodels_app.states import Asks, Kind, Who

MOST_PEOPLE, MOST_DAYS, MOST_CHANGESETS = 20, 365, 10**9
ALL_TEAMS = ("", "All teams")
NOBODY = ("", "Nobody else")
CONDITIONS = {
    "outside_team": "It goes into an iTwin that the team does not look after",
    "elsewhere": "It goes into another account or region",
    "squashed": "Its history is squashed",
    "own_permissions": "The source has permissions of its own, which the copy loses",
}


class _People(forms.CharField):
    """Ids of the people who have these addresses, one a line or after a comma."""

    def clean(self, value: str) -> tuple[int, ...]:
        addresses = [one.strip() for one in str(value or "").replace(",", "\n").splitlines() if one.strip()]
        if len(addresses) > MOST_PEOPLE:
            raise ValidationError(f"At most {MOST_PEOPLE} people.")
        return tuple(dict.fromkeys(self._person(one) for one in addresses))

    def _person(self, address: str) -> int:
        found = User.objects.filter(email__iexact=address, is_active=True).order_by("pk").first()
        if found is None:
            shown = foreign_text.cleaned(address, most=100)
            raise ValidationError(f"Nobody with the address “{shown}” has signed in yet.")
        return found.pk


class LevelForm(Form):
    """Whose approvals one level asks for."""

    who = choice_field("Who", [*Who.choices])
    count = whole_number("How many", least=1, most=MOST_PEOPLE)
    count.template_name = "rules/_count.html"  # type: ignore[attr-defined]
    people = _People(
        label="People", required=False, widget=Textarea(), help_text="For “Named people”: e-mail addresses, one a line."
    )
    comment = tick_field("Each has to say why")
    sign_in = tick_field("Each has to sign in again right before")

    def clean(self) -> dict[str, Any]:
        typed: dict[str, Any] = super().clean() or {}
        if typed.get("who") == Who.PEOPLE and not typed.get("people") and "people" not in self.errors:
            self.add_error("people", "Enter the address of at least one person.")
        return typed

    @property
    def level(self) -> dict[str, Any] | None:
        """As ApprovalRule.levels has it; None where nobody is asked."""
        typed = self.cleaned_data
        if not typed["who"]:
            return None
        people = list(typed["people"]) if typed["who"] == Who.PEOPLE else []
        return typed | {"people": people, "count": typed["count"] or 1}


class RuleForm(Form):
    """One rule. levels: the forms of its two levels."""

    name = text_field("Name", "Give the rule a name.", most=100)
    team = choice_field("Holds for the requests of", [ALL_TEAMS])
    kinds = forms.MultipleChoiceField(
        label="Kinds of request",
        choices=Kind.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple({"class": "iui-checkbox"}),
        help_text="Tick none for all kinds.",
    )
    outside_team, elsewhere, squashed, own_permissions = (tick_field(label) for label in CONDITIONS.values())
    more_changesets_than = whole_number("More changesets than", least=0, most=MOST_CHANGESETS)
    asks = forms.ChoiceField(
        label="What the rule does", choices=Asks.choices, widget=forms.RadioSelect({"class": "iui-radio"})
    )
    decide_days = whole_number("Days to decide", least=1, most=MOST_DAYS, help_text="Empty: as many as the team has.")
    use_days = whole_number(
        "Days to use the approval",
        least=1,
        most=MOST_DAYS,
        help_text="What is not sent by then has to be approved again.",
    )
    version = forms.IntegerField(required=False, widget=forms.HiddenInput())
    asks.template_name = "rules/_asks.html"  # type: ignore[attr-defined]
    kinds.template_name = "rules/_kinds.html"  # type: ignore[attr-defined]

    COLUMNS: ClassVar = ("name", "kinds", *CONDITIONS, "more_changesets_than", "asks", "decide_days")

    def __init__(self, data: Any = None, *, rule: ApprovalRule, teams: Sequence[tuple[Any, str]]) -> None:
        super().__init__(data, initial=_initial(rule))
        self.rule = rule
        self.fields["team"].choices = teams  # type: ignore[attr-defined]
        stored = [_level_initial(level) for level in rule.levels] + [{"count": 1}] * 2
        self.levels = [LevelForm(data, prefix=f"level_{n}", initial=stored[n - 1]) for n in (1, 2)]
        self.levels[1].fields["who"].choices = [NOBODY, *Who.choices]  # type: ignore[attr-defined]

    def is_valid(self) -> bool:
        """With the levels, where the rule asks people; and whether somebody can meet them."""
        if not super().is_valid():
            return False
        levels = self.levels if self.cleaned_data["asks"] == Asks.PEOPLE else []
        if [level for level in levels if not level.is_valid()]:
            return False
        self._fill(levels)
        return True

    def refuse(self, no: rights.Unmeetable) -> None:
        """Nobody could ever meet it: said at the level that makes it so."""
        first = ApprovalRule(team=self.rule.team, asks=Asks.PEOPLE, levels=self.rule.levels[:1])
        level = self.levels[0 if deciders.why_unmeetable(first) else 1]
        level.add_error("who", str(no))

    def _fill(self, levels: Sequence[LevelForm]) -> None:
        typed, rule = self.cleaned_data, self.rule
        for column in self.COLUMNS:
            setattr(rule, column, typed[column])
        rule.team = Team.objects.get(pk=typed["team"]) if typed["team"] else None
        rule.use_days = typed["use_days"] or USE_WITHIN_DAYS
        rule.levels = [asked for level in levels if (asked := level.level)]


def _initial(rule: ApprovalRule) -> dict[str, Any]:
    columns = (*RuleForm.COLUMNS, "use_days", "version")
    return {column: getattr(rule, column) for column in columns} | {"team": rule.team_id or ""}


def _level_initial(level: dict[str, Any]) -> dict[str, Any]:
    people = User.objects.filter(pk__in=level.get("people", ())).values_list("email", flat=True)
    return level | {"people": "\n".join(people)}


class TryForm(Form):
    """A request that nobody makes, to see which rules would match."""

    team = choice_field("Decided by", [])
    kind = choice_field("Kind", Kind.choices)
    outside_team, elsewhere, squashed, own_permissions = (tick_field(label) for label in CONDITIONS.values())
    changesets = whole_number("Changesets copied", least=0, most=MOST_CHANGESETS)

    def __init__(self, data: Any = None, *, teams: Sequence[tuple[Any, str]]) -> None:
        super().__init__(data)
        self.fields["team"].choices = teams  # type: ignore[attr-defined]
        self.fields["kind"].required = self.fields["team"].required = True

    @property
    def facts(self) -> Facts:
        typed = self.cleaned_data
        return Facts(
            kind=typed["kind"], changesets=typed["changesets"] or 0, **{name: typed[name] for name in CONDITIONS}
        )
