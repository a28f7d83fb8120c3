"""Encrypt all stored tokens and upload links with the newest of TOKEN_KEYS, after which the older keys may go."""

from typing import Any

from django.core.management.base import BaseCommand

from imodels_app.accounts import tokens


class Command(BaseCommand):
    help = "Seal all stored tokens with the newest of TOKEN_KEYS. Afterwards older keys can be taken out of it."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{tokens.reencrypt()} token sets are sealed with the newest key.")
