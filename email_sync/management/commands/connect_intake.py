"""Adopts the access to a Gmail mailbox that exists already, as the browser's “Authorize” would."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from accounts import audit, system_settings
from accounts.audit import Action
from crm_sync.providers.errors import ProviderError
from crm_sync.providers.types import IntakeCredentials
from email_sync.connecting_intake import Refused, connect
from email_sync.gateway import gmail
from email_sync.models import IntakeConnection

#: What Google's “authorized user” files hold, and we need.
_FIELDS = ("client_id", "client_secret", "refresh_token")


class Command(BaseCommand):
    help = (
        "Connects the Gmail mailbox to which reps BCC or forward mail, by Google's “authorized "
        "user” file, and reads it from now on. Again for the same mailbox: renews the access."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help=f"JSON with {', '.join(_FIELDS)}")
        parser.add_argument("--bcc", action="store_true", help="log what is sent by BCC")
        parser.add_argument("--fwd", action="store_true", help="log what is forwarded")

    def handle(self, *args: Any, **options: Any) -> None:
        credentials = read_credentials(Path(options["file"]))
        try:
            profile = gmail(_with(credentials)).profile()
        except ProviderError as error:
            raise CommandError(f"{error} Nothing was stored.") from None
        try:
            with transaction.atomic():
                connection = connect(credentials, profile.address, by=None, now=timezone.now())
                about = f"Connected the BCC/FWD mailbox “{connection.name}”"
                audit.record(Action.CHANGED_CONNECTION, actor=None, about=about)
        except Refused as error:
            raise CommandError(str(error)) from None
        for kind in ("bcc", "fwd"):
            if options[kind]:
                system_settings.change(kind, "on")
        settings = system_settings.current()
        on = [kind.upper() for kind in ("bcc", "fwd") if getattr(settings, kind)]
        self.stdout.write(
            f"{connection.address}: connected as “{connection.name}”; "
            f"logged: {' and '.join(on) or 'nothing yet (manage.py setting bcc on)'}"
        )


def read_credentials(path: Path) -> IntakeCredentials:
    """The credentials of a file, or a CommandError that names the fault, never a secret."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError:
        raise CommandError(f"{path} is not a JSON file.") from None
    values = stored if isinstance(stored, dict) else {}
    missing = [
        name for name in _FIELDS if not isinstance(values.get(name), str) or not values[name]
    ]
    if missing:
        raise CommandError(
            f"{path} lacks {', '.join(missing)}: it is not an “authorized user” file of Google."
        )
    return IntakeCredentials(**{name: values[name].strip() for name in _FIELDS})


def _with(credentials: IntakeCredentials) -> IntakeConnection:
    """A connection that is not stored: only to ask whose mailbox it is."""
    return IntakeConnection(
        client_id=credentials.client_id,
        client_secret=credentials.client_secret,
        refresh_token=credentials.refresh_token,
    )
