import csv
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from calendar_sync.exporting import COLUMNS, action_rows
from calendar_sync.models import ActionItem


class Command(BaseCommand):
    help = "Writes the action items to standard output, one JSON object a line, or as CSV."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", help="only this user's items")
        parser.add_argument("--format", choices=("jsonl", "csv"), default="jsonl")

    def handle(self, *args: Any, **options: Any) -> None:
        items = ActionItem.objects.all()
        if options["user"] is not None:
            items = items.filter(owner=_user(options["user"]))
        if options["format"] == "jsonl":
            for row in action_rows(items):
                self.stdout.write(json.dumps(row, ensure_ascii=False))
            return
        writer = csv.DictWriter(self.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in action_rows(items):
            writer.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value: Any) -> str:
    """A value as it stands in CSV: lists separated by “;”, true and false as in the import."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ";".join(value) if isinstance(value, list) else str(value)


def _user(username: str) -> User:
    try:
        return User.objects.get(username=username)
    except User.DoesNotExist:
        raise CommandError(f"There is no user “{username}”.") from None
