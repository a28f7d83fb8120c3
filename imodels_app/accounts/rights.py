"""The only writer of who may what: admins, accounts, teams with their people and iTwins, days to decide, approval
rules, deputies, chats, and of the names and addresses that people are known by.

As the lifecycle is for states: whoever calls (Django's admin, commands, sign-in), each change and its event are one
transaction, and whom it concerns is told. What hangs on a right follows in the same transaction, because
lifecycle.follow_rights hears `changed`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.dispatch import Signal

from imodels_app.accounts import deciders, permissions, sessions, tokens, watches
from imodels_app.audit import events
from imodels_app.models import Absence, ApprovalRule, Look, Membership, Team, TeamITwin, User, Webhook
from imodels_app.notifications import outbox
from imodels_app.runtime import clock
from imodels_app.states import Verb

Row = User | Team | Membership | TeamITwin | ApprovalRule | Absence | Webhook
# Sent with by: whoever changed something, or None; and row: what it is about.
changed = Signal()

# What can be changed -> the verb when there was nothing before, when it is another one, when there is nothing after.
_VERBS: dict[str, tuple[Verb | None, Verb, Verb | None]] = {
    "name": (None, Verb.NAME_CHANGED, Verb.NAME_CHANGED),
    "address": (None, Verb.ADDRESS_CHANGED, Verb.ADDRESS_CHANGED),
    "admin": (Verb.ADMIN_GIVEN, Verb.ADMIN_GIVEN, Verb.ADMIN_REMOVED),
    "account": (Verb.ACCOUNT_OPENED, Verb.ACCOUNT_OPENED, Verb.ACCOUNT_CLOSED),
    "team": (Verb.TEAM_MADE, Verb.TEAM_RENAMED, Verb.TEAM_DELETED),
    "days": (None, Verb.DAYS_CHANGED, None),
    "role": (Verb.ROLE_GIVEN, Verb.ROLE_CHANGED, Verb.ROLE_REMOVED),
    "holder": (None, Verb.PLACE_TAKEN, None),
    "itwin": (Verb.ITWIN_GIVEN, Verb.ITWIN_MOVED, Verb.ITWIN_REMOVED),
    "rule": (Verb.RULE_MADE, Verb.RULE_CHANGED, Verb.RULE_DELETED),
    "rule_name": (None, Verb.RULE_CHANGED, None),
    "deputy": (Verb.DEPUTY_NAMED, Verb.DEPUTY_CHANGED, Verb.DEPUTY_REMOVED),
    "chat": (Verb.WEBHOOK_SET, Verb.WEBHOOK_CHANGED, Verb.WEBHOOK_REMOVED),
}
# What an event says by its verb alone.
_SAID_BY_VERB = {"", "admin", "open"}


class Unmeetable(ValueError):
    """A rule that nobody could ever meet. Its text can be shown."""


class _Change(NamedTuple):
    verb: Verb
    before: str
    after: str


def save(row: Row, *, by: User | None) -> None:
    """Write a new or changed row: an event for each thing that changes, by whom it was (None: the command line).

    Raises Unmeetable for a rule that nobody could meet, and permissions.Denied for one that is not theirs to change,
    and for whoever would shut themselves out.
    """
    with transaction.atomic():
        before = _stored(row)
        told = _concerned(before)
        if isinstance(row, Membership):
            _place(row, before, by)
        if isinstance(row, User):
            _account(row, before, by)
        if isinstance(row, ApprovalRule):
            _rule(row, before, by)
        if by and (why := _why_not_write(row, by)):
            raise permissions.Denied(why)
        if isinstance(row, Absence):
            row.given_at, row.given_by = clock.now(), by
        row.save(update_fields=_columns(row, before) if before else None)
        _record(row, before, row, by=by, told=told | _concerned(row))
        if isinstance(before, User) and isinstance(row, User) and row.is_active and not before.is_active:
            _take_kept_places(row, by=by)


def delete(row: Team | Membership | TeamITwin | Absence | Webhook, *, by: User | None) -> None:
    """Take a team, a place, an iTwin, a deputy or a chat away; with a team goes all that hangs on it, an event each.

    Raises permissions.Denied, also for a team that has to stay.
    """
    with transaction.atomic():
        told = _concerned(row)
        if by and (why := _why_not_delete(row, by)):
            raise permissions.Denied(why)
        if isinstance(row, Team):
            permissions.require(permissions.why_not_delete_team(row))
            watches.end_for(row)
            parts: list[Row] = [*row.membership_set.all(), *row.itwins.all(), *ApprovalRule.objects.filter(team=row)]
            parts += [*row.absences.all(), *Webhook.objects.filter(team=row)]
            for part in parts:
                _record(part, part, None, by=by, told=set())
        row.delete()
        _record(row, row, None, by=by, told=told)


def anonymize(user: User) -> None:
    """Remove what is kept of a person whose account is closed: name, address, places, choices, and what they saved.

    Issuer and subject stay: by them a closed account is known when its person comes again. The record stays, too, and
    tells of this without what was removed.
    """
    with transaction.atomic():
        Membership.objects.filter(Q(user=user) | Q(email__iexact=user.email, user=None)).delete()
        Look.objects.filter(person=user).delete()
        saved = (user.presets, user.saved_filters)
        for rows in (*saved, user.messages, user.subscriptions, user.absences, user.stands_in):
            rows.all().delete()
        user.first_name = user.last_name = user.email = ""
        user.time_zone = user.muted_mail = user.daily_mail = None
        user.save(update_fields=["first_name", "last_name", "email", "time_zone", "muted_mail", "daily_mail"])
        events.record(Verb.PERSON_FORGOTTEN, at=clock.now(), note=f"Person {user.pk}", **_identity(user))


def signed_in(user: User, *, name: tuple[str, str], email: str, is_admin: bool) -> None:
    """What the sign-in service says of a person today.

    name      given and family name
    email     a confirmed address in small letters, or ""; with it come the places in teams that were given to it
    is_admin  whether DASHBOARD_ADMINS names the address. What an admin gave stays; what the list gave goes with it
    """
    with transaction.atomic():
        user.first_name, user.last_name = name
        user.email = email
        save(user, by=user)
        if user.admin_given_by_id is None and user.is_staff != is_admin:
            user.is_staff = is_admin
            save(user, by=None)
        _take_kept_places(user, by=user)


def _take_kept_places(user: User, *, by: User | None) -> None:
    """Those that were given to their address before they came, or while their account was closed."""
    for place in Membership.objects.filter(email__iexact=user.email, user=None) if user.email else ():
        place.user = user
        save(place, by=by)


def holder_of(email: str) -> User | None:
    """The person to whom a place is bound that is given to this address; None: it waits for their first sign-in.

    Kept addresses are verified ones (sign_in). One that has changed hands is with whoever came last.
    """
    holders = User.objects.filter(email__iexact=email, is_active=True)
    return holders.order_by(F("last_login").desc(nulls_last=True)).first()


def _stored(row: Row) -> Row | None:
    rows: QuerySet[Any] = type(row).objects.select_for_update()
    found: Row | None = rows.filter(pk=row.pk).first()
    return found


def _place(row: Membership, before: Row | None, by: User | None) -> None:
    """Bind a place to whoever has its address. Since when it is theirs, and by whom, where that or the role is new."""
    as_before = isinstance(before, Membership) and before.email.lower() == row.email.lower()
    if not as_before:
        row.user = holder_of(row.email)
    if not (as_before and isinstance(before, Membership) and (row.role, row.team_id) == (before.role, before.team_id)):
        row.given_at, row.given_by = clock.now(), by


def _account(row: User, before: Row | None, by: User | None) -> None:
    """A closed account keeps no tokens and no sessions. With one that is opened again its places are given anew."""
    if not isinstance(before, User):
        return
    if (before.is_staff and not row.is_staff) or (before.is_active and not row.is_active):
        permissions.require(permissions.why_not_demote(by, before))
    if row.is_staff != before.is_staff:
        row.admin_given_by = by if row.is_staff else None
        row.admin_given_at = clock.now() if row.is_staff else None
    if before.is_active and not row.is_active:
        tokens.delete(row)
        sessions.end(row, by=by)
    if row.is_active and not before.is_active:
        row.membership_set.update(given_at=clock.now(), given_by=by)


def _rule(row: ApprovalRule, before: Row | None, by: User | None) -> None:
    """Each change is a new version. A rule that is off asks nothing of anybody, so it need not be met."""
    for one in (before, row):  # nor is a rule taken from another team, or given to one
        if by and isinstance(one, ApprovalRule):
            permissions.require(permissions.why_not_manage(by, one))
    if row.is_active and (why := deciders.why_unmeetable(row)):
        raise Unmeetable(why if by and permissions.may_administer(by) else f"{why} {deciders.whom_to_ask()}")
    if isinstance(before, ApprovalRule) and _facts(row) != _facts(before):
        row.version = before.version + 1


def _why_not_delete(row: Row, by: User) -> str:
    return permissions.why_not_end_absence(by, row) if isinstance(row, Absence) else _why_not_write(row, by)


def _why_not_write(row: Row, by: User) -> str:
    if isinstance(row, Absence):
        return permissions.why_not_name_deputy(by, row)
    return permissions.why_not_set_chat(by, row) if isinstance(row, Webhook) else ""


def _columns(row: Row, before: Row) -> list[str]:
    """What differs: nothing is written over that somebody else has changed meanwhile."""
    return [one.name for one in row._meta.concrete_fields if getattr(row, one.attname) != getattr(before, one.attname)]


def _record(row: Row, before: Row | None, after: Row | None, *, by: User | None, told: set[User]) -> None:
    team = row if isinstance(row, Team) else None if isinstance(row, User) else row.team
    changes = list(_changes(before, after))
    for change in changes:
        words = " → ".join(part for part in (change.before, change.after) if part not in _SAID_BY_VERB)
        event = events.record(
            change.verb,
            at=clock.now(),
            by=by,
            team=team,
            note=f"{_subject(row)}: {words}" if words else _subject(row),
            before=change.before,
            after=change.after,
            **_identity(row),
        )
        outbox.enqueue_about(event, told - {by})
    if changes:
        watches.end_unled()
        changed.send(sender=type(row), by=by, row=row)


def _changes(before: Row | None, after: Row | None) -> Iterator[_Change]:
    """What has become of each fact. A place at another address is one given up and one given."""
    if isinstance(before, Membership) and isinstance(after, Membership) and before.email != after.email:
        yield from _changes(before, None)
        before = None
    was, now = _facts(before), _facts(after)
    for what in was | now:
        old, new = was.get(what, ""), now.get(what, "")
        given, another, removed = _VERBS[what]
        verb = given if not old else another if new else removed
        if verb and old != new:
            yield _Change(verb, old, new)


def _facts(row: Row | None) -> dict[str, str]:
    """What a row says of who may what. Of a person who has never been here there is nothing to change yet."""
    if isinstance(row, User):
        unknown = "none" if row.last_login else ""
        admin, account = "admin" if row.is_staff else "", "open" if row.is_active else ""
        return {
            "name": row.get_full_name() or unknown,
            "address": row.email or unknown,
            "admin": admin,
            "account": account,
        }
    if isinstance(row, Team):
        return {"team": row.name, "days": str(row.approval_days)}
    if isinstance(row, Membership):
        return {"role": row.role, "holder": row.user.name if row.user else "nobody"}
    if isinstance(row, ApprovalRule):
        return {"rule": _words_of(row), "rule_name": row.name}
    if isinstance(row, Absence):
        return {"deputy": f"{row.deputy.name}, {_time(row.starts_at)} to {_time(row.ends_at)}"}
    if isinstance(row, Webhook):
        return {"chat": f"{row} ({row.fingerprint})"}
    return {"itwin": row.team.name} if row else {}


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _words_of(rule: ApprovalRule) -> str:
    """All that a rule says, but for its name and version."""
    words = ["on" if rule.is_active else "off", rule.team.name if rule.team else "all teams", rule.as_rule().in_words]
    return "; ".join(words)


def _subject(row: Row) -> str:
    """Whom or what a change is about, in words that last."""
    if isinstance(row, User):
        return row.email or row.lasting_key
    if isinstance(row, Membership):
        return row.email
    if isinstance(row, Absence):
        return row.lead.email or row.lead.lasting_key
    if isinstance(row, Webhook):
        return row.team.name
    return row.itwin_id if isinstance(row, TeamITwin) else row.name


def _identity(row: Row) -> dict[str, Any]:
    """Who that is, for good."""
    if isinstance(row, ApprovalRule):
        named = sorted({person for level in row.as_rule().levels for person in level.people})
        return {"rule": row.pk, "version": row.version, "named": named}
    if isinstance(row, Absence):
        return _who(row.lead) | {"deputy": row.deputy_id}
    return _who(row if isinstance(row, User) else row.user if isinstance(row, Membership) else None)


def _who(person: User | None) -> dict[str, Any]:
    return {"person": person.pk, "issuer": person.issuer, "subject": person.subject} if person else {}


def _concerned(row: Row | None) -> set[User]:
    """The leads of the team, or of all teams of a person; of an admin or a closed account all admins, too."""
    if row is None:
        return set()
    if isinstance(row, User):
        admins = User.objects.filter(is_staff=True, is_active=True) if row.is_staff or not row.is_active else ()
        teams = Team.objects.filter(membership__user=row)
        return {*admins, *chain.from_iterable(team.leads() for team in teams)}
    team = row if isinstance(row, Team) else row.team
    if team is None:  # a rule for all teams
        return set(User.objects.filter(membership__role=Membership.Role.LEAD, is_active=True))
    deputy = {row.deputy} if isinstance(row, Absence) else set()
    return deputy | set(team.leads()) if team.pk else deputy
