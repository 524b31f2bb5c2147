"""Connecting the monitored mailbox, choosing which one is read, and the commands for both."""

import json
from datetime import timedelta
from unittest import mock

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError

from accounts import system_settings
from accounts.models import AuditEntry
from crm_sync.providers.errors import ApplicationRejected, ReconnectRequired, TransientError
from crm_sync.providers.types import IntakeAuthorisation
from email_sync import connecting_intake, foreground, tasks
from email_sync.connecting_intake import (
    Refused,
    authorise,
    deselect,
    disconnect,
    select,
    state_of,
    want_pass,
)
from email_sync.management.commands import connect_intake
from email_sync.models import Email, IntakeConnection, LedgerEntry
from monitor import health
from tests.email_sync.fake_gateway import NOW
from tests.email_sync.fake_gmail import CAPTURE, forward, mail
from tests.email_sync.intake_cast import IntakeCast, connection, make_cast

LATER = NOW + timedelta(days=1)


@pytest.fixture
def cast(db, monkeypatch) -> IntakeCast:
    cast = make_cast()
    for module in (connect_intake, foreground, tasks, health):
        monkeypatch.setattr(module, "gmail", lambda connection: cast.gmail)
    return cast


def given(address: str = CAPTURE, token: str = "new token") -> IntakeAuthorisation:
    return IntakeAuthorisation(token, address, frozenset())


# --- authorising ----------------------------------------------------------------------------------
def test_a_new_connection_is_authorised_and_due(cast):
    new = IntakeConnection.objects.create(name="Second", client_id="c", client_secret="s")
    assert state_of(new) == "not-connected"
    authorise(new, given("Other@Gmail.com"), by=cast.admin, now=LATER)
    new.refresh_from_db()
    assert (new.address, new.refresh_token) == ("other@gmail.com", "new token")
    assert (new.authorised_by, new.authorised_at, new.next_due_at) == (cast.admin, LATER, LATER)
    assert state_of(new) == "valid"


def test_the_same_mailbox_again_keeps_what_was_read_and_forgets_the_trouble(cast):
    cast.deliver(mail())
    IntakeConnection.objects.update(
        rejected_at=NOW, rejection="No.", stopped_at=NOW, failure="reconnect", failure_count=4
    )
    assert state_of(cast.row) == "invalid-credentials"
    row = cast.row
    authorise(row, given(), by=cast.admin, now=LATER)
    row = cast.row
    assert (row.history_id, row.backfilled_at) == ("1001", NOW)
    assert (row.rejected_at, row.stopped_at, row.failure_count) == (None, None, 0)
    assert state_of(row) == "running"
    assert IntakeConnection.objects.due(LATER).get() == row


def test_another_mailbox_begins_anew(cast):
    cast.deliver(mail())
    authorise(cast.row, given("other@gmail.com"), by=cast.admin, now=LATER)
    row = cast.row
    assert (row.address, row.history_id, row.listed_at, row.backfilled_at) == (
        "other@gmail.com", "", None, None,
    )  # fmt: skip


def test_consent_for_another_mailbox_than_meant_is_refused(cast):
    IntakeConnection.objects.update(expected_address=CAPTURE)
    with pytest.raises(Refused, match="Sign in to that mailbox"):
        authorise(cast.row, given("private@gmail.com"), by=cast.admin, now=LATER)
    assert (cast.row.address, cast.row.refresh_token) == (CAPTURE, "token")
    authorise(cast.row, given("CRM.intake@northsound.example"), by=cast.admin, now=LATER)


def test_one_mailbox_has_one_connection(cast):
    second = connection(name="Second", address="", is_selected=False)
    with pytest.raises(Refused, match="already connected as “Intake”"):
        authorise(second, given(), by=cast.admin, now=LATER)


def test_a_pass_that_runs_while_it_is_authorised_anew_stores_nothing_more(cast):
    cast.gmail.deliver("g1", mail())

    def meanwhile(kind, subject):
        if kind == "page":
            authorise(cast.row, given("other@gmail.com"), by=cast.admin, now=LATER)

    cast.gmail.before = meanwhile
    assert cast.sync().outcome == "abandoned"
    assert LedgerEntry.objects.count() == 0
    assert cast.row.history_id == ""


def test_disconnecting_forgets_the_access_and_keeps_the_mail(cast):
    cast.deliver(mail())
    disconnect(cast.row)
    row = cast.row
    assert (row.address, row.refresh_token, row.is_selected) == ("", "", False)
    assert row.client_id == "client"
    assert not IntakeConnection.objects.selected().exists()
    assert Email.objects.count() == LedgerEntry.objects.count() == 1
    authorise(row, given(), by=None, now=LATER)
    select(row, now=LATER)
    cast.gmail.fetched.clear()
    cast.sync()
    assert cast.gmail.fetched == []


