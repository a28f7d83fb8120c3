"""iTwins that something was asked for in, and iModels that something was asked to be made from: a filter's menu and a
search read these few rows instead of all operations.
"""

from typing import ClassVar

from django.db import models


class KnownITwin(models.Model):
    itwin_id = models.CharField(max_length=36, primary_key=True)
    name = models.CharField(max_length=255, blank=True, db_index=True, help_text="As it was called last.")

    def __str__(self) -> str:
        return self.name or self.itwin_id

    @staticmethod
    def note(itwin_id: str, name: str) -> None:
        """Know an iTwin by this name. Where it is known so nothing is written, so that nobody waits for its row."""
        if not KnownITwin.objects.filter(pk=itwin_id).exists():
            KnownITwin.objects.bulk_create([KnownITwin(itwin_id=itwin_id, name=name)], ignore_conflicts=True)
        if name:
            KnownITwin.objects.filter(pk=itwin_id).exclude(name=name).update(name=name)


class KnownSource(models.Model):
    """One name of one iModel. Whoever saw it by another name is not told this one, so each has a row."""

    imodel_id = models.CharField(max_length=36)
    name = models.CharField(max_length=255)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["imodel_id", "name"], name="knownsource_once")]

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def note(imodel_id: str, name: str) -> None:
        """Know an iModel by this name, too. Where it is known so nothing is written, as above."""
        known = KnownSource(imodel_id=imodel_id, name=name)
        if imodel_id and name and not KnownSource.objects.filter(imodel_id=imodel_id, name=name).exists():
            KnownSource.objects.bulk_create([known], ignore_conflicts=True)
