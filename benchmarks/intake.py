"""The intake: a first pass over the monitored Gmail mailbox, and the least that it could cost.

The floor fetches the same messages with `requests` and takes them apart with the standard library's
`email`, as many at a time. It lists, decodes base64 and reads the bodies; it decides, links and
stores nothing. Neither puts on the label: a replay answers questions only.
"""

import base64
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import requests
from django.core.management import call_command

from accounts.system_settings import Settings
from benchmarks import scenery, servers
from benchmarks.measuring import Rounds, queries_counted, timed
from crm_sync.providers.gmail import GmailGateway
from crm_sync.providers.types import IntakeCredentials
from email_sync import intake
from email_sync.models import Email, IntakeConnection, LedgerEntry

CAPTURE = "crm.intake@northsound.example"
SETTINGS = Settings(bcc=True, fwd=True, company_domains=("northsound.example",))


class UnlabelledGateway(GmailGateway):
    """Everything but the label, which a replay could not put on."""

    def label(self, message_ids: Sequence[str], *, name: str) -> None:
        pass


@dataclass(frozen=True)
class Found:
    rounds: Rounds
    messages: int
    matched: int
    queries: int


def measure(*, messages: int, contacts: int, rounds: int) -> Found:
    """Product and floor in turn, from a replay of the sandbox."""
    anchor = servers.end_of_working_week()
    with (
        servers.sandbox(
            mailboxes=2, messages=200, history_days=45, anchor=anchor, intake_messages=messages
        ) as sandbox,
        servers.replay(sandbox) as replay,
    ):
        _make_people()
        scenery.grow(contacts=contacts, entries=0)
        granted = requests.post(
            f"{sandbox}/sandbox/google/authorise", json={"account": CAPTURE}, timeout=30
        ).json()
        gateway = UnlabelledGateway(
            IntakeCredentials(
                granted["client_id"], granted["client_secret"], granted["refresh_token"]
            ),
            api_endpoint=replay,
            token_uri=f"{sandbox}/google/token",
        )
        token = _access_token(sandbox, granted)
        found: Rounds = {"product": [], "floor": []}
        for number in range(rounds + 1):
            _forget()
            product, floor = timed(lambda: run(gateway)), timed(lambda: fetch(replay, token))
            if number:  # the first round fills the replay
                found["product"].append(product)
                found["floor"].append(floor)
        _forget()
        with queries_counted() as queries:
            listed = run(gateway)
        return Found(found, listed, LedgerEntry.objects.matched().count(), len(queries))


def run(gateway: GmailGateway) -> int:
    """One pass that reads everything; how many messages were listed. It must have worked."""
    connection = IntakeConnection.objects.create(name="bench", address=CAPTURE)
    report = intake.sync_intake(connection, gateway=gateway, settings=SETTINGS)
    if report.outcome != "complete" or report.result.matched < report.result.seen // 2:
        sys.exit(f"The pass did not go as it should: {report}.")
    return report.result.seen


def fetch(url: str, token: str) -> int:
    """The floor: how many messages were fetched and taken apart."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    session.mount(url, requests.adapters.HTTPAdapter(pool_maxsize=intake.PARALLEL))
    mailbox = f"{url}/gmail/v1/users/me/messages"
    number = 0
    query: dict[str, Any] = {"maxResults": 500}
    with ThreadPoolExecutor(max_workers=intake.PARALLEL) as pool:
        while True:
            page = session.get(mailbox, params=query, timeout=30).json()
            ids = [message["id"] for message in page.get("messages", ())]
            number += len(list(pool.map(lambda id: _take_apart(session, f"{mailbox}/{id}"), ids)))
            if "nextPageToken" not in page:
                return number
            query["pageToken"] = page["nextPageToken"]


def _take_apart(session: requests.Session, url: str) -> int:
    raw = session.get(url, params={"format": "raw"}, timeout=30).json()["raw"]
    data = base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4))
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    for name in ("from", "to", "cc", "subject", "date", "message-id"):
        message.get(name)
    parts = (message.get_body(("plain",)), message.get_body(("html",)))
    return sum(len(part.get_content()) for part in parts if part is not None)


def _access_token(sandbox: str, granted: dict[str, str]) -> str:
    fields = {name: granted[name] for name in ("client_id", "client_secret", "refresh_token")}
    answer = requests.post(
        f"{sandbox}/google/token", {**fields, "grant_type": "refresh_token"}, timeout=30
    )
    return str(answer.json()["access_token"])


def _make_people() -> None:
    """The sandbox's own reps, customers and contacts."""
    with tempfile.TemporaryDirectory() as place:
        options = ["--mailboxes", "2", "--messages", "200", "--write-sample", place]
        command = [sys.executable, "-m", "sandbox", *options]
        subprocess.run(command, check=True, cwd=servers.ROOT, stdout=subprocess.DEVNULL)
        for kind in ("users", "contacts"):
            call_command(f"import_{kind}", str(Path(place) / f"{kind}.csv"), verbosity=0)


def _forget() -> None:
    IntakeConnection.objects.all().delete()
    LedgerEntry.objects.filter(source__in=("bcc", "fwd")).delete()
    Email.objects.filter(ledger=None, further_ledger=None).delete()
