"""iTwins that something was asked for in: a filter's menu reads these few rows instead of all operations."""

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
