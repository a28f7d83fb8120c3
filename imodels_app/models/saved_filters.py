"""Filters of a table that somebody keeps under a name."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Lower

from imodels_app.models.people import User


class SavedFilter(models.Model):
    class Page(models.TextChoices):
        EVENTS = "events", "Events"
        OPERATIONS = "operations", "Operations"
        TABLE = "table", "The table of operations"

    owner = models.ForeignKey(User, models.CASCADE, related_name="saved_filters")
    page = models.CharField(max_length=10, choices=Page.choices)
    name = models.CharField(max_length=100)
    query = models.TextField(help_text="As an address has it.")

    class Meta:
        ordering: ClassVar = [Lower("name"), "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint("owner", "page", Lower("name"), name="saved_filter_one_name_per_owner")
        ]

    def __str__(self) -> str:
        return self.name
