"""manage.py about: which version this is and what it runs on, for a report of a fault."""

import platform
from typing import Any

import django
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection


class Command(BaseCommand):
    help = "Say which version of iModel Desk this is, and what it runs on."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"iModel Desk {settings.VERSION}")
        self.stdout.write(
            f"Python {platform.python_version()}, Django {django.get_version()}, {connection.display_name}"
        )
