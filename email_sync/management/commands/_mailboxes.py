"""What commands over connected mailboxes share: which ones, and the exit code."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from accounts import system_settings
from accounts.addresses import normalise
from accounts.models import MailboxSync


class MailboxCommand(BaseCommand):
    """Does `work` for each connected mailbox; exits with 1 unless all of it is complete."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--mailbox", help="only the mailbox with this address")

    def work(self, sync: MailboxSync, settings: system_settings.Settings) -> bool:
        """One mailbox; whether everything is as it should be."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        settings = system_settings.current()
        if not settings.processing:
            raise CommandError("Processing is off. Switch it on: manage.py setting processing on")
        are_complete = [self.work(sync, settings) for sync in self._syncs(options["mailbox"])]
        if not all(are_complete):
            sys.exit(1)

    def _syncs(self, address: str | None) -> list[MailboxSync]:
        syncs = MailboxSync.objects.enabled().filter(kind="email").select_related("mailbox__user")
        if address is not None:
            wanted = normalise(address)
            syncs = syncs.filter(Q(mailbox__address=wanted) | Q(mailbox__authorised_address=wanted))
            if not syncs:
                raise CommandError(
                    f"No mailbox {address} is connected with email sync on. "
                    "Connect it in the browser or with: manage.py connect_mailbox"
                )
        elif not syncs:
            self.stdout.write("No mailbox is connected yet.")
        return list(syncs.order_by("mailbox__address"))
