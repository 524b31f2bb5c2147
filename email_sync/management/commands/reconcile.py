"""A check of coverage in the foreground: counts, heals, counts again."""

from accounts.foreground import PATIENCE, Progress
from accounts.gateway import nylas
from accounts.models import MailboxSync
from accounts.outcomes import describe
from accounts.system_settings import Settings
from email_sync.coverage import Check, FolderCount, check_mailbox
from email_sync.management.commands._mailboxes import MailboxCommand


class Command(MailboxCommand):
    help = (
        "Compares the messages of the connected mailboxes with the ledger, by folder and day, and "
        "brings in what is missing. Exits with 0 only if in the end nothing is."
    )

    def work(self, sync: MailboxSync, settings: Settings) -> bool:
        """One mailbox; whether the ledger has everything in the end."""
        with Progress(sync.mailbox.address) as progress:
            check = check_mailbox(
                sync,
                gateway=nylas(),
                settings=settings,
                patience=PATIENCE,
                report=progress.listed,
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
