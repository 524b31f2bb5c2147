"""Hints: one message that a webhook named, read ahead of the next pass, to the same ledger."""

import threading
from datetime import timedelta
from unittest import mock

import pytest
from celery.exceptions import Retry
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import OperationalError
from msgspec.structs import replace

from accounts import leases, system_settings, webhooks
from accounts.connecting import disconnect
from accounts.models import Mailbox, MailboxSync, User
from accounts.signals import notification_received
from crm_sync.providers.errors import (
    ApplicationRejected,
    PermanentError,
    ReconnectRequired,
    TransientError,
    UnexpectedAnswer,
)
from crm_sync.providers.types import Folder
from email_sync import reading, tasks
from email_sync.models import (
    DailyCount,
    Email,
    EmailContact,
    EmailParticipant,
    FolderCursor,
    LedgerEntry,
)
from tests.email_sync.fake_gateway import NOW, headers

GONE = "no-such-message"


@pytest.fixture(autouse=True)
def _no_folders_remembered():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def hinted(cast):
    """`hinted(id)` runs the task; the mailbox was read once, when it was empty."""
    cast.sync()
    cast.now += timedelta(minutes=1)
    cast.gateway.asked.clear()

    def hint(provider_id):
        with (
            mock.patch.object(tasks, "nylas", return_value=cast.gateway),
            mock.patch.object(timezone, "now", return_value=cast.now),
        ):
            tasks.read_message(cast.row.pk, provider_id)

    return hint


def arrived(cast, id="a", **more):
    message = headers(id, received_at=cast.now, **more)
    cast.gateway.add(message)
    return message


def test_a_matched_message_is_stored_with_its_text_ahead_of_the_next_pass(cast, hinted):
    arrived(cast)
    hinted("a")
    assert cast.ledger() == {"a": "matched"}
    assert Email.objects.get().body_text == "Text of a"
    assert cast.gateway.asked == {"headers": 1, "folders": 1, "message": 1}
    assert LedgerEntry.objects.get().folder == "Inbox"


@pytest.mark.parametrize(
    "reason",
    [
        "unknown-address",
        "not-my-contact",
    ],
)
def test_of_a_message_that_does_not_match_no_text_is_fetched(cast, hinted, reason):
    sender = {"unknown-address": "x@other.example", "not-my-contact": "lee@harbor.example"}
    arrived(cast, from_=sender[reason])
    hinted("a")
    assert cast.ledger() == {"a": reason}
    assert "message" not in cast.gateway.asked
    assert not Email.objects.exists()


def test_a_message_that_the_ledger_has_costs_one_query_and_no_request(
    cast, hinted, django_assert_num_queries
):
    arrived(cast)
    arrived(cast, "b", from_="x@other.example")
    hinted("a")
    hinted("b")
    before = list(LedgerEntry.objects.values())
    cast.gateway.asked.clear()
    sync_id = cast.row.pk
    for known in "ab":
        with django_assert_num_queries(1):
            tasks.read_message(sync_id, known)
    assert not cast.gateway.asked
    assert list(LedgerEntry.objects.values()) == before


def test_a_text_that_failed_is_left_to_the_passes(cast, hinted):
    arrived(cast)

    def refuse(kind, subject):
        if kind == "message":
            raise PermanentError("no")

    cast.gateway.before = refuse
    hinted("a")
    assert cast.ledger() == {"a": "processing-error"}
    cast.gateway.asked.clear()
    hinted("a")
    assert not cast.gateway.asked
    cast.gateway.before = lambda kind, subject: None
    cast.sync()
    assert cast.ledger() == {"a": "matched"}


def in_folders(*folders):
    return lambda message: replace(message, folder_ids=folders)


@pytest.mark.parametrize(
    "change",
    [
        in_folders("F1"),
        in_folders("TRASH"),
        in_folders("INBOX", "TRASH"),
        in_folders("INBOX", "JUNK"),
        in_folders("INBOX", "DRAFTS"),
        in_folders(),
        lambda message: replace(message, is_draft=True),
        lambda message: replace(message, received_at=NOW - timedelta(days=31)),
    ],
)
def test_what_a_pass_would_not_read_leaves_nothing(cast, hinted, change):
    cast.gateway.add(change(arrived(cast)))
    hinted("a")
    assert not LedgerEntry.objects.exists()
    assert "message" not in cast.gateway.asked
    cast.sync()
    assert not LedgerEntry.objects.exists()


