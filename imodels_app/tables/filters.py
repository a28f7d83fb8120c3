"""What the address of a list says: which rows of operations, or of events. Words that make no sense are ignored."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import product
from typing import Any, Self
from uuid import UUID

from django.db.models import Count, DurationField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from django.utils.dateparse import parse_date

from imodels_app.display.status_table import PLATFORM_STATES
from imodels_app.models import Event, Operation, OperationQuerySet, Team, User
from imodels_app.models.search import EVENT_WORDS, OPERATION_REASONS, OPERATION_WORDS, containing
from imodels_app.runtime import foreign_text
from imodels_app.states import EVENT_GROUPS, FINISHED, UNDECIDED, Kind, State, Verb, WaitReason
from imodels_app.tables import keyset
from imodels_app.tables.keyset import Order

# Of a search: each is one more condition of the query.
MOST_WORDS = 12
# Days of the time zone of the settings, as the figures have them; and what failed without a code.
DESK, NO_CODE = "desk", "none"
_ID = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Of whose address a word is part.
MOST_PEOPLE = 100

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

NEWEST, EVENTS_NEWEST = Order(("created_at", "pk")), Order(("at", "pk"))
# What operations can be sorted by: "sort=name", and "sort=-name" the other way round.
SORTS = {
    "age": NEWEST.reversed(),
    "name": Order(("name", "pk"), falling=False),
    "state": Order(("state", "created_at", "pk"), falling=False),
    "duration": Order(("lasted", "pk"), falling=False),
}
# Of what has not ended it is nothing: so that there is one for each row, to be sorted by.
LASTED = Coalesce(
    ExpressionWrapper(F("finished_at") - F("created_at"), output_field=DurationField()),
    Value(timedelta(0), DurationField()),
)


@dataclass(frozen=True)
class Filter:
    """A filter as the address has it. Each part of it can be taken out of the address again.

    teams      by name, for teams go
    since      and until: when operations were made, and when events happened
    ended      and ended_to: when operations ended; without ended_to that one day
    actors     who did it; operations have none
    zone       whose days these are: DESK, or "" for those of whoever looks
    """

    text: str = ""
    events: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    itwins: tuple[str, ...] = ()
    imodels: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None
    ended: date | None = None
    ended_to: date | None = None
    actors: tuple[str, ...] = ()
    zone: str = ""

    @classmethod
    def read(cls, query: MultiValueDict[str, str]) -> Self:
        ended = day(query.get("ended", ""))
        return cls(
            text=typed(query.get("q", "")),
            events=tuple(word for word in query.getlist("event") if word in EVENT_GROUPS or word in Verb.values),
            groups=tuple(word for word in query.getlist("state") if word in GROUPS),
            kinds=tuple(word for word in query.getlist("kind") if word in Kind.values),
            codes=tuple(typed(word)[:64] for word in query.getlist("code") if typed(word)),
            people=tuple(word for word in query.getlist("person") if is_number(word)),
            teams=tuple(typed(word) for word in query.getlist("team") if typed(word)),
            itwins=tuple(typed(word).lower()[:36] for word in query.getlist("itwin") if typed(word)),
            imodels=tuple(typed(word).lower()[:36] for word in query.getlist("imodel") if typed(word)),
            since=day(query.get("since", "")),
            until=day(query.get("until", "")),
            ended=ended,
            ended_to=day(query.get("ended_to", "")) or ended,
            actors=tuple(word for word in query.getlist("by") if is_number(word)),
            zone=DESK if query.get("zone") == DESK else "",
        )

    @property
    def is_set(self) -> bool:
        return self != type(self)()

    @property
    def sentence(self) -> str:
        """As the record of an export has it."""
        parts: list[object] = [
            self.text and f"text “{self.text}”",
            *self.events,
            *self.groups,
            *self.kinds,
            *self.codes,
        ]
        parts += [f"person {pk}" for pk in self.people] + [f"iTwin {itwin}" for itwin in self.itwins]
        parts += [f"iModel {imodel}" for imodel in self.imodels] + [*self.teams]
        parts += [self.since and f"from {self.since}", self.until and f"to {self.until}"]
        parts += [f"by person {pk}" for pk in self.actors]
        parts += [self.ended and f"ended from {self.ended}", self.ended_to and f"ended to {self.ended_to}"]
        parts += [self.zone and f"days of {timezone.get_default_timezone_name()}"]
        return ", ".join(str(part) for part in parts if part) or "everything"

    def operations(self, scope: OperationQuerySet) -> OperationQuerySet:
        conditions = [*self._facts(), *self._within("created_at", self.since, self.until), *said(self.text, named)]
        if self.imodels:
            conditions.append(self._of_imodels())
        for column, words in (("requested_by", self.people), ("itwin_id", self.itwins), ("team__name", self.teams)):
            if words:
                conditions.append(Q(**{f"{column}__in": words}))
        if self.codes:
            conditions.append(self._of_codes())
        if self.events:
            conditions.append(Exists(Event.objects.filter(self._verbs(), operation=OuterRef("pk"))))
        return scope.filter(*conditions)

    def event_parts(self) -> list[QuerySet[Event]]:
        """Events in parts without one in common (keyset.page), each read by an index."""
        parts = product(*map(apart, self._event_ways()))
        return [self._events().filter(*conditions) for conditions in parts]

    @property
    def most_counted(self) -> int:
        """Of events: what has to be both of a team, say, and of a failed operation stands in no one index."""
        own = self.teams or self.actors or self.events or self.since or self.until
        return keyset.MOST_COUNTED // 10 if own and list(self._facts()) else keyset.MOST_COUNTED

    def all_events(self) -> QuerySet[Event]:
        """The same as one queryset, for whoever reads all of them."""
        return self._events().filter(*map(any_of, self._event_ways()))

    def _events(self) -> QuerySet[Event]:
        conditions = [*self._within("at", self.since, self.until), *([self._verbs()] if self.events else [])]
        if self.teams:
            conditions.append(any_of(map(_of_team, self.teams)))
        if self.actors:
            conditions.append(Q(actor__in=map(int, self.actors)))
        if facts := list(self._facts()):
            conditions.append(Q(operation__in=Operation.objects.filter(*facts).values("pk")))
        return Event.objects.filter(*conditions).select_related("operation", "actor")

    def _event_ways(self) -> list[list[Q]]:
        """Conditions with several ways to meet them, each way with an index of its own."""
        about = (self._ways_of_people(), self._ways_of_itwins(), self._ways_of_imodels(), self._ways_of_codes())
        return [each for each in (self._ways_said(), *about) if each]

    def _verbs(self) -> Q:
        return Q(verb__in=sorted({verb for word in self.events for verb in EVENT_GROUPS.get(word, ("", [word]))[1]}))

    def _facts(self) -> Iterator[Q]:
        """What an event's filter asks of its operation, too."""
        yield from self._within("finished_at", self.ended, self.ended_to)
        if self.groups:
            yield any_of(GROUPS[word][1] for word in self.groups)
        if self.kinds:
            yield Q(kind__in=self.kinds)

    def _within(self, column: str, since: date | None, until: date | None) -> Iterator[Q]:
        return within(column, since, until, timezone.get_default_timezone() if self.zone else None)

    def _of_codes(self) -> Q:
        none = Q(failure_code="", state=State.FAILED)
        return any_of(none if code == NO_CODE else Q(failure_code=code) for code in self.codes)

    def _ways_of_codes(self) -> list[Q]:
        """Of the operation that failed with it; of the event that tells that the platform said it."""
        operations = Operation.objects.filter(self._of_codes()).values("pk") if self.codes else None
        return [Q(operation__in=operations), Q(data__code__in=self.codes)] if self.codes else []

    def _ways_of_people(self) -> list[Q]:
        """Who did it, who had asked for it, whose rights it is about."""
        who = [int(person) for person in self.people]
        ways = [Q(actor__in=who), Q(operation__requested_by__in=who), Q(data__person__in=who)]
        return ways if who else []

    def _ways_of_itwins(self) -> list[Q]:
        given = Q(verb__in=EVENT_GROUPS["rights"][1]) & any_of(Q(note__startswith=f"{one}:") for one in self.itwins)
        operations = Operation.objects.filter(itwin_id__in=self.itwins).values("pk")
        ways = [Q(operation__in=operations), given, _outside("itwin", self.itwins)]
        return ways if self.itwins else []

    def _ways_of_imodels(self) -> list[Q]:
        operations = Operation.objects.filter(self._of_imodels()).values("pk")
        return [Q(operation__in=operations), _outside("imodel", self.imodels)] if self.imodels else []

    def _of_imodels(self) -> Q:
        """Made, or made from one of them."""
        return Q(imodel_id__in=self.imodels) | Q(source_id__in=self.imodels)

    def _ways_said(self) -> list[Q]:
        """All words in the operation; or all in the event, one of them in more than the operation's name.

        That name is in both: what is found by it alone would be looked for a second time, in vain.
        """
        about, here = list(said(self.text, _about)), list(said(self.text, written))
        own = any_of(said(self.text, lambda word: written(word, but="operation_name")))
        of = Operation.objects.filter(*about).values("pk")
        return [Q(operation__in=of), Q(*here) & own] if about else []


