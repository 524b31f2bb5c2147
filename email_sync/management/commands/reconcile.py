"""A check of coverage in the foreground: counts, heals, counts again."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from accounts import system_settings
from accounts.addresses import normalise
from accounts.gateway import nylas
from accounts.models import MailboxSync
from accounts.outcomes import describe
from email_sync.coverage import Check, FolderCount, check_mailbox

#: Seconds for which another reader of the mailbox is waited for.
PATIENCE = 15 * 60


class Command(BaseCommand):
    help = (
        "Compares the messages of the connected mailboxes with the ledger, by folder and day, and "
        "brings in what is missing. Exits with 0 only if in the end nothing is."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--mailbox", help="only the mailbox with this address")

    def handle(self, *args: Any, **options: Any) -> None:
        settings = system_settings.current()
        if not settings.processing:
            raise CommandError(
                "Processing is off. Switch it on with: manage.py setting processing on"
            )
        are_complete = [self._check(sync, settings) for sync in self._syncs(options["mailbox"])]
        if not all(are_complete):
            sys.exit(1)

    def _syncs(self, address: str | None) -> list[MailboxSync]:
        syncs = MailboxSync.objects.enabled().filter(kind="email").select_related("mailbox__user")
        if address is not None:
            syncs = syncs.filter(mailbox__address=normalise(address))
            if not syncs:
                raise CommandError(
                    f"No mailbox {address} is connected with email sync on. "
                    "Connect it in the browser or with: manage.py connect_mailbox"
                )
        elif not syncs:
            self.stdout.write("No mailbox is connected yet.")
        return list(syncs.order_by("mailbox__address"))

    def _check(self, sync: MailboxSync, settings: system_settings.Settings) -> bool:
        """One mailbox; whether the ledger has everything in the end."""
        with tqdm(desc=sync.mailbox.address, unit=" messages", disable=None) as bar:

            def report(name: str, listed: int) -> None:
                bar.set_postfix_str(name, refresh=False)
                bar.update(listed)

            check = check_mailbox(
                sync, gateway=nylas(), settings=settings, patience=PATIENCE, report=report
            )
        self._tell_counts(check)
        self._tell_failures(check)
        return check.is_complete

    def _tell_counts(self, check: Check) -> None:
        """What was counted first, and what became of it."""
        address = check.mailbox.address
        for count in check.before.values():
            self.stdout.write(f"{address}: {count.name}: {_figure(count)}")
            for day, gap in count.gaps:
                self.stdout.write(
                    f"{address}: {count.name}: {day or 'no date'}: "
                    f"{gap.in_ledger:,} of {gap.in_mailbox:,}, {gap.missing:,} missing"
                )
        changed = [
            f"{count.name}: {_figure(count)} → {_figure(check.counts[key])}"
            for key, count in check.before.items()
            if check.counts[key] is not count
        ]
        if changed:
            self.stdout.write(f"{address}: healed {check.healed:,} ({'; '.join(changed)})")

    def _tell_failures(self, check: Check) -> None:
        """Why something is missing still, or could not be counted."""
        address, healing = check.mailbox.address, check.healing
        for problem in check.problems:
            self.stderr.write(f"{address}: folder “{problem.name}”: {problem.cause}")
        if check.error is not None:
            self.stderr.write(f"{address}: {describe(check.error)}")
        if healing is not None and check.missing:
            for problem in healing.result.problems:
                self.stderr.write(f"{address}: folder “{problem.name}”: {problem.cause}")
            if healing.error is not None:
                self.stderr.write(f"{address}: {describe(healing.error)}")
            elif healing.outcome in {None, "abandoned"}:
                self.stderr.write(f"{address}: It is being read by another process.")
        for count in check.counts.values():
            for day, gap in count.gaps:
                self.stderr.write(
                    f"{address}: {count.name}: {day or 'no date'}: {gap.missing:,} still missing"
                )


def _figure(count: FolderCount) -> str:
    return f"{count.in_ledger:,} of {count.in_mailbox:,}"
