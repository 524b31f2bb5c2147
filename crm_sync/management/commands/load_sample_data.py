"""Fills an empty CRM with the sandbox's people, customers and granted mailboxes (for `demo`)."""

import csv
import json
import urllib.request
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = (
        "Loads users.csv and contacts.csv, connects the mailboxes that the sandbox granted, and "
        "makes ready to authorise the one to which reps BCC and forward."
    )

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
        prepare_intake()
        add_to_dos(options["directory"])
        # The demo shows the last line.
        self.stdout.write(f"{len(name_of)} people; connected: {', '.join(connected) or 'nobody'}")


def prepare_intake() -> None:
    """A connection that lacks only the consent; once that is given, reading begins."""
    apps.get_model("email_sync", "IntakeConnection")._default_manager.create(
        name="gmail-intake",
        description="The mailbox to which reps BCC and forward",
        client_id="sandbox-google-client",
        client_secret="sandbox-google-secret",  # noqa: S106 - the sandbox's, known to all
        expected_address="crm.intake@northsound.example",
        is_selected=True,
    )
    for kind in ("bcc", "fwd"):
        call_command("setting", kind, "on")


#: Days from today, hour (UTC; none: the whole day), type, what to do, whether it is done.
ToDo = tuple[int, int | None, str, str, bool]
TO_DOS: tuple[ToDo, ...] = (
    (-6, 9, "Call", "Ask how the autumn campaign went", True),
    (-2, 14, "Follow up", "Send the missing proofs", False),
    (0, 15, "Call", "Confirm the booking for December", False),
    (1, 8, "Meeting", "Q3 media plan", False),
    (2, None, "Task", "Prepare the offer", False),
    (4, 10, "Visit", "Walk through the new showroom", False),
    (7, 13, "Meeting", "Contract renewal", False),
    (12, None, "Email", "Rates for next year", False),
)


def add_to_dos(directory: Path) -> None:
    """One for each contact that is somebody's, over the days around today."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with (directory / "contacts.csv").open(newline="") as file:
        contacts = [row for row in csv.DictReader(file) if row["my_contact_of"]]
    rows = [
        to_do(f"sample-{number}", contact, TO_DOS[number % len(TO_DOS)], today=today)
        for number, contact in enumerate(contacts)
    ]
    target = directory / "actions.csv"
    with target.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    call_command("import_actions", str(target))


def to_do(key: str, contact: dict[str, str], sample: ToDo, *, today: datetime) -> dict[str, str]:
    """A row for `import_actions`."""
    days, hour, kind, title, is_done = sample
    day = today + timedelta(days=days)
    start = day.date() if hour is None else day + timedelta(hours=hour)
    end = start if hour is None else start + timedelta(minutes=45)
    return {
        "key": key,
        "owner": contact["my_contact_of"].partition(";")[0],
        "type": kind,
        "title": title,
        "starts_at": start.isoformat(),
        "ends_at": end.isoformat(),
        "all_day": str(hour is None).lower(),
        "customer_number": contact["customer_number"],
        "contact_email": contact["email"],
        "location": "",
        "note": "",
        "sync": "",
        "completed": str(is_done).lower(),
        "deleted": "",
    }


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
