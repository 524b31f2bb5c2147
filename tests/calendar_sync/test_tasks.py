"""What wakes a pass: the schedule, hints of the provider, people."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.connecting import want_sync
from accounts.models import Mailbox, MailboxSync
from accounts.signals import notification_received
from accounts.system_settings import change
from calendar_sync import tasks
from calendar_sync.models import ActionItem, CalendarCursor
from tests.calendar_sync.conftest import World


@pytest.fixture
def queued(monkeypatch) -> list[int]:
    """The passes that were put on the queue."""
    found: list[int] = []
    monkeypatch.setattr(
        tasks.sync_mailbox_calendar, "apply_async", lambda args, **more: found.extend(args)
    )
    return found


@pytest.fixture
def rested(world: World) -> World:
    """Nothing is due for five minutes."""
    MailboxSync.objects.update(next_due_at=timezone.now() + timedelta(minutes=5))
    return world


def due(world: World) -> bool:
    return MailboxSync.objects.due(timezone.now()).filter(pk=world.row().pk).exists()


def hint(world: World, kind: str, object_id: str = "e1") -> None:
    mailbox = Mailbox.objects.get(pk=world.mia.mailbox.pk)
    notification_received.send(Mailbox, mailbox=mailbox, kind=kind, object_id=object_id)


def test_what_is_due_is_queued_once_and_email_is_not_our_matter(world: World, queued):
    MailboxSync.objects.update(next_due_at=timezone.now())
    assert tasks.dispatch_due() == 2
    assert tasks.dispatch_due() == 0
    assert set(queued) == {world.row().pk, world.row(world.tom).pk}


def test_with_processing_off_nothing_is_queued_or_read(world: World, queued, monkeypatch):
    MailboxSync.objects.update(next_due_at=timezone.now())
    change("processing", "off")
    monkeypatch.setattr(tasks, "nylas", lambda: pytest.fail("asked"))
    assert tasks.dispatch_due() == 0
    tasks.sync_mailbox_calendar(world.row().pk)
    hint(world, "event")
    assert queued == []


def test_the_task_makes_a_pass_and_its_repeat_does_nothing(world: World, monkeypatch):
    world.to_do()
    MailboxSync.objects.update(next_due_at=timezone.now())
    monkeypatch.setattr(tasks, "nylas", lambda: world.mia.calendar)
    tasks.sync_mailbox_calendar(world.row().pk)
    asked = world.mia.calendar.asked.copy()
    assert asked["create"] == 1
    tasks.sync_mailbox_calendar(world.row().pk)
    assert world.mia.calendar.asked == asked


def test_a_pass_that_did_not_come_to_its_end_is_queued_again(
    world: World, queued, monkeypatch, settings
):
    for number in range(4):
        world.to_do(title=f"Number {number}")
    MailboxSync.objects.update(next_due_at=timezone.now())
    settings.LONGEST_TASK_SECONDS = -1
    monkeypatch.setattr(tasks, "nylas", lambda: world.mia.calendar)
    tasks.sync_mailbox_calendar(world.row().pk)
    assert queued == [world.row().pk]


@pytest.mark.parametrize("kind", ["event", "event-gone", "calendar"])
def test_a_hint_makes_the_calendar_due_and_wakes_a_worker_once(rested: World, queued, kind):
    for _ in range(5):
        hint(rested, kind)
    assert due(rested)
    assert queued == [rested.row().pk]


@pytest.mark.parametrize("kind", ["message", "grant", ""])
def test_other_hints_are_not_our_matter(rested: World, queued, kind):
    hint(rested, kind)
    assert not due(rested)
    assert queued == []


@pytest.mark.parametrize(
    ("kind", "lists_whole"), [("event", False), ("event-gone", True), ("calendar", True)]
)
def test_a_hint_that_something_vanished_asks_for_a_whole_listing(world: World, kind, lists_whole):
    item = world.to_do()
    world.synced()
    world.later(minutes=10)
    world.synced()
    world.later(minutes=10)
    del world.mia.calendar.events[world.event_of(item).id]
    with world.clock():
        hint(world, kind)
    world.later(minutes=1)
    world.synced()
    assert (ActionItem.objects.get().unlinked_at is not None) is lists_whole
    before = world.mia.calendar.asked["page"]
    world.later(minutes=1)
    world.synced()
    assert CalendarCursor.objects.get().listing_wanted_at != world.now
    assert world.mia.calendar.asked["page"] == before + 1


def test_a_hint_during_the_listing_counts_for_the_next(world: World):
    item = world.to_do()
    world.synced()
    world.later(minutes=10)

    def gone(kind: str, subject: str) -> None:
        if kind == "calendars":
            return
        world.mia.calendar.before = lambda kind, subject: None
        world.later(seconds=1)
        hint(world, "event-gone")

    world.mia.calendar.before = gone
    world.synced(whole=True)
    del world.mia.calendar.events[world.event_of(item).id]
    world.later(minutes=1)
    world.synced()
    assert ActionItem.objects.get().unlinked_at is not None


@pytest.mark.parametrize("stopped", [True, False])
def test_a_hint_starts_nothing_that_is_stopped_or_disconnected(rested: World, queued, stopped):
    if stopped:
        MailboxSync.objects.update(stopped_at=timezone.now())
    else:
        MailboxSync.objects.update(next_due_at=None)
    hint(rested, "event")
    assert not due(rested)
    assert queued == []


def test_somebody_who_wants_a_pass_wakes_a_worker(
    rested: World, queued, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        want_sync(rested.mia.mailbox, now=timezone.now())
    assert queued == [rested.row().pk]


def test_beat_knows_the_dispatcher():
    from crm_sync.celery import app

    assert "calendar_sync.dispatch_due" in {
        entry["task"] for entry in app.conf.beat_schedule.values()
    }
