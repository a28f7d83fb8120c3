"""Rules, the requests that they match, and the plan that comes of it: whose approvals a request needs.

A plan is frozen with the request, as JSON, and is part of what each approval is bound to (spec.fingerprint). So a rule
that changes later changes nothing for what already waits.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import Any, NamedTuple, Self

from imodels_app.states import Asks, Kind, Verdict, Who

# Where no rule says otherwise; the days to decide are the team's.
USE_WITHIN_DAYS = 3
# In a decision's capacity: an administrator in the place of people who have left, for requirement N of the level.
INSTEAD = "instead"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What rules ask about a request. None: not known, and then a rule that asks for it matches.

    changesets  how many are copied at most
    """

    kind: str
    outside_team: bool = False
    elsewhere: bool | None = False
    squashed: bool = False
    changesets: int | None = 0
    own_permissions: bool | None = False


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """All that are set have to hold."""

    outside_team: bool = False
    elsewhere: bool = False
    squashed: bool = False
    own_permissions: bool = False
    more_changesets_than: int | None = None


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """So many approvals of such people, in one level of one rule.

    people   user ids, for Who.PEOPLE
    comment  whether each of them has to say why
    sign_in  whether each of them has to have signed in a moment ago
    """

    who: str
    count: int = 1
    people: tuple[int, ...] = ()
    comment: bool = False
    sign_in: bool = False

    @property
    def in_words(self) -> str:
        """2 of people 4, 7 (comment)."""
        who = f"people {', '.join(map(str, self.people))}" if self.who == Who.PEOPLE else self.who
        extra = [word for word, is_set in (("comment", self.comment), ("sign in again", self.sign_in)) if is_set]
        return f"{self.count} of {who}" + (f" ({', '.join(extra)})" if extra else "")

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(**data | {"people": tuple(data.get("people", ()))})


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One version of a rule. levels: one or two, met one after the other, for Asks.PEOPLE."""

    id: int
    version: int
    name: str
    kinds: tuple[str, ...] = ()
    conditions: Conditions = field(default_factory=Conditions)
    asks: str = Asks.PEOPLE
    levels: tuple[Requirement, ...] = ()
    decide_days: int | None = None
    use_days: int = USE_WITHIN_DAYS

    def why_it_matches(self, facts: Facts) -> str:
        """The reason in words; empty when it does not match."""
        if self.kinds and facts.kind not in self.kinds:
            return ""
        reasons = list(_reasons(self.conditions, facts))
        return ", ".join([_KINDS[Kind(facts.kind)], *reasons]) if all(reasons) else ""

    @property
    def in_words(self) -> str:
        """All that it says, but for its name and version: fork; asks 2 leads, then 1 of the people 4, 7."""
        asked = asdict(self.conditions)
        most = asked.pop("more_changesets_than")
        words = [", ".join(self.kinds) or "all kinds", *(name.replace("_", " ") for name in asked if asked[name])]
        words += [] if most is None else [f"more than {most} changesets"]
        words += [
            " ".join([Asks(self.asks).label.lower(), ", then ".join(one.in_words for one in self.levels)]).strip()
        ]
        words += [f"decide within {self.decide_days} days"] if self.decide_days else []
        words += [f"use within {self.use_days} days"] if self.asks == Asks.PEOPLE else []
        return "; ".join(words)


_KINDS = {
    Kind.EMPTY: "an empty iModel",
    Kind.TEMPLATE: "an iModel from a template",
    Kind.BASELINE: "an iModel from a file",
    Kind.CLONE: "a clone",
    Kind.FORK: "a fork",
}


def _reasons(asked: Conditions, facts: Facts) -> Iterable[str]:
    """For each condition that is set, how the request meets it; "" when it does not. What is not known meets it."""
    if asked.outside_team:
        yield "into an iTwin outside the team’s care" if facts.outside_team else ""
    if asked.elsewhere:
        yield _known(facts.elsewhere, "into another account or region")
    if asked.squashed:
        yield "with its history squashed" if facts.squashed else ""
    if asked.own_permissions:
        yield _known(facts.own_permissions, "of an iModel with permissions of its own")
    if asked.more_changesets_than is not None:
        most = asked.more_changesets_than
        is_more = None if facts.changesets is None else facts.changesets > most
        yield _known(is_more, f"with more than {most} changesets")


def _known(fact: bool | None, words: str) -> str:
    return f"perhaps {words}" if fact is None else words if fact else ""


class Match(NamedTuple):
    """A rule that holds for a request, and why."""

    rule: Rule
    why: str


@dataclass(frozen=True)
class Plan:
    """What a request needs before it is sent.

    number  which round of approval this is. An edit or an unused approval begins a new one: the hash becomes another,
            and so the approvals of before are void, even if somebody changes everything back
    """

    matches: tuple[Match, ...]
    facts: Facts
    number: int = 1

    @property
    def levels(self) -> list[list[Requirement]]:
        """First what all rules ask first, then what they ask second."""
        asked = [match.rule.levels for match in self.matches if match.rule.asks == Asks.PEOPLE]
        return [[levels[at] for levels in asked if at < len(levels)] for at in range(max(map(len, asked), default=0))]

    @property
    def asks(self) -> Asks:
        """What comes of all rules that match: refuse beats people, and people beat let through."""
        if self.refused_by:
            return Asks.REFUSE
        return Asks.PEOPLE if self.levels else Asks.LET_THROUGH

    @property
    def asks_people(self) -> bool:
        return self.asks == Asks.PEOPLE

    @property
    def refused_by(self) -> list[Match]:
        return [match for match in self.matches if match.rule.asks == Asks.REFUSE]

    @property
    def named(self) -> set[int]:
        """The ids of all who are named on any level."""
        return {person for level in self.levels for one in level for person in one.people}

    def decide_days(self, usual: int) -> int:
        return min((days for match in self.matches if (days := match.rule.decide_days)), default=usual)

    @property
    def use_days(self) -> int:
        asked = [match.rule.use_days for match in self.matches if match.rule.asks == Asks.PEOPLE]
        return min(asked, default=USE_WITHIN_DAYS)

    def again(self) -> "Plan":
        return replace(self, number=self.number + 1)

    @property
    def json(self) -> dict[str, Any]:
        """To be stored, and to be read alone years later."""
        matches = [{**asdict(match.rule), "why": match.why} for match in self.matches]
        whole = {"round": self.number, "facts": asdict(self.facts), "rules": matches}
        stored: dict[str, Any] = json.loads(json.dumps(whole))  # as it comes back: lists, and plain words
        return stored

    @classmethod
    def from_json(cls, stored: dict[str, Any], kind: str) -> Self:
        """Of a request from before there were rules, what held then: forks need one lead."""
        if not stored:
            lead = Rule(id=0, version=0, name="Forks need a lead", levels=(Requirement(who=Who.LEADS),))
            return cls((Match(lead, "a fork"),) if kind == Kind.FORK else (), Facts(kind=kind))
        return cls(tuple(map(_match, stored["rules"])), Facts(**stored["facts"]), stored["round"])


def _match(stored: dict[str, Any]) -> Match:
    read = stored | {
        "kinds": tuple(stored["kinds"]),
        "conditions": Conditions(**stored["conditions"]),
        "levels": tuple(map(Requirement.from_json, stored["levels"])),
    }
    return Match(Rule(**{name: value for name, value in read.items() if name != "why"}), stored["why"])


def canonical(stored: dict[str, Any]) -> str:
    """One text for one plan: a database may put the keys of JSON in another order."""
    return json.dumps(stored, sort_keys=True, separators=(",", ":"))


def plan_for(facts: Facts, rules: Iterable[Rule]) -> Plan:
    """All rules that match hold."""
    return Plan(tuple(Match(rule, why) for rule in rules if (why := rule.why_it_matches(facts))), facts)


@dataclass(frozen=True)
class Standing:
    """How it stands with one requirement: the decisions that count for it, and whether they are enough."""

    requirement: Requirement
    agreed: list[Any]
    is_met: bool


def standing(plan: Plan, decisions: Sequence[Any]) -> list[list[Standing]]:
    """How it stands with each requirement of each level. decisions: those about this very request (its hash)."""
    return [
        [_standing_of(one, [made for made in decisions if made.level == level], at) for at, one in enumerate(asked)]
        for level, asked in enumerate(plan.levels, start=1)
    ]


def _standing_of(requirement: Requirement, decisions: Sequence[Any], at: int) -> Standing:
    approvals = [made for made in decisions if made.verdict == Verdict.APPROVED]
    agreed = [made for made in approvals if _counts(requirement, made)]
    instead = [made for made in approvals if f"{INSTEAD}:{at}" in made.capacity.split()]
    return Standing(requirement, agreed or instead, len(agreed) >= requirement.count or bool(instead))


def _counts(requirement: Requirement, decision: Any) -> bool:
    if requirement.who == Who.PEOPLE:
        return decision.by_id in requirement.people
    return requirement.who in decision.capacity.split()


def open_level(plan: Plan, decisions: Sequence[Any]) -> int:
    """The number of the first level that is not met, from 1; 0 when all are, or none is asked for."""
    levels = enumerate(standing(plan, decisions), start=1)
    return next((number for number, level in levels if not all(one.is_met for one in level)), 0)


def is_met(plan: Plan, decisions: Sequence[Any]) -> bool:
    """Whether these decisions let the request proceed."""
    return not open_level(plan, decisions) or any(made.verdict == Verdict.BYPASSED for made in decisions)


class Need(NamedTuple):
    """So many more approvals, of these people, by whatever tells one from another."""

    needed: int
    able: frozenset[int | str]


def are_enough(first: Sequence[Need], then: Sequence[Need]) -> bool:
    """Whether people suffice for both levels. Nobody counts on two; on one, each for all that they are asked for."""
    both = (
        frozenset[int | str]()
        .union(*(one.able for one in first))
        .intersection(frozenset[int | str]().union(*(one.able for one in then)))
    )
    # People who are asked for the same are as good as each other: it only matters how many of them answer first.
    alike = Counter(tuple(person in need.able for need in (*first, *then)) for person in both)
    most = max((one.needed for one in first), default=0)
    for split in product(*(range(min(count, most) + 1) for count in alike.values())):
        answer_first = list(zip(alike, split, strict=True))
        answer_then = [(kind, alike[kind] - number) for kind, number in answer_first]
        if _meet(first, both, answer_first, 0) and _meet(then, both, answer_then, len(first)):
            return True
    return False


def _meet(
    needs: Sequence[Need], both: frozenset[int | str], people: Sequence[tuple[tuple[bool, ...], int]], begin: int
) -> bool:
    """Whether a level is met by those asked on it alone, and so many people of each kind; its needs begin there."""
    return all(
        len(need.able - both) + sum(number for kind, number in people if kind[at]) >= need.needed
        for at, need in enumerate(needs, start=begin)
    )
