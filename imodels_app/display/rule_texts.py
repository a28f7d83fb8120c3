"""How approval rules read, and what comes of those that match a request."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from imodels_app.approvals.plan import Conditions, Plan, Requirement, Rule
from imodels_app.models import ApprovalRule, Team, User
from imodels_app.runtime.foreign_text import isolated
from imodels_app.states import Asks, Kind, Who

_KINDS = {
    Kind.EMPTY: "empty iModels",
    Kind.TEMPLATE: "iModels from a template",
    Kind.BASELINE: "iModels from a file",
    Kind.CLONE: "clones",
    Kind.FORK: "forks",
}
_CONDITIONS = {
    "outside_team": "into an iTwin that the team does not look after",
    "elsewhere": "into another account or region",
    "squashed": "with their history squashed",
    "own_permissions": "of a source with permissions of its own",
}
_RIGHTS = {Who.LEADS: "lead", Who.PEOPLE: "named by the rule", Who.ADMINS: "administrator"}


def right_text(word: str) -> str:
    """By what right the record says that somebody could decide: lead, administrator, deputy."""
    return _RIGHTS[Who(word)] if word in Who.values else word


def row(rule: ApprovalRule) -> dict[str, Any]:
    """A rule as a list shows it."""
    as_rule = rule.as_rule()
    return {"rule": rule, "requests": requests(as_rule), "asks": asks(as_rule)}


def requests(rule: Rule) -> str:
    """Forks with their history squashed and with more than 100 changesets."""
    kinds = listed([_KINDS[Kind(kind)] for kind in rule.kinds]) or "all requests"
    return " ".join([kinds[:1].upper() + kinds[1:], listed(_conditions(rule.conditions))]).strip()


def asks(rule: Rule) -> str:
    """1 lead of the team, then 2 of Ines Duarte and Otto Brandt, each with a comment."""
    if rule.asks != Asks.PEOPLE:
        return Asks(rule.asks).label
    return ", then ".join(requirement(one) for one in rule.levels)


def level(asked: Iterable[Requirement], team: str) -> str:
    """2 leads of Bridge team and 1 administrator."""
    return listed([requirement(one, team) for one in strictest(asked)])


def strictest(asked: Iterable[Requirement]) -> list[Requirement]:
    """One for each sort of people: who asks for two leads is content with what was one's for another rule."""
    found: dict[tuple[str, tuple[int, ...]], Requirement] = {}
    for one in asked:
        before = found.setdefault((one.who, one.people), one)
        found[one.who, one.people] = replace(
            one,
            count=max(before.count, one.count),
            comment=before.comment or one.comment,
            sign_in=before.sign_in or one.sign_in,
        )
    return list(found.values())


def requirement(one: Requirement, team: str = "the team") -> str:
    """1 lead of the team."""
    several = "s" if one.count > 1 else ""
    if one.who == Who.PEOPLE:
        names = sorted(isolated(person.name) for person in User.objects.filter(pk__in=one.people))
        who = f"{one.count} of {listed(names) or 'nobody'}"
    else:
        who = f"{one.count} {'lead' if one.who == Who.LEADS else 'administrator'}{several}"
        who += f" of {team}" if one.who == Who.LEADS else ""
    extra = [words for words, is_set in (("a comment", one.comment), ("a new sign-in", one.sign_in)) if is_set]
    return who + (f" with {listed(extra)}" if extra else "")


def outcome(plan: Plan, team: Team) -> dict[str, Any]:
    """What would come of a request. tone: of its state; levels: whose approvals, in order; empty: nobody's."""
    levels = [level(asked, isolated(team.name)) for asked in plan.levels]
    if plan.refused_by:
        said, tone, levels = "It would be refused.", "bad", []
    elif levels:
        said, tone = "It would wait for approval.", "ask"
    else:
        said, tone = "It would be let through.", "good"
    matches = [{"rule": match.rule, "why": match.why, "asks": asks(match.rule)} for match in plan.matches]
    days = {"decide_days": plan.decide_days(team.approval_days), "use_days": plan.use_days}
    return {"said": said, "tone": tone, "levels": levels, "matches": matches} | days


def listed(parts: Sequence[str]) -> str:
    """a, b and c"""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def _conditions(conditions: Conditions) -> list[str]:
    return list(_set(conditions))


def _set(conditions: Conditions) -> Iterable[str]:
    for name, said in _CONDITIONS.items():
        if getattr(conditions, name):
            yield said
    if conditions.more_changesets_than is not None:
        yield f"with more than {conditions.more_changesets_than} changesets"
