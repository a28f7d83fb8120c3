"""What the address of a list says: whose rows, which of them, and which page. Words that make no sense are ignored."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Self
from uuid import UUID

from django.db.models import Count, Max, Q, QuerySet
from django.http import QueryDict
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from django.utils.dateparse import parse_date

from imodels_app.display import formats
from imodels_app.display.status_table import PLATFORM_STATES
from imodels_app.models import Operation, OperationQuerySet, User
from imodels_app.runtime import foreign_text
from imodels_app.states import FINISHED, UNDECIDED, Kind, State, WaitReason

PAGE_SIZE = 25
# More choices than this help nobody; the search finds the others by their names.
MOST_CHOICES = 40
# Of a search: each is one more condition of the query.
MOST_WORDS = 12
# What a search looks into. The person's address, too: names change, and two people may share one.
NAMES = (
    "name",
    "itwin_name",
    "source_name",
    "source_itwin_name",
    "file_name",
    "requested_by_name",
    "requested_by__email",
)

UNKNOWN = Q(state=State.RUNNING) & ~Q(platform_state__in=["", *PLATFORM_STATES])
SIGNED_OUT = Q(wait_reason=WaitReason.SIGN_IN) & ~Q(state__in=sorted(FINISHED))
NEEDS_PERSON = Q(state__in=sorted(UNDECIDED)) | SIGNED_OUT | UNKNOWN
# The states as people group them, in the order in which they are offered.
GROUPS: dict[str, tuple[str, Q]] = {
    "running": (
        "Running",
        Q(state__in=[State.SUBMITTING, State.UPLOADING, State.RUNNING]) & ~NEEDS_PERSON,
    ),
    "waiting": ("Waiting", Q(state=State.QUEUED) & ~NEEDS_PERSON),
    "person": ("Needs action", NEEDS_PERSON),
    "failed": ("Failed", Q(state=State.FAILED)),
    "succeeded": ("Succeeded", Q(state=State.SUCCEEDED)),
    "ended": ("Ended otherwise", Q(state__in=[State.REJECTED, State.EXPIRED, State.CANCELLED])),
}


@dataclass(frozen=True)
class OperationFilter:
    """A filter as the address has it. Each part of it can be taken out of the address again."""

    text: str = ""
    groups: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    itwins: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None
    ended: date | None = None

    @classmethod
    def read(cls, query: MultiValueDict[str, str]) -> Self:
        return cls(
            text=typed(query.get("q", "")),
            groups=tuple(word for word in query.getlist("state") if word in GROUPS),
            kinds=tuple(word for word in query.getlist("kind") if word in Kind.values),
            itwins=tuple(typed(word).lower()[:36] for word in query.getlist("itwin") if typed(word)),
            people=tuple(word for word in query.getlist("person") if _is_number(word) and len(word) < 19),
            since=day(query.get("since", "")),
            until=day(query.get("until", "")),
            ended=day(query.get("ended", "")),
        )

    @property
    def is_set(self) -> bool:
        return self != type(self)()

    def apply(self, operations: OperationQuerySet, *, dates: str = "created_at") -> OperationQuerySet:
        """dates: the column that since and until are about."""
        conditions = [*self.facts(), *within(dates, self.since, self.until), *said(self.text, named)]
        if self.people:
            conditions.append(Q(requested_by__in=self.people))
        return operations.filter(*conditions)

    def facts(self) -> list[Q]:
        """What an operation is: its state, its kind and its iTwin, and the day on which it ended."""
        conditions = list(within("finished_at", self.ended, self.ended))
        conditions += [any_of(GROUPS[word][1] for word in self.groups)] if self.groups else []
        for column, words in (("kind", self.kinds), ("itwin_id", self.itwins)):
            if words:
                conditions.append(Q(**{f"{column}__in": words}))
        return conditions


@dataclass(frozen=True)
class Slice:
    """One page of rows. count: of all pages, None until somebody asks."""

    rows: list[Any]
    number: int
    more: bool
    count: int | None = None

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def newer(self) -> int | None:
        return self.number - 1 if self.number > 1 else None

    @property
    def older(self) -> int | None:
        return self.number + 1 if self.more else None


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


def paginate(rows: QuerySet[Any], page: str | None) -> Slice:
    """The page of that number; the first one when the number makes no sense. Reads one row more, and counts nothing."""
    number = int(page) if page and _is_number(page) and len(page) < 6 and int(page) else 1
    start = (number - 1) * PAGE_SIZE
    found = list(rows[start : start + PAGE_SIZE + 1])
    return Slice(found[:PAGE_SIZE], number, len(found) > PAGE_SIZE)


def chips(filters: OperationFilter, query: QueryDict, scope: QuerySet[Operation]) -> list[Chip]:
    """The filter bar. Two bounded queries, for the iTwins and the people of these operations (menu)."""
    states = Menu([Choice(word, label) for word, (label, _) in GROUPS.items()])
    kinds = Menu([Choice(value, label) for value, label in Kind.choices])
    itwins = itwin_menu(scope, filters.itwins, MOST_CHOICES)
    by_person = scope.values_list("requested_by").annotate(known_as=Max("requested_by_name"))
    people = menu(by_person.order_by("known_as", "requested_by"), "requested_by", filters.people, MOST_CHOICES)
    dates = ("since", "until", "ended")
    return [
        _chip("state", "State", states, filters.groups, query),
        _chip("kind", "Kind", kinds, filters.kinds, query),
        _chip("itwin", "iTwin", itwins, filters.itwins, query),
        _chip("person", "Person", people, filters.people, query),
        Chip("dates", "Dates", Menu([]), _dates(filters), without(query, *dates), hidden_inputs(query, *dates)),
    ]


def itwin_menu(scope: QuerySet[Operation], picked: Iterable[str], most: int) -> Menu:
    """The iTwins of these operations. One that was renamed is one choice."""
    named = scope.values_list("itwin_id").annotate(known_as=Max("itwin_name")).order_by("known_as", "itwin_id")
    return menu(named, "itwin_id", picked, most)


def menu(
    rows: QuerySet[Any, Any],
    key: str,
    picked: Iterable[str],
    most: int,
    pair: Callable[[Any], tuple[object, str]] = tuple,
) -> Menu:
    """The first of these rows as choices, and what is picked, wherever it stands: a form must not lose it.

    rows  in their order; key is their column with the value, and pair makes value and label of one of them
    most  so many are offered. One query; a second one for what is picked beyond them
    """
    found = [pair(row) for row in rows[: most + 1]]
    labels = {str(value): label for value, label in found[:most]}
    if beyond := {value: "" for value in picked if value not in labels}:
        labels |= beyond | {
            str(value): label for value, label in map(pair, rows.filter(**{f"{key}__in": list(beyond)}))
        }
    return Menu([Choice(value, label or value) for value, label in labels.items()], len(found) > most)


def numbers(scope: QuerySet[Operation], now: datetime) -> dict[str, int]:
    """How many run, wait, need a person; how many ended and failed today. One query."""
    today = start_of(timezone.localtime(now).date())
    of_today = Q(finished_at__gte=today)
    return scope.filter(~Q(state__in=sorted(FINISHED)) | of_today).aggregate(
        running=Count("pk", filter=GROUPS["running"][1]),
        waiting=Count("pk", filter=GROUPS["waiting"][1]),
        person=Count("pk", filter=NEEDS_PERSON),
        failed_today=Count("pk", filter=of_today & Q(state=State.FAILED)),
        ended_today=Count("pk", filter=of_today),
    )


def said(text: str, finds: Callable[[str], Q]) -> Iterator[Q]:
    """Each word of a search has to be found somewhere, in any order."""
    return map(finds, dict.fromkeys(text.split()[:MOST_WORDS]))


def named(text: str) -> Q:
    """Operations with this in their name, their iTwin's, source's or requester's, or with an id that begins so."""
    condition = any_of(Q(**{f"{column}__icontains": text}) for column in NAMES)
    if len(text) >= 4 and not set(text.lower()) - set("0123456789abcdef-"):
        condition |= Q(imodel_id__istartswith=text) | Q(source_id__istartswith=text)
        condition |= Q(pk=UUID(text)) if _is_uuid(text) else Q(pk__istartswith=text)
    return condition


