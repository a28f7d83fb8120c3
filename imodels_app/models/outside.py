"""What is made, renamed or deleted outside iModel Desk: who lets their token be used, and what was there last."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import F

from imodels_app.models.people import User
from imodels_app.models.teams import Membership, Team


class WatchQuerySet(models.QuerySet["Watch"]):
    def of_leads(self) -> Self:
        """Those of people who still lead the team."""
        return self.filter(
            person__is_active=True,
            person__membership__team=F("team"),
            person__membership__role=Membership.Role.LEAD,
        )

    def usable(self) -> Self:
        """Those whose grant lives, the oldest first."""
        return self.of_leads().filter(person__tokens__sign_in_needed=False).order_by("since", "pk")


class Watch(models.Model):
    """A lead lets iModel Desk look with their token at the iTwins of a team (accounts/watches.py)."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="watches")
    person = models.ForeignKey(User, models.CASCADE, related_name="watches")
    since = models.DateTimeField()

    objects = WatchQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "person"], name="watch_once")]

    def __str__(self) -> str:
        return f"{self.person} for {self.team}"


class WatchedITwinQuerySet(models.QuerySet["WatchedITwin"]):
    def due(self, now: datetime) -> Self:
        return self.filter(due_at__lte=now).order_by("due_at")


class WatchedITwin(models.Model):
    """An iTwin that is looked at each night (workers/outside.py). due_at is the lease of whoever looks, too."""

    itwin_id = models.CharField(max_length=36, primary_key=True)
    since = models.DateTimeField(help_text="What was made before is not told of.")
    due_at = models.DateTimeField(db_index=True)
    looked_at = models.DateTimeField(null=True, help_text="The last look that came to its end.")
    refused = models.PositiveIntegerField(default=0, help_text="In a row: then somebody else's token is used.")

    objects = WatchedITwinQuerySet.as_manager()

    def __str__(self) -> str:
        return self.itwin_id


class SeenIModel(models.Model):
    """An iModel as it was when its iTwin was looked at last, whoever made it."""

    imodel_id = models.CharField(max_length=36, primary_key=True)
    itwin_id = models.CharField(max_length=36, db_index=True)
    name = models.CharField(max_length=255)
    is_hidden = models.BooleanField(default=False, help_text="There, and not shown to who looked last.")
    gone_at = models.DateTimeField(null=True, help_text="When it was no longer there.")

    def __str__(self) -> str:
        return self.name