def sorted_by(word: str) -> tuple[str, Order]:
    """What operations are sorted by: in the address's word, and the order. The newest first if it makes no sense."""
    order = SORTS.get(word.removeprefix("-"))
    if order is None:
        return "-age", NEWEST
    return word, order.reversed() if word.startswith("-") else order


def sorts(now: str) -> dict[str, tuple[str, str]]:
    """For each column: what a click on its head asks for, and how it is sorted now, in ARIA's words."""
    column, way = now.removeprefix("-"), "descending" if now.startswith("-") else "ascending"
    first = {"age": "-age", "name": "name", "state": "state", "duration": "-duration"}
    turned = column if way == "descending" else f"-{column}"
    return {name: (turned, way) if name == column else (word, "none") for name, word in first.items()}


def numbers(scope: QuerySet[Operation], now: datetime) -> dict[str, int]:
    """How many run, wait, need a person; how many the platform ended today, and failed of these. One query."""
    today = start_of(timezone.localtime(now).date())
    of_today = Q(finished_at__gte=today)
    return scope.filter(~Q(state__in=sorted(FINISHED)) | of_today).aggregate(
        running=Count("pk", filter=GROUPS["running"][1]),
        waiting=Count("pk", filter=GROUPS["waiting"][1]),
        person=Count("pk", filter=NEEDS_PERSON),
        failed_today=Count("pk", filter=of_today & Q(state=State.FAILED)),
        ended_today=Count("pk", filter=of_today & Q(state__in=[State.SUCCEEDED, State.FAILED])),
    )