def any_of(conditions: Iterable[Q]) -> Q:
    found = Q()
    for condition in conditions:
        found |= condition
    return found


def whose(user: User, word: str) -> OperationQuerySet | None:
    """The operations of one tab; None when this person has no such tab."""
    if word == "mine":
        return Operation.objects.filter(requested_by=user)
    if word == "team":
        return Operation.objects.of_teams(user)
    return Operation.objects.all() if word == "all" and user.is_admin else None


def typed(word: str) -> str:
    """What somebody typed into an address, fit to be looked for."""
    return foreign_text.cleaned(word[: foreign_text.LINE])


def day(word: str) -> date | None:
    """A day as an address has it. Those of the first and the last year make no sense.

    With their midnights, their fortnights and their UTC they would leave what a date can hold.
    """
    try:
        found = parse_date(word)
    except ValueError:
        return None
    return found if found and date.min.year < found.year < date.max.year else None


def within(column: str, since: date | None, until: date | None) -> Iterator[Q]:
    """Both days belong to it."""
    if since:
        yield Q(**{f"{column}__gte": start_of(since)})
    if until:
        yield Q(**{f"{column}__lt": start_of(until + timedelta(days=1))})


def start_of(on: date) -> datetime:
    return timezone.make_aware(datetime.combine(on, time.min))


def without(query: QueryDict, *names: str) -> str:
    """The address's query without these parts, back on the first page."""
    rest = query.copy()
    for name in (*names, "page", "seen"):
        rest.pop(name, None)
    return f"?{rest.urlencode()}" if rest else "?"


def hidden_inputs(query: QueryDict, *names: str) -> list[tuple[str, str]]:
    """What a filter's form carries along, so that setting one keeps the others."""
    left_out = {*names, "page", "seen"}
    return [(name, value) for name, values in query.lists() if name not in left_out for value in values]


def _chip(name: str, label: str, offered: Menu, picked: tuple[str, ...], query: QueryDict) -> Chip:
    labels = {choice.value: choice.label for choice in offered.choices}
    words = ", ".join(labels[value] for value in picked)
    return Chip(name, label, offered, words, without(query, name), hidden_inputs(query, name))


def _dates(filters: OperationFilter) -> str:
    if filters.ended:
        return f"Ended {formats.weekday(filters.ended)}"
    if filters.since and filters.until:
        return f"{formats.weekday(filters.since)} to {formats.weekday(filters.until)}"
    if filters.since:
        return f"Since {formats.weekday(filters.since)}"
    return f"Until {formats.weekday(filters.until)}" if filters.until else ""


def _is_number(text: str) -> bool:
    """Digits as the address of a page has them: those of other scripts are no number to a database."""
    return text.isascii() and text.isdecimal()


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
