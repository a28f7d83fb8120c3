"""What changed lately: how a live page asks for what it has missed, at the same cost however much there is.

Rows are written by triggers (migrations/_change_triggers.py), whoever changes something, and kept for an hour.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.db import connection, models
from django.db.models import Q

from imodels_app.models.people import User

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
    def since(self, mark: Mark) -> Self:
        """What was committed after it."""
        missed = Q(number__gte=mark.end) | Q(number__in=mark.open)
        return self.filter(missed, number__gte=min((mark.end, *mark.open)))

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


def seen_by(user: User) -> Q:
    """Changes of the operations that a person may see (OperationQuerySet.visible_to)."""
    if user.is_admin:
        return Q(about=About.OPERATION)
    named = Q(operation_id__in=user.named_in.values("pk"))
    return Q(person_id=user.pk) | Q(team_id__in=user.membership_set.values("team")) | named