def test_at_most_one_is_read(cast):
    second = connection(name="Second", address="other@gmail.com", is_selected=False)
    IntakeConnection.objects.filter(name="Intake").update(lease_holder="somebody")
    select(second, now=LATER)
    assert list(IntakeConnection.objects.selected()) == [second]
    assert cast.row.lease_holder == ""
    deselect(second)
    assert list(IntakeConnection.objects.selected()) == []
    with pytest.raises(IntegrityError):
        IntakeConnection.objects.update(is_selected=True)


def test_a_pass_can_be_wanted_after_a_stop(cast):
    IntakeConnection.objects.update(stopped_at=NOW, next_due_at=None, failure_count=10)
    want_pass(cast.row, now=LATER)
    assert IntakeConnection.objects.due(LATER).exists()


def test_secrets_are_not_readable_in_the_database_or_in_print(cast):
    from django.db import connection as database

    with database.cursor() as cursor:
        cursor.execute("SELECT client_secret, refresh_token FROM email_sync_intakeconnection")
        assert not {"secret", "token"} & set(cursor.fetchone())
    assert "token" not in repr(cast.row.credentials)
    assert "token" not in f"{cast.row!r} {cast.row}"


# --- waking a worker ------------------------------------------------------------------------------
@pytest.fixture
def queued(monkeypatch):
    found = []
    monkeypatch.setattr(
        tasks.read_intake, "apply_async", lambda args, **more: found.append(args[0])
    )
    return found


def test_a_due_connection_is_queued_once(cast, queued, django_capture_on_commit_callbacks):
    system_settings.change("bcc", "on")
    with mock.patch("django.utils.timezone.now", return_value=NOW):
        for _ in range(2):
            with django_capture_on_commit_callbacks(execute=True):
                tasks.dispatch_intake()
    assert queued == [cast.connection.pk]


@pytest.mark.parametrize(
    "change",
    [
        lambda: system_settings.change("bcc", "off"),
        lambda: system_settings.change("processing", "off"),
        lambda: IntakeConnection.objects.update(is_selected=False),
        lambda: IntakeConnection.objects.update(address=""),
        lambda: IntakeConnection.objects.update(rejected_at=NOW),
        lambda: IntakeConnection.objects.update(stopped_at=NOW),
        lambda: IntakeConnection.objects.update(next_due_at=LATER),
    ],
)
def test_what_is_not_wanted_or_not_due_is_neither_queued_nor_read(
    cast, queued, change, django_capture_on_commit_callbacks
):
    system_settings.change("bcc", "on")
    change()
    with (
        mock.patch("django.utils.timezone.now", return_value=NOW),
        django_capture_on_commit_callbacks(execute=True),
    ):
        assert tasks.dispatch_intake() == 0
        tasks.read_intake(cast.connection.pk)
    assert queued == []
    assert not cast.gmail.asked


def test_the_task_makes_a_pass(cast):
    system_settings.change("bcc", "on")
    cast.gmail.deliver("g1", mail())
    with mock.patch("django.utils.timezone.now", return_value=NOW):
        tasks.read_intake(cast.connection.pk)
        tasks.read_intake(cast.connection.pk)
    assert Email.objects.count() == 1
    assert cast.gmail.asked["profile"] == 1


# --- commands -------------------------------------------------------------------------------------
@pytest.fixture
def credentials(tmp_path):
    path = tmp_path / "credentials.json"
    path.write_text(
        json.dumps(
            {"client_id": "id", "client_secret": "hidden-1", "refresh_token": "hidden-2",
             "type": "authorized_user"}
        )
    )  # fmt: skip
    return path


def test_a_mailbox_is_adopted_from_a_file(cast, credentials, capsys):
    IntakeConnection.objects.all().delete()
    call_command("connect_intake", str(credentials), "--bcc")
    row = IntakeConnection.objects.get()
    assert (row.name, row.address, row.is_selected) == (CAPTURE, CAPTURE, True)
    assert row.credentials.refresh_token == "hidden-2"
    settings = system_settings.current()
    assert (settings.bcc, settings.fwd) == (True, False)
    output = capsys.readouterr()
    assert output.out == f"{CAPTURE}: connected as “{CAPTURE}”; logged: BCC\n"
    assert "hidden" not in output.out + output.err
    line = AuditEntry.objects.exclude(action="changed-setting").get()
    assert (line.action, line.actor_name) == ("changed-connection", "command line")


