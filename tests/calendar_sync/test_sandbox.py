"""Real calendars over HTTP: the gateway against the sandbox, whose truth is the measure."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from django.core.management import call_command
from django.utils import timezone

from accounts.models import ContactAddress, MailboxSync, User
from accounts.passes import PassReport
from accounts.system_settings import current
from calendar_sync import changing
from calendar_sync.models import ActionItem, ActionType, EventLink
from calendar_sync.sync import sync_calendar
from crm_sync.providers.nylas import NylasGateway
from tests.conftest import ROOT, sandbox_server

PERSONAS = {"sam": "sam.cole@northsound.example", "mia": "mia.berg@northsound.example"}


@dataclass
class Sandbox:
    url: str
    gateway: NylasGateway

    def ask(self, path: str, **query: str) -> Any:
        answer = requests.get(f"{self.url}/sandbox/{path}", params=query, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def do(self, switch: str, /, **body: object) -> Any:
        answer = requests.post(f"{self.url}/sandbox/{switch}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def events(self, username: str, **query: str) -> list[dict[str, Any]]:
        """What the calendar that is synced holds, in truth."""
        found = self.ask("truth-events", mailbox=PERSONAS[username], calendar="primary", **query)
        events: list[dict[str, Any]] = found["data"]
        return [event for event in events if event["status"] != "cancelled"]

    def own(self, username: str) -> list[dict[str, Any]]:
        return [event for event in self.events(username) if event["metadata"].get("key1")]

    def sync(self, username: str, *, whole: bool = True) -> PassReport:
        rows = MailboxSync.objects.select_related("mailbox__user")
        row = rows.get(mailbox__user__username=username, kind="calendar")
        report = sync_calendar(row, gateway=self.gateway, settings=current(), wants_whole=whole)
        assert report.error is None, report.error
        assert report.outcome == "complete", report
        return report


@pytest.fixture
def sandbox(tmp_path, db, settings) -> Iterator[Sandbox]:
    options = ["--mailboxes", "2", "--messages", "50"]
    subprocess.run(
        [sys.executable, "-m", "sandbox", *options, "--write-sample", str(tmp_path)],
        check=True, cwd=ROOT,
    )  # fmt: skip
    call_command("import_users", str(tmp_path / "users.csv"))
    call_command("import_contacts", str(tmp_path / "contacts.csv"))
    with sandbox_server(tmp_path, *options) as url:
        settings.NYLAS_API_URI, settings.NYLAS_API_KEY = url, "sandbox-key"
        settings.NYLAS_CLIENT_ID = "sandbox-client"
        gateway = NylasGateway(api_uri=url, api_key="sandbox-key", client_id="sandbox-client")
        sandbox = Sandbox(url, gateway)
        for username, address in PERSONAS.items():
            grant = sandbox.do("grant", mailbox=address)
            grant_id = grant["grant_id"]
            call_command("connect_mailbox", user=username, email=address, grant_id=grant_id)
        yield sandbox


def to_do(username: str, **values: object) -> ActionItem:
    call, _ = ActionType.objects.get_or_create(name="Call")
    given = {
        "owner": User.objects.get(username=username),
        "type": call,
        "title": "Call them",
        "starts_at": timezone.now().replace(microsecond=0) + timedelta(days=1),
        "sync": True,
        **values,
    }
    return changing.create_action(given, by=None, now=timezone.now())


def expected(sandbox: Sandbox, username: str) -> set[tuple[str, str]]:
    """The persona's appointments with their own contacts, from the truth alone."""
    user = User.objects.get(username=username)
    mine = set(
        ContactAddress.objects.filter(contact__flags__user=user).values_list("address", flat=True)
    )
    start = user.mailbox.sync_from
    end = timezone.now() + timedelta(days=399)
    bounds = {"start": str(int(start.timestamp())), "end": str(int(end.timestamp()))}
    found = set()
    for event in sandbox.events(username, **bounds):
        people = [*event["participants"], event["organizer"] or {}]
        if mine & {person.get("email", "").lower() for person in people}:
            is_private = event["visibility"] == "private"
            title = "Private appointment" if is_private else event["title"]
            found.add((title, _start(event["when"])))
    return found


