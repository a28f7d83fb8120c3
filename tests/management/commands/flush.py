"""Django's flush, after a test that commits: past the triggers, and back to what the migrations wrote."""

from typing import Any

from django.apps import apps
from django.core.management.commands import flush

from imodels_app.migrations._approval_triggers import make_default_rule
from imodels_app.migrations._data_and_triggers import create_default_team
from tests.triggers import triggers_off


class Command(flush.Command):
    def handle(self, **options: Any) -> None:
        with triggers_off():
            super().handle(**options)
            create_default_team(apps, None)
            make_default_rule(apps, None)
