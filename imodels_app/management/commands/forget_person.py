"""manage.py forget_person: remove what is kept of somebody who has left."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from imodels_app.accounts import rights
from imodels_app.models import User


class Command(BaseCommand):
    help = "Remove name, address, places in teams, presets and messages of a person whose account is closed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("person", help="our number of the person, as the export and their page have it")

    def handle(self, *args: Any, **options: Any) -> None:
        number = options["person"]
        user = User.objects.filter(pk=number).first() if number.isascii() and number.isdigit() else None
        if user is None:
            raise CommandError(f"No person has the number {number}.")
        if user.is_active:
            raise CommandError(f"Close the account of {user.name} on its page first.")
        rights.anonymize(user)
        self.stdout.write("Removed. What the record says of this person stays in it.")
