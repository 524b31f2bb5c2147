from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from email_sync.management.commands.export_history import find_user
from email_sync.message_keys import normalise_message_id
from email_sync.models import Email


class Command(BaseCommand):
    help = "Hides a user's email in the CRM, as Delete does in the browser; the mail app keeps it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, help="user name")
        parser.add_argument("--message-id", required=True, help="with or without angle brackets")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = normalise_message_id(options["message_id"])
        emails = Email.objects.filter(user=find_user(options["user"]))
        found = [
            email
            for email in emails.filter(message_id__contains=wanted).only("message_id")
            if wanted and normalise_message_id(email.message_id) == wanted
        ]
        if not found:
            raise CommandError("This user has no email with that Message-ID.")
        emails.filter(pk__in=[email.pk for email in found]).hide(now=timezone.now())
        self.stdout.write(f"{len(found)} email{'s are' if len(found) > 1 else ' is'} hidden.")
