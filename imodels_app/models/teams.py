"""Teams: who looks after which iTwins, who leads, who stands in for whom, and where a team chats."""

from datetime import datetime
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Lower

from imodels_app.models.people import User
from imodels_app.states import Chat


class TeamQuerySet(models.QuerySet["Team"]):
    def visible_to(self, user: User) -> Self:
        """Those that a person is in; an admin's are all."""
        return self if user.is_admin else self.filter(pk__in=user.membership_set.values("team"))


class Team(models.Model):
    """People who look after certain iTwins. iTwins nobody looks after belong to the default team.

    That one comes with the first migration, and the database refuses to be without it.
    """

    name = models.CharField(max_length=100, unique=True)
    is_default = models.BooleanField(default=False, help_text="Looks after every iTwin that no other team does.")
    approval_days = models.PositiveSmallIntegerField(
        default=7, help_text="A request for approval expires after this many days."
    )

    objects = TeamQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["is_default"], name="team_one_default", condition=Q(is_default=True))
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def looking_after(cls, itwin_id: str) -> "Team":
        """The team that looks after an iTwin: its own, or the default one."""
        team_itwin = TeamITwin.objects.select_related("team").filter(itwin_id=itwin_id.lower()).first()
        return team_itwin.team if team_itwin else cls.objects.get(is_default=True)

    def leads(self) -> models.QuerySet[User]:
        """The people who may decide for this team."""
        return User.objects.filter(
            is_active=True, membership__team=self, membership__role=Membership.Role.LEAD
        ).order_by("first_name", "last_name")


class Membership(models.Model):
    """A person's place in a team, given to an e-mail address and bound to the person at the first sign-in."""

    class Role(models.TextChoices):
        MEMBER = "member", "Member"
        LEAD = "lead", "Lead"

    team = models.ForeignKey(Team, models.CASCADE)
    email = models.EmailField(help_text="As the sign-in service knows it.")
    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, editable=False)
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    # Since when, and by whom: nobody decides by a right that the wrong person gave after the request.
    given_at = models.DateTimeField(null=True, editable=False)
    given_by = models.ForeignKey(
        User, models.PROTECT, null=True, editable=False, related_name="+", help_text="Empty: from the command line."
    )

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint("team", Lower("email"), name="membership_once_per_team")]

    def __str__(self) -> str:
        return f"{self.email}, {self.role} of {self.team}"


class TeamITwin(models.Model):
    """One iTwin in the care of one team."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="itwins")
    itwin_id = models.CharField("iTwin id", max_length=36, unique=True)

    class Meta:
        verbose_name = "iTwin"

    def __str__(self) -> str:
        return self.itwin_id

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.itwin_id = self.itwin_id.lower()
        super().save(*args, **kwargs)


class AbsenceQuerySet(models.QuerySet["Absence"]):
    def now(self, at: datetime) -> Self:
        """Those that have begun and not ended, of a lead and a deputy who are both still in the team."""
        places = Membership.objects.filter(team=OuterRef("team"), user__is_active=True)
        is_lead = Exists(places.filter(user=OuterRef("lead"), role=Membership.Role.LEAD))
        return self.filter(is_lead, Exists(places.filter(user=OuterRef("deputy"))), starts_at__lte=at, ends_at__gt=at)

    def over(self, at: datetime) -> Self:
        """Those after which the lead was not asked yet about what still waits."""
        return self.filter(ends_at__lte=at, back_at=None)


class Absence(models.Model):
    """For some time somebody else decides in the place of a lead. Written by accounts.rights only.

    The lead stays a lead; whichever of the two answers first answers for both.
    """

    team = models.ForeignKey(Team, models.CASCADE, related_name="absences")
    lead = models.ForeignKey(User, models.CASCADE, related_name="absences")
    deputy = models.ForeignKey(User, models.CASCADE, related_name="stands_in")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    given_at = models.DateTimeField(editable=False)
    given_by = models.ForeignKey(User, models.PROTECT, null=True, editable=False, related_name="+")
    told_at = models.DateTimeField(
        null=True, editable=False, help_text="When the deputy was asked about what waited; empty: not begun."
    )
    back_at = models.DateTimeField(
        null=True, editable=False, help_text="When the lead was asked about what still waited; empty: not over."
    )

    objects = AbsenceQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["starts_at", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(name="absence_begins_before_it_ends", condition=Q(starts_at__lt=F("ends_at"))),
            models.CheckConstraint(name="absence_deputy_is_somebody_else", condition=~Q(lead=F("deputy"))),
        ]

    def __str__(self) -> str:
        return f"{self.deputy_id} for {self.lead_id}"


class Webhook(models.Model):
    """Where a team's chat takes messages. Written by accounts.rights only. Whoever has the address can write there."""

    team = models.OneToOneField(Team, models.CASCADE, related_name="webhook")
    chat = models.CharField(max_length=10, choices=Chat.choices)
    url = models.TextField(help_text="Encrypted (accounts.encryption).")
    host = models.CharField(max_length=255, help_text="The part of the address that is no secret.")
    fingerprint = models.CharField(max_length=8, help_text="Tells two addresses apart, and nothing of them.")

    def __str__(self) -> str:
        return f"{self.get_chat_display()} at {self.host}"  # never the address
