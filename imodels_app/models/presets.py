"""Request forms filled in, saved under a name."""

import uuid
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from imodels_app.models.people import User
from imodels_app.models.teams import Team
from imodels_app.states import (
    Kind,
)


class PresetQuerySet(models.QuerySet["Preset"]):
    def visible_to(self, user: User) -> Self:
        """A person's own, and what their teams share."""
        return self.filter(Q(owner=user) | Q(team__in=user.membership_set.values("team")))


class Preset(models.Model):
    """A request form filled in, kept under a name by one person, and perhaps shared with a team (presets.py)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, models.CASCADE, related_name="presets")
    team = models.ForeignKey(Team, models.SET_NULL, null=True, related_name="presets", help_text="Who else may use it.")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    name = models.CharField(max_length=100)
    values = models.JSONField(default=dict, help_text="What is typed, by the form's field names.")
    created_at = models.DateTimeField()

    objects = PresetQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = [Lower("name"), "created_at"]
        constraints: ClassVar = [models.UniqueConstraint("owner", Lower("name"), name="preset_one_name_per_owner")]

    def __str__(self) -> str:
        return self.name
