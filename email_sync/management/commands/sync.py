"""A pass in the foreground, for people who want to see it happen."""

import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q
from tqdm import tqdm

from accounts import system_settings
from accounts.addresses import normalise
from accounts.gateway import nylas
from accounts.models import MailboxSync
from accounts.outcomes import describe
from accounts.passes import PassReport
from email_sync.models import FolderCursor
from email_sync.sync import sync_mailbox

#: Seconds between two looks at a lease that another reader holds, and how long it is waited for.
_LOOK_AGAIN = 0.5
_PATIENCE = 15 * 60


class Command(BaseCommand):
    help = (
        "Runs a pass now over the connected mailboxes, ignoring backoff, due time and stops. "
        "Exits with 0 only if everything was read."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--mailbox", help="only the mailbox with this address")
        parser.add_argument("--email", action="store_true", help="only email (all there is so far)")

    def handle(self, *args: Any, **options: Any) -> None:
        settings = system_settings.current()
        if not settings.processing:
            raise CommandError("Processing is off. Switch it on: manage.py setting processing on")
        are_complete = [self._sync(sync, settings) for sync in self._syncs(options["mailbox"])]
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

    def _sync(self, sync: MailboxSync, settings: system_settings.Settings) -> bool:
        """One mailbox, again until its time was enough; whether everything was read."""
        with tqdm(desc=sync.mailbox.address, unit=" messages", disable=None) as bar:

            def report(cursor: FolderCursor, listed: int) -> None:
                bar.set_postfix_str(cursor.name, refresh=False)
                bar.update(listed)

            while True:
                answer = self._pass(sync, settings, report)
                if answer.result.is_finished:
                    break
        return self._tell(sync, answer)

    def _pass(
        self, sync: MailboxSync, settings: system_settings.Settings, report: Any
    ) -> PassReport:
        """A pass, after whoever reads this mailbox now has done so."""
        waiting_since = time.monotonic()
        while True:
            answer = sync_mailbox(sync, gateway=nylas(), settings=settings, report=report)
            if answer.outcome not in {None, "abandoned"}:
                return answer
            if time.monotonic() - waiting_since > _PATIENCE:
                raise CommandError(f"{sync.mailbox.address} is being read by another process.")
            time.sleep(_LOOK_AGAIN)
            sync = MailboxSync.objects.select_related("mailbox__user").get(pk=sync.pk)

    def _tell(self, sync: MailboxSync, answer: PassReport) -> bool:
        result = answer.result
        word = answer.outcome or ""
        self.stdout.write(
            f"{sync.mailbox.address}: {word}, {result.seen} listed, {result.matched} matched, "
            f"{result.unmatched} unmatched, {result.failed} failed"
        )
        for problem in result.problems:
            self.stderr.write(f"{sync.mailbox.address}: folder “{problem.name}”: {problem.cause}")
        if answer.error is not None:
            self.stderr.write(f"{sync.mailbox.address}: {describe(answer.error)}")
        return word == "complete"