def said(text: str, finds: Callable[[str], Any]) -> Iterator[Any]:
    """Each word of a search has to be found somewhere, in any order."""
    return map(finds, dict.fromkeys(text.split()[:MOST_WORDS]))


def named(text: str) -> Q:
    """Operations with this in their name, their iTwin's, source's or requester's, or with an id that begins so."""
    addressed = User.objects.filter(email__icontains=text).values_list("pk", flat=True)[:MOST_PEOPLE]
    condition = containing(Operation, OPERATION_WORDS, text)
    # As they are, not as a subquery: beside it no index would be used.
    condition |= Q(requested_by__in=list(addressed))
    begins = text.lower().replace("-", "")
    if 4 <= len(begins) <= 32 and not set(begins) - set("0123456789abcdef"):
        condition |= Q(pk__range=[UUID(begins.ljust(32, digit)) for digit in "0f"])
        condition |= Q(imodel_id__startswith=text.lower()) | Q(source_id__startswith=text.lower())
    return condition


def written(text: str, but: str = "") -> Q:
    """Events that have this in what was noted with them, leaving one column out; or as an id in their data."""
    found = containing(Event, [column for column in EVENT_WORDS if column != but], text)
    if _ID.fullmatch(text):
        same = (text.lower(),)
        found |= _outside("itwin", same) | _outside("imodel", same) | Q(data__request_id__in=same)
    return found


def _of_team(name: str) -> Q:
    """What had the name; of a team that is there, all that it did under others, and nothing that another team did."""
    team = Team.objects.filter(name=name).first()
    if team is None:
        return Q(team_name=name)
    renamed = Event.objects.filter(verb=Verb.TEAM_RENAMED, data__team=team.pk).values_list("data__before", flat=True)
    return Q(team_name__in={name, *renamed}) & (Q(data__team=team.pk) | Q(data__team__isnull=True))


def _outside(what: str, ids: tuple[str, ...]) -> Q:
    """Events of what was seen outside that are about one of these."""
    return Q(**{"verb__in": EVENT_GROUPS["outside"][1], f"data__{what}__in": ids})


def _about(text: str) -> Q:
    """What an event's search looks for in its operation."""
    return named(text) | containing(Operation, OPERATION_REASONS, text)


def apart(conditions: list[Q]) -> list[Q]:
    """Each without what those before it have."""
    return [condition & ~any_of(conditions[:number]) for number, condition in enumerate(conditions)]


def any_of(conditions: Iterable[Any]) -> Q:
    found = Q()
    for condition in conditions:
        found |= condition
    return found


def tabs(user: User) -> dict[str, str]:
    """Whose operations this person can look at, each with what its tab is called."""
    return {"mine": "Mine", "team": "Team"} | ({"all": "All"} if user.is_admin else {})


def whose(user: User, word: str) -> OperationQuerySet:
    """The operations of one of these tabs."""
    if word == "mine":
        return Operation.objects.filter(requested_by=user)
    return Operation.objects.of_teams(user) if word == "team" else Operation.objects.visible_to(user)


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


def within(column: str, since: date | None, until: date | None, zone: tzinfo | None = None) -> Iterator[Q]:
    """Both days belong to it. zone: whose they are; None: the current one's."""
    if since:
        yield Q(**{f"{column}__gte": start_of(since, zone)})
    if until:
        yield Q(**{f"{column}__lt": start_of(until + timedelta(days=1), zone)})


def start_of(on: date, zone: tzinfo | None = None) -> datetime:
    return timezone.make_aware(datetime.combine(on, time.min), zone)


def is_number(text: str) -> bool:
    """Digits as an id has them: those of other scripts, or more than a column holds, are none to a database."""
    return text.isascii() and text.isdecimal() and len(text) < 19
