"""The intake over HTTP, against the sandbox's Gmail: all kinds of mail, and of trouble."""

import json

import pytest
import requests
from django.core.management import call_command

from accounts import system_settings
from accounts.connecting import adopt_grant
from accounts.models import User
from accounts.system_settings import current
from crm_sync.providers.nylas import NylasGateway
from crm_sync.providers.types import Grant
from email_sync.gateway import gmail
from email_sync.intake import sync_intake
from email_sync.models import Email, IntakeConnection, IntakeReview, LedgerEntry
from email_sync.sync import sync_mailbox
from tests.conftest import sandbox_server
from tests.email_sync.test_worker_crash import SAM, emails, forget_everything, grant_of, world

CAPTURE = "crm.intake@northsound.example"

#: What becomes of the mail that waits in the sandbox, by its story: user, source, reason.
STORIES = {
    "a calendar invitation, BCC": ("sam", "bcc", "calendar-invite"),
    "an automatic reply": ("sam", "fwd", "automated-mail"),
    "in a rep's name, with a forged verdict further down": (
        "", "fwd", "sender-not-authenticated"),
    "fwd, an attribution sentence only": ("sam", "fwd", "forward-unsure"),
    "fwd, without any block": ("sam", "fwd", "forward-unparsed"),
    "a logged copy: the CRM in Cc beside a contact": ("sam", "bcc", "matched"),
    "bcc, from an alias, nowhere else": ("mia", "bcc", "matched"),
    "from somebody who is no user": ("", "fwd", "sender-not-registered"),
    "fwd, nested: the contact had forwarded it": ("sam", "fwd", "matched"),
    "fwd as Gmail": ("sam", "fwd", "matched"),
    "fwd as Apple Mail": ("mia", "fwd", "matched"),
    "fwd as Outlook, in German": ("mia", "fwd", "matched"),
    "bcc, also in Sent of a mailbox not connected": ("mia", "bcc", "matched"),
    "bcc, also in Sent of a connected mailbox": ("sam", "bcc", "matched"),
    "fwd as an attachment": ("sam", "fwd", "matched"),
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    directory = tmp_path_factory.mktemp("intake")
    options = ("--mailboxes", "2", "--messages", "150", "--intake-messages", "40")
    with sandbox_server(directory, *options) as url:
        yield url


@pytest.fixture
def connected(db, sandbox, tmp_path, settings):
    """The capture mailbox, connected by the command, and the sandbox's people."""
    settings.GMAIL_API_ENDPOINT = sandbox
    settings.GOOGLE_TOKEN_URI = f"{sandbox}/google/token"
    world(tmp_path, messages=150)
    system_settings.change("company_domains", "northsound.example")
    requests.delete(f"{sandbox}/sandbox/faults", timeout=10)
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps(google(sandbox, "authorise", account=CAPTURE)))
    call_command("connect_intake", str(path), "--bcc", "--fwd")
    return sandbox


def google(url: str, switch: str, **what: object) -> dict:
    answer = requests.post(f"{url}/sandbox/google/{switch}", json=what, timeout=10)
    answer.raise_for_status()
    return answer.json()


def truth(url: str) -> list[dict]:
    found = requests.get(f"{url}/sandbox/google/truth", {"account": CAPTURE}, timeout=10)
    return found.json()["data"]


def a_pass():
    row = IntakeConnection.objects.get()
    return sync_intake(row, gateway=gmail(row), settings=current())


def intake_ledger():
    return set(LedgerEntry.objects.values_list("user", "source", "message_key", "reason"))


def test_every_story_ends_as_it_should(connected, capsys):
    call_command("sync", "--intake")
    assert " complete, " in capsys.readouterr().out
    entries = {entry.provider_id: entry for entry in LedgerEntry.objects.select_related("user")}
    told = {m["note"]["story"]: entries[m["id"]] for m in truth(connected) if "story" in m["note"]}
    assert STORIES.items() <= {
        story: (entry.user.username if entry.user else "", entry.source, entry.reason)
        for story, entry in told.items()
    }.items()  # fmt: skip
    assert all("CRM logged" in message["labels"] for message in truth(connected))
    assert IntakeReview.objects.open().count() == 4
    for message in truth(connected):
        if original := message["note"].get("original_from"):
            email = entries[message["id"]].email
            if email is not None:
                assert email.participants.get(role="from").address == original


def test_the_reps_own_mailbox_adds_a_source_and_no_email(connected):
    a_pass()
    before = {e.pk: e.is_inline for e in Email.objects.filter(user__username="sam")}
    sam = User.objects.get(username="sam")
    grant = Grant(id=grant_of(connected, SAM), email=SAM, provider="google")
    mailbox = adopt_grant(sam, grant, now=IntakeConnection.objects.get().authorised_at,
                          settings=current())  # fmt: skip
    mailbox.email_enabled = True
    mailbox.save()
    gateway = NylasGateway(api_uri=connected, api_key="sandbox-key", client_id="sandbox-client")
    sync_mailbox(mailbox.syncs.get(kind="email"), gateway=gateway, settings=current())
    both = Email.objects.filter(ledger__source="nylas", pk__in=before)
    # A BCC by its Message-ID, an attachment too, and one that was forwarded in the text.
    assert both.count() >= 3
    assert any(before[email.pk] and not email.is_inline for email in both)
    assert not both.filter(provider_thread_id="").exists()
    keys = Email.objects.filter(user=sam).values_list("message_id", "subject")
    named = [key for key in keys if key[0]]
    assert len(named) == len(set(named))


TROUBLE = (
    "rateLimitExceeded", "429", "500", "503", "502-html", "200-html", "truncated", "empty-body",
    "cut-connection",
)  # fmt: skip


def test_trouble_at_google_changes_nothing_in_the_end(connected):
    a_pass()
    undisturbed = intake_ledger(), emails()
    forget_everything()
    IntakeConnection.objects.update(history_id="")
    for path in ("/messages/.", "/messages$", "/profile", "batchModify"):
        for kind in TROUBLE:
            fault = {"kind": kind, "path": path, "times": 1}
            requests.post(f"{connected}/sandbox/faults", json=fault, timeout=10).raise_for_status()
    for _ in range(60):
        report = a_pass()
        if report.outcome == "complete" and not IntakeConnection.objects.get().unlabelled:
            break
    assert report.outcome == "complete"
    assert (intake_ledger(), emails()) == undisturbed


def test_history_that_expired_is_made_good(connected):
    a_pass()
    google(connected, "expire-history")
    google(connected, "generate", count=3)
    before = LedgerEntry.objects.count()
    report = a_pass()
    assert report.outcome == "complete"
    assert LedgerEntry.objects.count() == before + 3


def test_a_consent_that_was_taken_back_stops_the_intake_with_a_sentence(connected, mailoutbox):
    google(connected, "revoke")
    report = a_pass()
    assert report.outcome == "failed"
    row = IntakeConnection.objects.get()
    assert row.rejected_at is not None
    assert "Google" in row.rejection
