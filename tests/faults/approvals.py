"""A small world of teams, rules and requests in which anything may happen, and what must hold in it after each step.

Everything goes through the product's own functions. What holds is read from rows, and counted here by itself.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

from imodels_app import lifecycle
from imodels_app.accounts import permissions, rights
from imodels_app.models import Absence, ApprovalRule, Decision, Event, Membership, Operation, Team, TeamITwin, User
from imodels_app.requesting.spec import CreationSpec, IModelRef, ITwinRef
from imodels_app.runtime import clock
from imodels_app.states import UNDECIDED, Asks, ChangesetSelection, Kind, State, Who
from imodels_app.workers import sweeps
from tests.faults import oracle
from tests.people import HARBOUR, MAIN_BRIDGE

REFUSALS = (lifecycle.Conflict, lifecycle.NotAllowed, permissions.Denied, rights.Unmeetable)
ELSEWHERE = "b2b00000-0000-4000-8000-0000000000ee"
DECISIONS = {"agreed", "approved", "rejected", "changes_requested", "bypassed"}
PEOPLE, OPEN_AT_ONCE = 6, 8


def violations(operations: Iterable[Operation]) -> Iterator[str]:
    """What is wrong with these, in sentences."""
    for operation in operations:
        decisions = list(operation.decisions.all())
        yield from _decided_wrongly(operation, decisions)
        if operation.state == State.AWAITING_APPROVAL:
            able = [one for one in User.objects.filter(is_active=True) if _may_decide(one, operation)]
            if not able:
                yield f"{operation} waits, and nobody may decide"
            if unaware := _unaware(able, operation):
                yield f"{operation} waits for {unaware}, who were never told"
        is_sent = operation.state not in {*UNDECIDED, State.REJECTED, State.EXPIRED, State.CANCELLED}
        if is_sent and not oracle.was_approved(operation, clock.now()):
            yield f"{operation} is {operation.state} without the approvals it needs"
        yield from oracle.broken_history([operation])


def _decided_wrongly(operation: Operation, decisions: list[Decision]) -> Iterator[str]:
    own = {operation.requester_key, operation.requester_email.lower()}
    people = [(one.request_hash, who) for one in decisions for who in {one.by_key, one.by_email.lower()}]
    if any(own & {one.by_key, one.by_email.lower()} for one in decisions):
        yield f"{operation} was decided by its requester"
    people += [(one.request_hash, one.stands_for.lasting_key) for one in decisions if one.stands_for]
    if len(people) > len(set(people)):
        yield f"somebody counts twice for {operation}"
    if any(one.stands_for and one.stands_for.lasting_key == operation.requester_key for one in decisions):
        yield f"{operation} was decided by a deputy of its requester"
    wrong = [{one.by_id, operation.requested_by_id} & _takers(operation, one.decided_at) for one in decisions]
    if any(who and "instead" in one.capacity for who, one in zip(wrong, decisions, strict=True)):
        yield f"{operation} was decided in the place of people whom the decider or the requester took away"
    if "instead" in operation.asked and not operation.events.filter(verb="admins_asked").exists():
        yield f"{operation} is asked of administrators in the place of others, and its history does not say so"
    told = operation.events.filter(verb__in=DECISIONS).count()
    if told != len(decisions):
        yield f"{operation} has {len(decisions)} decisions and {told} events of them"


def _takers(operation: Operation, until: datetime) -> set[int | None]:
    """Who took leads or named people away from what it asks, or moved it to others, since it was requested."""
    people = {person for levels in _asked_of_people(operation) for level in levels for person in level["people"]}
    leads = Membership.objects.filter(team=operation.team, role="lead").values_list("user", flat=True)
    takers: set[int | None] = set()
    for event in Event.objects.filter(at__gt=operation.created_at, at__lte=until):
        was_lead = event.data.get("before") == "lead" and event.team_name == operation.team.name
        is_closed = event.verb == "account_closed" and event.data["person"] in {*people, *leads}
        has_moved = event.verb == "reassigned" and event.operation_id == operation.pk
        if (event.verb in ("role_removed", "role_changed") and was_lead) or is_closed or has_moved:
            takers.add(event.actor_id)
    return takers


def _unaware(able: list[User], operation: Operation) -> list[str]:
    """Of those who may decide, and are no lead who is away: whom no event names as told."""
    told = {one["person"] for event in operation.events.all() for one in event.data.get("told", ())}
    away = Absence.objects.now(clock.now()).filter(team=operation.team_id).values_list("lead", flat=True)
    return [one.name for one in able if one.pk not in told | set(away)]


def _may_decide(user: User, operation: Operation) -> bool:
    """By the rows alone: asked, nobody's twin, not decided yet, and by a right that the wrong person did not give."""
    about = operation.decisions.filter(request_hash=operation.request_hash)
    keys = {operation.requester_key, *about.values_list("by_key", flat=True)}
    keys |= {made.stands_for.lasting_key for made in about if made.stands_for}
    addresses = {operation.requester_email, *about.values_list("by_email", flat=True)}
    if user.lasting_key in keys or user.email in addresses:
        return False
    wrong, asked = {user.pk, operation.requested_by_id}, operation.asked.split()
    opened = Event.objects.filter(verb="account_opened", at__gt=operation.created_at, data__person=user.pk).last()
    if opened and opened.actor_id in wrong:
        return False
    late = {"given_at__gt": operation.created_at, "given_by__in": wrong}
    leads = Membership.objects.filter(user=user, team=operation.team, role="lead").exclude(**late)
    moved = operation.events.filter(verb="reassigned").last()
    is_lead = "leads" in asked and leads.exists() and not (moved and moved.actor_id in wrong)
    admin_late = user.admin_given_at and user.admin_given_at > operation.created_at and user.admin_given_by_id in wrong
    # Whoever took others away may still be asked as themself.
    is_right = not wrong & _takers(operation, clock.now()) if "instead" in asked else True
    is_admin = user.is_staff and not admin_late and (is_right or _asks_admins(operation))
    is_named = str(user.pk) in asked and not _was_named_late(user, operation, wrong)
    return is_lead or is_named or ("admins" in asked and is_admin)


