"""What changed lately: how a live page asks for what it has missed, at the same cost however much there is.

Rows are written by triggers (migrations/_change_triggers.py), whoever changes something, and kept for an hour.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import connection, models

from imodels_app.models.people import User
from imodels_app.states import Kind

# A page that was away longer than MISSED asks for everything anew.
MISSED, STAYS = timedelta(minutes=10), timedelta(hours=1)
LARGEST = 2**63


@dataclass(frozen=True)
class Mark:
    """Up to where somebody has read: all that was numbered below `end`, but for `open`, which were not committed then.

    Numbers of PostgreSQL are those of transactions, and this is a snapshot: a transaction that began before it and
    commits late is in `open` or beyond `end`, so it is never taken for read. A counter would be overtaken. SQLite has
    one writer at a time: there rows are counted, and none is open.
    """

    end: int
    open: tuple[int, ...] = ()

    @classmethod
    def now(cls) -> Self:
        """Take it before what is shown is read: what comes between is then read twice, and not missed."""
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute("SELECT seq + 1 FROM sqlite_sequence WHERE name = %s", [Change._meta.db_table])
                return cls(*(cursor.fetchone() or (1,)))
            cursor.execute("SELECT pg_current_snapshot()::text")
            _, end, still_open = cursor.fetchone()[0].split(":")
        return cls(int(end), tuple(map(int, filter(None, still_open.split(",")))))

    def __str__(self) -> str:
        return ".".join(map(str, (self.end, *self.open)))

    @classmethod
    def read(cls, text: str) -> Self:
        """From what an address says. ValueError if that is none."""
        end, *still_open = (int(number) for number in text.split("."))
        if not all(0 <= number < LARGEST for number in (end, *still_open)):
            raise ValueError(text)
        return cls(end, tuple(still_open))


class ChangeQuerySet(models.QuerySet["Change"]):
    def delete_old(self, now: datetime) -> None:
        self.filter(at__lt=now - STAYS).delete()


class About(models.TextChoices):
    """What changed."""

    OPERATION = "operation"
    RIGHTS = "rights"  # people, teams, and which iTwins these look after
    LIMITS = "limits"  # what counts in a rate limit, and whether one is frozen
    OUTAGE = "outage"  # whether the platform answers


class Change(models.Model):
    """One change that a page may show. Ids, not keys: nothing is locked by writing one, and they may be gone.

    number  PostgreSQL: of the transaction; SQLite: of the row
    """

    number = models.BigIntegerField()
    at = models.DateTimeField()
    about = models.CharField(max_length=10, choices=About.choices)
    operation_id = models.UUIDField(null=True)
    person_id = models.BigIntegerField(null=True)
    team_id = models.BigIntegerField(null=True)
    # Of an operation: whether it waited for a decision or in the queue, before or after.
    is_asking = models.BooleanField(default=False)
    is_queued = models.BooleanField(default=False)

    objects = ChangeQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(name="change_number", fields=["number"])]

    def __str__(self) -> str:
        return f"{self.about} {self.operation_id or ''}"


@dataclass(frozen=True)
class Condition:
    """Which changes a page may show, in SQL: each poll asks it, and the ORM composes it for longer than it takes."""

    sql: str
    values: tuple[Any, ...] = ()

    def __or__(self, other: Self) -> Self:
        return type(self)(f"({self.sql} OR {other.sql})", self.values + other.values)

    def __and__(self, other: Self) -> Self:
        return type(self)(f"({self.sql} AND {other.sql})", self.values + other.values)

    def has_missed(self, mark: Mark) -> bool:
        """Whether any of them was committed after it."""
        late = f" OR number IN ({', '.join(['%s'] * len(mark.open))})" if mark.open else ""
        shown = f"number >= %s AND (number >= %s{late}) AND {self.sql}"
        values = (min((mark.end, *mark.open)), mark.end, *mark.open, *self.values)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM imodels_app_change WHERE {shown} LIMIT 1", values)  # noqa: S608
            return cursor.fetchone() is not None


OF_ANY_OPERATION = Condition(f"about = '{About.OPERATION}'")
OF_LIMITS = Condition(f"about = '{About.LIMITS}'")
OF_RIGHTS_OR_OUTAGE = Condition(f"about IN ('{About.RIGHTS}', '{About.OUTAGE}')")
ASKING = Condition("is_asking")
QUEUED = Condition("is_queued")


def of_person(user: User) -> Condition:
    """Of the operations that a person requested, and of what is about them."""
    return Condition("person_id = %s", (user.pk,))


def of_teams(user: User) -> Condition:
    """Of the operations that a person sees besides their own (OperationQuerySet.of_teams)."""
    own = "team_id IN (SELECT team_id FROM imodels_app_membership WHERE user_id = %s)"
    named = "operation_id IN (SELECT operation_id FROM imodels_app_operation_named WHERE user_id = %s)"
    return Condition(f"({own} OR {named})", (user.pk, user.pk))


def of_operation(pk: UUID) -> Condition:
    return Condition("operation_id = %s", (Change._meta.get_field("operation_id").get_db_prep_value(pk, connection),))


def of_forks(source_id: str) -> Condition:
    """Of the forks of one iModel; of none without its id."""
    forks = "SELECT id FROM imodels_app_operation WHERE kind = %s AND source_id = %s AND source_id <> ''"
    return Condition(f"operation_id IN ({forks})", (Kind.FORK.value, source_id))


def of_own_decisions(user: User) -> Condition:
    """Of the operations that a person decided."""
    return Condition("operation_id IN (SELECT operation_id FROM imodels_app_decision WHERE by_id = %s)", (user.pk,))


def seen_by(user: User) -> Condition:
    """Of the operations that a person may see (OperationQuerySet.visible_to)."""
    return OF_ANY_OPERATION if user.is_admin else of_person(user) | of_teams(user)