def test_a_trash_that_was_made_since_the_folders_were_remembered_is_noticed(cast, hinted):
    arrived(cast)
    hinted("a")
    cast.gateway.folder_list.append(Folder("TRASH2", "Bin", "trash"))
    cast.gateway.add(replace(arrived(cast, "b"), folder_ids=("INBOX", "TRASH2")))
    hinted("b")
    assert cast.ledger() == {"a": "matched"}


def test_folders_are_remembered_through_a_storm(cast, hinted):
    for n in range(10):
        arrived(cast, f"m{n}")
        hinted(f"m{n}")
    assert cast.gateway.asked["folders"] == 1
    assert LedgerEntry.objects.count() == 10


def test_a_message_that_is_gone_or_unreadable_is_no_failure(cast, hinted):
    hinted(GONE)
    arrived(cast)

    def refuse(kind, subject):
        raise PermanentError("odd", code="unreadable-message")

    cast.gateway.before = refuse
    hinted("a")
    assert not LedgerEntry.objects.exists()


def test_before_the_first_pass_a_hint_does_nothing(cast):
    cast.gateway.add(headers("a"))
    with mock.patch.object(tasks, "nylas", return_value=cast.gateway):
        tasks.read_message(cast.row.pk, "a")
    assert not cast.gateway.asked


@pytest.mark.parametrize(
    "change",
    [
        lambda cast: system_settings.change("processing", "off"),
        lambda cast: User.objects.update(is_active=False),
        lambda cast: Mailbox.objects.update(email_enabled=False),
        lambda cast: Mailbox.objects.update(rejected_at=NOW),
        lambda cast: MailboxSync.objects.update(stopped_at=NOW),
        lambda cast: disconnect(cast.mailbox, gateway=None),
        lambda cast: Mailbox.objects.all().delete(),
    ],
)
def test_what_must_not_be_read_is_not_read(cast, hinted, change):
    arrived(cast)
    sync_id = cast.row.pk
    change(cast)
    with mock.patch.object(tasks, "nylas", return_value=cast.gateway):
        tasks.read_message(sync_id, "a")
    assert not cast.gateway.asked
    assert not LedgerEntry.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda: Mailbox.objects.update(email_enabled=False),
        lambda: Mailbox.objects.update(grant_digest="another"),
    ],
)
def test_a_mailbox_that_was_switched_off_or_replaced_meanwhile_stores_nothing(cast, hinted, change):
    arrived(cast)
    # Texts are fetched in threads, which cannot write to the test's database.
    cast.gateway.before = lambda kind, subject: change() if kind == "folders" else None
    hinted("a")
    assert not LedgerEntry.objects.exists()
    assert not Email.objects.exists()


# --- failures ------------------------------------------------------------------------------------


def failing(cast, error, kind="headers"):
    def fail(asked, subject):
        if asked == kind:
            raise error

    cast.gateway.before = fail


def hinted_again(hinted):
    """How the task is put back on the queue."""
    retry = mock.Mock(side_effect=Retry)
    with mock.patch.object(tasks.read_message, "retry", retry), pytest.raises(Retry):
        hinted("a")
    return retry.call_args.kwargs


@pytest.mark.parametrize("kind", ["headers", "folders", "message"])
def test_a_passing_failure_is_tried_again_later(cast, hinted, kind):
    arrived(cast)
    failing(cast, TransientError("away", retry_after=7), kind)
    again = hinted_again(hinted)
    assert again["countdown"] >= 7
    assert not LedgerEntry.objects.exists()
    row = cast.row
    assert (row.failure, row.failure_count) == ("", 0)


def test_a_long_wait_stays_below_the_brokers_patience(cast, hinted, settings):
    failing(cast, TransientError("away", retry_after=3600))
    again = hinted_again(hinted)
    patience = settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
    assert again["countdown"] < patience


def test_trying_again_has_an_end(cast, hinted):
    failing(cast, TransientError("away"))
    with mock.patch.object(tasks, "nylas", return_value=cast.gateway):
        answer = tasks.read_message.apply((cast.row.pk, "a"))
    assert answer.successful()
    assert cast.gateway.asked["headers"] == tasks.HINT_RETRIES + 1


