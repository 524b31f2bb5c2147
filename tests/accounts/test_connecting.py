"""Adopting, replacing and giving up a grant, and the command that adopts one."""

from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.connecting import ConnectionRefused, adopt_grant, disconnect
from accounts.management.commands import connect_mailbox
from accounts.models import Mailbox, MailboxSync, User
from accounts.system_settings import Settings
from crm_sync.fields import DecryptionError
from crm_sync.providers.errors import ReconnectRequired, TransientError
from crm_sync.providers.types import Grant
from email_sync.models import FolderCoverage, FolderCursor

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MIA = "mia@northsound.example"


@pytest.fixture
def mia():
    return User.objects.create(username="mia", email=MIA)


def adopt(user, email=MIA, id="grant-1", now=NOW, **more):
    grant = Grant(id=id, email=email, provider="google")
    return adopt_grant(user, grant, now=now, settings=Settings(), **more)


def test_a_grant_is_stored_encrypted_and_the_first_pass_is_due(mia):
    mailbox = adopt(mia)
    with connection.cursor() as cursor:
        cursor.execute("SELECT grant_id, grant_digest FROM accounts_mailbox")
        [(stored, digest)] = cursor.fetchall()
    assert "grant-1" not in stored + digest
    assert Mailbox.objects.get().grant_id == "grant-1"
    assert mailbox.sync_from == NOW - timedelta(days=30)
    assert MailboxSync.objects.get(kind="email").next_due_at == NOW


def test_authorising_again_keeps_the_start_and_what_was_read(mia):
    mailbox = adopt(mia)
    FolderCursor.objects.create(mailbox=mailbox, folder_id="INBOX", name="Inbox")
    MailboxSync.objects.update(failure="bug", failure_count=9, stopped_at=NOW, backfilled_at=NOW)
    Mailbox.objects.update(rejected_at=NOW)
    later = NOW + timedelta(days=90)
    again = adopt(mia, email="MIA@northsound.example", id="grant-2", now=later)
    assert again.pk == mailbox.pk
    assert (again.sync_from, again.authorised_at) == (mailbox.sync_from, later)
    assert FolderCursor.objects.exists()
    row = MailboxSync.objects.get(kind="email")
    assert (row.failure, row.stopped_at, row.next_due_at) == ("", None, later)
    assert row.backfilled_at == NOW
    assert Mailbox.objects.get().rejected_at is None


def test_another_address_begins_anew(mia):
    mailbox = adopt(mia)
    FolderCursor.objects.create(mailbox=mailbox, folder_id="INBOX", name="Inbox")
    FolderCoverage.objects.create(
        mailbox=mailbox, folder_id="INBOX", checked_at=NOW, in_mailbox=1, in_ledger=1
    )
    MailboxSync.objects.update(backfilled_at=NOW)
    later = NOW + timedelta(days=90)
    again = adopt(mia, email="mia@new.example", id="grant-2", now=later)
    assert again.sync_from == later - timedelta(days=30)
    assert not FolderCursor.objects.exists()
    assert not FolderCoverage.objects.exists()
    assert MailboxSync.objects.get(kind="email").backfilled_at is None


@pytest.mark.parametrize(
    "grant", [{"id": "grant-1", "email": "sam@x.example"}, {"id": "g2", "email": MIA.upper()}]
)
def test_another_users_grant_or_mailbox_is_refused_with_nothing_saved(mia, grant):
    adopt(mia)
    sam = User.objects.create(username="sam")
    with pytest.raises(ConnectionRefused, match="another user"):
        adopt(sam, **grant)
    assert Mailbox.objects.count() == 1


def test_after_disconnecting_the_mailbox_can_become_anothers(mia):
    mailbox = adopt(mia)
    gateway = mock.Mock()
    disconnect(mailbox, gateway=gateway)
    gateway.revoke_grant.assert_called_once_with("grant-1")
    assert Mailbox.objects.get().is_authorised is False
    assert not MailboxSync.objects.due(NOW).exists()
    adopt(User.objects.create(username="sam"))


