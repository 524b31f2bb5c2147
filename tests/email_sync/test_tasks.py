"""The dispatcher and the tasks: light, repeatable, and never the truth."""

from datetime import timedelta
from unittest import mock

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import dispatching, leases, system_settings
from accounts.connecting import disconnect, want_sync
from accounts.models import MailboxSync, User
from email_sync import tasks
from email_sync.models import Email, LedgerEntry
from tests.email_sync.conftest import connect
from tests.email_sync.fake_gateway import NOW, headers


@pytest.fixture
def queue():
    """What would have been put on the queue."""
    queued = []
    with mock.patch.object(
        tasks.sync_mailbox_email, "apply_async", lambda args, **more: queued.extend(args)
    ):
        yield queued


@pytest.fixture
def reads_from_cast(cast):
    """Tasks read from the cast's mailbox."""
    with mock.patch.object(tasks, "nylas", return_value=cast.gateway):
        yield


def dispatch(now=None):
    with mock.patch.object(timezone, "now", return_value=now or NOW):
        return tasks.dispatch_due()


def test_a_due_mailbox_is_queued_once_until_it_is_lost(cast, queue):
    assert dispatch() == 1
    assert queue == [cast.row.pk]
    assert dispatch() == 0
    assert dispatch(NOW + dispatching.LOST_AFTER + timedelta(seconds=1)) == 1


def test_a_mailbox_that_is_being_read_is_left_alone_until_its_reader_dies(cast, queue):
    row = cast.row
    with mock.patch.object(timezone, "now", return_value=NOW):
        holder = leases.claim(row)
    assert dispatch() == 0
    host, _, rest = holder.split(":", 2)
    MailboxSync.objects.filter(pk=row.pk).update(lease_holder=f"{host}:999999999:{rest}")
    assert dispatch() == 1


def test_a_lease_elsewhere_without_a_heartbeat_ends_within_a_minute(cast, queue):
    MailboxSync.objects.update(lease_holder="elsewhere:1:1:x", lease_until=NOW + leases.LEASE)
    assert dispatch() == 0
    assert dispatch(NOW + timedelta(minutes=1, seconds=1)) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda cast: system_settings.change("processing", "off"),
        lambda cast: User.objects.update(is_active=False),
        lambda cast: cast.user.mailbox.__class__.objects.update(email_enabled=False),
        lambda cast: cast.user.mailbox.__class__.objects.update(rejected_at=NOW),
        lambda cast: MailboxSync.objects.update(stopped_at=NOW),
        lambda cast: MailboxSync.objects.update(next_due_at=NOW + timedelta(seconds=1)),
        lambda cast: disconnect(cast.mailbox, gateway=None),
    ],
)
def test_what_must_not_be_read_is_neither_queued_nor_read(cast, queue, change, reads_from_cast):
    change(cast)
    assert dispatch() == 0
    with mock.patch.object(timezone, "now", return_value=NOW):
        tasks.sync_mailbox_email(cast.row.pk)
    assert not cast.gateway.asked


def test_a_repeated_task_does_nothing(cast, queue, reads_from_cast):
    cast.gateway.add(headers("a"))
    with mock.patch.object(timezone, "now", return_value=NOW):
        tasks.sync_mailbox_email(cast.row.pk)
        asked = dict(cast.gateway.asked)
        tasks.sync_mailbox_email(cast.row.pk)
    assert cast.gateway.asked == asked
    assert Email.objects.count() == 1
    assert cast.row.next_due_at > NOW


def test_a_task_for_a_mailbox_that_is_gone_does_nothing(db):
    tasks.sync_mailbox_email(12345)


def test_a_broker_that_is_away_only_delays(cast):
    with mock.patch.object(
        tasks.sync_mailbox_email, "apply_async", mock.Mock(side_effect=OperationalError)
    ):
        assert dispatch() == 1
    assert cast.row.queued_at is None


def test_a_wish_wakes_a_worker_after_the_rows_are_committed(
    cast, queue, django_capture_on_commit_callbacks
):
    MailboxSync.objects.update(stopped_at=NOW, next_due_at=None)
    with django_capture_on_commit_callbacks(execute=True):
        want_sync(cast.mailbox, now=NOW)
        assert queue == []
    assert queue == [cast.row.pk]
    assert MailboxSync.objects.due(NOW).filter(pk=cast.row.pk).exists()


def test_a_pass_that_ran_out_of_time_goes_on_in_its_successor(
    cast, queue, reads_from_cast, settings
):
    settings.LONGEST_TASK_SECONDS = -1
    cast.gateway.add(headers("a"))
    with mock.patch.object(timezone, "now", return_value=NOW):
        tasks.sync_mailbox_email(cast.row.pk)
    assert queue == [cast.row.pk]
    settings.LONGEST_TASK_SECONDS = 60
    with mock.patch.object(timezone, "now", return_value=NOW):
        tasks.sync_mailbox_email(cast.row.pk)
    assert Email.objects.count() == 1
    assert cast.row.backfilled_at


def test_many_due_mailboxes_cost_a_fixed_number_of_queries(cast, queue, django_assert_num_queries):
    for n in range(20):
        user = User.objects.create(username=f"rep{n}", email=f"rep{n}@northsound.example")
        connect(user, user.email)
    with django_assert_num_queries(5):
        assert dispatch() == 21


def test_an_expired_unmatched_entry_keeps_only_what_prevents_a_double(cast):
    cast.gateway.add(headers("a"), headers("b", from_="x@other.example"))
    cast.sync()
    with mock.patch.object(timezone, "now", return_value=NOW + timedelta(days=400)):
        assert tasks.expire_ledger() == 1
        assert tasks.expire_ledger() == 0
    kept = LedgerEntry.objects.get(provider_id="b")
    assert (kept.subject, kept.from_address, kept.to, kept.trace) == ("", "", [], {})
    assert LedgerEntry.objects.get(provider_id="a").subject == "Offer"
    cast.sync()
    assert LedgerEntry.objects.count() == 2