def test_a_refused_grant_is_written_down_and_told_once(cast, hinted):
    failing(cast, ReconnectRequired("It must be authorised again."))
    hinted("a")
    hinted("b")
    assert Mailbox.objects.get().rejected_at == cast.now
    assert len(mail.outbox) == 1


@pytest.mark.parametrize("error", [ApplicationRejected("key"), UnexpectedAnswer("what?")])
def test_what_concerns_more_than_the_message_is_left_to_the_passes(cast, hinted, error, caplog):
    failing(cast, error)
    hinted("a")
    assert "left to polling" in caplog.text
    assert Mailbox.objects.get().rejected_at is None


# --- beside a pass -------------------------------------------------------------------------------


@pytest.mark.parametrize("has_headers", [True, False])
@pytest.mark.parametrize("sender", ["ana@lumen.example", "x@other.example"])
def test_a_hint_in_the_middle_of_a_pass_doubles_nothing(cast, hinted, sender, has_headers):
    """The pass has looked at the ledger and is about to store, when the hint stores the same."""
    arrived(cast, from_=sender)
    cast.gateway.listed_as = lambda message: replace(
        message, has_headers=has_headers, message_id=message.message_id if has_headers else ""
    )
    fetch = reading.fetch_contents
    hints_given: list[int] = []

    def fetch_and_be_overtaken(run, batch):
        answer = fetch(run, batch)
        if batch and not hints_given:
            hints_given.append(1)
            hinted("a")
            assert LedgerEntry.objects.count() == 1
        return answer

    with mock.patch.object(reading, "fetch_contents", fetch_and_be_overtaken):
        assert cast.sync().outcome == "complete"
    assert hints_given
    assert LedgerEntry.objects.count() == 1
    assert Email.objects.count() == (sender == "ana@lumen.example")
    assert sum(DailyCount.objects.values_list("count", flat=True)) == 1


def test_a_hint_needs_no_lease_and_leaves_it_alone(cast, hinted):
    arrived(cast)
    holder = leases.claim(cast.row)
    hinted("a")
    assert cast.ledger() == {"a": "matched"}
    assert cast.row.lease_holder == holder


@pytest.mark.django_db(transaction=True)
def test_the_same_hint_in_several_workers_at_once_stores_one_message(cast, hinted):
    arrived(cast)
    sync_id, together, errors = cast.row.pk, threading.Barrier(4), []
    # All of them know nothing of the message when they begin to store it.
    cast.gateway.before = lambda kind, subject: together.wait(10) if kind == "message" else None

    def work():
        try:
            tasks.read_message(sync_id, "a")
        except Exception as error:  # noqa: BLE001
            errors.append(error)
        finally:
            connection.close()

    with mock.patch.object(tasks, "nylas", return_value=cast.gateway):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
    assert cast.ledger() == {"a": "matched"}
    assert Email.objects.count() == 1
    assert DailyCount.objects.get().count == 1


# --- the same as polling -------------------------------------------------------------------------


def everything():
    """What the CRM holds, but for when it was written and under which numbers."""
    left_out = {"id", "pk", "email_id", "processed_at", "stored_at"}
    entries = [
        {name: value for name, value in row.items() if name not in left_out}
        for row in LedgerEntry.objects.order_by("provider_id").values()
    ]
    emails = [
        {name: value for name, value in row.items() if name not in left_out}
        for row in Email.objects.order_by("message_key").values()
    ]
    people = sorted(EmailParticipant.objects.values_list("email__message_id", "role", "address"))
    links = sorted(EmailContact.objects.values_list("email__message_id", "contact_id"))
    counts = sorted(DailyCount.objects.values_list("source", "outcome", "count"))
    linked = LedgerEntry.objects.filter(email__message_key=F("message_key")).count()
    return entries, emails, people, links, counts, linked


