"""People, as the identity provider knows them."""

from functools import cache
from typing import ClassVar
from zoneinfo import ZoneInfo, available_timezones

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q


def zone_named(name: str) -> ZoneInfo | None:
    """The time zone of this name; None where there is none: names come from browsers, and go with the years."""
    return ZoneInfo(name) if name in zone_names() else None


@cache
def zone_names() -> frozenset[str]:
    """All that this machine knows. Read once: each request asks, and the library opens hundreds of files to answer."""
    return frozenset(available_timezones())


class User(AbstractUser):
    """A person, known by the identity provider's issuer and subject; e-mail and name are what it said last.

    An e-mail address that the provider calls unverified is not kept (sign_in.sign_in).
    """

    issuer = models.CharField(max_length=255, blank=True)
    subject = models.CharField(max_length=255, blank=True, help_text="The provider's lasting id of this person (sub).")
    # The database knows the default too: an older version of the program may still add people.
    wants_mail = models.BooleanField(default=True, db_default=True, help_text="Sent by e-mail.")
    # Null, not "": SQLite adds such a column without rebuilding the table, which triggers name.
    time_zone = models.CharField(
        max_length=64, blank=True, null=True, help_text="Of their times, like Europe/Berlin. Empty: not known yet."
    )
    muted_mail = models.CharField(
        max_length=255, blank=True, null=True, help_text="Kinds of e-mail they do without, with spaces."
    )
    daily_mail = models.CharField(
        max_length=255, blank=True, null=True, help_text="Kinds of e-mail they get once a day, with spaces."
    )
    admin_given_by = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
        help_text="Nobody: DASHBOARD_ADMINS gives and takes it.",
    )
    admin_given_at = models.DateTimeField(null=True, editable=False)

    class Meta(AbstractUser.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["issuer", "subject"], name="user_one_per_subject", condition=~Q(subject=""))
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The full name, or the e-mail address when the provider told no name; as much as its copies may have."""
        return (self.get_full_name() or self.email or self.subject or self.username)[:255]

    @property
    def zone(self) -> ZoneInfo | None:
        """Of their times; None while they have chosen none, and the browser's or ours counts."""
        return zone_named(self.time_zone or "")

    def mutes(self, kind: str) -> bool:
        """Whether they do without e-mails of this kind."""
        return kind in (self.muted_mail or "").split()

    def reads_daily(self, kind: str) -> bool:
        """Whether they get e-mails of this kind once a day."""
        return kind in (self.daily_mail or "").split()

    @property
    def lasting_key(self) -> str:
        """issuer|subject: who this is, whatever becomes of names, addresses and rows.

        Unambiguous: an issuer is a URL, and no URL has a bar.
        """
        return f"{self.issuer}|{self.subject}"

    @property
    def initials(self) -> str:
        words = self.name.split()
        return "".join(word[0] for word in (words[0], words[-1])).upper() if len(words) > 1 else self.name[:2].upper()

    def has_usable_password(self) -> bool:
        """Never: the provider knows who a person is, and no page asks for a password."""
        return False

    @property
    def team_ids(self) -> list[int]:
        """Of the teams that this person is in."""
        return list(self.membership_set.values_list("team", flat=True))

    @property
    def is_admin(self) -> bool:
        """May audit everything and set up teams. Never a right on the platform; to decide only where a rule says so."""
        return self.is_active and self.is_staff