def test_again_it_renews_the_access_and_keeps_the_name(cast, credentials, capsys):
    cast.deliver(mail())
    call_command("connect_intake", str(credentials), "--bcc", "--fwd")
    row = IntakeConnection.objects.get()
    assert (row.name, row.history_id, row.refresh_token) == ("Intake", "1001", "hidden-2")
    assert capsys.readouterr().out.endswith("logged: BCC and FWD\n")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not a JSON file"),
        ("[]", "lacks client_id, client_secret, refresh_token"),
        ('{"client_id": "a", "client_secret": "hidden"}', "lacks refresh_token"),
        ('{"client_id": "a", "client_secret": "b", "refresh_token": 7}', "lacks refresh_token"),
    ],
)
def test_a_file_that_is_no_credentials_is_a_sentence(cast, tmp_path, content, sentence):
    path = tmp_path / "file.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CommandError, match=sentence) as error:
        call_command("connect_intake", str(path), "--bcc")
    assert "hidden" not in str(error.value)
    assert not system_settings.current().bcc


def test_a_refused_token_stores_nothing(cast, credentials):
    IntakeConnection.objects.all().delete()

    def refuse(kind, subject):
        raise ReconnectRequired("Google no longer accepts our access.")

    cast.gmail.before = refuse
    with pytest.raises(CommandError, match=r"no longer accepts our access\. Nothing was stored\."):
        call_command("connect_intake", str(credentials), "--bcc")
    assert not IntakeConnection.objects.exists()
    assert not system_settings.current().bcc


def test_a_pass_in_the_foreground(cast, capsys):
    system_settings.change("bcc", "on")
    system_settings.change("fwd", "on")
    IntakeConnection.objects.update(stopped_at=NOW, next_due_at=None)
    cast.gmail.deliver("g1", mail())
    cast.gmail.deliver("g2", forward(original_from="x@other.example"))
    call_command("sync", "--intake")
    assert capsys.readouterr().out == (
        f"{CAPTURE}: complete, 2 listed, 1 matched, 1 unmatched, 0 failed\n"
    )
    call_command("sync", "--mailbox", CAPTURE.upper())
    call_command("sync")


def test_a_pass_that_fails_is_named_and_exits_with_1(cast, capsys):
    system_settings.change("bcc", "on")

    def away(kind, subject):
        raise TransientError("Google cannot be reached.")

    cast.gmail.before = away
    with pytest.raises(SystemExit) as exit_:
        call_command("sync", "--intake")
    assert exit_.value.code == 1
    assert capsys.readouterr().err == f"{CAPTURE}: Google cannot be reached.\n"


def test_what_cannot_be_read_is_a_sentence(cast, capsys):
    with pytest.raises(CommandError, match="BCC and forwarding are both off"):
        call_command("sync", "--intake")
    call_command("sync")
    assert capsys.readouterr().out == "Nothing is connected yet.\n"
    system_settings.change("fwd", "on")
    deselect(cast.row)
    with pytest.raises(CommandError, match="No intake mailbox is connected"):
        call_command("sync", "--intake")


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (None, ""),
        (TransientError("Away."), "GMAIL_API_ENDPOINT"),
        (ReconnectRequired("Refused."), "Authorise it again"),
        (ApplicationRejected("Which client?"), "client ID"),
    ],
)
def test_the_doctor_looks_at_gmail(cast, error, remedy):
    def before(kind, subject):
        if error:
            raise error

    cast.gmail.before = before
    found = health.check_gmail()
    assert found.is_well is (error is None)
    assert remedy in found.remedy


def test_without_an_intake_the_doctor_has_nothing_to_say(cast):
    deselect(cast.row)
    assert health.check_gmail().is_well
    assert not cast.gmail.asked


# --- exports --------------------------------------------------------------------------------------
def test_exports_have_mail_of_nobody_and_every_source(cast, capsys):
    cast.deliver(mail(results=None, message_id="<1@x>"))
    attached = [mail(), mail(to="kim@harbor.example", message_id="<2@x>", subject="Two")]
    cast.deliver(mail(to=CAPTURE, subject="Fwd", message_id="<3@x>", attached=attached), "g2")
    cast.deliver(mail(to="kim@harbor.example", message_id="<2@x>", subject="Two"), "g3")
    call_command("export_history", "--format", "jsonl")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["user"], row["source"], row["reason"]) for row in rows] == [
        ("", "bcc", "sender-not-authenticated"),
        ("mia", "fwd", "matched"),
        ("mia", "bcc", "matched"),
    ]
    call_command("export_history", "--user", "mia", "--format", "jsonl")
    assert len(capsys.readouterr().out.splitlines()) == 2
    call_command("export_emails")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["subject"]: row["sources"] for row in rows} == {
        "Offer": ["fwd"],
        "Two": ["bcc", "fwd"],
    }


def test_the_state_is_that_of_the_row():
    states = {
        "not-connected": {"address": ""},
        "valid": {"address": CAPTURE},
        "initializing": {"address": CAPTURE, "is_selected": True},
        "downloading": {"address": CAPTURE, "is_selected": True, "listed_at": NOW},
        "stopped": {"address": CAPTURE, "is_selected": True, "stopped_at": NOW},
    }
    for state, fields in states.items():
        assert connecting_intake.state_of(IntakeConnection(**fields)) == state
