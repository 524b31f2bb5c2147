import csv
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.management.commands.connect_mailbox import instant
from accounts.models import User
from email_sync.exporting import HISTORY_COLUMNS, history_rows
from email_sync.models import LedgerEntry


class Command(BaseCommand):
    help = "Writes the ledger to standard output; in CSV, lists are separated by “;”."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", help="only this user's entries")
        parser.add_argument("--since", type=instant, help="processed then or later (ISO 8601)")
        parser.add_argument("--format", choices=("csv", "jsonl"), default="csv")

    def handle(self, *args: Any, **options: Any) -> None:
        entries = LedgerEntry.objects.all()
        if options["user"] is not None:
            entries = entries.for_user(find_user(options["user"]))
        if options["since"] is not None:
            entries = entries.filter(processed_at__gte=options["since"])
        if options["format"] == "jsonl":
            for row in history_rows(entries):
                self.stdout.write(json.dumps(row, ensure_ascii=False))
            return
        writer = csv.DictWriter(self.stdout, HISTORY_COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in history_rows(entries):
            writer.writerow({name: cell(value) for name, value in row.items()})


def cell(value: Any) -> str:
    """A value as it stands in CSV."""
    return ";".join(value) if isinstance(value, list) else value


def find_user(username: str) -> User:
    """The user, or a CommandError that names who was meant."""
    try:
        return User.objects.get(username=username)
    except User.DoesNotExist:
        raise CommandError(f"There is no user “{username}”.") from None
