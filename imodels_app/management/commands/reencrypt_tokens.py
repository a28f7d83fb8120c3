"""Encrypt all stored tokens and upload links with the newest of TOKEN_KEYS, after which the older keys may go."""

from typing import Any

from django.core.management.base import BaseCommand

from imodels_app.accounts import tokens


class Command(BaseCommand):
    help = "Encrypt all stored tokens with the newest key in TOKEN_KEYS. Older keys can then be removed."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{tokens.reencrypt()} token sets are encrypted with the newest key.")
