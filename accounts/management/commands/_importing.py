"""What the import commands share: the file argument, the report, the exit code."""

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError

from accounts.importing import BadFile, Report


class ImportCommand(BaseCommand):
    """Reads a CSV file with `read`; names rejected rows by line and then exits with 1."""

    read: Callable[[TextIO], Report]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="a CSV file in UTF-8, or - for standard input")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = self._report(options["file"])
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error.strerror}.") from None
        except BadFile as error:
            raise CommandError(str(error)) from None
        for line, cause in report.rejected:
            self.stderr.write(f"line {line}: {cause}")
        self.stdout.write(report.summary())
        if report.rejected:
            sys.exit(1)

    def _report(self, name: str) -> Report:
        if name == "-":
            return type(self).read(sys.stdin)
        with open(name, encoding="utf-8-sig", newline="") as file:
            return type(self).read(file)
