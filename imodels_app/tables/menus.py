"""What a filter offers: a bounded number of choices from small tables, and always what is picked."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import QueryDict

from imodels_app.display import formats
from imodels_app.models import KnownITwin, Operation, User
from imodels_app.states import Kind
from imodels_app.tables import keyset
from imodels_app.tables.filters import GROUPS, Filter

# More choices than this help nobody; the search finds the others by their names.
MOST_CHOICES = 40


@dataclass(frozen=True)
class Choice:
    """One box to tick in a filter's menu."""

    value: str
    label: str


@dataclass(frozen=True)
class Menu:
    """What a filter offers. more: there are others, which were too many to offer."""

    choices: list[Choice]
    more: bool = False


@dataclass(frozen=True)
class Chip:
    """One filter of the bar: its menu, or, when set, its words and what stays when it is taken out."""

    name: str
    label: str
    menu: Menu
    words: str = ""
    without: str = ""
    others: list[tuple[str, str]] = field(default_factory=list)


def chips(filters: Filter, query: QueryDict, scope: QuerySet[Operation]) -> list[Chip]:
    """The filter bar. Two bounded queries, for the iTwins and the people of these operations (menu)."""
    states = Menu([Choice(word, label) for word, (label, _) in GROUPS.items()])
    kinds = Menu([Choice(value, label) for value, label in Kind.choices])
    dates = ("since", "until", "ended", "ended_to")
    # Not offered here; but what the address asks for is said, and can be taken out.
    asked = {"event": filters.events, "code": filters.codes, "team": filters.teams, "imodel": filters.imodels}
    told = [
        _chip(name, name.capitalize(), Menu([Choice(word, word) for word in words]), words, query)
        for name, words in asked.items()
        if words
    ]
    return [
        *told,
        _chip("state", "State", states, filters.groups, query),
        _chip("kind", "Kind", kinds, filters.kinds, query),
        _chip("itwin", "iTwin", itwins(filters.itwins, MOST_CHOICES, scope), filters.itwins, query),
        _chip("person", "Person", people(filters.people, MOST_CHOICES, scope), filters.people, query),
        Chip("dates", "Dates", Menu([]), _dates(filters), without(query, *dates), hidden_inputs(query, *dates)),
    ]


def itwins(picked: Iterable[str], most: int, scope: QuerySet[Operation] | None = None) -> Menu:
    """The iTwins of these operations, or all; one that was renamed is one choice."""
    rows = KnownITwin.objects.order_by("name", "pk")
    if scope is not None:
        rows = rows.filter(Exists(scope.order_by().filter(itwin_id=OuterRef("pk"))))
    return menu(rows, picked, most, lambda row: (row.pk, row.name))


def people(picked: Iterable[str], most: int, scope: QuerySet[Operation] | None = None) -> Menu:
    """Who asked for these operations, or everybody."""
    rows = User.objects.order_by("first_name", "last_name", "pk")
    if scope is not None:
        rows = rows.filter(Exists(scope.order_by().filter(requested_by=OuterRef("pk"))))
    return menu(rows, picked, most, lambda user: (user.pk, user.name))


def menu(rows: QuerySet[Any], picked: Iterable[str], most: int, pair: Callable[[Any], tuple[object, str]]) -> Menu:
    """The first of these rows as choices, and what is picked, wherever it stands: a form must not lose it.

    pair  makes value, which is the primary key, and label of a row
    most  so many are offered. One query; a second one for what is picked beyond them
    """
    found = [pair(row) for row in rows[: most + 1]]
    labels = {str(value): label for value, label in found[:most]}
    if beyond := {value: "" for value in picked if value not in labels}:
        labels |= beyond | {str(value): label for value, label in map(pair, rows.filter(pk__in=list(beyond)))}
    return Menu([Choice(value, label or value) for value, label in labels.items()], len(found) > most)


def without(query: QueryDict, *names: str) -> str:
    """The address's query without these parts, back on the first page."""
    rest = query.copy()
    for name in (*names, *keyset.NAMES, "seen"):
        rest.pop(name, None)
    return f"?{rest.urlencode()}" if rest else "?"


def hidden_inputs(query: QueryDict, *names: str) -> list[tuple[str, str]]:
    """What a filter's form carries along, so that setting one keeps the others."""
    left_out = {*names, *keyset.NAMES, "seen"}
    return [(name, value) for name, values in query.lists() if name not in left_out for value in values]


def _chip(name: str, label: str, offered: Menu, picked: tuple[str, ...], query: QueryDict) -> Chip:
    labels = {choice.value: choice.label for choice in offered.choices}
    words = ", ".join(labels[value] for value in picked)
    return Chip(name, label, offered, words, without(query, name), hidden_inputs(query, name))


def _dates(filters: Filter) -> str:
    days = (("Ended ", filters.ended, filters.ended_to), ("", filters.since, filters.until))
    said = []
    for word, since, until in days:
        if since and until:
            said.append(word + " to ".join(dict.fromkeys(map(formats.weekday, (since, until)))))
        elif since:
            said.append(f"{word}since {formats.weekday(since)}")
        elif until:
            said.append(f"{word}until {formats.weekday(until)}")
    return ", ".join(words[:1].upper() + words[1:] for words in said)