def test_polling_alone_reaches_the_same_ledger_as_notifications(cast, hinted):
    first = arrived(cast, "a")
    cast.gateway.add(
        replace(arrived(cast, "b", from_="x@other.example"), folder_ids=("F1", "INBOX")),
        replace(arrived(cast, "c"), folder_ids=("F1",)),
        replace(arrived(cast, "d"), folder_ids=("INBOX", "TRASH")),
        replace(arrived(cast, "e"), is_draft=True),
        replace(arrived(cast, "f"), received_at=NOW - timedelta(days=40)),
        replace(arrived(cast, "g", from_="lee@harbor.example")),
        replace(arrived(cast, "h", from_="mia@northsound.example", to=("kim@harbor.example",)),
                folder_ids=("SENT",)),
        replace(arrived(cast, "i"), message_id=first.message_id),
        replace(arrived(cast, "j"), message_id=""),
    )  # fmt: skip
    # Late, repeated, in any order, some lost, some of what never was.
    # (Of “a” and “i”, one message, the ledger keeps the id of the first that it saw.)
    for id in ("j", "d", "i", GONE, "c", "a", "b", "e", "h", "i", "f", "a"):
        hinted(id)
    cast.sync()
    with_hints = everything()
    for model in (LedgerEntry, Email, DailyCount, FolderCursor):
        model.objects.all().delete()
    cast.sync()
    polled = everything()
    assert len(polled[0]) == len(with_hints[0]) == 5
    for name, ours, theirs in zip(
        ("entries", "emails", "people", "links", "counts", "linked"),
        with_hints,
        polled,
        strict=True,
    ):
        assert ours == theirs, name


# --- the way in ----------------------------------------------------------------------------------


@pytest.fixture
def queued():
    """What would have been put on the queue, with its priority."""
    found = []

    def message(args, **more):
        found.append(("message", *args, more.get("priority")))

    def grant(args, **more):
        found.append(("grant", *args))

    with (
        mock.patch.object(tasks.read_message, "apply_async", message),
        mock.patch.object(tasks.check_grant, "apply_async", grant),
    ):
        yield found


def tell(cast, kind, object_id="a"):
    notification_received.send(Mailbox, mailbox=cast.mailbox, kind=kind, object_id=object_id)


def test_a_notification_is_queued_behind_the_passes(cast, queued):
    tell(cast, "message")
    tell(cast, "grant")
    tell(cast, "event")
    assert queued == [
        ("message", cast.row.pk, "a", tasks.HINT_PRIORITY),
        ("grant", cast.mailbox.pk),
    ]


def test_a_mailbox_that_is_not_read_is_not_queued(cast, queued):
    Mailbox.objects.update(rejected_at=NOW)
    tell(cast, "message")
    assert queued == []


def test_a_broker_that_is_away_is_no_error(cast, caplog):
    away = mock.Mock(side_effect=OperationalError)
    with (
        mock.patch.object(tasks.read_message, "apply_async", away),
        mock.patch.object(tasks.check_grant, "apply_async", away),
    ):
        tell(cast, "message")
        tell(cast, "grant")
    assert away.call_count == 2
    assert caplog.text.count("the broker is away") == 2


# --- grants --------------------------------------------------------------------------------------


def test_a_grant_is_checked_by_the_task(cast):
    gateway = mock.Mock()
    with (
        mock.patch.object(tasks, "nylas", return_value=gateway),
        mock.patch.object(webhooks, "check_grant") as check,
    ):
        tasks.check_grant(cast.mailbox.pk)
        tasks.check_grant(987654)
        User.objects.update(is_active=False)
        tasks.check_grant(cast.mailbox.pk)
        User.objects.update(is_active=True)
        disconnect(cast.mailbox, gateway=None)
        tasks.check_grant(cast.mailbox.pk)
    assert [call.args[0].pk for call in check.call_args_list] == [cast.mailbox.pk]


def test_a_grant_that_cannot_be_checked_now_is_checked_later(cast):
    gateway = mock.Mock()
    gateway.grant.side_effect = TransientError("away")
    with mock.patch.object(tasks, "nylas", return_value=gateway):
        assert tasks.check_grant.apply((cast.mailbox.pk,)).successful()
    assert gateway.grant.call_count == tasks.HINT_RETRIES + 1
    gateway.grant.side_effect = ApplicationRejected("key")
    with mock.patch.object(tasks, "nylas", return_value=gateway):
        tasks.check_grant(cast.mailbox.pk)
    assert Mailbox.objects.get().rejected_at is None
