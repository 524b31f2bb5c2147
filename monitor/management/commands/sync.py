"""A pass in the foreground, for people who want to see it happen."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import system_settings
from accounts.addresses import normalise
from accounts.foreground import NotRead, Part, Progress, read_whole
from accounts.models.mailboxes import Schedule
from accounts.outcomes import describe
from accounts.passes import PassReport
from accounts.system_settings import Settings
from calendar_sync.foreground import CALENDAR
from email_sync.foreground import EMAIL, INTAKE

#: In the order in which they are read.
PARTS: tuple[Part, ...] = (EMAIL, CALENDAR, INTAKE)


class Command(BaseCommand):
    help = (
        "Runs a pass now over everything that is connected, ignoring backoff, due time and stops. "
        "Exits with 0 only if everything was read."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--mailbox", help="only the mailbox with this address")
        for part in PARTS:
            parser.add_argument(f"--{part.option}", action="store_true", help=part.help)

    def handle(self, *args: Any, **options: Any) -> None:
        settings = system_settings.current()
        if not settings.processing:
            raise CommandError("Processing is off. Switch it on: manage.py setting processing on")
        asked_for = [part for part in PARTS if options[part.option]]
        found = self._rows(asked_for, options["mailbox"], settings)
        are_complete = [self._work(part, row, settings) for part, row in found]
        if not all(are_complete):
            sys.exit(1)

    def _rows(
        self, asked_for: list[Part], address: str | None, settings: Settings
    ) -> list[tuple[Part, Schedule]]:
        """What is to be read. What was asked for by name and is not there is an error."""
        found: list[tuple[Part, Schedule]] = []
        for part in asked_for or PARTS:
            if cause := part.switched_off(settings):
                if asked_for:
                    raise CommandError(cause)
                continue
            rows = part.rows()
            if address is not None:
                rows = rows.filter(part.addressed(normalise(address)))
            elif asked_for and not rows:
                raise CommandError(part.not_connected)
            found += [(part, row) for row in rows]
        if address is not None and not found:
            raise CommandError(
                f"No mailbox {address} is connected and switched on. "
                "Connect it in the browser or with: manage.py connect_mailbox"
            )
        if not found:
            self.stdout.write("Nothing is connected yet.")
        return found

    def _work(self, part: Part, row: Schedule, settings: Settings) -> bool:
        """One row; whether everything was read."""
        title = part.title(row)
        try:
            with Progress(title) as progress:
                report = read_whole(part, row, settings=settings, listed=progress.listed)
        except NotRead as cause:
            self.stderr.write(f"{title}: {cause}")
            return False
        return self._tell(part, title, report)

    def _tell(self, part: Part, title: str, report: PassReport) -> bool:
        result = report.result
        word = report.outcome or ""
        self.stdout.write(
            f"{title}: {word}, {result.seen} listed, {result.matched} matched, "
            f"{result.unmatched} unmatched, {result.failed} failed"
        )
        for problem in result.problems:
            self.stderr.write(f"{title}: {part.place} “{problem.name}”: {problem.cause}")
        if report.error is not None:
            self.stderr.write(f"{title}: {describe(report.error)}")
        return word == "complete"
