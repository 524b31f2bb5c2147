"""A pass in the foreground, for people who want to see it happen."""

import time
from argparse import ArgumentParser

from django.core.management.base import CommandError

from accounts.gateway import nylas
from accounts.models import MailboxSync
from accounts.outcomes import describe
from accounts.passes import PassReport
from accounts.system_settings import Settings
from email_sync.management.commands._mailboxes import PATIENCE, MailboxCommand, Progress
from email_sync.sync import sync_mailbox

#: Seconds between two looks at a lease that another reader holds.
_LOOK_AGAIN = 0.5


class Command(MailboxCommand):
    help = (
        "Runs a pass now over the connected mailboxes, ignoring backoff, due time and stops. "
        "Exits with 0 only if everything was read."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--email", action="store_true", help="only email (all there is so far)")

    def work(self, sync: MailboxSync, settings: Settings) -> bool:
        """One mailbox, again until its time was enough; whether everything was read."""
        with Progress(sync) as progress:
            answer = self._pass(sync, settings, progress)
            while not answer.result.is_finished:
                answer = self._pass(sync, settings, progress)
        return self._tell(sync, answer)

    def _pass(self, sync: MailboxSync, settings: Settings, progress: Progress) -> PassReport:
        """A pass, after whoever reads this mailbox now has done so."""
        waiting_since = time.monotonic()
        enabled = MailboxSync.objects.enabled().select_related("mailbox__user")
        while current := enabled.filter(pk=sync.pk).first():
            answer = sync_mailbox(
                current,
                gateway=nylas(),
                settings=settings,
                report=lambda cursor, listed: progress.listed(cursor.name, listed),
            )
            if answer.outcome not in {None, "abandoned"}:
                return answer
            if time.monotonic() - waiting_since > PATIENCE:
                raise CommandError(f"{sync.mailbox.address} is being read by another process.")
            time.sleep(_LOOK_AGAIN)
        raise CommandError(f"{sync.mailbox.address} was switched off meanwhile.")

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
