"""manage.py verify_audit: whether history is what was logged."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from imodels_app.audit.log import Head
from imodels_app.audit.verify import Broken, Report, verify


class Command(BaseCommand):
    help = "Hash every event again and name the first line of the audit log that is not as it was written."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--head", action="append", default=[], help="a head from an e-mail, such as 1200:5dc9…")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = verify(*map(Head.read, options["head"]))
        except ValueError as odd:
            raise CommandError(f"--head: {odd}") from odd
        except Broken as broken:
            raise CommandError(str(broken)) from broken
        self.stdout.write("\n".join(_sentences(report)))


def _sentences(report: Report) -> list[str]:
    said = [f"The log has {report.head.size:,} events, each as it was written. Its head is {report.head}."]
    if report.waiting:
        said.append(f"The newest {report.waiting:,} events are not in the log yet.")
    if report.dropped:
        said.append(f"The addresses of {report.dropped:,} events were dropped.")
    if report.unsent:
        said.append(f"The head {report.unsent} was made, not sent: nobody has got it by e-mail or stream.")
    if report.sent is None:
        said.append("No head was sent yet, so nothing proves that no event is missing at the end.")
    elif report.sent.size < report.head.size:
        since = f"{report.sent.at:%Y-%m-%d %H:%M} UTC"
        said.append(f"Unproven since {since}: whether events are missing after line {report.sent.size:,}.")
    return said
