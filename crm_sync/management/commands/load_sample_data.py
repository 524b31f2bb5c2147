"""Fills an empty CRM with the sandbox's people, customers and granted mailboxes (for `demo`)."""

import json
import urllib.request
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Loads users.csv and contacts.csv and connects the mailboxes that the sandbox granted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path, help="with users.csv and contacts.csv")
        parser.add_argument("--password", required=True, help="for every user")

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("import_users", str(options["directory"] / "users.csv"))
        call_command("import_contacts", str(options["directory"] / "contacts.csv"))
        users = get_user_model().objects
        users.update(password=make_password(options["password"]))

        name_of = {user.email.casefold(): user.get_username() for user in users.all()}
        connected = []
        for grant in granted_mailboxes():
            name = name_of.get(grant["email"].casefold())
            if name is not None:
                call_command(
                    "connect_mailbox", user=name, email=grant["email"], grant_id=grant["id"]
                )
                connected.append(name)
        # The demo shows the last line.
        self.stdout.write(f"{len(name_of)} people; connected: {', '.join(connected) or 'nobody'}")


def granted_mailboxes() -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"{settings.NYLAS_API_URI}/v3/grants",
        headers={"Authorization": f"Bearer {settings.NYLAS_API_KEY}"},
    )
    # A proxy of the environment has no business between our own parts.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as response:
        grants: list[dict[str, Any]] = json.load(response)["data"]
    return grants