def _asks_admins(operation: Operation) -> bool:
    """On the level that is decided now."""
    at = operation.open_level - 1
    return any(at < len(levels) and levels[at]["who"] == "admins" for levels in _asked_of_people(operation))


def _asked_of_people(operation: Operation) -> list[Any]:
    """The levels of each rule that asks people: one that lets requests through may have some from before."""
    return [rule["levels"] for rule in operation.approval_plan["rules"] if rule["asks"] == Asks.PEOPLE]


def _was_named_late(user: User, operation: Operation, wrong: set[int]) -> bool:
    """By a change after the request of a version of a rule that holds for it."""
    for match in operation.plan.matches:
        changes = Event.objects.filter(data__rule=match.rule.id, data__version__lte=match.rule.version).order_by("pk")
        named = [user.pk in change.data["named"] for change in changes]
        for change, is_in, was_in in zip(changes, named, [False, *named], strict=False):
            if is_in and not was_in and change.at > operation.created_at and change.actor_id in wrong:
                return True
    return False


class World:
    """People, three teams and some rules; everything random comes from `random`."""

    def __init__(self, random: Random) -> None:
        self.random, self.done = random, list[str]()
        self._over = set[UUID]()
        self.people = [self._person(number) for number in range(PEOPLE)]
        self.teams = [Team.objects.get(is_default=True), *(Team.objects.create(name=name) for name in ("A", "B"))]
        TeamITwin.objects.create(team=self.teams[1], itwin_id=HARBOUR)
        TeamITwin.objects.create(team=self.teams[2], itwin_id=ELSEWHERE)
        for team in self.teams:
            for person in random.sample(self.people, random.randint(0, 3)):
                Membership.objects.create(team=team, email=person.email, user=person, role="lead")
        for _ in range(random.randint(0, 2)):
            self.make_rule()
        self.request()

    @staticmethod
    def _person(number: int) -> User:
        address = f"p{number}@harbour.example"
        names = {"first_name": f"P{number}", "email": address, "is_staff": number < 2}
        return User.objects.create(username=address, issuer="https://in.example", subject=f"p{number}", **names)

    def step(self, action: str = "") -> list[str]:
        """One act of somebody, which may be refused; and what is wrong after it with all that was not over."""
        action = action or self.random.choice(ACTIONS)
        self.done.append(action)
        with suppress(*REFUSALS):
            getattr(self, action)()
        still = list(Operation.objects.exclude(pk__in=self._over).select_related("team", "requested_by"))
        self._over |= {one.pk for one in still if one.state not in {*UNDECIDED, State.QUEUED}}
        return list(violations(still))

    @staticmethod
    def end() -> list[str]:
        """What is wrong with any request at the end, those included that were over long before."""
        return list(violations(Operation.objects.select_related("team", "requested_by")))

    # What people ask for

    def request(self) -> None:
        if Operation.objects.undecided().count() >= OPEN_AT_ONCE:
            raise lifecycle.Conflict("More of them would only be more of the same.")
        with suppress(*REFUSALS):
            lifecycle.request(self._spec(), by=self._somebody())

    def edit(self) -> None:
        operation = self._one()
        lifecycle.edit(operation, self._spec(operation), by=operation.requested_by)

    def cancel(self) -> None:
        lifecycle.cancel(self._one(), by=self._somebody())

    # What people decide

    def approve(self) -> None:
        lifecycle.approve(self._one(), by=self._decider(), comment=self.random.choice(["", "Fine."]))

    def reject(self) -> None:
        lifecycle.reject(self._one(), by=self._decider(), comment="No.")

    def request_changes(self) -> None:
        lifecycle.request_changes(self._one(), by=self._decider(), comment="Take an older one.")

    def start_later(self) -> None:
        operation = self._one()
        by = self.random.choice([operation.requested_by, self._decider()])
        lifecycle.start_at(operation, clock.now() + timedelta(days=self.random.randint(1, 80)), by=by)

    def bypass(self) -> None:
        lifecycle.bypass(self._one(), by=self._somebody(), reason="Nobody is there today.")

    # What happens meanwhile

    def leave(self) -> None:
        place = self._any(Membership.objects.filter(role="lead"))
        rights.delete(place, by=self._giver())

    def join(self) -> None:
        person, team = self._somebody(), self.random.choice(self.teams)
        if not Membership.objects.filter(team=team, email=person.email).exists():
            rights.save(Membership(team=team, email=person.email, role="lead"), by=self._giver())

    def go_away(self) -> None:
        """A lead, or an administrator for them, names a deputy; sometimes from tomorrow on, or one who is no member."""
        place = self._any(Membership.objects.filter(role="lead", user__isnull=False))
        deputy = self._somebody()
        if not Membership.objects.filter(team=place.team, email=deputy.email).exists():
            rights.save(Membership(team=place.team, email=deputy.email, role="member"), by=self._giver())
        starts_at = clock.now() + self.random.choice([timedelta(hours=-1)] * 4 + [timedelta(days=1)])
        absence = Absence(team=place.team, lead=place.user, deputy=deputy, starts_at=starts_at)
        absence.ends_at = starts_at + timedelta(days=7)
        rights.save(absence, by=self.random.choice([place.user, self._somebody()]))

    def come_back(self) -> None:
        rights.delete(self._any(Absence.objects.all()), by=None)

    def open_or_close(self) -> None:
        person = self._somebody()
        person.is_active = not person.is_active
        rights.save(person, by=self._giver())

    def make_or_unmake_admin(self) -> None:
        person = self._somebody()
        person.is_staff = not person.is_staff
        rights.save(person, by=self._giver())

    def move_itwin(self) -> None:
        itwin = TeamITwin.objects.get(itwin_id=HARBOUR)
        itwin.team = self.random.choice(self.teams)
        rights.save(itwin, by=self._giver())

    def make_rule(self) -> None:
        levels = [self._level() for _ in range(self.random.choice([1, 1, 2]))]
        asks = self.random.choice([Asks.PEOPLE] * 6 + [Asks.LET_THROUGH, Asks.REFUSE])
        conditions: dict[str, Any] = {
            "squashed": self.random.random() < 0.2,
            "outside_team": self.random.random() < 0.2,
        }
        team = self.random.choice([None, *self.teams])
        kinds = self.random.choice([[Kind.FORK], [Kind.CLONE], []])
        rule = ApprovalRule(name="Random", kinds=kinds, team=team, asks=asks, levels=levels, **conditions)
        with suppress(*REFUSALS):
            rights.save(rule, by=None)

    def change_rule(self) -> None:
        rule = self._any(ApprovalRule.objects.all())
        rule.levels, rule.is_active = [self._level()], self.random.random() < 0.7
        rights.save(rule, by=self._giver())

    def let_time_pass(self) -> None:
        """Some deadline is here."""
        column = self.random.choice(["expires_at", "use_by", "remind_at"])
        Operation.objects.filter(pk=self._one().pk).exclude(**{column: None}).update(**{column: clock.now()})
        for operation in Operation.objects.overdue(clock.now()):
            lifecycle.expire(operation)
        sweeps.approvals()

    def send(self) -> None:
        operation = self._any(Operation.objects.filter(state=State.QUEUED))
        attempt = lifecycle.claim(operation, bucket="fork", now=clock.now())
        lifecycle.confirm_claim(operation, attempt)
        lifecycle.accepted(operation, imodel_id=str(uuid4()))

    # Whom and what

    def _spec(self, operation: Operation | None = None) -> CreationSpec:
        target = operation.itwin_id if operation else self.random.choice([HARBOUR, ELSEWHERE])
        kind = Kind(operation.kind) if operation else self.random.choice([Kind.FORK, Kind.FORK, Kind.CLONE])
        history = operation.preserve_history if operation else self.random.random() < 0.8
        source = IModelRef(id=MAIN_BRIDGE, name="Main Bridge", itwin=ITwinRef(id=HARBOUR, name="Harbour Bridge"))
        return CreationSpec(
            kind=kind,
            itwin=ITwinRef(id=target),
            name=f"Pier {self.random.randrange(10**9)}",
            source=source,
            up_to=ChangesetSelection.LATEST,
            changeset_index=self.random.randint(0, 200),
            preserve_history=history if kind == Kind.FORK else None,
            reason="To try it.",
        )

    def _level(self) -> dict[str, Any]:
        named = [person.pk for person in self.random.sample(self.people, 2)]
        who = self.random.choice([Who.LEADS, Who.LEADS, Who.PEOPLE, Who.ADMINS])
        asked = {"who": str(who), "count": self.random.choice([1, 1, 2]), "comment": self.random.random() < 0.2}
        return asked | ({"people": named} if who == Who.PEOPLE else {})

    def _somebody(self) -> User:
        return User.objects.get(pk=self.random.choice(self.people).pk)

    def _giver(self) -> User | None:
        return self.random.choice([None, self._somebody()])

    def _decider(self) -> User:
        """Mostly somebody who may: what is refused teaches little."""
        active = User.objects.filter(is_active=True)
        able = [one for waiting in self._waiting() for one in active if _may_decide(one, waiting)]
        able += [absence.deputy for absence in Absence.objects.select_related("deputy")]
        return self.random.choice(able) if able and self.random.random() < 0.8 else self._somebody()

    def _waiting(self) -> Iterable[Operation]:
        return Operation.objects.undecided().select_related("team").order_by("-created_at")[:1]

    def _one(self) -> Operation:
        """The newest that is undecided, or any."""
        waiting = list(self._waiting())
        return waiting[0] if waiting and self.random.random() < 0.8 else self._any(Operation.objects.all())

    def _any(self, rows: Any) -> Any:
        found = list(rows.order_by("pk"))
        if not found:
            raise lifecycle.Conflict("There is none.")
        return self.random.choice(found)


ACTIONS = [
    *["request"] * 3,
    *["approve"] * 6,
    *["edit", "start_later", "cancel", "reject", "request_changes", "bypass", "send", "send", "let_time_pass"],
    *["go_away", "go_away", "come_back"],
    *["leave", "leave", "join", "open_or_close", "make_or_unmake_admin", "move_itwin", "make_rule", "change_rule"],
]
