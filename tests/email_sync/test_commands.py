"""The commands of the contract, over HTTP against the sandbox: what they print, how they exit."""

import csv
import io
import json

import pytest
import requests
from django.core.management import CommandError, call_command

from accounts import system_settings
from accounts.models import MailboxSync
from crm_sync.providers.nylas import NylasGateway
from email_sync import foreground
from email_sync.models import Email, LedgerEntry
from tests.conftest import sandbox_server
from tests.email_sync.test_worker_crash import SAM, grant_of, world

HISTORY = (
    "user,processed_at,sent_at,direction,source,outcome,reason,subject,from,to,cc,contacts,"
    "customers,folder,message_id"
)
EMAILS = (
    "user,message_id,direction,sources,subject,sent_at,from,to,cc,contacts,customers,body_text,"
    "hidden"
)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    directory = tmp_path_factory.mktemp("commands")
    with sandbox_server(directory, "--mailboxes", "2", "--messages", "150") as url:
        yield url


@pytest.fixture
def connected(db, sandbox, tmp_path, monkeypatch):
    """Sam's mailbox, connected by the command; commands speak to the sandbox."""
    world(tmp_path, messages=150)
    gateway = NylasGateway(api_uri=sandbox, api_key="sandbox-key", client_id="sandbox-client")
    monkeypatch.setattr(foreground, "nylas", lambda: gateway)
    monkeypatch.setattr("accounts.management.commands.connect_mailbox.nylas", lambda: gateway)
    call_command("connect_mailbox", user="sam", email=SAM, grant_id=grant_of(sandbox, SAM))
    requests.delete(f"{sandbox}/sandbox/faults", timeout=10)
    return sandbox


def fault(url, **what):
    requests.post(f"{url}/sandbox/faults", json=what, timeout=10).raise_for_status()


def failed(*words):
    with pytest.raises(SystemExit) as exit_:
        call_command(*words)
    return exit_.value.code


def test_a_pass_in_the_foreground_tells_what_it_did(connected, capsys):
    call_command("sync", "--email")
    output = capsys.readouterr().out
    assert output.startswith(f"{SAM}: complete, ")
    assert LedgerEntry.objects.exists()
    call_command("sync", "--mailbox", SAM.upper(), "--email")


def test_a_failure_or_a_missing_folder_is_named_and_exits_with_1(connected, capsys):
    fault(connected, kind="502-html", path="/messages", times=None)
    assert failed("sync", "--email") == 1
    assert "Inbox" in capsys.readouterr().err
    requests.delete(f"{connected}/sandbox/faults", timeout=10)
    MailboxSync.objects.update(stopped_at="2026-01-01T00:00:00Z")
    call_command("connect_mailbox", user="sam", email=SAM, grant_id=grant_of(connected, SAM),
                 folders="Inbox;Nowhere")  # fmt: skip
    assert failed("sync", "--email") == 1
    assert "folder “Nowhere”: The mailbox has no folder named" in capsys.readouterr().err


def test_an_unknown_mailbox_or_processing_switched_off_is_a_sentence(connected):
    with pytest.raises(CommandError, match="No mailbox nobody"):
        call_command("sync", "--mailbox", "nobody@x.example")
    system_settings.change("processing", "off")
    with pytest.raises(CommandError, match="Processing is off"):
        call_command("sync", "--email")


def test_the_history_is_exported_in_the_columns_of_the_contract(connected, capsys):
    call_command("sync", "--email")
    capsys.readouterr()
    call_command("export_history", "--user", "sam")
    output = capsys.readouterr().out
    assert output.splitlines()[0] == HISTORY
    rows = list(csv.DictReader(io.StringIO(output)))
    assert len(rows) == LedgerEntry.objects.count()
    matched = next(row for row in rows if row["outcome"] == "matched")
    assert matched["sent_at"].endswith("Z")
    assert matched["message_id"].startswith("<")
    assert matched["contacts"]
    assert matched["customers"].startswith("C-")
    call_command("export_history", "--format", "jsonl", "--since", "2999-01-01")
    assert capsys.readouterr().out == ""
    call_command("export_history", "--format", "jsonl")
    assert list(json.loads(capsys.readouterr().out.splitlines()[0])) == HISTORY.split(",")
    with pytest.raises(CommandError, match="no user “nobody”"):
        call_command("export_history", "--user", "nobody")


def test_emails_are_exported_and_hidden_by_message_id(connected, capsys):
    call_command("sync", "--email")
    capsys.readouterr()
    message_id = Email.objects.order_by("sent_at", "pk")[0].message_id
    call_command("hide_email", "--user", "sam", "--message-id", message_id.strip("<>"))
    assert "hidden" in capsys.readouterr().out
    call_command("export_emails")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert list(rows[0]) == EMAILS.split(",")
    assert [row["hidden"] for row in rows[:2]] == [True, False]
    assert rows[0]["sources"] == ["nylas"]
    with pytest.raises(CommandError, match="no email with that Message-ID"):
        call_command("hide_email", "--user", "sam", "--message-id", "<none@x>")


def test_what_is_unmatched_leaves_no_text_over_real_http(connected):
    requests.delete(f"{connected}/sandbox/requests", timeout=10)
    call_command("sync", "--email")
    asked = requests.get(f"{connected}/sandbox/requests", timeout=10).json()
    texts = sum(
        count
        for route, count in asked["counts"].items()
        if route.endswith(("messages/{message_id}", "messages/{id}"))
    )
    assert texts == Email.objects.count()
