"""A real worker, killed in mid-backfill: the successor ends where an undisturbed run ends."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from django.core.management import call_command

from accounts.models import MailboxSync, SyncRun, User
from accounts.system_settings import current
from crm_sync.providers.nylas import NylasGateway
from email_sync import tasks
from email_sync.models import DailyCount, Email, FolderCursor, LedgerEntry
from email_sync.sync import sync_mailbox
from tests.conftest import ROOT, running, sandbox_server, wait_until

SAM = "sam.cole@northsound.example"
WORKER = [
    sys.executable, "-m", "celery", "-A", "crm_sync", "worker", "--concurrency", "1",
    "--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat",
]  # fmt: skip


@pytest.fixture
def sandbox(tmp_path):
    with sandbox_server(tmp_path, "--mailboxes", "2", "--messages", "1500") as url:
        yield url


def grant_of(url: str, address: str) -> str:
    answer = requests.get(
        f"{url}/v3/grants", headers={"Authorization": "Bearer sandbox-key"}, timeout=10
    )
    return next(g["id"] for g in answer.json()["data"] if g["email"] == address)


def world(tmp_path: Path, messages: int = 1500) -> None:
    """The sandbox's own people and contacts."""
    options = ["--mailboxes", "2", "--messages", str(messages), "--write-sample", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "sandbox", *options], check=True, cwd=ROOT)
    call_command("import_users", str(tmp_path / "users.csv"))
    call_command("import_contacts", str(tmp_path / "contacts.csv"))


def count() -> int:
    return LedgerEntry.objects.count()


def ledger() -> set[tuple]:
    return set(
        LedgerEntry.objects.values_list(
            "user", "message_key", "provider_id", "outcome", "reason", "folder", "subject",
            "email__message_key",
        )
    )  # fmt: skip


def emails() -> set[tuple]:
    return set(
        Email.objects.values_list(
            "user", "message_key", "direction", "thread_key", "body_text", "body_html", "sent_at",
            "participants__role", "participants__address", "links__contact",
        )
    )  # fmt: skip


def counts() -> set[tuple]:
    return set(DailyCount.objects.values_list("source", "outcome", "count"))


def forget_everything() -> None:
    for model in (LedgerEntry, Email, FolderCursor, DailyCount, SyncRun):
        model.objects.all().delete()
    MailboxSync.objects.update(listed_at=None, backfilled_at=None, last_success_at=None)


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_in_mid_backfill_loses_and_doubles_nothing(
    sandbox, live_environment, tmp_path
):
    world(tmp_path)
    grant = grant_of(sandbox, SAM)
    gateway = NylasGateway(api_uri=sandbox, api_key="sandbox-key", client_id="sandbox-client")
    environment = live_environment | {
        "NYLAS_API_URI": sandbox, "NYLAS_API_KEY": "sandbox-key",
    }  # fmt: skip
    call_command("connect_mailbox", user="sam", email=SAM, grant_id=grant)
    row = MailboxSync.objects.select_related("mailbox__user").get(
        mailbox__user=User.objects.get(username="sam"), kind="email"
    )
    undisturbed = sync_mailbox(row, gateway=gateway, settings=current())
    assert undisturbed.outcome == "complete"
    expected = (ledger(), emails(), counts())
    assert len(expected[0]) > 500
    forget_everything()

    # Slow pages, so that each worker is killed at work: after the first page, then further on.
    requests.post(
        f"{sandbox}/sandbox/faults",
        json={"kind": "slow", "path": "/messages", "times": None, "delay": 0.15},
        timeout=10,
    ).raise_for_status()
    log = tmp_path / "worker.log"
    for already in (1, 300):
        MailboxSync.objects.filter(pk=row.pk).update(next_due_at=row.mailbox.authorised_at)
        with running(WORKER, log, environment=environment) as worker:
            wait_until(
                lambda already=already: tasks.dispatch_due() or count() >= already,
                "the worker took the mailbox",
            )
            wait_until(
                lambda already=already: count() >= already,
                f"{already} entries\n{log.read_text()}",
            )
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        assert MailboxSync.objects.get(pk=row.pk).backfilled_at is None, "killed too late"
    requests.delete(f"{sandbox}/sandbox/faults", timeout=10).raise_for_status()

    with running(WORKER, log, environment=environment):
        wait_until(
            lambda: tasks.dispatch_due() * 0 or MailboxSync.objects.get(pk=row.pk).backfilled_at,
            f"the backfill is complete\n{log.read_text()}",
            seconds=60,
        )
        wait_until(lambda: not MailboxSync.objects.get(pk=row.pk).lease_holder, "the lease is back")
    assert (ledger(), emails(), counts()) == expected
    assert set(SyncRun.objects.values_list("outcome", flat=True)) >= {"abandoned", "complete"}