def _start(when: dict[str, Any]) -> str:
    if "start_time" in when:
        return datetime.fromtimestamp(when["start_time"], UTC).isoformat()
    day = when.get("date") or when["start_date"]
    return f"{day}T00:00:00+00:00"


@pytest.mark.parametrize("username", PERSONAS)
def test_exactly_the_appointments_with_contacts_come_in(sandbox: Sandbox, username: str):
    for _ in range(2):
        sandbox.sync(username)
        items = ActionItem.objects.filter(owner__username=username, cancelled_at=None)
        found = {(item.title, item.starts_at.isoformat()) for item in items}
        wanted = expected(sandbox, username)
        assert len(wanted) > 10
        assert found == wanted
        assert items.count() == len(found), "doubled"


@pytest.mark.parametrize("username", PERSONAS)
def test_a_to_do_there_and_back(sandbox: Sandbox, username: str):
    sandbox.do("clock", mailbox=PERSONAS[username], seconds=900)
    sandbox.sync(username)
    contact = User.objects.get(username=username).my_contacts.first().contact
    item = to_do(username, contact=contact, note="Bring the offer")
    sandbox.sync(username, whole=False)
    (event,) = sandbox.own(username)
    assert (event["title"], event["participants"]) == ("Call them", [])
    assert contact.name in event["description"]

    assert sandbox.sync(username).result.matched == 0, "our own echo"
    change = {"title": "Call them back", "location": "Hall"}
    sandbox.do("event-change", mailbox=PERSONAS[username], id=event["id"], event=change)
    sandbox.sync(username, whole=False)
    item.refresh_from_db()
    assert (item.title, item.location, item.note) == ("Call them back", "Hall", "Bring the offer")

    changing.edit_action(item, {"title": "Ours"}, by=None, now=timezone.now())
    sandbox.sync(username, whole=False)
    (event,) = sandbox.own(username)
    assert (event["title"], event["location"]) == ("Ours", "Hall")

    sandbox.do("event-delete", mailbox=PERSONAS[username], id=event["id"])
    sandbox.sync(username)
    item.refresh_from_db()
    assert item.unlinked_at is not None
    changing.sync_again(item, by=None, now=timezone.now())
    sandbox.sync(username, whole=False)
    changing.delete_action(item, by=None, now=timezone.now())
    sandbox.sync(username, whole=False)
    assert sandbox.own(username) == []
    assert not EventLink.objects.filter(item=item).exists()


def test_nobody_ever_hears_of_what_we_write(sandbox: Sandbox):
    for username in PERSONAS:
        item = to_do(username, contact=None)
        sandbox.sync(username)
        changing.edit_action(item, {"title": "Other"}, by=None, now=timezone.now())
        sandbox.sync(username)
        changing.delete_action(item, by=None, now=timezone.now())
        sandbox.sync(username)
    told = sandbox.ask("notifications")
    assert told["data"] == []


def test_an_event_that_was_made_though_the_answer_was_an_error(sandbox: Sandbox):
    sandbox.sync("sam")
    to_do("sam")
    fault = {"kind": "502-html", "path": "/events", "times": 1, "after": True}

    class Spoiling(NylasGateway):
        def create_event(self, *args: Any, **more: Any) -> Any:
            sandbox.do("faults", **fault)
            return super().create_event(*args, **more)

    rows = MailboxSync.objects.select_related("mailbox__user")
    row = rows.get(mailbox__user__username="sam", kind="calendar")
    gateway = Spoiling(api_uri=sandbox.url, api_key="sandbox-key", client_id="sandbox-client")
    assert sync_calendar(row, gateway=gateway, settings=current()).error is not None
    assert len(sandbox.own("sam")) == 1
    sandbox.sync("sam", whole=False)
    (event,) = sandbox.own("sam")
    assert EventLink.objects.get(item__origin="crm").event_id == event["id"]