def test_a_revocation_that_fails_changes_nothing(mia):
    mailbox = adopt(mia)
    gateway = mock.Mock()
    gateway.revoke_grant.side_effect = TransientError("away")
    with pytest.raises(TransientError):
        disconnect(mailbox, gateway=gateway)
    assert Mailbox.objects.get().is_authorised


def test_a_wrong_key_raises_and_never_looks_like_no_grant(mia, settings):
    adopt(mia)
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(DecryptionError, match="FIELD_ENCRYPTION_KEYS"):
        Mailbox.objects.get()


def test_rotating_keys_makes_the_old_key_needless(mia, settings, capsys):
    adopt(mia)
    new = Fernet.generate_key().decode()
    settings.FIELD_ENCRYPTION_KEYS = [new, *settings.FIELD_ENCRYPTION_KEYS]
    call_command("rotate_keys")
    assert "1 secrets" in capsys.readouterr().out
    settings.FIELD_ENCRYPTION_KEYS = [new]
    assert Mailbox.objects.get().grant_id == "grant-1"


class TestCommand:
    """`connect_mailbox`, with the provider's answer replaced at its seam."""

    @pytest.fixture(autouse=True)
    def provider(self):
        gateway = mock.Mock()
        gateway.grant.return_value = Grant(id="g", email=MIA, provider="microsoft")
        with mock.patch.object(connect_mailbox, "nylas", return_value=gateway):
            yield gateway

    def run(self, *more, user="mia", email=MIA):
        call_command("connect_mailbox", "--user", user, "--email", email, "--grant-id", "g", *more)

    def test_email_and_calendar_are_on_and_the_settings_stored(self, mia, capsys):
        self.run("--folders", "Inbox;Harbor", "--calendar", "Work", "--days-after", "0",
                 "--sync-from", "2026-01-02T03:04:05+01:00")  # fmt: skip
        mailbox = Mailbox.objects.get()
        assert (mailbox.email_enabled, mailbox.calendar_enabled) == (True, True)
        assert (mailbox.folder_names, mailbox.calendar_name) == ("Inbox;Harbor", "Work")
        assert (mailbox.days_after, mailbox.provider) == (0, "microsoft")
        assert mailbox.sync_from == datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)
        assert "connected" in capsys.readouterr().out

    def test_a_blank_takes_the_bound_away_and_a_negative_one_is_refused(self, mia):
        self.run("--days-after", "7")
        self.run()
        assert Mailbox.objects.get().days_after == 7
        self.run("--days-after", "")
        assert Mailbox.objects.get().days_after is None
        with pytest.raises(CommandError, match="days-after"):
            self.run("--days-after=-1")

    def test_again_it_authorises_again_and_keeps_start_and_settings(self, mia, capsys):
        self.run("--sync-from", "2026-01-02", "--folders", "Harbor")
        self.run("--sync-from", "2026-05-05")
        mailbox = Mailbox.objects.get()
        assert mailbox.sync_from == datetime(2026, 1, 2, tzinfo=UTC)
        assert mailbox.folder_names == "Harbor"
        assert "authorised again, synced from 2026-01-02" in capsys.readouterr().out

    def test_a_grant_of_another_address_is_refused(self, mia):
        with pytest.raises(CommandError, match="belongs to"):
            self.run(email="sam@northsound.example")
        assert not Mailbox.objects.exists()

    @pytest.mark.parametrize("error", [ReconnectRequired("unknown"), TransientError("away")])
    def test_a_grant_that_cannot_be_checked_is_stored_with_a_warning(
        self, mia, provider, capsys, error
    ):
        provider.grant.side_effect = error
        self.run()
        assert Mailbox.objects.get().is_authorised
        assert "could not be checked" in capsys.readouterr().err

    def test_an_unknown_user_or_a_bad_address_is_named(self, mia):
        with pytest.raises(CommandError, match="no user “nobody”"):
            self.run(user="nobody")
        with pytest.raises(CommandError, match="not an email address"):
            self.run(email="mia")
