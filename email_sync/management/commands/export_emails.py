import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from email_sync.exporting import email_rows
from email_sync.management.commands.export_history import find_user
from email_sync.models import Email


class Command(BaseCommand):
    help = "Writes the stored emails to standard output, one JSON object a line."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", help="only this user's emails")
        parser.add_argument("--format", choices=("jsonl",), default="jsonl")

    def handle(self, *args: Any, **options: Any) -> None:
        emails = Email.objects.all()
        if options["user"] is not None:
            emails = emails.filter(user=find_user(options["user"]))
        for row in email_rows(emails):
            self.stdout.write(json.dumps(row, ensure_ascii=False))
