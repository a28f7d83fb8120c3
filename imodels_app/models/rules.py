"""Approval rules: which requests need whose approval."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q

from imodels_app.approvals.plan import USE_WITHIN_DAYS, Conditions, Requirement, Rule
from imodels_app.models.people import User
from imodels_app.models.teams import Membership, Team
from imodels_app.states import Asks


class ApprovalRuleQuerySet(models.QuerySet["ApprovalRule"]):
    def holding_for(self, team: Team) -> Self:
        """What is switched on for requests that this team decides."""
        return self.filter(Q(team=None) | Q(team=team), is_active=True)

    def asking_about(self, kind: str) -> list["ApprovalRule"]:
        """Those of any team that do not let all of this kind through."""
        asking = self.filter(is_active=True).exclude(asks=Asks.LET_THROUGH)
        return [rule for rule in asking if not rule.kinds or kind in rule.kinds]

    def visible_to(self, user: User) -> Self:
        """What holds for the requests of this person's teams; an admin's are all."""
        if user.is_admin:
            return self
        return self.filter(Q(team=None) | Q(team__in=user.membership_set.values("team")))

    def managed_by(self, user: User) -> Self:
        """What this person may change: an admin all, a lead those of their teams."""
        if user.is_admin:
            return self
        return self.filter(team__in=user.membership_set.filter(role=Membership.Role.LEAD).values("team"))


class ApprovalRule(models.Model):
    """Which requests need whose approval. Written by accounts.rights only; each change is a new version.

    A request keeps a copy of the rules that matched it, so a change never reaches what already waits.
    """

    team = models.ForeignKey(
        Team, models.CASCADE, null=True, blank=True, related_name="rules", help_text="Whose requests; empty: all."
    )
    name = models.CharField(max_length=100)
    version = models.PositiveIntegerField(default=1, editable=False)
    is_active = models.BooleanField("on", default=True)
    kinds = models.JSONField(default=list, blank=True, help_text="Of states.Kind; empty: all.")

    # All conditions that are set have to hold (approvals.plan.Conditions).
    outside_team = models.BooleanField("into an iTwin outside the team's care", default=False)
    elsewhere = models.BooleanField("into another account or region", default=False)
    squashed = models.BooleanField("history is squashed", default=False)
    own_permissions = models.BooleanField("the source has permissions of its own", default=False)
    more_changesets_than = models.PositiveIntegerField(null=True, blank=True)

    asks = models.CharField(max_length=12, choices=Asks.choices, default=Asks.PEOPLE)
    levels = models.JSONField(default=list, blank=True, help_text="One or two of approvals.plan.Requirement.")
    decide_days = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Empty: as many as the team has.")
    use_days = models.PositiveSmallIntegerField(
        default=USE_WITHIN_DAYS, help_text="What is approved and not sent in so many days needs a new approval."
    )

    objects = ApprovalRuleQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["pk"]

    def __str__(self) -> str:
        return self.name

    def as_rule(self) -> Rule:
        """This version, as requests keep it."""
        return Rule(
            id=self.pk or 0,
            version=self.version,
            name=self.name,
            kinds=tuple(self.kinds),
            conditions=Conditions(
                outside_team=self.outside_team,
                elsewhere=self.elsewhere,
                squashed=self.squashed,
                own_permissions=self.own_permissions,
                more_changesets_than=self.more_changesets_than,
            ),
            asks=self.asks,
            levels=tuple(map(Requirement.from_json, self.levels)),
            decide_days=self.decide_days,
            use_days=self.use_days,
        )
