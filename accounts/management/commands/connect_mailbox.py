"""Adopts a grant that exists already, as the browser's “Authorize” would."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts import system_settings
from accounts.addresses import normalise
from accounts.connecting import ConnectionRefused, adopt_grant
from accounts.gateway import nylas
from accounts.models import Mailbox, User
from crm_sync.providers.errors import ProviderError
from crm_sync.providers.types import Grant


def instant(text: str) -> datetime:
    """An ISO 8601 instant; without an offset it is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


#: What a blank `--days-after` is read as; without the option the bound stays as it is.
NO_BOUND = -1


def days(text: str) -> int:
    """A number of days, NO_BOUND for a blank. Raises ValueError."""
    number = int(text or NO_BOUND)
    if number < 0 and text:
        raise ValueError
    return number


class Command(BaseCommand):
    help = (
        "Connects a user's mailbox by a grant that exists at Nylas, with email and calendar on. "
        "Again for the same mailbox: re-authorises it and keeps its start."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, help="user name")
        parser.add_argument("--email", required=True, help="the mailbox's address")
        parser.add_argument("--grant-id", required=True)
        parser.add_argument("--folders", help="names separated by “;”; blank for Inbox and Sent")
        parser.add_argument("--calendar", help="the calendar's name")
        parser.add_argument("--days-after", type=days, help="0 is today; blank: no bound")
        parser.add_argument("--sync-from", type=instant, help="ISO 8601; UTC without an offset")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user “{options['user']}”.")
        address = normalise(options["email"])
        if not address:
            raise CommandError(f"“{options['email']}” is not an email address.")
        former = Mailbox.objects.filter(user=user).first()
        try:
            mailbox = adopt_grant(
                user,
                self._grant(options["grant_id"], address),
                now=timezone.now(),
                settings=system_settings.current(),
                sync_from=options["sync_from"],
            )
        except ConnectionRefused as error:
            raise CommandError(str(error)) from None
        self._save_settings(mailbox, options)
        word = "connected"
        if former is not None and former.authorised_address == mailbox.authorised_address:
            word = "authorised again"
        start = timezone.localtime(mailbox.sync_from, UTC)
        self.stdout.write(f"{address}: {word}, synced from {start:%Y-%m-%d %H:%M} UTC")

    def _grant(self, grant_id: str, address: str) -> Grant:
        """The grant, compared with what the provider says of it, where it answers."""
        try:
            grant = nylas().grant(grant_id)
        except ProviderError as error:
            self.stderr.write(
                f"warning: the grant could not be checked: {error} It is stored all the same."
            )
            return Grant(id=grant_id, email=address, provider="")
        if grant.email and normalise(grant.email) != address:
            raise CommandError(
                f"The grant belongs to {grant.email}, not to {address}. Nothing was stored."
            )
        return Grant(id=grant_id, email=address, provider=grant.provider)

    def _save_settings(self, mailbox: Mailbox, options: dict[str, Any]) -> None:
        mailbox.email_enabled = mailbox.calendar_enabled = True
        for field, option in (
            ("folder_names", "folders"),
            ("calendar_name", "calendar"),
        ):
            if options[option] is not None:
                setattr(mailbox, field, options[option])
        if (days_after := options["days_after"]) is not None:
            mailbox.days_after = None if days_after == NO_BOUND else days_after
        mailbox.save(
            update_fields=(
                "email_enabled calendar_enabled folder_names calendar_name days_after".split()
            )
        )
