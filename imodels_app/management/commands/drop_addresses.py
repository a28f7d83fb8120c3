"""manage.py drop_addresses: forget e-mail addresses, addresses and browsers that events hold."""

from argparse import ArgumentTypeError
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError, connection, transaction

from imodels_app import search_index
from imodels_app.audit import addresses
from imodels_app.models import Event
from imodels_app.tables import filters


class Command(BaseCommand):
    help = "Drop the addresses of people in events, of a person or before a day. Proofs of the audit log still hold."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--person", help="our number of the person who did it")
        which.add_argument("--before", type=_day, help="a day, as 2026-11-30")

    def handle(self, *args: Any, **options: Any) -> None:
        person, before = options["person"], options["before"]
        facts: dict[str, Any]
        if before:
            chosen, facts = Event.objects.filter(at__lt=filters.start_of(before)), {"before": str(before)}
            note = f"before {before}"
        elif filters.is_number(person):
            chosen, facts = Event.objects.filter(actor=int(person)), {"person": int(person)}
            note = f"of person {person}"
        else:
            raise CommandError(f"No person has the number {person}.")
        try:
            with transaction.atomic():
                number = addresses.drop(chosen, note, **facts)
                search_index.read_again(connection, Event)
        except ProgrammingError as no:
            raise CommandError(f"Run this as the database's user who owns the tables: {no}") from no
        self.stdout.write(f"The addresses of {number:,} events were dropped.")


def _day(text: str) -> date:
    found = filters.day(text)
    if found is None:
        raise ArgumentTypeError(f"{text} is no day.")
    return found
